//! Boots the machine, runs a part of these tests there, and checks the result of each.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use qubes_test_support::lab_machine::{directory, missing, stripped};
use qubes_test_support::{binary, skip};

use crate::place::is_the_machine;

/// A part of the tests of this program, with a machine of its own.
pub struct Part {
    /// The name of its files in the lab's directory.
    pub name: &'static str,
    /// The script that the machine runs, beside this file.
    pub script: &'static str,
    /// Whether a test belongs to the part.
    pub has_test: fn(&str) -> bool,
}

/// Boots a machine and runs the tests there. Each has to report there that it passed; a test
/// without a report has failed.
pub fn run(part: &Part) {
    if is_the_machine() {
        return;
    }
    if let Some(reason) = missing() {
        return skip(reason);
    }
    let tests: Vec<String> = list_tests()
        .into_iter()
        .filter(|test| (part.has_test)(test))
        .collect();
    assert!(tests.len() > 5, "{tests:?}");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let programs = tempfile::tempdir().unwrap();
    let payload = [
        stripped(
            &std::env::current_exe().unwrap(),
            &programs.path().join("tests"),
        ),
        stripped(&binary("qubes"), &programs.path().join("qubes")),
    ];
    let tracer = strace();
    let names = programs.path().join("names");
    std::fs::write(&names, tests.join("\n")).unwrap();
    let lab = directory();
    let ran = Command::new(here.join("tests/xen/bare"))
        .arg("1800")
        .arg(here.join("tests/storage_mapped").join(part.script))
        .args(payload)
        .args(tracer)
        .arg(names)
        .env("QUBES_XEN_LAB", &lab)
        .env("QUBES_XEN_RUN", part.name)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stdout =
        std::fs::read_to_string(lab.join(part.name).join("results/output")).unwrap_or_default();
    let whole = format!("{stdout}\n{}", String::from_utf8_lossy(&ran.stderr));
    let passed = |test: &&String| {
        stdout
            .lines()
            .any(|line| line == format!("test {test} ... ok"))
    };
    let others: Vec<&String> = tests.iter().filter(|test| !passed(test)).collect();
    assert!(
        others.is_empty(),
        "these did not pass: {others:#?}\n{whole}"
    );
    assert!(
        ran.status.success(),
        "every test passed, but the script ended with {}\n{whole}",
        ran.status
    );
}

/// Returns the names of the tests that run in the machine: those in a module.
fn list_tests() -> Vec<String> {
    let listed = Command::new(std::env::current_exe().unwrap())
        .args(["--list", "--format=terse"])
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let tests = listed
        .lines()
        .filter_map(|line| line.strip_suffix(": test"));
    tests
        .filter(|test| test.contains("::"))
        .map(str::to_string)
        .collect()
}

/// Returns strace and the libraries that the machine lacks.
fn strace() -> Vec<PathBuf> {
    let strace = qubes::exec::find_program("strace", &std::env::var_os("PATH").unwrap_or_default());
    let strace = strace.expect("strace is not installed; demo/dependencies.sh test installs it");
    let libraries = Command::new("ldd").arg(&strace).output().unwrap();
    let libraries = String::from_utf8(libraries.stdout).unwrap();
    let paths = libraries
        .lines()
        .filter_map(|line| line.split_once(" => ")?.1.split(' ').next());
    let unwinding = paths
        .filter(|path| path.contains("unwind"))
        .map(PathBuf::from);
    unwinding.chain([strace]).collect()
}
