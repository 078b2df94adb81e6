//! Whoever is killed, and whenever: the next command finds a consistent system, and what a guest
//! had synced is there.

use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use qubes::hypervisor::Hypervisor;
use qubes::model::PowerState;

use crate::killed::{CHANGES, Call, calls_of, calls_of_start, killed_at, stopped_at, telling};
use crate::own_daemon::{self, Daemon};
use crate::place::{
    create, has_libvirt, hypervisor, in_shares, kill_monitor, monitors, system_that_boots_nothing,
};
use crate::scratch::{Scratch, until};

/// A system with the qube `work`, which boots nothing.
fn system_with_work() -> Option<Scratch> {
    let scratch = system_that_boots_nothing()?;
    create(&scratch, "work", "");
    Some(scratch)
}

fn private(scratch: &Scratch, kind: &str) -> std::path::PathBuf {
    scratch.path(&format!("/var/lib/qubes/appvms/work/private{kind}.img"))
}

/// What the guest does: writes, and waits until it is on the disk.
pub fn sync_in_guest(scratch: &Scratch, text: &str) {
    let image = fs::OpenOptions::new()
        .write(true)
        .open(private(scratch, "-dirty"))
        .unwrap();
    image.write_all_at(text.as_bytes(), 0).unwrap();
    image.sync_all().unwrap();
}

pub fn committed(scratch: &Scratch) -> String {
    let image = fs::File::open(private(scratch, "")).unwrap();
    let mut bytes = [0; 16];
    image.read_exact_at(&mut bytes, 0).unwrap();
    String::from_utf8_lossy(&bytes)
        .trim_end_matches('\0')
        .to_string()
}

/// A text as long as every other, so that none is seen through another.
pub fn sign(number: usize) -> String {
    format!("sign {number:04}")
}

/// Whether `work` runs; in any case everything about it fits together.
pub fn runs_in_order(scratch: &Scratch, when: &str) -> bool {
    let state = hypervisor()
        .state(scratch.uuid("work"))
        .unwrap()
        .map_or(PowerState::Halted, |live| live.state);
    // One with a `~` was never complete; the next start clears it.
    let dirty = || {
        scratch
            .images("appvms/work")
            .iter()
            .any(|image| image.contains("dirty") && !image.contains('~'))
    };
    match state {
        PowerState::Running => {
            let record = String::from_utf8(fs::read(scratch.record("work")).unwrap()).unwrap();
            assert!(
                dirty() && record.contains("\"phase\":\"running\""),
                "{when}: {record}"
            );
            until("it is watched", || monitors(scratch, "work").len() == 1);
            true
        }
        PowerState::Halted => {
            // By a command before, or by its monitor, which may just have been told.
            until(&format!("it is settled: {when}"), || {
                !dirty() && !scratch.record("work").exists()
            });
            until("nobody watches", || monitors(scratch, "work").is_empty());
            false
        }
        other => panic!("{when}: {other}"),
    }
}

/// Starts it if it does not run, has the guest sync a text, ends it, and sees that text committed.
pub fn works_again(scratch: &Scratch, text: &str, when: &str) {
    scratch.ok("qvm-start", &["--skip-if-running", "work"]);
    assert!(runs_in_order(scratch, when));
    sync_in_guest(scratch, text);
    scratch.ok("qvm-kill", &["work"]);
    assert!(!runs_in_order(scratch, when));
    assert_eq!(committed(scratch), text, "{when}");
}

#[test]
fn a_start_that_is_killed_at_any_point_is_brought_into_order_by_the_next_command() {
    if !has_libvirt() {
        return;
    }
    // Once for all shares: two runs do not wait equally often, and a point must be in some share.
    let Some(scratch) = system_with_work() else {
        return;
    };
    let calls = calls_of_start(&scratch);
    drop(scratch);
    let counters: [AtomicUsize; 3] = Default::default();
    in_shares(3, |is_mine| {
        starts_that_are_killed(&calls, is_mine, &counters)
    });
    let [ran_on, undone, left_paused] = counters.map(AtomicUsize::into_inner);
    let counts = format!(
        "{ran_on} ran on, {undone} were undone, {left_paused} of them made and not let run"
    );
    assert!(ran_on > 0 && undone > 4 && left_paused > 0, "{counts}");
}

fn starts_that_are_killed(
    calls: &[Call],
    is_mine: &dyn Fn(usize) -> bool,
    [ran_on, undone, left_paused]: &[AtomicUsize; 3],
) {
    let Some(scratch) = system_with_work() else {
        return;
    };
    works_again(&scratch, &sign(0), "the start that was watched");
    let count =
        |counter: &AtomicUsize, by: bool| counter.fetch_add(usize::from(by), Ordering::SeqCst);
    let uuid = scratch.uuid("work");
    for (when, call) in telling(calls)
        .into_iter()
        .enumerate()
        .filter(|(when, _)| is_mine(*when))
    {
        let said = format!("{when}: {}", call.line);
        let before = committed(&scratch);
        killed_at(&scratch, "qvm-start", &["work"], call);
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
            sync_in_guest(&scratch, &sign(when));
        }
        scratch.ok("qubes-recover", &[]);
        if runs_in_order(&scratch, &said) {
            count(ran_on, true);
            works_again(&scratch, &sign(when), &said);
        } else {
            count(undone, true);
            assert_eq!(
                committed(&scratch),
                if runs { sign(when) } else { before },
                "{said}"
            );
        }
    }
    works_again(&scratch, &sign(9999), "the last");
}

