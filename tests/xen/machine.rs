//! Runs a script in the lab's dom0 and checks its results.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use qubes_test_support::lab_machine::{directory, missing, stripped};
use qubes_test_support::{binary, skip};

/// A script in the lab and its expected checks.
pub struct Scenario {
    /// The name of the script in `scenarios/`.
    pub script: &'static str,
    /// The time limit of the machine, in real time.
    pub seconds: u32,
    /// The names of all checks that the script makes. A missing check counts as a failed one.
    pub checks: Vec<String>,
}

/// Boots the lab, runs the script there with the programs of this build, and asserts on all of its
/// checks.
pub fn run(scenario: &Scenario) {
    if let Some(reason) = missing() {
        return skip(reason);
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/xen");
    let lab = directory();
    let programs = tempfile::tempdir().unwrap();
    let payload = [
        stripped(&binary("qubes"), &programs.path().join("qubes")),
        stripped(
            &std::env::current_exe().unwrap(),
            &programs.path().join("inside"),
        ),
    ];
    let ran = Command::new(here.join("run"))
        .arg(scenario.seconds.to_string())
        .arg(here.join("scenarios").join(scenario.script))
        .args(payload)
        .env("QUBES_XEN_LAB", &lab)
        // Other scenarios may run at the same time, so it has its own files.
        .env("QUBES_XEN_RUN", scenario.script)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let results = lab.join(scenario.script).join("results");
    let output = std::fs::read_to_string(results.join("output")).unwrap_or_default();
    let words = String::from_utf8_lossy(&ran.stderr);
    let whole = format!("{output}\n{words}\nall of it is in {}", results.display());
    assert!(
        results.join("status").is_file(),
        "the script did not come to its end\n{whole}"
    );
    let wrong = differences(&scenario.checks, &output);
    assert!(wrong.is_empty(), "{}\n\n{whole}", wrong.join("\n"));
    assert!(
        ran.status.success(),
        "every check passed, but the script ended with {}\n{whole}",
        ran.status
    );
}

/// Returns the unexpected results in the output: checks that have failed, are missing, were made
/// twice or are unknown.
fn differences(expected: &[String], output: &str) -> Vec<String> {
    let mut made: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
    for line in output.lines() {
        // The part behind a tab is for people.
        let line = line.split('\t').next().unwrap_or_default();
        if let Some(name) = line.strip_prefix("ok ") {
            made.entry(name).or_default().push(true);
        } else if let Some(name) = line.strip_prefix("not ok ") {
            made.entry(name).or_default().push(false);
        }
    }
    let mut wrong = Vec::new();
    for name in expected {
        match made.remove(name.as_str()).as_deref() {
            Some([true]) => {}
            Some([false]) => wrong.push(format!("failed: {name}")),
            Some(_) => wrong.push(format!("made more than once: {name}")),
            None => wrong.push(format!("never made: {name}")),
        }
    }
    wrong.extend(
        made.keys()
            .map(|name| format!("made, but not expected: {name}")),
    );
    wrong
}

#[test]
fn failed_missing_and_unknown_checks_are_reported() {
    let output = "# 1.0 words\nok a\t1.5\nnot ok b: x\nok twice\nok twice\nok new\nokay no\n";
    let expected = ["a", "b: x", "c", "twice"].map(str::to_string);
    let wrong = differences(&expected, output);
    assert_eq!(
        wrong,
        [
            "failed: b: x",
            "never made: c",
            "made more than once: twice",
            "made, but not expected: new"
        ]
    );
    assert_eq!(differences(&expected[..1], "ok a"), Vec::<String>::new());
}
