//! Kills and restarts libvirt's daemon while qubes run. The tests start their own daemons in their
//! own namespaces, so the machine's daemon is not affected.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use qubes::hypervisor::Outcome;
use qubes::lifecycle::{Context, qube};
use qubes::model::{Facts, VmName};
use qubes::system::{System, SystemOptions};
use qubes_test_support::own_daemon::{Daemon, hypervisor, processes, run_in_namespaces};
use qubes_test_support::{TestSystem, ToolOutput, wait_until};

/// Creates a system and starts these qubes.
fn system_running(qubes: &[&str]) -> TestSystem {
    let system = TestSystem::empty().online().with_template();
    for qube in qubes {
        system.succeeds(["qvm-create", "--label", "red", "--property", "netvm=", qube]);
        system.succeeds(["qvm-start", qube]);
    }
    system
}

fn monitors(qube: &str) -> Vec<i32> {
    processes(&["/qubes-monitor ", &format!(" {qube} ")])
}

#[test]
fn a_qube_and_its_monitor_survive_a_crash_of_the_daemon() {
    if !run_in_namespaces("libvirtd_restart::a_qube_and_its_monitor_survive_a_crash_of_the_daemon")
    {
        return;
    }
    let _logs = Daemon::start_virtlogd();
    let daemon = Daemon::start_libvirt();
    let system = system_running(&["work", "other"]);
    wait_until("each qube has a monitor", || {
        monitors("work").len() == 1 && monitors("other").len() == 1
    });
    let (monitor, record) = (
        monitors("work"),
        std::fs::read(system.record("work")).unwrap(),
    );

    daemon.crash();
    let daemon = Daemon::start_libvirt();
    assert_eq!(system.state("work"), "Running");
    assert_eq!(monitors("work"), monitor, "a lost connection is not a stop");
    assert_eq!(std::fs::read(system.record("work")).unwrap(), record);
    assert!(system.has_dirty_image("work"));

    // The monitor still watches the qube.
    assert_eq!(hypervisor().destroy(system.uuid("work")), Ok(Outcome::Done));
    wait_until("the monitor finishes the stop", || {
        !system.record("work").exists()
    });
    assert!(!system.has_dirty_image("work"));
    wait_until("the monitor ends", || monitors("work").is_empty());

    // The domain dies while no daemon runs that could report it.
    daemon.crash();
    let machine = processes(&["qemu-system", &system.uuid("other").to_string()]);
    assert_eq!(machine.len(), 1);
    kill(Pid::from_raw(machine[0]), Signal::SIGKILL).unwrap();
    wait_until("QEMU ends", || processes(&["qemu-system"]).is_empty());
    assert!(
        system.has_dirty_image("other") && system.record("other").exists(),
        "no daemon could be asked"
    );
    let _daemon = Daemon::start_libvirt();
    wait_until("the monitor finishes the stop", || {
        !system.record("other").exists()
    });
    assert!(!system.has_dirty_image("other"));
    wait_until("the monitor ends", || monitors("other").is_empty());
}

#[test]
fn images_are_left_alone_while_the_daemon_is_down() {
    if !run_in_namespaces("libvirtd_restart::images_are_left_alone_while_the_daemon_is_down") {
        return;
    }
    let _logs = Daemon::start_virtlogd();
    let daemon = Daemon::start_libvirt();
    let system = system_running(&["work"]);
    system.succeeds("qvm-create --label red --property netvm= halted");
    wait_until("the qube has a monitor", || monitors("work").len() == 1);
    daemon.crash();

    let images = system.images("appvms/work");
    let (store, record) = (
        system.store(),
        std::fs::read(system.record("work")).unwrap(),
    );
    let ToolOutput {
        code,
        stdout,
        stderr,
    } = system.run("qvm-ls --raw-data --fields name,state");
    assert_eq!(
        (code, stdout.as_str()),
        (0, "dom0|Running\nhalted|NA\ntpl|NA\nwork|NA\n")
    );
    assert!(
        stderr.starts_with("qvm-ls: power states are not available: ")
            && stderr.lines().count() == 1,
        "{stderr}"
    );

    let line = system.fails(1, "qvm-remove --force work");
    assert!(
        line.contains("work was started at qemu:///system") && line.contains("left alone"),
        "{line}"
    );
    let line = system.fails(1, "qvm-kill work");
    assert!(
        line.starts_with("Error: Failed to kill: work: cannot reach the hypervisor"),
        "{line}"
    );
    let line = system.fails(1, "qvm-kill --offline-mode work");
    assert!(
        line.contains("work was started at qemu:///system") && line.contains("left alone"),
        "{line}"
    );
    let line = system.fails(1, "qvm-shutdown --wait work");
    assert!(
        line.starts_with("Error: Failed to shut down: work: cannot reach the hypervisor"),
        "{line}"
    );
    let line = system.fails(1, "qvm-start halted");
    assert!(line.contains("cannot reach the hypervisor"), "{line}");
    let recovered = system.run("qubes-recover");
    assert_ne!(recovered.code, 0, "{recovered:?}");
    assert!(
        recovered.stderr.contains("work") && recovered.stderr.contains("left alone"),
        "{recovered:?}"
    );
    assert_eq!(system.images("appvms/work"), images);
    assert_eq!(system.store(), store);
    assert_eq!(std::fs::read(system.record("work")).unwrap(), record);
    assert_eq!(monitors("work").len(), 1, "the monitor waits");

    // Commands that need no hypervisor work.
    system.succeeds("qvm-prefs work memory 128");
    system.succeeds("qvm-create --label red new");

    let _daemon = Daemon::start_libvirt();
    assert_eq!(system.state("work"), "Running");
    system.succeeds("qubes-recover");
    assert!(
        system.record("work").exists(),
        "the qube runs, so there was nothing to reconcile"
    );
    system.succeeds("qvm-kill work");
    assert_eq!(system.state("work"), "Halted");
    assert!(!system.record("work").exists() && !system.has_dirty_image("work"));
    system.succeeds("qvm-remove --force work");
}

