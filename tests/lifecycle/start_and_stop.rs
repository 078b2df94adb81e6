//! Starting, stopping and killing a qube, and what can happen in between.

use nix::sys::signal::Signal;
use qubes_test_support::{TestSystem, ToolOutput, wait_until};

use crate::systems::{
    beginning, create, create_netvm, hypervisor, monitors, signal, system_with_empty_guests,
    wait_for_monitor,
};

/// Creates a system with these qubes; `None` without libvirt.
fn system_with(qubes: &[&str]) -> Option<TestSystem> {
    let system = system_with_empty_guests()?;
    qubes.iter().for_each(|qube| create(&system, qube, ""));
    Some(system)
}

#[test]
fn a_start_shows_as_running_and_a_kill_commits_the_private_volume() {
    let Some(system) = system_with(&["work"]) else {
        return;
    };
    let before = system.images("appvms/work");
    assert!(before.contains(&"private.img".to_string()), "{before:?}");
    assert_eq!(system.state("work"), "Halted");

    system.succeeds("qvm-start work");
    assert_eq!(system.state("work"), "Running");
    let running = system.images("appvms/work");
    for image in ["private-dirty.img", "root-dirty.img", "volatile-dirty.img"] {
        assert!(running.contains(&image.to_string()), "{running:?}");
    }
    assert!(system.record("work").is_file());
    assert_eq!(system.run("qvm-check --running work").code, 0);

    system.succeeds("qvm-kill work");
    assert_eq!(system.state("work"), "Halted");
    assert!(!system.record("work").exists());
    assert!(!system.has_dirty_image("work"));
    let after = system.images("appvms/work");
    assert!(
        after.iter().any(|i| i.starts_with("private.img.1@")),
        "the state before is a revision: {after:?}"
    );
}

#[test]
fn starting_a_running_qube_fails_and_changes_nothing() {
    let Some(system) = system_with(&["work"]) else {
        return;
    };
    system.succeeds("qvm-start work");
    let record = std::fs::read(system.record("work")).unwrap();
    let line = system.fails(1, "qvm-start work");
    assert_eq!(
        line,
        "Error: Starting qube failed: work: Domain is already running"
    );
    system.succeeds("qvm-start --skip-if-running work");
    assert_eq!(std::fs::read(system.record("work")).unwrap(), record);
}

