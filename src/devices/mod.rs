//! The devices of dom0 that can be attached to qubes: block devices and PCI devices.
//!
//! The devices that other qubes expose are listed in QubesDB and not handled here.

pub mod block;
pub mod pci;

/// Why a device of dom0 cannot be attached to a qube.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// There is no such device, or the drive has no medium.
    #[error("it is not present")]
    Missing,
    /// The device at the port is not the assigned one.
    #[error("another device is present now, {found}")]
    DifferentDevice {
        /// Identity of the device at the port.
        found: String,
    },
    /// Several devices have the assigned identity; holds their addresses.
    #[error("more than one is present: {}", .0.join(", "))]
    Ambiguous(Vec<String>),
    /// The text cannot be the name of a port of dom0; holds it, escaped.
    #[error("'{0}' is not the name of a dom0 port")]
    InvalidPort(String),
    /// The file at the port is not a block device; holds its path.
    #[error("{0} is not a block device")]
    NotABlockDevice(String),
    /// dom0 has mounted the block device, or a mapped device is on top of it.
    #[error("dom0 uses it: it is mounted, or part of a mounted device (see lsblk)")]
    InUse,
    /// The device cannot be examined; holds the text of the error.
    #[error("{0}")]
    Io(String),
}
