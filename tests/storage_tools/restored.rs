//! After an older copy of the store was restored, a qube has another class than the one whose
//! images exist. These stay, with a warning, and block a start that would replace them.

use std::fs;
use std::process::{Command, Stdio};

use qubes_test_support::skip;
use qubes_test_support::strace::strace_command;

use crate::system::System;

const DATA: &[u8] = b"what nobody wants to lose";

fn keep_data(system: &System, volume: &str) {
    let data = system.file("data", DATA);
    system.ok(format!(
        "qvm-volume import --no-resize {volume} {}",
        data.display()
    ));
}

/// Restores the store as it was before `change`.
fn undo_in_store(system: &System, change: impl Fn(&System)) {
    let copy = system.path("/old.xml");
    fs::copy(system.image("qubes.xml"), &copy).unwrap();
    change(system);
    let restored = system.run(format!("qubes-db restore {}", copy.display()));
    assert_eq!(restored.code, 0, "{restored:?}");
}

/// Creates an AppVM `work` in whose place a standalone's root image exists.
fn system_with_former_standalone() -> System {
    let system = System::new();
    undo_in_store(&system, |system| {
        system.ok("qvm-remove -f work");
        system.ok("qvm-create -C StandaloneVM -l red work");
        keep_data(system, "work:root");
        keep_data(system, "work:private");
    });
    system
}

/// Creates a disposable `work` in whose place an AppVM's private image exists.
fn system_with_former_app() -> System {
    let system = System::new();
    system.ok("qvm-create -l red --property template_for_dispvms=True dvm");
    system.ok("qvm-remove -f work");
    system.ok("qvm-create -C DispVM -t dvm -l red work");
    undo_in_store(&system, |system| {
        system.ok("qvm-remove -f work");
        system.ok("qvm-create -l red work");
        keep_data(system, "work:private");
    });
    system
}

fn has_data(system: &System, image: &str) -> bool {
    system.image(image).exists() && system.begins_with(image, DATA)
}

fn told(system: &System, image: &str, volume: &str) -> String {
    let image = system.image(image);
    format!(
        "{} stays: it was not made by a run of volume {volume} and may be wanted",
        image.display()
    )
}

#[test]
fn an_image_of_a_former_class_stays_with_a_warning() {
    for (system, image, volume) in [
        (
            system_with_former_standalone(),
            "appvms/work/root.img",
            "work:root",
        ),
        (
            system_with_former_app(),
            "appvms/work/private.img",
            "work:private",
        ),
    ] {
        for line in ["qvm-notes --set x work", "qvm-clone work other"] {
            let ran = system.run(line);
            assert!(has_data(&system, image), "{line}: {ran:?}");
        }
        for line in ["qubes-recover", "qubes-recover --at-boot"] {
            let ran = system.run(line);
            let words = told(&system, image, volume);
            assert!(
                ran.code == 0 && ran.stderr.contains(&words),
                "{line}: {ran:?}"
            );
            assert!(has_data(&system, image), "{line}: {ran:?}");
        }
        // A user who removes the qube gives up all images under its names.
        system.ok("qvm-remove -f work");
        assert!(!system.image("appvms/work").exists());
    }
}

#[test]
fn a_removal_that_is_cut_off_keeps_them_too() {
    if Command::new("strace").arg("-V").output().is_err() {
        return skip("strace is not installed");
    }
    for number in 1.. {
        let system = system_with_former_app();
        system.ok("qvm-prefs work auto_cleanup True");
        let inject = format!("inject=unlinkat:signal=SIGKILL:when={number}");
        let options = ["-o", "/dev/null", "-e", "trace=unlinkat", "-e", &inject];
        let mut recovery = strace_command(&system.command("qubes-recover --at-boot"), &options);
        let is_through = recovery.stderr(Stdio::null()).status().unwrap().success();
        let ran = system.run("qubes-recover --at-boot");
        assert!(
            ran.code == 0 && has_data(&system, "appvms/work/private.img"),
            "{number}: {ran:?}"
        );
        assert!(!system.ok("qvm-ls --raw-list").contains("work"), "{number}");
        if is_through {
            assert!(number > 2, "{number} calls");
            break;
        }
    }
}
