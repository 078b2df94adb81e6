//! How LVM is told what to do.

use std::time::Duration;

use crate::exec::Program;
use crate::storage::StorageError;

/// LVM waits for its own locks without end; nothing that is asked of it here takes long.
const LIMIT: Duration = Duration::from_secs(300);

/// The program `lvm`, through sudo for who is not root, as upstream has it.
#[derive(Debug, Clone)]
pub struct Lvm {
    through_sudo: bool,
}

impl Lvm {
    pub fn new() -> Lvm {
        Lvm {
            through_sudo: !nix::unistd::geteuid().is_root(),
        }
    }

    /// Runs one of its commands and returns what it printed.
    pub fn run(&self, arguments: &[&str]) -> Result<Vec<u8>, StorageError> {
        let program = match self.through_sudo {
            true => Program::new("sudo").args(["-n", "lvm"]),
            false => Program::new("lvm"),
        };
        // Its messages are read by people; its numbers must not depend on where these live.
        let said = program
            .args(arguments)
            .env("LC_ALL", "C.UTF-8")
            .limit(LIMIT)
            .output();
        said.map_err(|error| {
            let command = arguments.first().copied().unwrap_or_default();
            let root = match self.through_sudo {
                true => "; storage on LVM needs root",
                false => "",
            };
            StorageError::Refused(format!("lvm {command}: {error}{root}"))
        })
    }
}
