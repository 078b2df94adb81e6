//! Removing a qube while other commands read or start it, and renaming a qube.

use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

use qubes::hypervisor::Hypervisor;

use crate::systems::{beginning, create, create_netvm, hypervisor, system, wait_for_greetings};

#[test]
fn reading_a_qube_during_its_removal_succeeds_and_creates_no_domain() {
    let Some(scratch) = system() else { return };
    for round in 0..2 {
        create(&scratch, "work", "");
        scratch.ok("qvm-start", &["work"]);
        scratch.ok("qvm-kill", &["work"]);
        let uuid = scratch.uuid("work");
        assert!(
            hypervisor().state(uuid).unwrap().is_some(),
            "its definition stays until the qube goes"
        );
        let removed = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let looks: [&[&str]; 3] = [
                &["qvm-prefs", "work", "xid"],
                &["qvm-ls", "work"],
                &["qvm-check", "--running", "work"],
            ];
            for look in looks {
                let (scratch, removed) = (&scratch, &removed);
                scope.spawn(move || {
                    let mut last_one = false;
                    while !last_one {
                        last_one = removed.load(Ordering::SeqCst);
                        let ran = scratch.run(look[0], &look[1..]);
                        let answered = ran.code == 0
                            || ran.stderr.contains("no such domain: 'work'")
                            || look[0] == "qvm-check";
                        assert!(answered, "{look:?}: {ran:?}");
                    }
                });
            }
            let ran = scratch.run("qvm-remove", &["--force", "work"]);
            removed.store(true, Ordering::SeqCst);
            assert_eq!((ran.code, &*ran.stderr), (0, ""));
        });
        assert_eq!(
            hypervisor().state(uuid).unwrap(),
            None,
            "round {round}: nothing of it is left there"
        );
        assert!(!scratch.images("appvms").contains(&"work".to_string()));
    }

    // A start comes before the removal or after it, never in between.
    create(&scratch, "work", "");
    let uuid = scratch.uuid("work");
    let start = scratch
        .command("qvm-start", &["work"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let remove = scratch.run("qvm-remove", &["--force", "work"]);
    let started = start.wait_with_output().unwrap().status.success();
    assert_eq!(started, remove.code != 0, "{remove:?}");
    assert_eq!(hypervisor().state(uuid).unwrap().is_some(), started);
    assert_eq!(scratch.run("qvm-check", &["work"]).code == 0, started);
    assert_eq!(scratch.record("work").exists(), started);
}

#[test]
fn a_qube_is_renamed_by_cloning_it_and_removing_the_old_one() {
    let Some(scratch) = system() else { return };
    create_netvm(&scratch, "sys-net", "");
    create(&scratch, "work", "sys-net");
    for (property, value) in [("vcpus", "1"), ("autostart", "True")] {
        scratch.ok("qvm-prefs", &["work", property, value]);
    }
    scratch.ok("qvm-tags", &["work", "add", "important"]);
    scratch.ok("qvm-notes", &["work", "--set", "about my work"]);
    scratch.ok("qvm-start", &["work"]);
    let old = scratch.uuid("work");
    let dirty = scratch.path("/var/lib/qubes/appvms/work/private-dirty.img");
    let image = std::fs::OpenOptions::new().write(true).open(dirty).unwrap();
    image.write_all_at(b"what the guest wrote", 0).unwrap();
    scratch.ok("qvm-kill", &["work"]);

    scratch.ok("qvm-clone", &["--quiet", "work", "office"]);
    scratch.ok("qvm-remove", &["--force", "work"]);
    let new = scratch.uuid("office");
    assert_ne!(new, old, "the hypervisor must be able to tell them apart");
    assert_eq!(hypervisor().state(old).unwrap(), None);
    for (property, value) in [
        ("vcpus", "1"),
        ("autostart", "True"),
        ("netvm", "sys-net"),
        ("template", "tpl"),
    ] {
        assert_eq!(
            scratch.ok("qvm-prefs", &["office", property]).trim(),
            value,
            "{property}"
        );
    }
    assert!(scratch.ok("qvm-tags", &["office"]).contains("important"));
    assert_eq!(
        scratch.ok("qvm-notes", &["office", "--print"]).trim(),
        "about my work"
    );
    let links = scratch.path("/etc/systemd/system/multi-user.target.wants");
    let linked: Vec<_> = std::fs::read_dir(links)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(linked, ["qubes-vm@office.service"]);
    let left = String::from_utf8(scratch.store()).unwrap();
    assert!(
        !left.contains(">work<") && !left.contains("/work/"),
        "{left}"
    );
    assert!(!scratch.images("appvms").contains(&"work".to_string()));

    scratch.ok("qvm-start", &["office"]);
    wait_for_greetings(&scratch, "office", 1);
    let private = scratch.path("/var/lib/qubes/appvms/office/private-dirty.img");
    assert_eq!(beginning(&private, 20), b"what the guest wrote");
}
