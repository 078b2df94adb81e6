//! Processes that are killed at any point: the next command finds a consistent system, and what a
//! guest had synced is there.

use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use qubes::model::PowerState;
use qubes_test_support::own_daemon::Daemon;
use qubes_test_support::{TestSystem, own_daemon, wait_until};

use crate::systems::{
    create, has_libvirt, hypervisor, in_shares, kill_monitor, monitors, system_with_empty_guests,
};
use crate::traced_tools::{
    CHANGES, Call, calls_of, calls_of_start, distinct_kill_points, run_killed_at, start_stopped_at,
};

/// Creates a system with the qube `work`, which boots nothing.
fn system_with_work() -> Option<TestSystem> {
    let system = system_with_empty_guests()?;
    create(&system, "work", "");
    Some(system)
}

fn private(system: &TestSystem, kind: &str) -> std::path::PathBuf {
    system.path(&format!("/var/lib/qubes/appvms/work/private{kind}.img"))
}

/// Does what a guest does: writes, and syncs it to the disk.
pub fn sync_in_guest(system: &TestSystem, text: &str) {
    let image = fs::OpenOptions::new()
        .write(true)
        .open(private(system, "-dirty"))
        .unwrap();
    image.write_all_at(text.as_bytes(), 0).unwrap();
    image.sync_all().unwrap();
}

pub fn committed(system: &TestSystem) -> String {
    let image = fs::File::open(private(system, "")).unwrap();
    let mut bytes = [0; 16];
    image.read_exact_at(&mut bytes, 0).unwrap();
    String::from_utf8_lossy(&bytes)
        .trim_end_matches('\0')
        .to_string()
}

/// Returns a text of fixed length, so that no part of an older one remains visible.
pub fn sign(number: usize) -> String {
    format!("sign {number:04}")
}

/// Returns whether `work` is running; checks that its images, record and monitor fit its state.
pub fn is_running_consistently(system: &TestSystem, when: &str) -> bool {
    let state = hypervisor()
        .state(system.uuid("work"))
        .unwrap()
        .map_or(PowerState::Halted, |live| live.state);
    // An image with a `~` was never complete; the next start clears it.
    let dirty = || {
        system
            .images("appvms/work")
            .iter()
            .any(|image| image.contains("dirty") && !image.contains('~'))
    };
    match state {
        PowerState::Running => {
            let record = String::from_utf8(fs::read(system.record("work")).unwrap()).unwrap();
            assert!(
                dirty() && record.contains("\"phase\":\"running\""),
                "{when}: {record}"
            );
            wait_until("it has a monitor", || monitors(system, "work").len() == 1);
            true
        }
        PowerState::Halted => {
            // By an earlier command, or by its monitor, which may just have been notified.
            wait_until(&format!("the stop is finished: {when}"), || {
                !dirty() && !system.record("work").exists()
            });
            wait_until("no monitor is left", || monitors(system, "work").is_empty());
            false
        }
        other => panic!("{when}: {other}"),
    }
}

/// Starts `work` if it is not running, syncs a text in its guest, kills it, and checks that the
/// text was committed.
pub fn assert_works(system: &TestSystem, text: &str, when: &str) {
    system.succeeds("qvm-start --skip-if-running work");
    assert!(is_running_consistently(system, when));
    sync_in_guest(system, text);
    system.succeeds("qvm-kill work");
    assert!(!is_running_consistently(system, when));
    assert_eq!(committed(system), text, "{when}");
}

#[test]
fn the_next_command_reconciles_a_start_that_was_killed_at_any_point() {
    if !has_libvirt() {
        return;
    }
    // Trace once for all shares: two runs do not wait equally often, and each point must be in some
    // share.
    let Some(system) = system_with_work() else {
        return;
    };
    let calls = calls_of_start(&system);
    drop(system);
    let counters: [AtomicUsize; 3] = Default::default();
    in_shares(3, |is_mine| kill_starts(&calls, is_mine, &counters));
    let [running, rolled_back, left_paused] = counters.map(AtomicUsize::into_inner);
    let counts = format!(
        "{running} kept running, {rolled_back} were rolled back, {left_paused} of them paused"
    );
    assert!(
        running > 0 && rolled_back > 4 && left_paused > 0,
        "{counts}"
    );
}

fn kill_starts(
    calls: &[Call],
    is_mine: &dyn Fn(usize) -> bool,
    [running, rolled_back, left_paused]: &[AtomicUsize; 3],
) {
    let Some(system) = system_with_work() else {
        return;
    };
    assert_works(&system, &sign(0), "the start that was watched");
    let count =
        |counter: &AtomicUsize, by: bool| counter.fetch_add(usize::from(by), Ordering::SeqCst);
    let uuid = system.uuid("work");
    for (when, call) in distinct_kill_points(calls)
        .into_iter()
        .enumerate()
        .filter(|(when, _)| is_mine(*when))
    {
        let said = format!("{when}: {}", call.line);
        let before = committed(&system);
        run_killed_at(&system, "qvm-start", &["work"], call);
        let live = hypervisor()
            .state(uuid)
            .unwrap()
            .filter(|live| live.state.is_active());
        count(
            left_paused,
            live.is_some_and(|live| live.state == PowerState::Paused),
        );
        let runs = live.is_some_and(|live| live.state == PowerState::Running);
        if runs {
            sync_in_guest(&system, &sign(when));
        }
        system.succeeds("qubes-recover");
        if is_running_consistently(&system, &said) {
            count(running, true);
            assert_works(&system, &sign(when), &said);
        } else {
            count(rolled_back, true);
            assert_eq!(
                committed(&system),
                if runs { sign(when) } else { before },
                "{said}"
            );
        }
    }
    assert_works(&system, &sign(9999), "the last");
}

