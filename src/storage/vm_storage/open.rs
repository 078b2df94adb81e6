//! Opens the storage of a qube as the store describes it.

use super::VmStorage;
use crate::model::rules::qubesd::is_file_vid;
use crate::model::rules::removal;
use crate::model::{Facts, Qubes, RemovableVolume, Vm, volume};
use crate::storage::{PoolDrivers, Remedy, StorageError, Volume};
use crate::system::System;

impl VmStorage {
    /// Creates the storage of `vm` as the store describes it.
    ///
    /// # Errors
    /// A volume cannot be resolved, or its pool cannot be used.
    pub fn for_qube(
        system: &System,
        qubes: &Qubes,
        vm: &Vm,
        facts: &dyn Facts,
    ) -> Result<VmStorage, StorageError> {
        refuse_unconverted_store(system, qubes)?;
        let volumes = volume::resolve_all(qubes, vm, facts)?
            .into_iter()
            .map(Volume::require_supported);
        let volumes = volumes.collect::<Result<_, _>>()?;
        VmStorage::new(
            vm.name.as_str(),
            volumes,
            &mut PoolDrivers::new(&qubes.pools, system),
        )
    }

    /// Creates the storage of a qube that is to be removed, whose volumes need not all be valid.
    /// Also returns messages about volumes whose images are not found.
    ///
    /// # Errors
    /// A pool cannot be used; its images would stay.
    pub fn for_removal(
        system: &System,
        qubes: &Qubes,
        vm: &Vm,
        facts: &dyn Facts,
    ) -> Result<(VmStorage, Vec<String>), StorageError> {
        refuse_unconverted_store(system, qubes)?;
        let (mut volumes, mut left) = (Vec::new(), Vec::new());
        for volume in removal::volumes_to_remove(qubes, vm, facts) {
            match volume {
                Ok(RemovableVolume::Resolved(volume))
                    if is_misplaced(qubes, &volume.pool, &volume.vid) =>
                {
                    left.push(describe_misplaced(&volume.pool, &volume.vid));
                }
                Ok(RemovableVolume::Location { pool, vid }) if is_misplaced(qubes, &pool, &vid) => {
                    left.push(describe_misplaced(&pool, &vid));
                }
                Ok(RemovableVolume::Resolved(volume)) => volumes.push(volume.require_supported()?),
                Ok(RemovableVolume::Location { pool, vid }) => {
                    volumes.push(Volume::orphan(&pool, &vid))
                }
                Ok(RemovableVolume::Kernel) => {}
                Err(error) => left.push(error.to_string()),
            }
        }
        Ok((
            VmStorage::new(
                vm.name.as_str(),
                volumes,
                &mut PoolDrivers::new(&qubes.pools, system),
            )?,
            left,
        ))
    }

    /// Creates the storage of `qube` with the given volumes.
    ///
    /// # Errors
    /// The pool of a volume cannot be used.
    pub fn new(
        qube: &str,
        volumes: Vec<Volume>,
        drivers: &mut PoolDrivers<'_>,
    ) -> Result<VmStorage, StorageError> {
        let with_driver = |volume: Volume| match drivers.get(&volume.pool) {
            Ok(driver) => Ok((volume, driver)),
            Err(error) => Err(StorageError::Refused(format!(
                "{}: {error}",
                volume.label()
            ))),
        };
        let mut volumes: Vec<_> = volumes
            .into_iter()
            .map(with_driver)
            .collect::<Result<_, _>>()?;
        volumes.sort_by_key(|(volume, _)| disk_order(&volume.name));
        Ok(VmStorage {
            qube: qube.to_string(),
            volumes,
            suffix: drivers.device_suffix(),
        })
    }
}

/// Whether a vid names a directory that no version of Qubes uses, which only manual editing of the
/// store can cause.
fn is_misplaced(qubes: &Qubes, pool: &str, vid: &str) -> bool {
    let has_directory =
        |pool: &crate::model::Pool| pool.option("dir_path").is_some() && !pool.has_kernels();
    let parts: Vec<&str> = vid.split('/').collect();
    let is_usual = matches!(
        parts[..],
        ["appvms" | "vm-templates" | "servicevms", _, _, ..]
    ) && is_file_vid(vid);
    qubes.pools.get(pool).is_some_and(has_directory) && !is_usual
}

fn describe_misplaced(pool: &str, vid: &str) -> String {
    let vid = vid.escape_debug();
    format!("volume id '{vid}' of pool {pool} is not of the form appvms/QUBE/VOLUME")
}

/// Returns the position of a volume among the disks of its domain (`docs/spec/r4-storage.md` §1).
fn disk_order(name: &str) -> usize {
    let order = ["root", "private", "volatile", "kernel"];
    order.iter().position(|n| *n == name).unwrap_or(order.len())
}

/// Refuses a store of R1 to R3: changing its images would break them for the old system.
fn refuse_unconverted_store(system: &System, qubes: &Qubes) -> Result<(), StorageError> {
    if qubes.needs_conversion {
        let store = system.store_file().display();
        return Err(StorageError::NotReady {
            reason: format!("{store}: written by Qubes R3 or older: it has to be converted first"),
            remedy: Remedy::ConvertStore,
        });
    }
    Ok(())
}
