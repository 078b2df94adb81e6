//! Removing a qube while other commands read or start it, and renaming a qube.

use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::systems::{beginning, create, create_netvm, hypervisor, system, wait_for_greetings};

#[test]
fn reading_a_qube_during_its_removal_succeeds_and_creates_no_domain() {
    let Some(system) = system() else { return };
    for round in 0..2 {
        create(&system, "work", "");
        system.succeeds("qvm-start work");
        system.succeeds("qvm-kill work");
        let uuid = system.uuid("work");
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
                let (system, removed) = (&system, &removed);
                scope.spawn(move || {
                    let mut last_one = false;
                    while !last_one {
                        last_one = removed.load(Ordering::SeqCst);
                        let ran = system.run(look);
                        let answered = ran.code == 0
                            || ran.stderr.contains("no such domain: 'work'")
                            || look[0] == "qvm-check";
                        assert!(answered, "{look:?}: {ran:?}");
                    }
                });
            }
            let ran = system.run("qvm-remove --force work");
            removed.store(true, Ordering::SeqCst);
            assert_eq!((ran.code, &*ran.stderr), (0, ""));
        });
        assert_eq!(
            hypervisor().state(uuid).unwrap(),
            None,
            "round {round}: nothing of it is left there"
        );
        assert!(!system.images("appvms").contains(&"work".to_string()));
    }

    // A start comes before the removal or after it, never in between.
    create(&system, "work", "");
    let uuid = system.uuid("work");
    let start = system
        .command("qvm-start work")
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let remove = system.run("qvm-remove --force work");
    let started = start.wait_with_output().unwrap().status.success();
    assert_eq!(started, remove.code != 0, "{remove:?}");
    assert_eq!(hypervisor().state(uuid).unwrap().is_some(), started);
    assert_eq!(system.run("qvm-check work").code == 0, started);
    assert_eq!(system.record("work").exists(), started);
}

#[test]
fn a_qube_is_renamed_by_cloning_it_and_removing_the_old_one() {
    let Some(system) = system() else { return };
    create_netvm(&system, "sys-net", "");
    create(&system, "work", "sys-net");
    for (property, value) in [("vcpus", "1"), ("autostart", "True")] {
        system.succeeds(["qvm-prefs", "work", property, value]);
    }
    system.succeeds("qvm-tags work add important");
    system.succeeds(["qvm-notes", "work", "--set", "about my work"]);
    system.succeeds("qvm-start work");
    let old = system.uuid("work");
    let dirty = system.path("/var/lib/qubes/appvms/work/private-dirty.img");
    let image = std::fs::OpenOptions::new().write(true).open(dirty).unwrap();
    image.write_all_at(b"what the guest wrote", 0).unwrap();
    system.succeeds("qvm-kill work");

    system.succeeds("qvm-clone --quiet work office");
    system.succeeds("qvm-remove --force work");
    let new = system.uuid("office");
    assert_ne!(new, old, "the hypervisor must be able to tell them apart");
    assert_eq!(hypervisor().state(old).unwrap(), None);
    for (property, value) in [
        ("vcpus", "1"),
        ("autostart", "True"),
        ("netvm", "sys-net"),
        ("template", "tpl"),
    ] {
        assert_eq!(
            system.succeeds(["qvm-prefs", "office", property]).trim(),
            value,
            "{property}"
        );
    }
    assert!(system.succeeds("qvm-tags office").contains("important"));
    assert_eq!(
        system.succeeds("qvm-notes office --print").trim(),
        "about my work"
    );
    let links = system.path("/etc/systemd/system/multi-user.target.wants");
    let linked: Vec<_> = std::fs::read_dir(links)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(linked, ["qubes-vm@office.service"]);
    let left = system.store();
    assert!(
        !left.contains(">work<") && !left.contains("/work/"),
        "{left}"
    );
    assert!(!system.images("appvms").contains(&"work".to_string()));

    system.succeeds("qvm-start office");
    wait_for_greetings(&system, "office", 1);
    let private = system.path("/var/lib/qubes/appvms/office/private-dirty.img");
    assert_eq!(beginning(&private, 20), b"what the guest wrote");
}
