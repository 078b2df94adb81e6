//! Counts the commands that LVM gets, or kills the caller at one of them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use tempfile::TempDir;

use super::LVM;

/// A directory with a wrapper of `lvm`, which records its calls.
pub struct Steps {
    place: TempDir,
}

impl Steps {
    /// Creates a wrapper that only counts.
    pub fn counted() -> Steps {
        Steps::with("")
    }

    /// Creates a wrapper that kills its caller before the change number `last`, as a kill or a
    /// power loss would.
    pub fn until(last: usize) -> Steps {
        Steps::with(&format!(
            "[ $n -ge {last} ] && {{ kill -9 $PPID; exit 1; }}"
        ))
    }

    /// Creates a wrapper that runs `before` before each change, with its number from 1 on in `$n`.
    pub fn with(before: &str) -> Steps {
        let place = tempfile::tempdir().unwrap();
        let here = place.path().display().to_string();
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = lvs ]; then echo \"$*\" >> {here}/asked; \
             exec {LVM} \"$@\"; fi\n\
             read -r n < {here}/number; n=$((n + 1)); echo $n > {here}/number; \
             echo \"$*\" >> {here}/changes\n\
             {before}\nexec {LVM} \"$@\"\n"
        );
        fs::write(place.path().join("number"), "0\n").unwrap();
        let program = place.path().join("lvm");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Steps { place }
    }

    /// Makes a command use the wrapper.
    pub fn apply_to<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", self.place.path().display()))
    }

    /// Returns how often `lvs` was called.
    pub fn questions(&self) -> usize {
        self.lines("asked").len()
    }

    /// Returns the requested changes, including the interrupted one.
    pub fn changes(&self) -> Vec<String> {
        self.lines("changes")
    }

    fn lines(&self, file: &str) -> Vec<String> {
        let text = fs::read_to_string(self.place.path().join(file)).unwrap_or_default();
        text.lines().map(String::from).collect()
    }
}
