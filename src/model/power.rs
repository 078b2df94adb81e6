//! Power states (`docs/spec/r4-features.md` §7, `docs/spec/r4-tools.md` qvm-ls).

use std::fmt;

/// The power state of a qube.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PowerState {
    /// No domain runs. Offline, every local guest is halted.
    Halted,
    /// Active, but not fully usable yet.
    Transient,
    /// The domain runs or is idle. dom0 and remote qubes are always running.
    Running,
    /// The domain exists, but its processors are stopped until it is resumed.
    Paused,
    /// The guest sleeps by its own power management until it is woken up.
    Suspended,
    /// The guest is shutting down.
    Halting,
    /// The guest has shut down, but the hypervisor still has the domain.
    Dying,
    /// The guest has crashed, and the hypervisor still has the domain.
    Crashed,
    /// The hypervisor could not be reached.
    Unknown,
}

impl PowerState {
    /// Every state.
    pub const ALL: [PowerState; 9] = [
        PowerState::Halted,
        PowerState::Transient,
        PowerState::Running,
        PowerState::Paused,
        PowerState::Suspended,
        PowerState::Halting,
        PowerState::Dying,
        PowerState::Crashed,
        PowerState::Unknown,
    ];

    /// Returns the word that listings print.
    pub fn as_str(self) -> &'static str {
        match self {
            PowerState::Halted => "Halted",
            PowerState::Transient => "Transient",
            PowerState::Running => "Running",
            PowerState::Paused => "Paused",
            PowerState::Suspended => "Suspended",
            PowerState::Halting => "Halting",
            PowerState::Dying => "Dying",
            PowerState::Crashed => "Crashed",
            PowerState::Unknown => "NA",
        }
    }

    /// Returns whether a domain exists that may have images open. A crashed one still exists.
    pub fn is_active(self) -> bool {
        !matches!(self, PowerState::Halted | PowerState::Unknown)
    }
}

impl fmt::Display for PowerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
