//! From what the store says of a qube's volumes to the drivers that work on them.

use crate::model::{Qubes, ResolvedVolume, Vm};
use crate::storage::{Drivers, Kind, StorageError, VmStorage, Volume};

use super::{LifecycleError, Session};

impl Session {
    /// The storage of a qube, as the store describes it now.
    pub fn storage_of(&self, qubes: &Qubes, vm: &Vm) -> Result<VmStorage, LifecycleError> {
        let resolved = qubes.volumes(vm, self).map_err(LifecycleError::Volume)?;
        let volumes = resolved.into_iter().map(|v| volume(vm, v)).collect::<Result<Vec<_>, _>>()?;
        let mut drivers = Drivers::new(&qubes.pools, &self.system);
        Ok(VmStorage::open(vm.name.as_str(), volumes, &mut drivers)?)
    }
}

fn volume(vm: &Vm, resolved: ResolvedVolume) -> Result<Volume, StorageError> {
    let kind = match (resolved.snap_on_start, resolved.save_on_stop) {
        (false, false) => Kind::Volatile,
        (true, false) => Kind::Snapshot,
        (false, true) => Kind::Origin,
        (true, true) => {
            let (vm, name) = (&vm.name, &resolved.name);
            let rule = "save_on_stop and snap_on_start together are not supported; take one of them away";
            return Err(StorageError::Refused(format!("volume {vm}:{name}: {rule}")));
        }
    };
    Ok(Volume {
        owner: vm.name.to_string(),
        name: resolved.name,
        pool: resolved.pool,
        vid: resolved.vid,
        kind,
        rw: resolved.rw,
        size: resolved.size,
        revisions_to_keep: resolved.revisions_to_keep,
        source: resolved.source,
        ephemeral: resolved.ephemeral,
    })
}
