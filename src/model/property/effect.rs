//! Effects: what has to follow a change outside the store.

use crate::model::name::VmName;

/// Something outside the store that must follow a change. It is applied after the store is saved,
/// by reading the store again and bringing a running qube there, so that two writers cannot leave
/// the older value in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Attach the network interface of a running qube to its new netvm.
    ReattachNetwork { vm: VmName },
    /// Let the service manager start the qube at boot, or not.
    Autostart { vm: VmName, on: bool },
    /// Tell the hypervisor the new limit of a running qube's memory.
    MaxmemHotplug { vm: VmName },
    /// Warn the user if the qube's maxmem is below its memory.
    CompareMemory { vm: VmName },
    /// Copy a feature (`service.*`, `vm-config.*`, `custom-persist.*`) to the running qube's
    /// QubesDB.
    QubesDbFeature { vm: VmName, feature: Box<str> },
    /// Create or remove the file of a dom0 service (`qubes-service/NAME`) as dom0's feature says.
    Dom0Service { service: Box<str>, on: bool },
}