#[test]
fn a_session_finds_restarted_domains_and_a_restarted_daemon() {
    if !run_in_namespaces(
        "libvirtd_restart::a_session_finds_restarted_domains_and_a_restarted_daemon",
    ) {
        return;
    }
    let _logs = Daemon::start_virtlogd();
    let daemon = Daemon::start_libvirt();
    let system = system_running(&["work"]);
    let options = SystemOptions {
        root: Some(system.root().to_path_buf()),
        ..SystemOptions::default()
    };
    let context = Context::new(System::new(options).unwrap());
    let uuid = system.uuid("work");
    let query_ids = || {
        let qubes = context.read().unwrap();
        let known = context
            .hypervisor()
            .state(uuid)
            .unwrap()
            .and_then(|live| live.id);
        let listed = context
            .hypervisor()
            .states()
            .unwrap()
            .get(&uuid)
            .and_then(|live| live.id);
        assert_eq!(known, listed);
        (known, context.facts().domain_id(qubes.get("work").unwrap()))
    };
    let (first, _) = query_ids();
    assert!(first.is_some());

    // A restarted qube has another ID.
    system.succeeds("qvm-kill work");
    system.succeeds("qvm-start work");
    let (second, _) = query_ids();
    assert!(second.is_some() && second != first, "{first:?} {second:?}");
    // IDs from a listing are cached only for a short time.
    wait_until("a listing has the new ID", || {
        query_ids().1 == i64::from(second.unwrap())
    });

    // After a restart of the daemon, the first query succeeds.
    daemon.crash();
    let daemon = Daemon::start_libvirt();
    let (third, _) = query_ids();
    assert_eq!(third, second);

    // Qube and daemon are restarted, and the domain is defined anew.
    system.succeeds("qvm-kill work");
    hypervisor().undefine(uuid).unwrap();
    daemon.crash();
    let _daemon = Daemon::start_libvirt();
    assert_eq!(query_ids().0, None);
    system.succeeds("qvm-start work");
    let name = VmName::from_store("work").unwrap();
    qube::pause(&context, &name).unwrap();
    assert_eq!(system.state("work"), "Paused");
    let (fourth, _) = query_ids();
    assert!(fourth.is_some());
    wait_until("a listing has the newest ID", || {
        query_ids().1 == i64::from(fourth.unwrap())
    });
}

#[test]
fn a_qube_that_a_new_daemon_has_not_reconnected_to_can_be_killed() {
    if !run_in_namespaces(
        "libvirtd_restart::a_qube_that_a_new_daemon_has_not_reconnected_to_can_be_killed",
    ) {
        return;
    }
    let _logs = Daemon::start_virtlogd();
    let daemon = Daemon::start_libvirt();
    let system = system_running(&["work"]);
    let uuid = system.uuid("work");
    wait_until("the qube has a monitor", || monitors("work").len() == 1);
    daemon.crash();
    // The stopped QEMU does not answer, so the new daemon waits while reconnecting to it.
    let machine = processes(&["qemu-system", &uuid.to_string()]);
    kill(Pid::from_raw(machine[0]), Signal::SIGSTOP).unwrap();
    let _daemon = Daemon::start_libvirt();
    assert_eq!(system.state("work"), "Running");
    assert_eq!(
        hypervisor().destroy(uuid),
        Ok(Outcome::Done),
        "the qube ran and is off now"
    );
    wait_until("QEMU ends", || processes(&["qemu-system"]).is_empty());
    wait_until("the monitor finishes the stop", || {
        !system.record("work").exists()
    });
    assert!(!system.has_dirty_image("work"));
}
