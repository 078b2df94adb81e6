//! A whole system in a temporary directory, changed with the real tools.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use qubes::lifecycle::Context;
use qubes::system::{System, SystemOptions};

use crate::tool_output::{ToolOutput, binary};

/// A system below one temporary directory. Dropping it kills the qubes that still run.
pub struct Scratch {
    dir: tempfile::TempDir,
}

impl Scratch {
    /// Creates a system without a store.
    pub fn empty() -> Scratch {
        Scratch::empty_in(&std::env::temp_dir())
    }

    /// Creates a system without a store in this directory, for another file system.
    pub fn empty_in(directory: &Path) -> Scratch {
        let dir = tempfile::Builder::new()
            .prefix("qubes-test-")
            .tempdir_in(directory)
            .unwrap();
        Scratch { dir }
    }

    /// Creates a system with a template `tpl` whose qubes boot nothing: without a bootable disk
    /// they halt in the firmware, which takes no processor time and is enough to test a domain's
    /// life.
    pub fn with_template() -> Scratch {
        Scratch::empty().add_template()
    }

    /// Creates a store with the template `tpl` in this empty system.
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

    /// Returns the root directory of the system.
    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    /// Returns the path of a file below the root.
    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below.trim_start_matches('/'))
    }

    /// Reads the bytes of the store.
    pub fn store(&self) -> Vec<u8> {
        std::fs::read(self.path("/var/lib/qubes/qubes.xml")).unwrap()
    }

    /// Returns the command that runs a tool on this system.
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

    /// Runs a tool and returns its output.
    pub fn run(&self, tool: &str, arguments: &[&str]) -> ToolOutput {
        ToolOutput::new(self.command(tool, arguments).output().unwrap())
    }

    /// Runs a tool that must succeed; returns its standard output.
    pub fn ok(&self, tool: &str, arguments: &[&str]) -> String {
        let ran = self.run(tool, arguments);
        assert_eq!(
            ran.code, 0,
            "{tool} {arguments:?}: {}{}",
            ran.stdout, ran.stderr
        );
        ran.stdout
    }

    /// Runs a tool that must fail with this code, print one line to standard error and nothing to
    /// standard output; returns the line.
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
        let complaints: Vec<_> = ran
            .complaints()
            .filter(|l| !l.starts_with("usage:") && !l.starts_with(' '))
            .collect();
        assert_eq!(
            complaints.len(),
            1,
            "{tool} {arguments:?} must fail with one line: {}",
            ran.stderr
        );
        complaints[0].to_string()
    }

    /// Returns the state that qvm-ls prints.
    pub fn state(&self, qube: &str) -> String {
        let line = self.ok("qvm-ls", &["--raw-data", "--fields", "STATE", qube]);
        line.trim().to_string()
    }

    /// Returns the UUID of a qube.
    pub fn uuid(&self, qube: &str) -> uuid::Uuid {
        self.ok("qvm-prefs", &[qube, "uuid"])
            .trim()
            .parse()
            .unwrap()
    }

    /// Returns the path of a qube's record.
    pub fn record(&self, qube: &str) -> PathBuf {
        self.path("/run/qubes/vm").join(qube)
    }

    /// Returns the names of the images in one volume directory, sorted.
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
        // Only the domains' definitions are outside the directory; they are removed as well.
        let Ok(system) = System::new(SystemOptions {
            root: Some(self.root().to_path_buf()),
            ..SystemOptions::default()
        }) else {
            return;
        };
        let context = Context::new(system);
        let Ok(qubes) = context.read() else { return };
        for uuid in qubes.iter().filter_map(|vm| vm.uuid()) {
            let _forgotten = context.hypervisor().undefine(uuid);
        }
    }
}
