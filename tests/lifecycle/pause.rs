//! qvm-pause and qvm-unpause.

use qubes_test_support::tiny_guest;
use qubes_test_support::wait::wait_until;

use crate::systems::{
    create, system, system_booting, system_with_empty_guests, wait_for_greetings,
};

const NOT_RUNNING: &str = "Domain not running (either powered off or paused)";

#[test]
fn a_paused_qube_waits_and_resumes() {
    let Some(scratch) = system() else { return };
    create(&scratch, "work", "");
    create(&scratch, "halted", "");
    let line = scratch.fails("qvm-pause", &["work"], 1);
    assert_eq!(
        line,
        format!("Error: Failed to pause: work: {NOT_RUNNING}: 'work'")
    );
    let line = scratch.fails("qvm-pause", &["dom0"], 1);
    assert_eq!(
        line,
        "Error: Failed to pause: dom0: Cannot pause Dom0 fake domain!"
    );
    scratch.ok("qvm-start", &["work"]);

    let store = scratch.store();
    scratch.ok("qvm-pause", &["work"]);
    assert_eq!(scratch.state("work"), "Paused");
    assert_eq!(scratch.store(), store, "a pause does not change the store");
    assert_eq!(scratch.run("qvm-check", &["--paused", "work"]).code, 0);
    let line = scratch.fails("qvm-pause", &["work"], 1);
    assert_eq!(
        line,
        format!("Error: Failed to pause: work: {NOT_RUNNING}: 'work'")
    );
    scratch.ok("qvm-unpause", &["work"]);
    assert_eq!(scratch.state("work"), "Running");
    let line = scratch.fails("qvm-unpause", &["work"], 1);
    assert_eq!(
        line,
        "Error: Failed to unpause/resume: work: Domain is not paused: 'work'"
    );

    // All running qubes, without a message about the others. A guest without an agent cannot
    // suspend: it is paused.
    scratch.ok("qvm-pause", &["--all", "--suspend"]);
    assert_eq!(
        (scratch.state("work"), scratch.state("halted")),
        ("Paused".to_string(), "Halted".to_string())
    );
    scratch.ok("qvm-features", &["work", "internal", "1"]);
    scratch.ok("qvm-unpause", &["--all"]);
    assert_eq!(
        scratch.state("work"),
        "Paused",
        "--all does not unpause an internal qube"
    );
    scratch.ok("qvm-unpause", &["wo*"]);

    // The guest kept its state: it reacts to its power button.
    wait_for_greetings(&scratch, "work", 1);
    let ran = scratch.run("qvm-shutdown", &["--wait", "work"]);
    assert_eq!(
        (ran.code, &*ran.stderr),
        (0, ""),
        "it was not asked twice, nor killed"
    );
    assert_eq!(scratch.state("work"), "Halted");
    assert!(
        scratch
            .images("appvms/work")
            .iter()
            .all(|image| !image.contains("dirty"))
    );
}

#[test]
fn a_qube_that_is_paused_during_its_shutdown_is_reported_or_destroyed_with_force() {
    let Some(scratch) = system_with_empty_guests() else {
        return;
    };
    create(&scratch, "work", "");
    scratch.ok("qvm-prefs", &["work", "shutdown_timeout", "5"]);
    scratch.ok("qvm-start", &["work"]);
    let shut_down_and_pause = |options: &[&str]| {
        std::thread::scope(|scope| {
            let ran = scope.spawn(|| scratch.run("qvm-shutdown", options));
            // The request was sent by then, or the qube is found paused: the same result.
            std::thread::sleep(std::time::Duration::from_millis(1500));
            scratch.ok("qvm-pause", &["work"]);
            ran.join().unwrap()
        })
    };
    let ran = shut_down_and_pause(&["--wait", "work"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.stderr.contains("; --force ends a paused one") && !ran.stderr.contains("libvirt"),
        "{ran:?}"
    );
    assert_eq!(scratch.state("work"), "Paused");
    scratch.ok("qvm-unpause", &["work"]);
    let ran = shut_down_and_pause(&["--wait", "--force", "work"]);
    assert_eq!(
        (ran.code, ran.stderr.contains("libvirt")),
        (0, false),
        "{ran:?}"
    );
    assert_eq!(scratch.state("work"), "Halted");
}

#[test]
fn a_sleeping_guest_is_suspended_until_it_is_woken() {
    // The power button suspends this guest: it writes the number of S3, not of S5.
    let mut sleeper = tiny_guest::KERNEL;
    let power_off = [0x66, 0xb8, 0x00, 0x20];
    let at = sleeper
        .windows(4)
        .position(|bytes| bytes == power_off)
        .unwrap();
    sleeper[at + 3] = 0x24;
    let Some(scratch) = system_booting(&sleeper) else {
        return;
    };
    create(&scratch, "work", "");
    scratch.ok("qvm-start", &["work"]);
    wait_for_greetings(&scratch, "work", 1);
    scratch.ok("qvm-shutdown", &["work"]);
    wait_until("it sleeps", || scratch.state("work") == "Suspended");
    assert!(scratch.record("work").exists(), "it is not halted");
    let line = scratch.fails("qvm-pause", &["work"], 1);
    assert_eq!(
        line,
        format!("Error: Failed to pause: work: {NOT_RUNNING}: 'work'")
    );
    let line = scratch.fails("qvm-start", &["work"], 1);
    assert!(line.contains("it is Suspended"), "{line}");
    scratch.ok("qvm-unpause", &["work"]);
    // This guest has no resume address, so the firmware resets it, which ends the domain: soon
    // after it wakes up, or at once.
    wait_until("it is awake", || scratch.state("work") != "Suspended");
    // The kill or the reset comes first.
    scratch.run("qvm-kill", &["work"]);
    wait_until("it ended", || scratch.state("work") == "Halted");
}
