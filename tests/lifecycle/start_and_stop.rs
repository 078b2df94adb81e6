//! Start, stop, kill, and everything that can come between.

use nix::sys::signal::Signal;
use qubes::hypervisor::Hypervisor;

use crate::place::{
    beginning, create, create_netvm, hypervisor, monitors, signal, system_that_boots_nothing,
    the_monitor,
};
use crate::scratch::{Ran, Scratch, until};

/// A system with these qubes, or none where libvirt cannot be had.
fn system_with(qubes: &[&str]) -> Option<Scratch> {
    let scratch = system_that_boots_nothing()?;
    qubes.iter().for_each(|qube| create(&scratch, qube, ""));
    Some(scratch)
}

#[test]
fn a_qube_starts_is_seen_running_and_its_private_volume_is_committed_when_it_is_killed() {
    let Some(scratch) = system_with(&["work"]) else {
        return;
    };
    let before = scratch.images("appvms/work");
    assert!(before.contains(&"private.img".to_string()), "{before:?}");
    assert_eq!(scratch.state("work"), "Halted");

    scratch.ok("qvm-start", &["work"]);
    assert_eq!(scratch.state("work"), "Running");
    let running = scratch.images("appvms/work");
    for image in ["private-dirty.img", "root-dirty.img", "volatile-dirty.img"] {
        assert!(running.contains(&image.to_string()), "{running:?}");
    }
    assert!(scratch.record("work").is_file());
    assert_eq!(scratch.run("qvm-check", &["--running", "work"]).code, 0);

    scratch.ok("qvm-kill", &["work"]);
    assert_eq!(scratch.state("work"), "Halted");
    assert!(!scratch.record("work").exists());
    let after = scratch.images("appvms/work");
    assert!(after.iter().all(|i| !i.contains("dirty")), "{after:?}");
    assert!(
        after.iter().any(|i| i.starts_with("private.img.1@")),
        "the state before is a revision: {after:?}"
    );
}

#[test]
fn a_start_of_a_running_qube_says_so_and_changes_nothing() {
    let Some(scratch) = system_with(&["work"]) else {
        return;
    };
    scratch.ok("qvm-start", &["work"]);
    let record = std::fs::read(scratch.record("work")).unwrap();
    let line = scratch.fails("qvm-start", &["work"], 1);
    assert_eq!(
        line,
        "Error: Starting qube failed: work: Domain is already running"
    );
    scratch.ok("qvm-start", &["--skip-if-running", "work"]);
    assert_eq!(std::fs::read(scratch.record("work")).unwrap(), record);
}

