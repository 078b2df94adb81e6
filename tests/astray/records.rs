//! A record says what to ask whom; whoever writes one cannot have anything else done.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::small_system::SmallSystem;
use crate::victim::{Trap, Victim, clear, run_with_deadline};

fn record(uri: &str, phase: &str, volumes: &str) -> String {
    format!(
        r#"{{"start_id":"6e2ab9a4-0a6c-4b39-8b52-0b1c0a2f0d11","domain":"14cf2e5d-7025-41d7-a69c-dc4282cbdcff","uri":"{uri}","user":0,"phase":"{phase}"{volumes}}}"#
    )
}

fn with_record(text: &str) -> SmallSystem {
    let system = SmallSystem::new();
    fs::create_dir_all(system.path("run/qubes/vm")).unwrap();
    fs::write(system.path("run/qubes/vm/work"), text).unwrap();
    system
}

/// As a user would run it, libvirt installed or not: the record is judged before anybody is asked.
fn online(system: &SmallSystem, line: &str) -> std::process::Command {
    let offline = system.command(line);
    let mut command = std::process::Command::new(offline.get_program());
    command.args(
        offline
            .get_args()
            .filter(|argument| *argument != "--offline-mode"),
    );
    command
        .env("QUBES_ROOT", system.path(""))
        .env_remove("QUBES_LIBVIRT_URI");
    command
}

/// The sample has qubes on LVM, of which a machine without it says something, too.
fn about_records(ran: &crate::tool_output::ToolOutput) -> Vec<&str> {
    ran.stderr
        .lines()
        .filter(|line| line.contains("the record of the start"))
        .collect()
}

#[test]
fn a_record_cannot_have_libvirt_run_or_reach_anything() {
    let system = with_record("");
    let (program, ran_it) = (system.path("evil"), system.path("evil-ran"));
    fs::write(&program, format!("#!/bin/sh\ntouch {}\n", ran_it.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let evil = program.display();
    for uri in [
        format!("qemu+ext:///system?command={evil}"),
        format!("qemu+ssh://localhost/system?command={evil}"),
        format!("xen+ssh://localhost/?netcat={evil}"),
        "qemu:///system?socket=/tmp/nowhere".to_string(),
        "qemu+tcp://192.0.2.1/system".to_string(),
        "test:///default".to_string(),
        "bhyve:///system".to_string(),
        String::new(),
    ] {
        for phase in ["starting", "running", "removing"] {
            fs::write(system.path("run/qubes/vm/work"), record(&uri, phase, "")).unwrap();
            for line in ["qubes-recover", "qvm-remove --force work", "qvm-kill work"] {
                let ran = run_with_deadline(&online(&system, line));
                assert_eq!(ran.code, 1, "{line}: {uri}: {ran:?}");
                let told = ran.stderr.contains(
                    "run/qubes/vm/work, the record of the start of work: it names the hypervisor",
                );
                // Where there is no libvirt, that may be told first.
                assert!(told || line == "qvm-kill work", "{line}: {uri}: {ran:?}");
                assert!(!ran_it.exists(), "{line}: {uri}");
            }
        }
    }
}

#[test]
fn a_record_that_cannot_be_used_says_which_file_why_and_what_helps() {
    let system = with_record("no json");
    let victim = Victim::new(system.path("victim"));
    let file = system.path("run/qubes/vm/work");
    let told = |line: &str, ran: &crate::tool_output::ToolOutput| {
        assert_eq!(
            (ran.code, about_records(ran).len()),
            (1, 1),
            "{line}: {ran:?}"
        );
        assert!(
            ran.stderr.contains(file.to_str().unwrap()),
            "{line}: {ran:?}"
        );
        assert!(
            ran.stderr
                .contains("if work is known to be off, remove that file"),
            "{line}: {ran:?}"
        );
    };
    let lines = ["qubes-recover", "qvm-remove --force work"];
    for line in lines {
        told(line, &run_with_deadline(&system.command(line)));
    }
    for trap in [
        Trap::Link,
        Trap::DanglingLink,
        Trap::HardLink,
        Trap::Fifo,
        Trap::Directory,
        Trap::Socket,
    ] {
        trap.set(&file, &victim);
        for line in lines {
            told(line, &run_with_deadline(&system.command(line)));
        }
        victim.assert_untouched(&format!("{trap:?}"));
        clear(&file);
    }
    // The advice is true.
    let ran = run_with_deadline(&system.command("qubes-recover"));
    assert!(about_records(&ran).is_empty(), "{ran:?}");
}

#[test]
fn a_record_that_cannot_be_read_for_other_reasons_is_not_to_be_removed() {
    let system = with_record(&record("qemu:///session", "running", ""));
    let mut told = 0;
    for descriptors in 3..12 {
        let mut command = std::process::Command::new("sh");
        let script = format!("ulimit -n {descriptors}; exec \"$@\"");
        let tool = system.command("qvm-remove --force work");
        command
            .args(["-c", &script, "sh"])
            .arg(tool.get_program())
            .args(tool.get_args());
        let ran = run_with_deadline(command.env("QUBES_ROOT", system.path("")));
        assert!(
            !ran.stderr.contains("remove that file"),
            "{descriptors}: {ran:?}"
        );
        told += usize::from(
            ran.stderr
                .contains("the record of the start of work: Too many open files"),
        );
    }
    assert!(told > 0);
}

#[test]
fn a_record_cannot_say_lines_of_its_own() {
    let forged = "x`\\nwork: everything is in order\\n\\u001b[2J";
    let system = with_record(&record("qemu:///session", forged, ""));
    let ran = run_with_deadline(&system.command("qubes-recover"));
    assert_eq!((ran.code, about_records(&ran).len()), (1, 1), "{ran:?}");
    assert!(
        ran.stderr
            .contains("unknown variant `x`_work: everything is in order_"),
        "{ran:?}"
    );
    assert!(
        !ran.stderr
            .lines()
            .any(|line| line.starts_with("work: everything")),
        "{ran:?}"
    );
}

#[test]
fn a_record_cannot_name_volumes_of_another_qube() {
    let of_another = r#","volumes":[{"pool":"varlibqubes","vid":"VID"}]"#;
    for vid in [
        "appvms/vault/private",
        "appvms/gone/../vault/private",
        "vm-templates/fedora/root",
        "/etc/passwd",
    ] {
        let system = with_record("");
        fs::remove_file(system.path("run/qubes/vm/work")).unwrap();
        let text = record(
            "qemu:///session",
            "removing",
            &of_another.replace("VID", vid),
        );
        // `gone` is not in the store: its removal would be finished.
        fs::write(system.path("run/qubes/vm/gone"), text).unwrap();
        let ran = run_with_deadline(&online(&system, "qubes-recover"));
        assert_eq!(
            (ran.code, about_records(&ran).len()),
            (1, 1),
            "{vid}: {ran:?}"
        );
        assert!(
            ran.stderr.contains("which does not belong to gone"),
            "{vid}: {ran:?}"
        );
    }
}
