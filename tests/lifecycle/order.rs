//! The order in which several qubes start and stop, and which may not be stopped.

use std::sync::atomic::{AtomicBool, Ordering};

use qubes_test_support::TestSystem;

use crate::systems::{create, create_netvm, hypervisor, system, wait_for_greetings};

/// Creates a chain of netvms with two qubes behind it.
fn chain() -> Option<TestSystem> {
    let system = system()?;
    create_netvm(&system, "sys-net", "");
    create_netvm(&system, "sys-firewall", "sys-net");
    create(&system, "work", "sys-firewall");
    create(&system, "mail", "sys-firewall");
    Some(system)
}

const CHAIN: [&str; 4] = ["sys-net", "sys-firewall", "work", "mail"];

/// Runs the tool while watching all states: no netvm may stop before its clients. Returns the
/// tool's standard error.
fn assert_clients_stop_first(system: &TestSystem, tool: &str, arguments: &[&str]) -> String {
    let uuids = CHAIN.map(|qube| system.uuid(qube));
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
        let ran = system.run((tool, arguments));
        done.store(true, Ordering::SeqCst);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.stderr
    })
}

#[test]
fn clients_stop_before_their_netvm_and_a_used_netvm_is_refused() {
    let Some(system) = chain() else { return };
    let line = system.fails(2, "qvm-start work mail --skip-if-running nope");
    assert!(line.contains("no such domain: 'nope'"), "{line}");
    system.succeeds("qvm-start work mail");
    for qube in CHAIN {
        assert_eq!(system.state(qube), "Running", "{qube}");
        wait_for_greetings(&system, qube, 1);
    }
    let line = system.fails(1, "qvm-shutdown sys-firewall");
    let refused = "Error: Failed to shut down: sys-firewall: sys-firewall is the netvm of \
                   running qubes: mail, work; shut them down first, or use --force";
    assert_eq!(line, refused);
    system.succeeds("qvm-shutdown --dry-run --all");
    assert!(
        CHAIN.iter().all(|qube| system.state(qube) == "Running"),
        "a dry run stops nobody"
    );

    assert_eq!(
        assert_clients_stop_first(&system, "qvm-shutdown", &["--all", "--wait"]),
        ""
    );
    assert!(CHAIN.iter().all(|qube| system.state(qube) == "Halted"));

    // The same for kills. A qube that cannot start does not prevent others from starting.
    system.succeeds(["qvm-features", "mail", "prohibit-start", "under repair"]);
    let line = system.fails(1, "qvm-start mail work");
    assert_eq!(
        line,
        "Error: Starting qube failed: mail: mail must not be started: under repair"
    );
    assert_eq!(system.state("work"), "Running");
    assert_eq!(
        assert_clients_stop_first(&system, "qvm-kill", &["--all"]),
        ""
    );
    assert!(CHAIN.iter().all(|qube| system.state(qube) == "Halted"));
}

#[test]
fn force_stops_a_used_netvm_and_a_failed_netvm_is_named() {
    let Some(system) = chain() else { return };
    system.succeeds(["qvm-features", "sys-net", "prohibit-start", "no cable"]);
    let line = system.fails(1, "qvm-start work");
    let reason = "its netvm sys-firewall does not start: its netvm sys-net does not start: \
                  sys-net must not be started: no cable";
    assert_eq!(line, format!("Error: Starting qube failed: work: {reason}"));
    system.succeeds("qvm-features --unset sys-net prohibit-start");
    system.succeeds("qvm-start work");
    wait_for_greetings(&system, "sys-net", 1);
    // With --force a netvm stops although its clients are running.
    system.succeeds("qvm-shutdown --force --wait sys-net");
    assert_eq!(
        (system.state("sys-net"), system.state("work")),
        ("Halted".to_string(), "Running".to_string())
    );
    system.succeeds(["qvm-prefs", "mail", "netvm", ""]);
    system.succeeds("qvm-prefs mail guivm work");
    system.succeeds("qvm-start mail");
    let line = system.fails(1, "qvm-shutdown work");
    assert!(
        line.contains("work is the guivm of running qubes: mail"),
        "{line}"
    );
}