#[test]
fn of_two_starts_at_once_one_starts_it_and_the_other_finds_it_running() {
    let Some(scratch) = system_with(&["work"]) else {
        return;
    };
    let spawn = || {
        scratch
            .command("qvm-start", &["work"])
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let (one, two) = (spawn(), spawn());
    let ends = [one, two].map(|child| Ran::of(child.wait_with_output().unwrap()));
    let mut codes = ends.iter().map(|ran| ran.code).collect::<Vec<_>>();
    codes.sort();
    assert_eq!(codes, [0, 1], "{ends:?}");
    let loser = ends.iter().find(|ran| ran.code == 1).unwrap();
    assert_eq!(
        loser.complaints().collect::<Vec<_>>(),
        ["Error: Starting qube failed: work: Domain is already running"]
    );
    assert_eq!(scratch.state("work"), "Running");
    the_monitor(&scratch, "work");
}

#[test]
fn the_monitor_does_the_after_work_when_nobody_else_is_there() {
    let Some(scratch) = system_with(&["work"]) else {
        return;
    };
    scratch.ok("qvm-start", &["work"]);
    let monitor = nix::unistd::Pid::from_raw(the_monitor(&scratch, "work"));
    // The end of the terminal on which the qube was started is nothing to it.
    until("it leads a session of its own", || {
        nix::unistd::getsid(Some(monitor)) == Ok(monitor)
    });
    hypervisor().destroy(scratch.uuid("work")).unwrap();
    until("the record is gone", || !scratch.record("work").exists());
    let after = scratch.images("appvms/work");
    assert!(after.iter().all(|i| !i.contains("dirty")), "{after:?}");
    until("the monitor has ended", || {
        monitors(&scratch, "work").is_empty()
    });
}

#[test]
fn a_killed_monitor_is_replaced_by_the_next_command_or_its_work_done() {
    let Some(scratch) = system_with(&["work"]) else {
        return;
    };
    scratch.ok("qvm-start", &["work"]);
    let first = the_monitor(&scratch, "work");
    signal(first, Signal::SIGKILL);
    until("it is dead", || monitors(&scratch, "work").is_empty());

    // It runs unwatched: whoever looks at it under its lock gives it a new one.
    scratch.ok("qvm-start", &["--skip-if-running", "work"]);
    let second = the_monitor(&scratch, "work");
    assert_ne!(first, second);

    // And if it stops unwatched, the next command does what the monitor would have done.
    signal(second, Signal::SIGKILL);
    until("it is dead", || monitors(&scratch, "work").is_empty());
    hypervisor().destroy(scratch.uuid("work")).unwrap();
    assert!(
        scratch
            .images("appvms/work")
            .contains(&"private-dirty.img".to_string())
    );
    scratch.ok("qubes-recover", &[]);
    assert!(!scratch.record("work").exists());
    assert!(
        scratch
            .images("appvms/work")
            .iter()
            .all(|i| !i.contains("dirty"))
    );
}

#[test]
fn a_second_start_while_the_old_monitor_waits_is_not_disturbed_by_it() {
    let Some(scratch) = system_with(&["work"]) else {
        return;
    };
    scratch.ok("qvm-start", &["work"]);
    let old = the_monitor(&scratch, "work");
    signal(old, Signal::SIGSTOP);
    hypervisor().destroy(scratch.uuid("work")).unwrap();
    scratch.ok("qvm-start", &["work"]);
    let record = std::fs::read(scratch.record("work")).unwrap();
    signal(old, Signal::SIGCONT);
    until("the old monitor has ended", || {
        !monitors(&scratch, "work").contains(&old)
    });
    assert_eq!(
        std::fs::read(scratch.record("work")).unwrap(),
        record,
        "the record of the second start stands"
    );
    assert_eq!(scratch.state("work"), "Running");
    assert!(
        scratch
            .images("appvms/work")
            .contains(&"private-dirty.img".to_string())
    );
    the_monitor(&scratch, "work");
}

#[test]
fn a_domain_that_runs_without_a_record_is_taken_up() {
    let Some(scratch) = system_with(&["work"]) else {
        return;
    };
    scratch.ok("qvm-start", &["work"]);
    signal(the_monitor(&scratch, "work"), Signal::SIGKILL);
    until("it is dead", || monitors(&scratch, "work").is_empty());
    std::fs::remove_file(scratch.record("work")).unwrap();

    scratch.ok("qvm-start", &["--skip-if-running", "work"]);
    assert!(scratch.record("work").is_file());
    the_monitor(&scratch, "work");
    assert!(
        scratch
            .images("appvms/work")
            .contains(&"private-dirty.img".to_string()),
        "its images were left alone"
    );
}

#[test]
fn a_dirty_image_without_a_record_is_committed_by_the_next_command_that_touches_the_qube() {
    let Some(scratch) = system_with(&["work"]) else {
        return;
    };
    scratch.ok("qvm-start", &["work"]);
    // The machine loses power: no monitor, no domain, and RUN does not survive.
    signal(the_monitor(&scratch, "work"), Signal::SIGKILL);
    until("it is dead", || monitors(&scratch, "work").is_empty());
    hypervisor().destroy(scratch.uuid("work")).unwrap();
    std::fs::remove_file(scratch.record("work")).unwrap();
    let dirty = scratch.path("/var/lib/qubes/appvms/work/private-dirty.img");
    std::fs::OpenOptions::new()
        .write(true)
        .open(&dirty)
        .map(|f| write_at(&f, b"synced by the guest"))
        .unwrap();

    scratch.ok("qubes-recover", &[]);
    assert!(!dirty.exists());
    let synced = b"synced by the guest";
    assert_eq!(
        beginning(
            &scratch.path("/var/lib/qubes/appvms/work/private.img"),
            synced.len()
        ),
        synced
    );
}

fn write_at(file: &std::fs::File, bytes: &[u8]) {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, 0).unwrap();
}

