//! A private file that must not be touched, and traps: links to it and special files that an
//! attacker can put in place of a file.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use qubes_test_support::{ToolOutput, tool_output};

pub const CONTENT: &str = "root:secret\n";

/// A file of mode 0600 that no command may copy or change.
pub struct Victim {
    pub path: PathBuf,
}

impl Victim {
    pub fn new(path: PathBuf) -> Victim {
        fs::write(&path, CONTENT).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        Victim { path }
    }

    /// Panics if the content, mode, owner or group changed.
    pub fn assert_untouched(&self, when: &str) {
        let metadata = fs::metadata(&self.path).unwrap();
        assert_eq!(fs::read_to_string(&self.path).unwrap(), CONTENT, "{when}");
        assert_eq!(metadata.mode() & 0o7777, 0o600, "{when}");
        let us = (
            nix::unistd::geteuid().as_raw(),
            nix::unistd::getegid().as_raw(),
        );
        assert_eq!((metadata.uid(), metadata.gid()), us, "{when}");
    }
}

/// An object in place of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trap {
    Link,
    /// A link to a file that does not exist and must not be created.
    DanglingLink,
    HardLink,
    Fifo,
    Directory,
    Socket,
}

impl Trap {
    pub const ALL: [Trap; 6] = [
        Trap::Link,
        Trap::DanglingLink,
        Trap::HardLink,
        Trap::Fifo,
        Trap::Directory,
        Trap::Socket,
    ];

    /// Creates the trap at `path`, in place of what is there.
    pub fn set(self, path: &Path, victim: &Victim) {
        clear(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match self {
            Trap::Link => symlink(&victim.path, path).unwrap(),
            Trap::DanglingLink => symlink(victim.path.with_extension("made"), path).unwrap(),
            Trap::HardLink => fs::hard_link(&victim.path, path).unwrap(),
            Trap::Fifo => mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap(),
            Trap::Directory => fs::create_dir(path).unwrap(),
            // The socket's file remains when the listener is closed.
            Trap::Socket => drop(UnixListener::bind(path).unwrap()),
        }
    }
}

pub fn clear(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|there| there.is_dir()) {
        fs::remove_dir_all(path).unwrap();
    } else {
        let _nothing_there = fs::remove_file(path);
    }
}

/// Runs a command and panics if it does not end within 60 s, which means that it waits for a trap.
pub fn run_with_deadline(command: &Command) -> ToolOutput {
    let mut timed = Command::new("timeout");
    timed
        .args(["--kill-after=1", "60"])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => timed.env(name, value),
            None => timed.env_remove(name),
        };
    }
    let ran = tool_output::run(&mut timed);
    assert!(
        ran.code != 124 && ran.code != 137,
        "the command waits: {command:?}: {ran:?}"
    );
    ran
}
