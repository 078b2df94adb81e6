//! Removing a qube while others look at it or want it to run.

use std::sync::atomic::{AtomicBool, Ordering};

use qubes::hypervisor::Hypervisor;

use crate::place::{create, hypervisor, system};

#[test]
fn who_looks_at_a_qube_that_is_removed_gets_an_answer_and_makes_no_domain() {
    let Some(scratch) = system() else { return };
    for round in 0..2 {
        create(&scratch, "work", "");
        scratch.ok("qvm-start", &["work"]);
        scratch.ok("qvm-kill", &["work"]);
        let uuid = scratch.uuid("work");
        assert!(hypervisor().state(uuid).unwrap().is_some(), "its definition stays until the qube goes");
        let removed = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let looks: [&[&str]; 3] =
                [&["qvm-prefs", "work", "xid"], &["qvm-ls", "work"], &["qvm-check", "--running", "work"]];
            for look in looks {
                let (scratch, removed) = (&scratch, &removed);
                scope.spawn(move || {
                    let mut last_one = false;
                    while !last_one {
                        last_one = removed.load(Ordering::SeqCst);
                        let ran = scratch.run(look[0], &look[1..]);
                        let answered =
                            ran.code == 0 || ran.stderr.contains("no such domain: 'work'") || look[0] == "qvm-check";
                        assert!(answered, "{look:?}: {ran:?}");
                    }
                });
            }
            let ran = scratch.run("qvm-remove", &["--force", "work"]);
            removed.store(true, Ordering::SeqCst);
            assert_eq!((ran.code, &*ran.stderr), (0, ""));
        });
        assert_eq!(hypervisor().state(uuid).unwrap(), None, "round {round}: nothing of it is left there");
        assert!(!scratch.images("appvms").contains(&"work".to_string()));
    }

    // Who wants to start it comes before, or after, never in between.
    create(&scratch, "work", "");
    let uuid = scratch.uuid("work");
    let start = scratch.command("qvm-start", &["work"]).stderr(std::process::Stdio::null()).spawn().unwrap();
    let remove = scratch.run("qvm-remove", &["--force", "work"]);
    let started = start.wait_with_output().unwrap().status.success();
    assert_eq!(started, remove.code != 0, "{remove:?}");
    assert_eq!(hypervisor().state(uuid).unwrap().is_some(), started);
    assert_eq!(scratch.run("qvm-check", &["work"]).code == 0, started);
    assert_eq!(scratch.record("work").exists(), started);
}