#[test]
fn stop_against_start_always_ends_in_order() {
    let Some(scratch) = system_with(&["work"]) else {
        return;
    };
    for _ in 0..4 {
        let start = scratch
            .command("qvm-start", &["--skip-if-running", "work"])
            .spawn()
            .unwrap();
        let kill = scratch.command("qvm-kill", &["work"]).spawn().unwrap();
        for mut child in [start, kill] {
            child.wait().unwrap();
        }
        match scratch.state("work").as_str() {
            "Running" => assert!(scratch.record("work").is_file()),
            "Halted" => until("it is settled", || !scratch.record("work").exists()),
            other => panic!("{other}"),
        }
    }
    scratch.ok("qvm-kill", &["work"]);
    assert!(!scratch.record("work").exists());
    assert!(
        scratch
            .images("appvms/work")
            .iter()
            .all(|i| !i.contains("dirty"))
    );
}

#[test]
fn offline_a_recorded_qube_is_left_alone_and_a_start_says_why_not() {
    let Some(scratch) = system_with(&["work"]) else {
        return;
    };
    let line = scratch.fails("qvm-start", &["--offline-mode", "work"], 1);
    assert!(line.contains("offline mode"), "{line}");
    scratch.ok("qvm-start", &["work"]);
    let images = scratch.images("appvms/work");
    let line = scratch.fails("qvm-remove", &["--offline-mode", "--force", "work"], 1);
    assert!(
        line.contains("work was started at") && line.contains("left alone"),
        "{line}"
    );
    assert_eq!(scratch.images("appvms/work"), images);
    assert_eq!(scratch.run("qvm-check", &["work"]).code, 0);
}

#[test]
fn a_netvm_starts_first_and_does_not_shut_down_under_its_clients() {
    let Some(scratch) = system_with(&[]) else {
        return;
    };
    create_netvm(&scratch, "sys-net", "");
    create(&scratch, "work", "sys-net");
    scratch.ok("qvm-start", &["work"]);
    assert_eq!(scratch.state("sys-net"), "Running");
    let line = scratch.fails("qvm-shutdown", &["sys-net"], 1);
    assert!(line.contains("sys-net") && line.contains("work"), "{line}");
    assert_eq!(scratch.state("sys-net"), "Running");
}

#[test]
fn a_machine_that_does_not_start_leaves_nothing_behind() {
    let Some(scratch) = system_with(&["work"]) else {
        return;
    };
    let kernel = scratch.path("/var/lib/qubes/vm-kernels/broken");
    std::fs::create_dir_all(&kernel).unwrap();
    std::fs::write(kernel.join("vmlinuz"), "no kernel").unwrap();
    scratch.ok("qvm-prefs", &["work", "virt_mode", "pvh"]);
    scratch.ok("qvm-prefs", &["work", "kernel", "broken"]);
    let store = scratch.store();
    let images = scratch.images("appvms/work");
    let line = scratch.fails("qvm-start", &["work"], 1);
    assert!(
        line.starts_with("Error: Starting qube failed: work: "),
        "{line}"
    );
    assert!(!scratch.record("work").exists());
    assert_eq!(scratch.state("work"), "Halted");
    assert_eq!(
        hypervisor().state(scratch.uuid("work")).unwrap(),
        None,
        "no definition stays"
    );
    assert_eq!(scratch.store(), store);
    let after = scratch.images("appvms/work");
    assert!(after.iter().all(|i| !i.contains("dirty")), "{after:?}");
    assert!(
        images
            .iter()
            .all(|i| after.contains(i) || i.contains("precache")),
        "{images:?} {after:?}"
    );
    until("no monitor stays", || monitors(&scratch, "work").is_empty());
}

