//! The programs in `examples/` do what they say on a store of their own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use qubes_test_support::{binary, skip};

/// Runs a program of this build with a root directory of its own, offline.
fn run(program: &Path, root: &Path, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .env("QUBES_ROOT", root)
        .env("QUBES_OFFLINE", "1")
        .env_remove("QUBES_XML_PATH")
        .output()
        .unwrap()
}

fn program(name: &str) -> PathBuf {
    binary("examples").join(name)
}

fn example(root: &Path, name: &str, arguments: &[&str]) -> Output {
    run(&program(name), root, arguments)
}

#[test]
fn examples_list_and_change_qubes() {
    // Cargo builds them for `cargo test`, and not for a single file of tests.
    if !["list", "change", "watch"]
        .iter()
        .all(|name| program(name).exists())
    {
        return skip("there are no examples: `cargo build --examples` makes them");
    }
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let qubes = &binary("qubes");
    assert!(run(qubes, root, &["qubes-create"]).status.success());

    let listed = example(root, "list", &[]);
    assert_eq!(listed.stdout, b"dom0\tAdminVM\tblack\tRunning\n");

    let changed = example(root, "change", &["dom0", "label", "red"]);
    assert_eq!(changed.stdout, b"red\n");
    assert_eq!(
        example(root, "list", &[]).stdout,
        b"dom0\tAdminVM\tred\tRunning\n"
    );

    let refused = example(root, "change", &["dom0", "label", "pinkish"]);
    assert_eq!(refused.status.code(), Some(1));
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(message.contains("pinkish"), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");

    let absent = example(root, "watch", &["work"]);
    assert!(!absent.status.success());
    assert!(String::from_utf8_lossy(&absent.stderr).contains("work"));
}
