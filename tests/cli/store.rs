//! A store for each command under test, and running the programs on it.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A path in the repository.
pub fn repository(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

/// The result of a command.
#[derive(Debug)]
pub struct Run {
    pub stdout: String,
    pub stderr: String,
    pub exit: i32,
}

/// A fresh copy of a store below a directory of its own, on the host the recordings were made on.
pub struct Store {
    root: tempfile::TempDir,
}

impl Store {
    /// A copy of `small.xml` with its files.
    pub fn small() -> Store {
        Store::new(
            &repository("tests/data/r4/small.xml"),
            &repository("tests/data/r4/small.tree"),
        )
    }

    /// A copy of `random-1.xml`: 60 qubes with random settings.
    pub fn random() -> Store {
        Store::new(
            &repository("tests/data/r4/random-1.xml"),
            &repository("tests/data/r4/small.tree"),
        )
    }

    /// A store that qubes-create created.
    pub fn empty() -> Store {
        let store = Store::with_kernels();
        let created = store.run(env!("CARGO_BIN_EXE_qubes-create"), &[], "", false);
        assert_eq!(created.exit, 0, "{created:?}");
        store
    }

    fn new(qubes_xml: &Path, tree: &Path) -> Store {
        let store = Store::with_kernels();
        copy_tree(tree, &store.root().join("var/lib/qubes"));
        fs::copy(qubes_xml, store.file()).unwrap();
        store
    }

    fn with_kernels() -> Store {
        let root = tempfile::tempdir().unwrap();
        let base = root.path().join("var/lib/qubes");
        for kernel in ["6.6.77-1.fc37", "6.12.21-1.fc37", "5.15.124-1"] {
            let directory = base.join("vm-kernels").join(kernel);
            fs::create_dir_all(&directory).unwrap();
            for file in ["vmlinuz", "initramfs", "modules.img"] {
                fs::write(directory.join(file), "stub\n").unwrap();
            }
        }
        fs::create_dir_all(root.path().join("etc/qubes")).unwrap();
        fs::write(
            root.path().join("etc/qubes/core.toml"),
            "[host]\nmemory_mib = 32404\ncpus = 16\n",
        )
        .unwrap();
        Store { root }
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// qubes.xml.
    pub fn file(&self) -> PathBuf {
        self.root.path().join("var/lib/qubes/qubes.xml")
    }

    /// A program that works on it, offline.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.root.path())
            .env("QUBES_ROOT", self.root.path())
            .env("QUBES_OFFLINE", "1");
        command
            .env("COLUMNS", "80")
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "xterm")
            .env_remove("QUBES_XML_PATH");
        // Upstream's tools have no colours.
        command.env("NO_COLOR", "1");
        command
    }

    /// Runs a program on it, offline.
    pub fn run(&self, program: &str, arguments: &[String], stdin: &str, terminal: bool) -> Run {
        let mut command = self.command(program);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped());
        let side = terminal.then(|| {
            let ends = nix::pty::openpty(None, None).unwrap();
            command.stdout(Stdio::from(ends.slave));
            ends.master
        });
        if !terminal {
            command.stdout(Stdio::piped());
        }
        let mut child = command.spawn().unwrap();
        drop(command);
        child
            .stdin
            .take()
            .unwrap()
            .write_all(stdin.as_bytes())
            .unwrap_or(());
        let printed = side.map(|master| {
            let mut bytes = Vec::new();
            // The read ends with an error when the last writer is gone: that is a terminal's end of
            // file.
            let _closed = fs::File::from(master).read_to_end(&mut bytes);
            String::from_utf8(bytes).unwrap().replace("\r\n", "\n")
        });
        let output = child.wait_with_output().unwrap();
        let root = format!("{}/", self.root.path().display());
        Run {
            stdout: printed
                .unwrap_or_else(|| String::from_utf8(output.stdout).unwrap())
                .replace(&root, "/"),
            stderr: String::from_utf8(output.stderr)
                .unwrap()
                .replace(&root, "/"),
            exit: output.status.code().unwrap_or(-1),
        }
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