#[test]
fn removing_a_running_qube_is_refused_and_a_halted_one_leaves_nothing() {
    let Some(scratch) = system_with(&["work"]) else {
        return;
    };
    let uuid = scratch.uuid("work");
    scratch.ok("qvm-start", &["work"]);
    let ran = scratch.run("qvm-remove", &["--force", "work"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(scratch.state("work"), "Running");
    scratch.ok("qvm-kill", &["work"]);
    scratch.ok("qvm-remove", &["--force", "work"]);
    assert_eq!(hypervisor().state(uuid).unwrap(), None);
    assert!(scratch.images("appvms").iter().all(|name| name != "work"));
    assert_eq!(scratch.run("qvm-check", &["work"]).code, 1);
}

/// Four qubes behind one netvm.
fn system_with_four_clients() -> Option<Scratch> {
    let scratch = system_with(&[])?;
    create_netvm(&scratch, "sys-net", "");
    CLIENTS
        .iter()
        .for_each(|client| create(&scratch, client, "sys-net"));
    Some(scratch)
}

const CLIENTS: [&str; 4] = ["a", "b", "c", "d"];

/// All run, each is watched once, and the netvm was started once: its first stop makes revision 1,
/// a second would 2.
fn assert_all_run_behind_a_netvm_started_once(scratch: &Scratch) {
    for qube in CLIENTS.iter().chain(&["sys-net"]) {
        assert_eq!(scratch.state(qube), "Running", "{qube}");
        the_monitor(scratch, qube);
    }
    scratch.ok("qvm-kill", &["--all"]);
    let images = scratch.images("appvms/sys-net");
    assert!(
        images.iter().any(|i| i.starts_with("private.img.1@")),
        "{images:?}"
    );
}

#[test]
fn one_command_starts_several_qubes_behind_one_netvm() {
    let Some(scratch) = system_with_four_clients() else {
        return;
    };
    assert_eq!(scratch.ok("qvm-start", &CLIENTS), "");
    assert_all_run_behind_a_netvm_started_once(&scratch);
}

#[test]
fn several_commands_at_once_start_several_qubes_behind_one_netvm() {
    let Some(scratch) = system_with_four_clients() else {
        return;
    };
    let pipe = std::process::Stdio::piped;
    let start = |qube| {
        scratch
            .command("qvm-start", &[qube])
            .stderr(pipe())
            .spawn()
            .unwrap()
    };
    for child in CLIENTS.map(start) {
        let ran = Ran::of(child.wait_with_output().unwrap());
        assert_eq!((ran.code, ran.complaints().count()), (0, 0), "{ran:?}");
    }
    assert_all_run_behind_a_netvm_started_once(&scratch);
}

#[test]
fn a_paused_qube_is_not_ended_unless_forced() {
    let Some(scratch) = system_with(&["work"]) else {
        return;
    };
    scratch.ok("qvm-start", &["work"]);
    hypervisor().pause(scratch.uuid("work")).unwrap();
    assert_eq!(scratch.state("work"), "Paused");
    let line = scratch.fails("qvm-shutdown", &["work"], 1);
    assert!(
        line.contains(
            "Failed to shut down: work: Domain not running (either powered off or paused)"
        ),
        "{line}"
    );
    let line = scratch.fails("qvm-start", &["work"], 1);
    assert!(line.contains("it is Paused"), "{line}");
    assert_eq!(scratch.state("work"), "Paused");
    scratch.ok("qvm-shutdown", &["--force", "--wait", "work"]);
    assert_eq!(scratch.state("work"), "Halted");
    assert!(!scratch.record("work").exists());
}
