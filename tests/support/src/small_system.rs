//! A system with the small sample as its store in a temporary directory, changed with the real
//! tools.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::paths::small_sample;
use crate::tool_output::{self, ToolOutput, binary};

/// A system with the small sample as its store.
pub struct SmallSystem {
    dir: tempfile::TempDir,
}

impl SmallSystem {
    pub fn new() -> SmallSystem {
        let dir = tempfile::Builder::new()
            .prefix("qubes-small-")
            .tempdir()
            .unwrap();
        let system = SmallSystem { dir };
        fs::create_dir_all(system.store().parent().unwrap()).unwrap();
        fs::write(system.store(), sample()).unwrap();
        system
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    pub fn store(&self) -> PathBuf {
        self.path("var/lib/qubes/qubes.xml")
    }

    pub fn command(&self, line: &str) -> Command {
        let mut words = line.split_whitespace();
        let mut command = Command::new(binary(words.next().unwrap()));
        command
            .args(words)
            .env("QUBES_ROOT", self.dir.path())
            .arg("--offline-mode");
        command
    }

    pub fn run(&self, line: &str) -> ToolOutput {
        tool_output::run(&mut self.command(line))
    }

    /// Runs a command that must succeed with nothing on standard error; returns its standard
    /// output.
    pub fn ok(&self, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{line}: {ran:?}");
        ran.stdout
    }

    /// Runs a command that must fail with exit code 1 and one line on standard error, and returns
    /// that line.
    pub fn refused(&self, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{line}: {ran:?}");
        assert_eq!(ran.complaints().count(), 1, "{line}: {ran:?}");
        ran.complaints().collect()
    }
}

pub fn sample() -> Vec<u8> {
    fs::read(small_sample()).unwrap()
}

/// Returns the explicit value of a property in a store, or an empty string.
pub fn stored_property(file: &Path, qube: &str, property: &str) -> String {
    let qubes = qubes::format::read(fs::read(file).unwrap()).unwrap();
    qubes
        .get(qube)
        .unwrap()
        .properties
        .get(property)
        .unwrap_or_default()
        .to_string()
}