#[test]
fn of_two_concurrent_starts_one_succeeds_and_the_other_finds_the_qube_running() {
    let Some(system) = system_with(&["work"]) else {
        return;
    };
    let spawn = || {
        system
            .command("qvm-start work")
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let (one, two) = (spawn(), spawn());
    let ends = [one, two].map(|child| ToolOutput::new(child.wait_with_output().unwrap()));
    let mut codes = ends.iter().map(|ran| ran.code).collect::<Vec<_>>();
    codes.sort();
    assert_eq!(codes, [0, 1], "{ends:?}");
    let loser = ends.iter().find(|ran| ran.code == 1).unwrap();
    assert_eq!(
        loser.complaints().collect::<Vec<_>>(),
        ["Error: Starting qube failed: work: Domain is already running"]
    );
    assert_eq!(system.state("work"), "Running");
    wait_for_monitor(&system, "work");
}

#[test]
fn the_monitor_finishes_the_stop_if_no_command_does() {
    let Some(system) = system_with(&["work"]) else {
        return;
    };
    system.succeeds("qvm-start work");
    let monitor = nix::unistd::Pid::from_raw(wait_for_monitor(&system, "work"));
    // Closing the terminal of the start must not affect it.
    wait_until("it leads a session of its own", || {
        nix::unistd::getsid(Some(monitor)) == Ok(monitor)
    });
    hypervisor().destroy(system.uuid("work")).unwrap();
    wait_until("the record is gone", || !system.record("work").exists());
    assert!(!system.has_dirty_image("work"));
    wait_until("the monitor has ended", || {
        monitors(&system, "work").is_empty()
    });
}

#[test]
fn the_next_command_replaces_a_killed_monitor_or_does_its_work() {
    let Some(system) = system_with(&["work"]) else {
        return;
    };
    system.succeeds("qvm-start work");
    let first = wait_for_monitor(&system, "work");
    signal(first, Signal::SIGKILL);
    wait_until("it is dead", || monitors(&system, "work").is_empty());

    // Without a monitor: the next command that locks the qube starts a new one.
    system.succeeds("qvm-start --skip-if-running work");
    let second = wait_for_monitor(&system, "work");
    assert_ne!(first, second);

    // If it stops without a monitor, the next command finishes the stop.
    signal(second, Signal::SIGKILL);
    wait_until("it is dead", || monitors(&system, "work").is_empty());
    hypervisor().destroy(system.uuid("work")).unwrap();
    assert!(
        system
            .images("appvms/work")
            .contains(&"private-dirty.img".to_string())
    );
    system.succeeds("qubes-recover");
    assert!(!system.record("work").exists());
    assert!(!system.has_dirty_image("work"));
}

#[test]
fn the_monitor_of_an_earlier_start_does_not_disturb_a_later_one() {
    let Some(system) = system_with(&["work"]) else {
        return;
    };
    system.succeeds("qvm-start work");
    let old = wait_for_monitor(&system, "work");
    signal(old, Signal::SIGSTOP);
    hypervisor().destroy(system.uuid("work")).unwrap();
    system.succeeds("qvm-start work");
    let record = std::fs::read(system.record("work")).unwrap();
    signal(old, Signal::SIGCONT);
    wait_until("the old monitor has ended", || {
        !monitors(&system, "work").contains(&old)
    });
    assert_eq!(
        std::fs::read(system.record("work")).unwrap(),
        record,
        "the record of the second start stands"
    );
    assert_eq!(system.state("work"), "Running");
    assert!(
        system
            .images("appvms/work")
            .contains(&"private-dirty.img".to_string())
    );
    wait_for_monitor(&system, "work");
}

#[test]
fn a_domain_without_a_record_gets_a_record_and_a_monitor() {
    let Some(system) = system_with(&["work"]) else {
        return;
    };
    system.succeeds("qvm-start work");
    signal(wait_for_monitor(&system, "work"), Signal::SIGKILL);
    wait_until("it is dead", || monitors(&system, "work").is_empty());
    std::fs::remove_file(system.record("work")).unwrap();

    system.succeeds("qvm-start --skip-if-running work");
    assert!(system.record("work").is_file());
    wait_for_monitor(&system, "work");
    assert!(
        system
            .images("appvms/work")
            .contains(&"private-dirty.img".to_string()),
        "its images were left alone"
    );
}

#[test]
fn the_next_command_commits_a_dirty_image_without_a_record() {
    let Some(system) = system_with(&["work"]) else {
        return;
    };
    system.succeeds("qvm-start work");
    // Power loss: no monitor, no domain, and RUN is lost.
    signal(wait_for_monitor(&system, "work"), Signal::SIGKILL);
    wait_until("it is dead", || monitors(&system, "work").is_empty());
    hypervisor().destroy(system.uuid("work")).unwrap();
    std::fs::remove_file(system.record("work")).unwrap();
    let dirty = system.path("/var/lib/qubes/appvms/work/private-dirty.img");
    std::fs::OpenOptions::new()
        .write(true)
        .open(&dirty)
        .map(|f| write_at(&f, b"synced by the guest"))
        .unwrap();

    system.succeeds("qubes-recover");
    assert!(!dirty.exists());
    let synced = b"synced by the guest";
    assert_eq!(
        beginning(
            &system.path("/var/lib/qubes/appvms/work/private.img"),
            synced.len()
        ),
        synced
    );
}

fn write_at(file: &std::fs::File, bytes: &[u8]) {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, 0).unwrap();
}

#[test]
fn concurrent_start_and_kill_end_in_a_consistent_state() {
    let Some(system) = system_with(&["work"]) else {
        return;
    };
    for _ in 0..4 {
        let start = system
            .command("qvm-start --skip-if-running work")
            .spawn()
            .unwrap();
        let kill = system.command("qvm-kill work").spawn().unwrap();
        for mut child in [start, kill] {
            child.wait().unwrap();
        }
        match system.state("work").as_str() {
            "Running" => assert!(system.record("work").is_file()),
            "Halted" => wait_until("the stop is finished", || !system.record("work").exists()),
            other => panic!("{other}"),
        }
    }
    system.succeeds("qvm-kill work");
    assert!(!system.record("work").exists());
    assert!(!system.has_dirty_image("work"));
}

#[test]
fn offline_a_qube_with_a_record_is_not_changed_and_a_start_fails() {
    let Some(system) = system_with(&["work"]) else {
        return;
    };
    let line = system.fails(1, "qvm-start --offline-mode work");
    assert!(line.contains("offline mode"), "{line}");
    system.succeeds("qvm-start work");
    let images = system.images("appvms/work");
    let line = system.fails(1, "qvm-remove --offline-mode --force work");
    assert!(
        line.contains("work was started at") && line.contains("left alone"),
        "{line}"
    );
    assert_eq!(system.images("appvms/work"), images);
    assert_eq!(system.run("qvm-check work").code, 0);
}

#[test]
fn a_netvm_starts_first_and_is_not_shut_down_while_its_clients_run() {
    let Some(system) = system_with(&[]) else {
        return;
    };
    create_netvm(&system, "sys-net", "");
    create(&system, "work", "sys-net");
    system.succeeds("qvm-start work");
    assert_eq!(system.state("sys-net"), "Running");
    let line = system.fails(1, "qvm-shutdown sys-net");
    assert!(line.contains("sys-net") && line.contains("work"), "{line}");
    assert_eq!(system.state("sys-net"), "Running");
}

