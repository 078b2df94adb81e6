//! Tests of `make install` and `make uninstall` with a directory as DESTDIR.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use qubes_test_support::binary;
use qubes_test_support::tree::list_names;

use crate::sources::repository;

/// A DESTDIR and a directory with the programs of `make build`.
struct System {
    dir: tempfile::TempDir,
}

impl System {
    /// Creates a system whose programs are stubs.
    fn with_stubs() -> System {
        let system = System {
            dir: tempfile::tempdir().unwrap(),
        };
        let built = system.built();
        fs::create_dir_all(&built).unwrap();
        for entry in fs::read_dir(repository("src/bin")).unwrap() {
            let name = entry.unwrap().path().file_stem().unwrap().to_owned();
            fs::write(built.join(name), "#!/bin/sh\n").unwrap();
        }
        system
    }

    /// Creates a system with the one binary that is every command.
    fn with_multicall() -> System {
        let system = System {
            dir: tempfile::tempdir().unwrap(),
        };
        fs::create_dir_all(system.built()).unwrap();
        symlink(binary("qubes"), system.built().join("qubes")).unwrap();
        system
    }

    fn built(&self) -> PathBuf {
        self.dir.path().join("target/release")
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn path(&self, below: &str) -> PathBuf {
        self.root().join(below)
    }

    /// Runs make without cargo in PATH, as with sudo.
    fn make(&self, arguments: &[&str]) -> Output {
        Command::new("make")
            .arg("--directory")
            .arg(repository(""))
            .args(arguments)
            .arg(format!("DESTDIR={}", self.root().display()))
            .arg(format!(
                "CARGO_TARGET_DIR={}",
                self.dir.path().join("target").display()
            ))
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env_remove("MAKEFLAGS")
            .env_remove("PREFIX")
            .output()
            .unwrap()
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.make(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn fails(&self, arguments: &[&str]) -> String {
        let output = self.make(arguments);
        assert!(!output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Returns the files, links and directories below the root.
    fn tree(&self) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        add_below(&self.root(), &mut found);
        found
    }
}

fn add_below(directory: &Path, found: &mut BTreeSet<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            add_below(&path, found);
        }
        found.insert(path);
    }
}

#[test]
fn install_fails_without_a_build_and_does_not_build() {
    let system = System::with_stubs();
    fs::remove_file(system.built().join("qvm-ls")).unwrap();
    let words = system.fails(&["install"]);
    assert!(
        words.contains("release/qvm-ls; run 'make build' first"),
        "{words}"
    );
    assert_eq!(system.tree(), BTreeSet::new());
}

#[test]
fn uninstall_restores_the_state_before_install() {
    for prefix in ["PREFIX=/usr", "PREFIX=/usr/local", "PREFIX=/opt/a b"] {
        let system = System::with_stubs();
        fs::create_dir_all(system.path("usr/share/qubes")).unwrap();
        fs::write(system.path("usr/share/qubes/another"), "").unwrap();
        let before = system.tree();
        if prefix.contains(' ') {
            system.fails(&["install", prefix]);
            assert_eq!(system.tree(), before);
            continue;
        }
        system.ok(&["install", prefix]);
        let place = |below: &str| system.path(&prefix["PREFIX=/".len()..]).join(below);
        for file in [
            "bin/qvm-ls",
            "bin/qubes-complete",
            "lib/qubes/qubes-monitor",
            "lib/systemd/system/qubes-vm@.service",
            "lib/systemd/system/multi-user.target.wants/qubes-recover.service",
            "share/man/man1/qvm-ls.1",
            "share/man/man5/core.toml.5",
            "share/man/man7/qubes.7",
            "share/bash-completion/completions/qvm-ls",
            "share/zsh/site-functions/_qubes",
            "share/fish/vendor_completions.d/qvm-ls.fish",
            "share/doc/qubes/README.md",
            "share/doc/qubes/COPYING",
            "share/doc/qubes/docs/store.md",
            "share/doc/qubes/docs/schemas/qvm-ls.json",
        ] {
            assert!(place(file).exists(), "{file} is not installed");
        }
        let installed = system.tree();
        assert_eq!(system.ok(&["install", prefix]), "", "again, over itself");
        assert_eq!(system.tree(), installed);
        system.ok(&["uninstall", prefix]);
        assert_eq!(system.tree(), before, "{prefix}");
        assert!(
            system
                .fails(&["uninstall", prefix])
                .contains("nothing was installed")
        );
    }
}

#[test]
fn foreign_files_are_not_replaced_unless_forced() {
    let system = System::with_stubs();
    fs::create_dir_all(system.path("usr/bin")).unwrap();
    fs::create_dir_all(system.path("usr/lib/systemd/system")).unwrap();
    fs::write(system.path("usr/bin/qvm-ls"), "upstream's").unwrap();
    symlink(
        "nowhere",
        system.path("usr/lib/systemd/system/qubes-vm@.service"),
    )
    .unwrap();
    let before = system.tree();
    let words = system.fails(&["install"]);
    assert!(
        words.contains("cannot replace these 2 files") && words.contains("usr/bin/qvm-ls\n"),
        "{words}"
    );
    assert_eq!(system.tree(), before);
    assert_eq!(
        fs::read_to_string(system.path("usr/bin/qvm-ls")).unwrap(),
        "upstream's"
    );
    let words = system.ok(&["install", "FORCE=1"]);
    assert!(words.contains("usr/bin/qvm-ls\n"), "{words}");
    assert_eq!(
        fs::read_to_string(system.path("usr/bin/qvm-ls")).unwrap(),
        "#!/bin/sh\n"
    );
    assert!(
        !system.path("usr/lib/systemd/system/nowhere").exists(),
        "a link is replaced, not written through"
    );
}

#[test]
fn unit_of_the_distribution_is_not_overridden_from_another_prefix() {
    let system = System::with_stubs();
    fs::create_dir_all(system.path("usr/lib/systemd/system")).unwrap();
    fs::write(
        system.path("usr/lib/systemd/system/qubes-vm@.service"),
        "upstream's",
    )
    .unwrap();
    let before = system.tree();
    let words = system.fails(&["install", "PREFIX=/usr/local"]);
    assert!(
        words.contains("/usr/lib/systemd/system/qubes-vm@.service, whose place"),
        "{words}"
    );
    assert_eq!(system.tree(), before);
    system.ok(&["install", "PREFIX=/usr/local", "NO_UNITS=1"]);
    assert!(system.path("usr/local/bin/qvm-ls").exists());
    assert!(!system.path("usr/local/lib/systemd").exists());
}

#[test]
fn package_that_owns_a_foreign_file_is_named() {
    if !Path::new("/usr/bin/dpkg-query").exists() {
        return;
    }
    let system = System::with_stubs();
    let database = system.path("var/lib/dpkg");
    fs::create_dir_all(database.join("info")).unwrap();
    fs::create_dir_all(system.path("usr/bin")).unwrap();
    fs::write(
        database.join("status"),
        "Package: qubes-core-admin-client\nStatus: install ok installed\nMaintainer: none\n\
         Architecture: all\nVersion: 4.3\nDescription: tools\n",
    )
    .unwrap();
    fs::write(
        database.join("info/qubes-core-admin-client.list"),
        "/.\n/usr\n/usr/bin\n/usr/bin/qvm-ls\n",
    )
    .unwrap();
    fs::write(system.path("usr/bin/qvm-ls"), "upstream's").unwrap();
    let words = system.fails(&["install"]);
    assert!(
        words.contains("usr/bin/qvm-ls (package qubes-core-admin-client)"),
        "{words}"
    );
}

#[test]
fn changed_file_is_kept() {
    let system = System::with_stubs();
    system.ok(&["install"]);
    fs::write(system.path("usr/bin/qvm-ls"), "changed").unwrap();
    let words = system.ok(&["uninstall"]);
    assert!(
        words.contains("usr/bin/qvm-ls was changed since it was installed: it stays"),
        "{words}"
    );
    let left: Vec<PathBuf> = system
        .tree()
        .into_iter()
        .filter(|path| path.is_file())
        .collect();
    assert_eq!(left, [system.path("usr/bin/qvm-ls")]);
}

#[test]
fn multicall_binary_serves_every_command() {
    let system = System::with_multicall();
    let words = system.fails(&["install"]);
    assert!(
        words.contains("run 'make build' first"),
        "only one of them was built: {words}"
    );
    system.ok(&["install", "MULTICALL=1"]);
    let names = list_names(system.path("usr/bin"));
    let commands = qubes::tools::COMMANDS
        .iter()
        .map(|c| c.name)
        .filter(|name| *name != "qubes-monitor");
    let mut expected: Vec<&str> = commands.chain(["qubes", "qubes-complete"]).collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
    let output = |program: &str, arguments: &[&str]| {
        let run = Command::new(system.path("usr").join(program))
            .args(arguments)
            .output()
            .unwrap();
        assert!(run.status.success(), "{program}: {run:?}");
        String::from_utf8(run.stdout).unwrap()
    };
    for name in names.iter().filter(|name| *name != "qubes-complete") {
        let help = output(&format!("bin/{name}"), &["--help"]);
        assert!(help.contains(&format!("sage: {name} ")), "{name}: {help}");
    }
    assert!(output("lib/qubes/qubes-monitor", &["--help"]).contains("sage: qubes-monitor "));
    let offered = output("bin/qubes-complete", &["bash", "1", "qvm-ls", "--for"]);
    assert!(
        offered.lines().any(|line| line.trim_end() == "--format"),
        "{offered:?}"
    );
    let size: u64 = names
        .iter()
        .map(|n| {
            fs::symlink_metadata(system.path("usr/bin").join(n))
                .unwrap()
                .len()
        })
        .sum();
    let binary_size = fs::metadata(binary("qubes")).unwrap().len();
    assert!(size < binary_size + 1000, "links, not copies: {size}");

    // An install of separate binaries replaces the links.
    let stubs = System::with_stubs();
    for program in fs::read_dir(stubs.built()).unwrap() {
        let program = program.unwrap().path();
        let to = system.built().join(program.file_name().unwrap());
        fs::rename(program, to).unwrap();
    }
    system.ok(&["install"]);
    assert!(!system.path("usr/bin/qvm-ls").is_symlink());
    assert_eq!(
        fs::read_to_string(system.path("usr/bin/qubes")).unwrap(),
        "#!/bin/sh\n"
    );
    system.ok(&["uninstall"]);
    assert_eq!(system.tree(), BTreeSet::new());
}
