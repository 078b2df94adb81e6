//! qvm-pause and qvm-unpause.

use qubes_test_support::{tiny_guest, wait_until};

use crate::systems::{
    create, system, system_booting, system_with_empty_guests, wait_for_greetings,
};

const NOT_RUNNING: &str = "Domain not running (either powered off or paused)";

#[test]
fn a_paused_qube_waits_and_resumes() {
    let Some(system) = system() else { return };
    create(&system, "work", "");
    create(&system, "halted", "");
    let line = system.fails(1, "qvm-pause work");
    assert_eq!(
        line,
        format!("Error: Failed to pause: work: {NOT_RUNNING}: 'work'")
    );
    let line = system.fails(1, "qvm-pause dom0");
    assert_eq!(
        line,
        "Error: Failed to pause: dom0: Cannot pause Dom0 fake domain!"
    );
    system.succeeds("qvm-start work");

    let store = system.store();
    system.succeeds("qvm-pause work");
    assert_eq!(system.state("work"), "Paused");
    assert_eq!(system.store(), store, "a pause does not change the store");
    assert_eq!(system.run("qvm-check --paused work").code, 0);
    let line = system.fails(1, "qvm-pause work");
    assert_eq!(
        line,
        format!("Error: Failed to pause: work: {NOT_RUNNING}: 'work'")
    );
    system.succeeds("qvm-unpause work");
    assert_eq!(system.state("work"), "Running");
    let line = system.fails(1, "qvm-unpause work");
    assert_eq!(
        line,
        "Error: Failed to unpause/resume: work: Domain is not paused: 'work'"
    );

    // All running qubes, without a message about the others. A guest without an agent cannot
    // suspend: it is paused.
    system.succeeds("qvm-pause --all --suspend");
    assert_eq!(
        (system.state("work"), system.state("halted")),
        ("Paused".to_string(), "Halted".to_string())
    );
    system.succeeds("qvm-features work internal 1");
    system.succeeds("qvm-unpause --all");
    assert_eq!(
        system.state("work"),
        "Paused",
        "--all does not unpause an internal qube"
    );
    system.succeeds("qvm-unpause wo*");

    // The guest kept its state: it reacts to its power button.
    wait_for_greetings(&system, "work", 1);
    let ran = system.run("qvm-shutdown --wait work");
    assert_eq!(
        (ran.code, &*ran.stderr),
        (0, ""),
        "it was not asked twice, nor killed"
    );
    assert_eq!(system.state("work"), "Halted");
    assert!(!system.has_dirty_image("work"));
}

#[test]
fn a_qube_that_is_paused_during_its_shutdown_is_reported_or_destroyed_with_force() {
    let Some(system) = system_with_empty_guests() else {
        return;
    };
    create(&system, "work", "");
    system.succeeds("qvm-prefs work shutdown_timeout 5");
    system.succeeds("qvm-start work");
    let shut_down_and_pause = |options: &[&str]| {
        std::thread::scope(|scope| {
            let ran = scope.spawn(|| system.run(("qvm-shutdown", options)));
            // The request was sent by then, or the qube is found paused: the same result.
            std::thread::sleep(std::time::Duration::from_millis(1500));
            system.succeeds("qvm-pause work");
            ran.join().unwrap()
        })
    };
    let ran = shut_down_and_pause(&["--wait", "work"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.stderr.contains("; --force ends a paused one") && !ran.stderr.contains("libvirt"),
        "{ran:?}"
    );
    assert_eq!(system.state("work"), "Paused");
    system.succeeds("qvm-unpause work");
    let ran = shut_down_and_pause(&["--wait", "--force", "work"]);
    assert_eq!(
        (ran.code, ran.stderr.contains("libvirt")),
        (0, false),
        "{ran:?}"
    );
    assert_eq!(system.state("work"), "Halted");
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
    let Some(system) = system_booting(&sleeper) else {
        return;
    };
    create(&system, "work", "");
    system.succeeds("qvm-start work");
    wait_for_greetings(&system, "work", 1);
    system.succeeds("qvm-shutdown work");
    wait_until("it sleeps", || system.state("work") == "Suspended");
    assert!(system.record("work").exists(), "it is not halted");
    let line = system.fails(1, "qvm-pause work");
    assert_eq!(
        line,
        format!("Error: Failed to pause: work: {NOT_RUNNING}: 'work'")
    );
    let line = system.fails(1, "qvm-start work");
    assert!(line.contains("it is Suspended"), "{line}");
    system.succeeds("qvm-unpause work");
    // This guest has no resume address, so the firmware resets it, which ends the domain: soon
    // after it wakes up, or at once.
    wait_until("it is awake", || system.state("work") != "Suspended");
    // The kill or the reset comes first.
    system.run("qvm-kill work");
    wait_until("it ended", || system.state("work") == "Halted");
}
