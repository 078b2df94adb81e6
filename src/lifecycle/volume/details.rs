//! Describes volumes, without locks and also if a pool cannot be used.

use crate::lifecycle::Context;
use crate::model::DriverSpec;
use crate::model::{Qubes, Vm, VmName, Volume, VolumeError, volume};
use crate::storage::{PoolDrivers, Revision, StorageError};

/// The details of one volume of a qube.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeDetails {
    /// The qube.
    pub qube: VmName,
    /// The volume's configuration.
    pub volume: Volume,
    /// The current size in bytes; the size in the store if the pool cannot be used.
    pub size: u64,
    /// The bytes in use on disk; `None` if unknown.
    pub usage: Option<u64>,
    /// Whether the volume is a snapshot whose source was committed since.
    pub is_outdated: bool,
    /// The revisions, oldest first.
    pub revisions: Vec<Revision>,
    /// Why the pool could not be used.
    pub unknown_reason: Option<String>,
}

/// Returns everything about one volume.
///
/// # Errors
/// The qube has no such volume, or its configuration is invalid.
pub fn details(
    context: &Context,
    qubes: &Qubes,
    vm: &Vm,
    volume: &str,
) -> Result<VolumeDetails, VolumeError> {
    let volume = volume::resolve(qubes, vm, volume, context.facts())?;
    let mut details = VolumeDetails {
        qube: vm.name.clone(),
        size: volume.size,
        usage: None,
        is_outdated: false,
        revisions: Vec::new(),
        unknown_reason: None,
        volume,
    };
    if let Err(error) = read_volume_state(context, qubes, &mut details) {
        details.unknown_reason = Some(error.to_string());
    }
    Ok(details)
}

fn read_volume_state(
    context: &Context,
    qubes: &Qubes,
    details: &mut VolumeDetails,
) -> Result<(), StorageError> {
    // A kernel is shared by qubes, so upstream shows neither its use nor revisions.
    if DriverSpec::has_kernels(&details.volume.driver) {
        return Ok(());
    }
    let driver = PoolDrivers::read_only(&qubes.pools, &context.system).get(&details.volume.pool)?;
    let volume = details.volume.clone().require_supported()?;
    details.size = driver.size(&volume)?;
    details.usage = Some(driver.usage(&volume)?);
    details.is_outdated = driver.is_outdated(&volume)?;
    details.revisions = driver.revisions(&volume)?;
    Ok(())
}

/// Lists the volumes of these qubes, with whether each has a revision to revert to. Volumes
/// with an invalid configuration are left out.
pub fn list(context: &Context, qubes: &Qubes, names: &[&str]) -> Vec<VolumeListEntry> {
    let mut drivers = PoolDrivers::read_only(&qubes.pools, &context.system);
    let mut entries = Vec::new();
    let mut unusable_pools: Vec<String> = Vec::new();
    for vm in names
        .iter()
        .filter_map(|name| qubes.get(name))
        .filter(|vm| vm.class.is_local_guest())
    {
        for name in volume::names(vm) {
            let Ok(volume) = volume::resolve(qubes, vm, name, context.facts()) else {
                continue;
            };
            let (pool, vid, qube, name) = (
                volume.pool.clone(),
                volume.vid.clone(),
                vm.name.clone(),
                volume.name.clone(),
            );
            let is_usable = !unusable_pools.contains(&pool);
            let revisions = || {
                drivers
                    .get(&volume.pool)?
                    .revisions(&volume.require_supported()?)
            };
            // A pool that cannot be used has nothing to revert to and is not tried again.
            let is_revertible = match is_usable.then(revisions) {
                Some(Ok(revisions)) => !revisions.is_empty(),
                Some(Err(_)) => {
                    // If the pool works, only this volume's configuration is invalid.
                    if drivers
                        .get(&pool)
                        .and_then(|driver| driver.capacity())
                        .is_err()
                    {
                        unusable_pools.push(pool.clone());
                    }
                    false
                }
                None => false,
            };
            entries.push(VolumeListEntry {
                pool,
                vid,
                qube,
                name,
                is_revertible,
            });
        }
    }
    entries.sort_by(|a, b| {
        (&a.pool, &a.vid, &a.qube, &a.name).cmp(&(&b.pool, &b.vid, &b.qube, &b.name))
    });
    for shared in entries.chunk_by_mut(|a, b| (&a.pool, &a.vid) == (&b.pool, &b.vid)) {
        // Of the qubes that share a volume (a kernel), upstream lists the last one first.
        shared.rotate_right(1);
    }
    entries
}

/// An entry of the list of volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeListEntry {
    /// The pool's name.
    pub pool: String,
    /// The volume's id in its pool.
    pub vid: String,
    /// The qube.
    pub qube: VmName,
    /// The volume's name.
    pub name: String,
    /// Whether the volume has a revision.
    pub is_revertible: bool,
}
