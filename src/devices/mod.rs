//! Devices of this machine that qubes can be given: dom0's block devices and PCI devices.
//!
//! What other qubes expose they tell in QubesDB, and is no business of this room.

pub mod block;
pub mod pci;

/// Why a device of this machine cannot be given to a qube.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    #[error("it is not there")]
    Missing,
    #[error("what is there now is another device, {found}")]
    DifferentDevice { found: String },
    #[error("more than one is there: {}", .0.join(", "))]
    Ambiguous(Vec<String>),
    #[error("'{0}' is not the name of a dom0 port")]
    InvalidPort(String),
    #[error("{0} is not a block device")]
    NotABlockDevice(String),
    #[error("dom0 uses it itself: it is mounted, or part of something that is (see lsblk)")]
    InUse,
    #[error("{0}")]
    Io(String),
}
