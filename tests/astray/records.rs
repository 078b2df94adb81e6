//! A forged record cannot make a command do anything that a real record does not.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use qubes_test_support::TestSystem;

use crate::victim::{Trap, Victim, clear, run_with_deadline};

fn record(uri: &str, phase: &str, volumes: &str) -> String {
    format!(
        "{{\"start_id\":\"6e2ab9a4-0a6c-4b39-8b52-0b1c0a2f0d11\",\
         \"domain\":\"14cf2e5d-7025-41d7-a69c-dc4282cbdcff\",\
         \"uri\":\"{uri}\",\"user\":0,\"phase\":\"{phase}\"{volumes}}}"
    )
}

fn with_record(text: &str) -> TestSystem {
    let system = TestSystem::small();
    fs::create_dir_all(system.path("run/qubes/vm")).unwrap();
    fs::write(system.path("run/qubes/vm/work"), text).unwrap();
    system
}

/// Returns the command without offline mode. Libvirt need not be installed, because the record
/// is checked before the hypervisor is contacted.
fn online_command(system: &TestSystem, line: &str) -> std::process::Command {
    let mut command = system.command(line);
    command
        .env_remove("QUBES_OFFLINE")
        .env_remove("QUBES_LIBVIRT_URI");
    command
}

/// Returns the lines about records. There may be others: the sample has qubes on LVM, and a machine
/// without LVM reports that.
fn lines_about_records(ran: &qubes_test_support::ToolOutput) -> Vec<&str> {
    ran.stderr
        .lines()
        .filter(|line| line.contains("the record of the start"))
        .collect()
}

#[test]
fn a_record_cannot_make_libvirt_run_a_program_or_connect_elsewhere() {
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
                let ran = run_with_deadline(&online_command(&system, line));
                assert_eq!(ran.code, 1, "{line}: {uri}: {ran:?}");
                let is_reported = ran.stderr.contains(
                    "run/qubes/vm/work, the record of the start of work: it names the hypervisor",
                );
                // Without libvirt, its absence may be reported first.
                assert!(
                    is_reported || line == "qvm-kill work",
                    "{line}: {uri}: {ran:?}"
                );
                assert!(!ran_it.exists(), "{line}: {uri}");
            }
        }
    }
}

#[test]
fn an_unusable_record_is_reported_with_its_path_and_advice() {
    let system = with_record("no json");
    let victim = Victim::new(system.path("victim"));
    let file = system.path("run/qubes/vm/work");
    let assert_reported = |line: &str, ran: &qubes_test_support::ToolOutput| {
        assert_eq!(
            (ran.code, lines_about_records(ran).len()),
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
        assert_reported(line, &run_with_deadline(&system.command(line)));
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
            assert_reported(line, &run_with_deadline(&system.command(line)));
        }
        victim.assert_untouched(&format!("{trap:?}"));
        clear(&file);
    }
    // The advice helps.
    let ran = run_with_deadline(&system.command("qubes-recover"));
    assert!(lines_about_records(&ran).is_empty(), "{ran:?}");
}

#[test]
fn removing_a_record_is_not_advised_after_a_system_error() {
    let system = with_record(&record("qemu:///session", "running", ""));
    let mut reports = 0;
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
        reports += usize::from(
            ran.stderr
                .contains("the record of the start of work: Too many open files"),
        );
    }
    assert!(reports > 0);
}

#[test]
fn a_record_cannot_forge_lines_of_output() {
    let forged = "x`\\nwork: everything is in order\\n\\u001b[2J";
    let system = with_record(&record("qemu:///session", forged, ""));
    let ran = run_with_deadline(&system.command("qubes-recover"));
    assert_eq!(
        (ran.code, lines_about_records(&ran).len()),
        (1, 1),
        "{ran:?}"
    );
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
        // `gone` is not in the store, so recovery finishes its removal.
        fs::write(system.path("run/qubes/vm/gone"), text).unwrap();
        let ran = run_with_deadline(&online_command(&system, "qubes-recover"));
        assert_eq!(
            (ran.code, lines_about_records(&ran).len()),
            (1, 1),
            "{vid}: {ran:?}"
        );
        assert!(
            ran.stderr.contains("which does not belong to gone"),
            "{vid}: {ran:?}"
        );
    }
}
