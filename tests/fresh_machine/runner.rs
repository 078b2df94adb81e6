//! Tests of `tests/all.sh` with a stub of cargo that prints the output of tests.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::sources::repository;

fn program(path: &Path, script: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("#!/bin/bash\n{script}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs the script with stubs that log their calls. Returns its output and the log.
fn run(cargo: &str) -> (Output, String) {
    let dir = tempfile::tempdir().unwrap();
    let calls = dir.path().join("calls");
    program(&dir.path().join("demo/guest.sh"), "");
    program(
        &dir.path().join("demo/libvirt.sh"),
        "echo \"libvirt $1\" >> \"$CALLS\"",
    );
    program(
        &dir.path().join("cargo"),
        &format!("echo \"cargo $*\" >> \"$CALLS\"\n{cargo}"),
    );
    let script = dir.path().join("tests/all.sh");
    fs::create_dir(dir.path().join("tests")).unwrap();
    fs::copy(repository("tests/all.sh"), &script).unwrap();
    let mut command = Command::new("bash");
    command
        .arg(script)
        .env("CARGO", dir.path().join("cargo"))
        .env("CALLS", &calls);
    (
        command.output().unwrap(),
        fs::read_to_string(&calls).unwrap(),
    )
}

#[test]
fn all_steps_run_and_failures_and_skips_are_reported() {
    let (output, calls) = run(r#"
case $1 in
    clippy) exit 1 ;;
    test)
        printf 'one\tno btrfs\ntwo\tno btrfs\ntwo\tno btrfs\nthree\tneeds root\n' >> "$QUBES_SKIPPED"
        echo 'test a::good ... ok'
        echo 'test a::bad ... FAILED'
        echo 'test result: FAILED. 20 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 1.00s'
        echo 'test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 1.00s'
        exit 101 ;;
esac"#);
    assert!(!output.status.success());
    let words = String::from_utf8(output.stdout).unwrap();
    let end = words.split("finished in 1.00s\n").last().unwrap();
    let lines: Vec<&str> = end
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    assert_eq!(
        lines,
        [
            "Tests that failed:",
            "a::bad",
            "3 parts were skipped on this machine (number, reason):",
            "2 no btrfs",
            "1 needs root",
            "FAILED: clippy library tests",
            "32 passed, 1 failed, 2 skipped",
        ]
    );
    assert!(
        calls.contains("cargo test --locked --workspace --no-fail-fast\n"),
        "{calls}"
    );
    let libvirt: Vec<&str> = calls
        .lines()
        .filter(|line| line.starts_with("libvirt"))
        .collect();
    assert!(
        libvirt.len() == 2 && libvirt[1] == "libvirt --stop",
        "{calls}"
    );
}

#[test]
fn script_succeeds_only_if_every_step_did() {
    let passing = "[ $1 != test ] || echo 'test result: ok. 7 passed; 0 failed; 0 ignored; 0 measured; 0 filtered'";
    let (output, _) = run(passing);
    assert!(output.status.success(), "{output:?}");
    assert!(
        output
            .stdout
            .ends_with(b"\n7 passed, 0 failed, 0 skipped\n"),
        "{output:?}"
    );
    for step in ["fmt", "clippy", "doc", "test"] {
        let (output, _) = run(&format!("{passing}\n[ $1 != {step} ]"));
        assert!(!output.status.success(), "{step}: {output:?}");
    }
}
