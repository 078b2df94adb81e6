//! The order in which several qubes start and stop, and which may not be stopped.

use std::sync::atomic::{AtomicBool, Ordering};

use qubes::hypervisor::Hypervisor;
use qubes_test_support::scratch::Scratch;

use crate::systems::{create, create_netvm, hypervisor, system, wait_for_greetings};

/// Creates a chain of netvms with two qubes behind it.
fn chain() -> Option<Scratch> {
    let scratch = system()?;
    create_netvm(&scratch, "sys-net", "");
    create_netvm(&scratch, "sys-firewall", "sys-net");
    create(&scratch, "work", "sys-firewall");
    create(&scratch, "mail", "sys-firewall");
    Some(scratch)
}

const CHAIN: [&str; 4] = ["sys-net", "sys-firewall", "work", "mail"];

/// Runs the tool while watching all states: no netvm may stop before its clients. Returns the
/// tool's standard error.
fn assert_clients_stop_first(scratch: &Scratch, tool: &str, arguments: &[&str]) -> String {
    let uuids = CHAIN.map(|qube| scratch.uuid(qube));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let hypervisor = hypervisor();
            while !done.load(Ordering::SeqCst) {
                let states = hypervisor.states().unwrap();
                let [net, firewall, work, mail] =
                    uuids.map(|u| states.get(&u).is_some_and(|l| l.state.is_active()));
                assert!(
                    net || !(firewall || work || mail),
                    "sys-net stopped first: {firewall} {work} {mail}"
                );
                assert!(
                    firewall || !(work || mail),
                    "sys-firewall stopped first: {work} {mail}"
                );
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        });
        let ran = scratch.run(tool, arguments);
        done.store(true, Ordering::SeqCst);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.stderr
    })
}

#[test]
fn clients_stop_before_their_netvm_and_a_used_netvm_is_refused() {
    let Some(scratch) = chain() else { return };
    let line = scratch.fails(
        "qvm-start",
        &["work", "mail", "--skip-if-running", "nope"],
        2,
    );
    assert!(line.contains("no such domain: 'nope'"), "{line}");
    scratch.ok("qvm-start", &["work", "mail"]);
    for qube in CHAIN {
        assert_eq!(scratch.state(qube), "Running", "{qube}");
        wait_for_greetings(&scratch, qube, 1);
    }
    let line = scratch.fails("qvm-shutdown", &["sys-firewall"], 1);
    let refused = "Error: Failed to shut down: sys-firewall: sys-firewall is the netvm of \
                   running qubes: mail, work; shut them down first, or use --force";
    assert_eq!(line, refused);
    scratch.ok("qvm-shutdown", &["--dry-run", "--all"]);
    assert!(
        CHAIN.iter().all(|qube| scratch.state(qube) == "Running"),
        "a dry run stops nobody"
    );

    assert_eq!(
        assert_clients_stop_first(&scratch, "qvm-shutdown", &["--all", "--wait"]),
        ""
    );
    assert!(CHAIN.iter().all(|qube| scratch.state(qube) == "Halted"));

    // The same for kills. A qube that cannot start does not prevent others from starting.
    scratch.ok("qvm-features", &["mail", "prohibit-start", "under repair"]);
    let line = scratch.fails("qvm-start", &["mail", "work"], 1);
    assert_eq!(
        line,
        "Error: Starting qube failed: mail: mail must not be started: under repair"
    );
    assert_eq!(scratch.state("work"), "Running");
    assert_eq!(
        assert_clients_stop_first(&scratch, "qvm-kill", &["--all"]),
        ""
    );
    assert!(CHAIN.iter().all(|qube| scratch.state(qube) == "Halted"));
}

#[test]
fn force_stops_a_used_netvm_and_a_failed_netvm_is_named() {
    let Some(scratch) = chain() else { return };
    scratch.ok("qvm-features", &["sys-net", "prohibit-start", "no cable"]);
    let line = scratch.fails("qvm-start", &["work"], 1);
    let reason = "its netvm sys-firewall does not start: its netvm sys-net does not start: \
                  sys-net must not be started: no cable";
    assert_eq!(line, format!("Error: Starting qube failed: work: {reason}"));
    scratch.ok("qvm-features", &["--unset", "sys-net", "prohibit-start"]);
    scratch.ok("qvm-start", &["work"]);
    wait_for_greetings(&scratch, "sys-net", 1);
    // With --force a netvm stops although its clients are running.
    scratch.ok("qvm-shutdown", &["--force", "--wait", "sys-net"]);
    assert_eq!(
        (scratch.state("sys-net"), scratch.state("work")),
        ("Halted".to_string(), "Running".to_string())
    );
    scratch.ok("qvm-prefs", &["mail", "netvm", ""]);
    scratch.ok("qvm-prefs", &["mail", "guivm", "work"]);
    scratch.ok("qvm-start", &["mail"]);
    let line = scratch.fails("qvm-shutdown", &["work"], 1);
    assert!(
        line.contains("work is the guivm of running qubes: mail"),
        "{line}"
    );
}
