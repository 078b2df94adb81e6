//! What has to follow a change outside the database.

use crate::model::name::VmName;

/// A reconciliation to be done after the database is saved: read again what it says of this qube
/// and bring the world there, if the qube runs. Two writers thus cannot leave the world at the
/// older value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The network interface of a running qube has to follow its netvm.
    ReattachNetwork { vm: VmName },
    /// The service manager has to start, or not to start, the qube at boot.
    Autostart { vm: VmName, on: bool },
    /// The hypervisor has to learn up to what a running qube's memory may grow.
    MaxmemHotplug { vm: VmName },
    /// The user has to know where a qube's maxmem is below its memory.
    CompareMemory { vm: VmName },
    /// The running qube's QubesDB has to follow a feature (`service.*`, `vm-config.*`,
    /// `custom-persist.*`).
    QubesDbFeature { vm: VmName, feature: Box<str> },
    /// The file of a service of dom0 (`qubes-service/NAME`) has to follow dom0's feature.
    Dom0Service { service: Box<str>, on: bool },
}