#[test]
fn a_failed_start_leaves_nothing_behind() {
    let Some(system) = system_with(&["work"]) else {
        return;
    };
    let kernel = system.path("/var/lib/qubes/vm-kernels/broken");
    std::fs::create_dir_all(&kernel).unwrap();
    std::fs::write(kernel.join("vmlinuz"), "no kernel").unwrap();
    system.succeeds("qvm-prefs work virt_mode pvh");
    system.succeeds("qvm-prefs work kernel broken");
    let store = system.store();
    let images = system.images("appvms/work");
    let line = system.fails(1, "qvm-start work");
    assert!(
        line.starts_with("Error: Starting qube failed: work: "),
        "{line}"
    );
    assert!(!system.record("work").exists());
    assert_eq!(system.state("work"), "Halted");
    assert_eq!(
        hypervisor().state(system.uuid("work")).unwrap(),
        None,
        "no definition stays"
    );
    assert_eq!(system.store(), store);
    assert!(!system.has_dirty_image("work"));
    let after = system.images("appvms/work");
    assert!(
        images
            .iter()
            .all(|i| after.contains(i) || i.contains("precache")),
        "{images:?} {after:?}"
    );
    wait_until("no monitor stays", || monitors(&system, "work").is_empty());
}

#[test]
fn removing_a_running_qube_is_refused_and_a_halted_one_leaves_nothing() {
    let Some(system) = system_with(&["work"]) else {
        return;
    };
    let uuid = system.uuid("work");
    system.succeeds("qvm-start work");
    let ran = system.run("qvm-remove --force work");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(system.state("work"), "Running");
    system.succeeds("qvm-kill work");
    system.succeeds("qvm-remove --force work");
    assert_eq!(hypervisor().state(uuid).unwrap(), None);
    assert!(system.images("appvms").iter().all(|name| name != "work"));
    assert_eq!(system.run("qvm-check work").code, 1);
}

/// Creates a system with four qubes behind one netvm.
fn system_with_four_clients() -> Option<TestSystem> {
    let system = system_with(&[])?;
    create_netvm(&system, "sys-net", "");
    CLIENTS
        .iter()
        .for_each(|client| create(&system, client, "sys-net"));
    Some(system)
}

const CLIENTS: [&str; 4] = ["a", "b", "c", "d"];

/// Checks that all run, each with one monitor, and that the netvm was started once: its first stop
/// makes revision 1, a second one would make 2.
fn assert_all_run_and_netvm_started_once(system: &TestSystem) {
    for qube in CLIENTS.iter().chain(&["sys-net"]) {
        assert_eq!(system.state(qube), "Running", "{qube}");
        wait_for_monitor(system, qube);
    }
    system.succeeds("qvm-kill --all");
    let images = system.images("appvms/sys-net");
    assert!(
        images.iter().any(|i| i.starts_with("private.img.1@")),
        "{images:?}"
    );
}

#[test]
fn one_command_starts_several_qubes_behind_one_netvm() {
    let Some(system) = system_with_four_clients() else {
        return;
    };
    assert_eq!(system.succeeds(("qvm-start", &CLIENTS)), "");
    assert_all_run_and_netvm_started_once(&system);
}

#[test]
fn several_commands_at_once_start_several_qubes_behind_one_netvm() {
    let Some(system) = system_with_four_clients() else {
        return;
    };
    let pipe = std::process::Stdio::piped;
    let start = |qube| {
        system
            .command(["qvm-start", qube])
            .stderr(pipe())
            .spawn()
            .unwrap()
    };
    for child in CLIENTS.map(start) {
        let ran = ToolOutput::new(child.wait_with_output().unwrap());
        assert_eq!((ran.code, ran.complaints().count()), (0, 0), "{ran:?}");
    }
    assert_all_run_and_netvm_started_once(&system);
}

#[test]
fn a_paused_qube_is_shut_down_only_with_force() {
    let Some(system) = system_with(&["work"]) else {
        return;
    };
    system.succeeds("qvm-start work");
    hypervisor().pause(system.uuid("work")).unwrap();
    assert_eq!(system.state("work"), "Paused");
    let line = system.fails(1, "qvm-shutdown work");
    assert!(
        line.contains(
            "Failed to shut down: work: Domain not running (either powered off or paused)"
        ),
        "{line}"
    );
    let line = system.fails(1, "qvm-start work");
    assert!(line.contains("it is Paused"), "{line}");
    assert_eq!(system.state("work"), "Paused");
    system.succeeds("qvm-shutdown --force --wait work");
    assert_eq!(system.state("work"), "Halted");
    assert!(!system.record("work").exists());
}
