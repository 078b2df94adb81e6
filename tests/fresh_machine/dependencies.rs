//! Tests that `demo/dependencies.sh` reports errors before it changes anything. The package manager
//! is a stub that logs its calls, because the real one would change this machine.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::sources::{repository, tests};

/// A machine with few programs, as a directory for PATH.
struct Machine {
    dir: tempfile::TempDir,
}

/// The programs that the script itself runs.
const BASE: [&str; 17] = [
    "bash", "sed", "grep", "awk", "sort", "cat", "mktemp", "rm", "id", "env", "dirname",
    "ldconfig", "tr", "wc", "ldd", "uname", "python3",
];

impl Machine {
    /// Creates a Debian with this version of Rust.
    fn with_rust(version: &str) -> Machine {
        let machine = Machine {
            dir: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(machine.bin()).unwrap();
        for name in BASE {
            let places =
                ["/usr/bin", "/bin", "/usr/sbin", "/sbin"].map(|d| PathBuf::from(d).join(name));
            if let Some(program) = places.into_iter().find(|p| p.exists()) {
                symlink(program, machine.bin().join(name)).unwrap();
            }
        }
        machine.program("cargo", "");
        machine.program(
            "rustc",
            &format!("echo 'rustc {version} (0123456789 2026-01-01)'"),
        );
        machine.program("apt-cache", "");
        machine.program("dpkg-query", "echo installed");
        machine.program("apt-get", "echo \"$@\" >> \"$CALLS\"");
        machine
    }

    fn bin(&self) -> PathBuf {
        self.dir.path().join("bin")
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.bin().join(name);
        fs::write(&path, format!("#!/bin/bash\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs the script without a terminal. It also searches the system's directories, so the
    /// programs of this machine are found as well.
    fn run(&self, arguments: &[&str], is_ci: bool) -> Output {
        let mut command = Command::new("bash");
        command
            .arg(repository("demo/dependencies.sh"))
            .args(arguments);
        command
            .env_clear()
            .env("PATH", self.bin())
            .env("CALLS", self.dir.path().join("calls"));
        command.env("TMPDIR", self.dir.path());
        if is_ci {
            command.env("CI", "true");
        }
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// Returns the logged calls of the package manager.
    fn calls(&self) -> String {
        fs::read_to_string(self.dir.path().join("calls")).unwrap_or_default()
    }
}

fn words(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn rust_is_checked_before_anything_is_installed() {
    for (version, found) in [
        ("1.85.0", "1.85.0"),
        ("1.88.0-nightly", "1.88.0"),
        ("0.99.9", "0.99.9"),
    ] {
        let machine = Machine::with_rust(version);
        let output = machine.run(&["demo"], true);
        let words = words(&output);
        assert!(!output.status.success(), "{words}");
        assert!(
            words.contains(&format!("cannot build with Rust {found} (")),
            "{words}"
        );
        assert!(
            words.contains("install Rust 1.89 or newer") && words.contains("nothing was installed"),
            "{words}"
        );
        assert_eq!(machine.calls(), "");
    }
    for program in ["cargo", "rustc"] {
        let machine = Machine::with_rust("1.89.0");
        fs::remove_file(machine.bin().join(program)).unwrap();
        let output = machine.run(&["demo"], true);
        assert!(
            words(&output).contains(&format!("cannot find {program}: install Rust 1.89")),
            "{output:?}"
        );
        assert_eq!(machine.calls(), "");
    }
}

#[test]
fn unknown_set_installs_nothing() {
    let machine = Machine::with_rust("1.89.0");
    for arguments in [&["demo", "tset"][..], &[], &["--yes"], &["--no"]] {
        let output = machine.run(arguments, true);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
    assert_eq!(machine.calls(), "");
}

/// A stub of apt-get that can only install by removing another package.
const REPLACES: &str = r#"
echo "$@" >> "$CALLS"
case "$*" in
    *--no-remove*) echo 'E: Packages need to be removed but remove is disabled.'; exit 100 ;;
    *) printf 'The following packages will be REMOVED:\n  busybox* other*\nThe following NEW packages:\n  x\n' ;;
esac"#;

#[test]
fn packages_are_not_removed_without_consent() {
    if !nix::unistd::geteuid().is_root() {
        // Another user gets the command for root, and nothing is tried.
        let machine = Machine::with_rust("1.89.0");
        let output = machine.run(&["demo"], true);
        assert!(
            words(&output).contains("as root, run: apt-get update && apt-get install"),
            "{output:?}"
        );
        assert!(!words(&output).contains("--simulate"), "{output:?}");
        assert_eq!(machine.calls(), "");
        return;
    }
    for (arguments, is_ci, may) in [
        (&["demo"][..], false, false),
        (&["--yes", "demo"], false, true),
        (&["demo"], true, true),
    ] {
        let machine = Machine::with_rust("1.95.0");
        machine.program("apt-get", REPLACES);
        let words = words(&machine.run(arguments, is_ci));
        for package in ["busybox", "other"] {
            assert!(
                words.contains(&format!("{package} stands in the way; to be removed\n")),
                "{words}"
            );
        }
        let changing = machine
            .calls()
            .lines()
            .filter(|c| !c.contains("--simulate") && !c.contains("--no-remove"))
            .count();
        assert_eq!(changing > 0, may, "{arguments:?}: {}", machine.calls());
        assert_eq!(
            words.contains("run: demo/dependencies.sh --yes demo"),
            !may,
            "{words}"
        );
    }
}

#[test]
fn dependencies_script_checks_headers_that_tests_read() {
    let script = fs::read_to_string(repository("demo/dependencies.sh")).unwrap();
    let mut read = 0;
    for source in tests() {
        for path in source.text.split("\"/usr/include/").skip(1) {
            let header = path.split('"').next().unwrap();
            assert!(
                script.contains(&format!("\"has_header {header}\"")),
                "{}: {header}",
                source.path
            );
            read += 1;
        }
    }
    assert!(read > 0);
}