/// Starts `work`, syncs a text in its guest, and destroys it after killing its monitor. Returns the
/// id of that start, whose stop is not finished.
pub fn stop_without_monitor(system: &TestSystem, text: &str) -> String {
    system.succeeds("qvm-start work");
    kill_monitor(system, "work");
    sync_in_guest(system, text);
    let record: serde_json::Value =
        serde_json::from_slice(&fs::read(system.record("work")).unwrap()).unwrap();
    hypervisor().destroy(system.uuid("work")).unwrap();
    record["start_id"].as_str().unwrap().to_string()
}

#[test]
fn the_next_command_finishes_a_stop_whose_monitor_was_killed_at_any_point() {
    in_shares(2, kill_monitors);
}

fn kill_monitors(is_mine: &dyn Fn(usize) -> bool) {
    let Some(system) = system_with_work() else {
        return;
    };
    let stopped = |text: &str| stop_without_monitor(&system, text);
    let calls = calls_of(
        &system,
        "qubes-monitor",
        &["work", &stopped(&sign(0))],
        CHANGES,
    );
    assert!(distinct_kill_points(&calls).len() > 4, "{calls:#?}");
    for (when, call) in distinct_kill_points(&calls)
        .into_iter()
        .enumerate()
        .filter(|(when, _)| is_mine(*when))
    {
        let ran = run_killed_at(
            &system,
            "qubes-monitor",
            &["work", &stopped(&sign(when))],
            call,
        );
        assert_ne!(ran.code, 0, "{}: {ran:?}", call.line);
        system.succeeds("qubes-recover");
        assert!(!is_running_consistently(&system, &call.line));
        assert_eq!(committed(&system), sign(when), "{}", call.line);
    }
}

#[test]
fn a_start_whose_qemu_was_killed_in_any_phase_is_reconciled() {
    let Some(system) = system_with_work() else {
        return;
    };
    let calls = calls_of_start(&system);
    assert_works(&system, &sign(0), "the start that was watched");
    let mut killed = 0;
    for (when, call) in distinct_kill_points(&calls)
        .into_iter()
        .enumerate()
        .skip(1)
        .step_by(2)
    {
        let said = format!("{when}: {}", call.line);
        let starter = start_stopped_at(&system, "qvm-start", &["work"], call);
        let machines = processes_with(&system.uuid("work").to_string());
        for machine in machines {
            // Only QEMU can be killed: other processes with this uuid may be gone already.
            killed += usize::from(kill(Pid::from_raw(machine), Signal::SIGKILL).is_ok());
        }
        let _either = starter.resume();
        let uuid = system.uuid("work");
        let runs = || {
            hypervisor()
                .state(uuid)
                .unwrap()
                .is_some_and(|live| live.state.is_active())
        };
        wait_until("libvirt noticed the end", || {
            !runs() || !processes_with(&uuid.to_string()).is_empty()
        });
        system.succeeds("qubes-recover");
        is_running_consistently(&system, &said);
    }
    assert!(killed > 1, "{killed} machines were there to be killed");
    assert_works(&system, &sign(9999), "the last");
}

/// Returns the QEMU processes whose command line contains this text.
fn processes_with(text: &str) -> Vec<i32> {
    own_daemon::processes(&["qemu-system", text])
}

#[test]
fn a_start_survives_a_crash_of_libvirtd_in_any_phase() {
    if !own_daemon::run_in_namespaces("faults::a_start_survives_a_crash_of_libvirtd_in_any_phase") {
        return;
    }
    let _logs = Daemon::start_virtlogd();
    let mut daemon = Daemon::start_libvirt();
    let Some(system) = system_with_work() else {
        return;
    };
    let calls = calls_of_start(&system);
    assert_works(&system, &sign(0), "the start that was watched");
    for (when, call) in distinct_kill_points(&calls)
        .into_iter()
        .enumerate()
        .skip(1)
        .step_by(2)
    {
        let said = format!("{when}: {}", call.line);
        let starter = start_stopped_at(&system, "qvm-start", &["work"], call);
        daemon.crash();
        let ran = starter.resume();
        assert!(
            ran.code == 0 || ran.stderr.lines().count() == 1,
            "{said}: {ran:?}"
        );
        daemon = Daemon::start_libvirt();
        system.succeeds("qubes-recover");
        is_running_consistently(&system, &said);
        assert_works(&system, &sign(when), &said);
    }
    // During a stop: the daemon crashes before the monitor can ask it.
    system.succeeds("qvm-start work");
    sync_in_guest(&system, &sign(10));
    let machine = processes_with(&system.uuid("work").to_string());
    daemon.crash();
    kill(Pid::from_raw(machine[0]), Signal::SIGKILL).unwrap();
    let _daemon = Daemon::start_libvirt();
    wait_until("the monitor finished the stop", || {
        !system.record("work").exists()
    });
    assert!(!is_running_consistently(&system, "a stop without a daemon"));
    assert_eq!(committed(&system), sign(10));
}