/// Starts it, has the guest sync a text, and ends it while nobody watches. Returns the id of that
/// start, whose after-work is still to be done.
pub fn stopped_unwatched(scratch: &Scratch, text: &str) -> String {
    scratch.ok("qvm-start", &["work"]);
    kill_monitor(scratch, "work");
    sync_in_guest(scratch, text);
    let record: serde_json::Value =
        serde_json::from_slice(&fs::read(scratch.record("work")).unwrap()).unwrap();
    hypervisor().destroy(scratch.uuid("work")).unwrap();
    record["start_id"].as_str().unwrap().to_string()
}

#[test]
fn a_monitor_that_is_killed_at_any_point_of_its_after_work_is_replaced_by_the_next_command() {
    in_shares(2, monitors_that_are_killed);
}

fn monitors_that_are_killed(is_mine: &dyn Fn(usize) -> bool) {
    let Some(scratch) = system_with_work() else {
        return;
    };
    let stopped = |text: &str| stopped_unwatched(&scratch, text);
    let calls = calls_of(
        &scratch,
        "qubes-monitor",
        &["work", &stopped(&sign(0))],
        CHANGES,
    );
    assert!(telling(&calls).len() > 4, "{calls:#?}");
    for (when, call) in telling(&calls)
        .into_iter()
        .enumerate()
        .filter(|(when, _)| is_mine(*when))
    {
        let ran = killed_at(
            &scratch,
            "qubes-monitor",
            &["work", &stopped(&sign(when))],
            call,
        );
        assert_ne!(ran.code, 0, "{}: {ran:?}", call.line);
        scratch.ok("qubes-recover", &[]);
        assert!(!runs_in_order(&scratch, &call.line));
        assert_eq!(committed(&scratch), sign(when), "{}", call.line);
    }
}

#[test]
fn a_machine_that_is_killed_in_any_phase_of_its_start_is_brought_into_order() {
    let Some(scratch) = system_with_work() else {
        return;
    };
    let calls = calls_of_start(&scratch);
    works_again(&scratch, &sign(0), "the start that was watched");
    let mut killed = 0;
    for (when, call) in telling(&calls).into_iter().enumerate().skip(1).step_by(2) {
        let said = format!("{when}: {}", call.line);
        let starter = stopped_at(&scratch, "qvm-start", &["work"], call);
        let machines = processes_with(&scratch.uuid("work").to_string());
        for machine in machines {
            // Only the machine: who looks for it by its uuid may find others.
            killed += usize::from(kill(Pid::from_raw(machine), Signal::SIGKILL).is_ok());
        }
        let _either = starter.go_on();
        let uuid = scratch.uuid("work");
        let runs = || {
            hypervisor()
                .state(uuid)
                .unwrap()
                .is_some_and(|live| live.state.is_active())
        };
        until("libvirt noticed the end", || {
            !runs() || !processes_with(&uuid.to_string()).is_empty()
        });
        scratch.ok("qubes-recover", &[]);
        runs_in_order(&scratch, &said);
    }
    assert!(killed > 1, "{killed} machines were there to be killed");
    works_again(&scratch, &sign(9999), "the last");
}

/// The QEMU processes whose command line has this text.
fn processes_with(text: &str) -> Vec<i32> {
    own_daemon::processes(&["qemu-system", text])
}

#[test]
fn a_daemon_that_is_killed_in_any_phase_of_a_start_is_missed_for_as_long_as_it_is_away() {
    if !own_daemon::separate(
        "faults::a_daemon_that_is_killed_in_any_phase_of_a_start_is_missed_for_as_long_as_it_is_away",
    ) {
        return;
    }
    let _logs = Daemon::of_logs();
    let mut daemon = Daemon::of_qemu();
    let Some(scratch) = system_with_work() else {
        return;
    };
    let calls = calls_of_start(&scratch);
    works_again(&scratch, &sign(0), "the start that was watched");
    for (when, call) in telling(&calls).into_iter().enumerate().skip(1).step_by(2) {
        let said = format!("{when}: {}", call.line);
        let starter = stopped_at(&scratch, "qvm-start", &["work"], call);
        daemon.crash();
        let ran = starter.go_on();
        assert!(
            ran.code == 0 || ran.stderr.lines().count() == 1,
            "{said}: {ran:?}"
        );
        daemon = Daemon::of_qemu();
        scratch.ok("qubes-recover", &[]);
        runs_in_order(&scratch, &said);
        works_again(&scratch, &sign(when), &said);
    }
    // In a stop: the daemon goes before the monitor could ask it.
    scratch.ok("qvm-start", &["work"]);
    sync_in_guest(&scratch, &sign(10));
    let machine = processes_with(&scratch.uuid("work").to_string());
    daemon.crash();
    kill(Pid::from_raw(machine[0]), Signal::SIGKILL).unwrap();
    let _daemon = Daemon::of_qemu();
    until("the monitor did the after-work", || {
        !scratch.record("work").exists()
    });
    assert!(!runs_in_order(&scratch, "a stop without a daemon"));
    assert_eq!(committed(&scratch), sign(10));
}
