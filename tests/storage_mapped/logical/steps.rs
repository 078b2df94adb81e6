//! What LVM is asked to do, one command after the other: counted, or cut off in between.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use tempfile::TempDir;

use super::LVM;

/// A directory with an `lvm` of our own, which keeps a list of its calls and leads to LVM.
pub struct Steps {
    place: TempDir,
}

impl Steps {
    /// Counts and does nothing else.
    pub fn counted() -> Steps {
        Steps::with("")
    }

    /// Ends whoever asks for the change number `last` before LVM hears of it, as a kill or a power
    /// loss would.
    pub fn until(last: usize) -> Steps {
        Steps::with(&format!(
            "[ $n -ge {last} ] && {{ kill -9 $PPID; exit 1; }}"
        ))
    }

    /// `before` is what the script does before a change; `$n` is its number, from 1 on.
    pub fn with(before: &str) -> Steps {
        let place = tempfile::tempdir().unwrap();
        let here = place.path().display().to_string();
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = lvs ]; then echo \"$*\" >> {here}/asked; exec {LVM} \"$@\"; fi\n\
             read -r n < {here}/number; n=$((n + 1)); echo $n > {here}/number; echo \"$*\" >> {here}/changes\n\
             {before}\nexec {LVM} \"$@\"\n"
        );
        fs::write(place.path().join("number"), "0\n").unwrap();
        let program = place.path().join("lvm");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Steps { place }
    }

    /// Has this command take that `lvm`.
    pub fn seen_by<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", self.place.path().display()))
    }

    /// How often `lvs` was asked.
    pub fn questions(&self) -> usize {
        self.lines("asked").len()
    }

    /// The changes that were asked for, the one that was cut off among them.
    pub fn changes(&self) -> Vec<String> {
        self.lines("changes")
    }

    fn lines(&self, file: &str) -> Vec<String> {
        let text = fs::read_to_string(self.place.path().join(file)).unwrap_or_default();
        text.lines().map(String::from).collect()
    }
}
