//! Runs LVM commands.

use std::time::Duration;

use crate::exec::Program;
use crate::storage::StorageError;

/// The time limit of a command. LVM waits for its own locks without a limit; no command here takes
/// long.
const LIMIT: Duration = Duration::from_secs(300);

/// The program `lvm`, through sudo for users other than root, as in upstream.
#[derive(Debug, Clone)]
pub struct Lvm {
    through_sudo: bool,
}

impl Lvm {
    /// Chooses sudo by the effective user.
    pub fn new() -> Lvm {
        Lvm {
            through_sudo: !nix::unistd::geteuid().is_root(),
        }
    }

    /// Runs a command and returns its output.
    pub fn run(&self, arguments: &[&str]) -> Result<Vec<u8>, StorageError> {
        let program = match self.through_sudo {
            true => Program::new("sudo").args(["-n", "lvm"]),
            false => Program::new("lvm"),
        };
        // The format of numbers must not depend on the user's locale.
        let output = program
            .args(arguments)
            .env("LC_ALL", "C.UTF-8")
            .timeout(LIMIT)
            .output();
        output.map_err(|error| {
            let command = arguments.first().copied().unwrap_or_default();
            let root = match self.through_sudo {
                true => "; storage on LVM needs root",
                false => "",
            };
            StorageError::Refused(format!("lvm {command}: {error}{root}"))
        })
    }
}
