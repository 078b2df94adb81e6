//! A whole system in a directory of its own, worked on with the real tools.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use qubes::lifecycle::Session;
use qubes::system::{System, SystemOptions};

/// Everything below one directory; what still runs is killed when it is dropped.
pub struct Scratch {
    dir: tempfile::TempDir,
}

/// What a tool did.
#[derive(Debug)]
pub struct ToolOutput {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Scratch {
    /// A directory without a store.
    pub fn empty() -> Scratch {
        Scratch::empty_in(&std::env::temp_dir())
    }

    /// The same in this directory, for another file system.
    pub fn empty_in(directory: &Path) -> Scratch {
        let dir = tempfile::Builder::new()
            .prefix("qubes-test-")
            .tempdir_in(directory)
            .unwrap();
        Scratch { dir }
    }

    /// A store with a template `tpl` and qubes that boot nothing: a machine without a system on its
    /// disks halts in its firmware, which costs no processor time and is all that the life of a
    /// domain needs.
    pub fn with_template() -> Scratch {
        Scratch::empty().add_template()
    }

    /// The same in this directory, still empty.
    pub fn add_template(self) -> Scratch {
        let scratch = self;
        scratch.ok("qubes-create", &[]);
        let kernel = scratch.path("/var/lib/qubes/vm-kernels/1.0");
        std::fs::create_dir_all(&kernel).unwrap();
        std::fs::write(kernel.join("vmlinuz"), "never booted").unwrap();
        scratch.ok("qubes-prefs", &["default_kernel", "1.0"]);
        scratch.ok(
            "qvm-create",
            &["--class", "TemplateVM", "--label", "black", "tpl"],
        );
        for (property, value) in [
            ("virt_mode", "hvm"),
            ("kernel", ""),
            ("memory", "64"),
            ("maxmem", "0"),
            ("vcpus", "1"),
        ] {
            scratch.ok("qvm-prefs", &["tpl", property, value]);
        }
        scratch.ok("qubes-prefs", &["default_template", "tpl"]);
        scratch
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below.trim_start_matches('/'))
    }

    /// The bytes of the store.
    pub fn store(&self) -> Vec<u8> {
        std::fs::read(self.path("/var/lib/qubes/qubes.xml")).unwrap()
    }

    /// A tool with its arguments, ready to run here.
    pub fn command(&self, tool: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary(tool));
        command
            .args(arguments)
            .env("QUBES_ROOT", self.root())
            .env("RUST_BACKTRACE", "0")
            .env_remove("QUBES_XML_PATH")
            .env_remove("QUBES_OFFLINE")
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, tool: &str, arguments: &[&str]) -> ToolOutput {
        ToolOutput::new(self.command(tool, arguments).output().unwrap())
    }

    /// Runs a tool that has to succeed; returns what it printed.
    pub fn ok(&self, tool: &str, arguments: &[&str]) -> String {
        let ran = self.run(tool, arguments);
        assert_eq!(
            ran.code, 0,
            "{tool} {arguments:?}: {}{}",
            ran.stdout, ran.stderr
        );
        ran.stdout
    }

    /// Runs a tool that has to fail with this code, says why in one line, and prints nothing;
    /// returns the line.
    pub fn fails(&self, tool: &str, arguments: &[&str], code: i32) -> String {
        let ran = self.run(tool, arguments);
        assert_eq!(
            ran.code, code,
            "{tool} {arguments:?}: {}{}",
            ran.stdout, ran.stderr
        );
        assert_eq!(
            ran.stdout, "",
            "{tool} {arguments:?} printed data although it failed"
        );
        let words: Vec<_> = ran
            .complaints()
            .filter(|l| !l.starts_with("usage:") && !l.starts_with(' '))
            .collect();
        assert_eq!(
            words.len(),
            1,
            "{tool} {arguments:?} is to fail with one line: {}",
            ran.stderr
        );
        words[0].to_string()
    }

    /// The state that qvm-ls shows.
    pub fn state(&self, qube: &str) -> String {
        let line = self.ok("qvm-ls", &["--raw-data", "--fields", "STATE", qube]);
        line.trim().to_string()
    }

    pub fn uuid(&self, qube: &str) -> uuid::Uuid {
        self.ok("qvm-prefs", &[qube, "uuid"])
            .trim()
            .parse()
            .unwrap()
    }

    pub fn record(&self, qube: &str) -> PathBuf {
        self.path("/run/qubes/vm").join(qube)
    }

    /// The images of one volume directory, sorted by name.
    pub fn images(&self, below: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path("/var/lib/qubes").join(below)) else {
            return Vec::new();
        };
        let mut names: Vec<_> = entries
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.path("/run/qubes/vm").is_dir() {
            return;
        }
        let _all_halted = self.command("qvm-kill", &["--all"]).output();
        // Their definitions are all of them that is not below the directory.
        let Ok(system) = System::new(SystemOptions {
            root: Some(self.root().to_path_buf()),
            ..SystemOptions::default()
        }) else {
            return;
        };
        let session = Session::new(system);
        let Ok(qubes) = session.read() else { return };
        for uuid in qubes.iter().filter_map(|vm| vm.uuid()) {
            let _forgotten = session.hypervisor().undefine(uuid);
        }
    }
}

impl ToolOutput {
    /// The lines of standard error that complain: without hints on what to do next, and without
    /// the notices of waiting for another process, which a busy machine prints anywhere.
    #[allow(
        dead_code,
        reason = "each test program includes this file, and not every one asks"
    )]
    pub fn complaints(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.stderr
            .lines()
            .filter(|line| !line.starts_with("hint: ") && !line.starts_with("waiting for "))
    }

    pub fn new(output: Output) -> ToolOutput {
        ToolOutput {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A binary of this build.
pub fn binary(tool: &str) -> PathBuf {
    // Tests run from target/PROFILE/deps; the tools lie one above.
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join(tool)
}

/// Looks until `condition` holds; panics with `what` when it does not within a generous time.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 60 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
