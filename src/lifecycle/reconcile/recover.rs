//! Recovery after a crash: reconciling every qube that needs it, and finding orphan volumes.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::model::VmName;
use crate::storage::identity::ImageIdentity;
use crate::storage::pools::open_driver;
use crate::storage::{Driver, ImageOwners, StorageError, Volume};

use crate::lifecycle::qube::RemovalOutcome;
use crate::lifecycle::qube::record;
use crate::lifecycle::reconcile::QubeState;
use crate::lifecycle::{Context, LifecycleError};
use crate::storage::VmStorage;

/// A volume in a pool that belongs to no qube of the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Orphan {
    /// The name of the pool.
    pub pool: String,
    /// The volume id within the pool.
    pub vid: String,
}

/// An orphan volume with its images.
#[derive(Debug, Clone)]
pub struct OrphanImages {
    /// The volume.
    pub orphan: Orphan,
    /// The files or logical volumes that belong to no qube, as text.
    pub images: Vec<String>,
}

/// The orphan volumes of all pools.
#[derive(Debug, Default)]
pub struct Orphans {
    /// The orphan volumes, sorted by pool and id.
    pub orphans: Vec<OrphanImages>,
    /// The pools that could not be listed, each with the reason.
    pub unlisted_pools: Vec<String>,
    /// The volumes of the store whose images cannot be located, each with the reason. While there
    /// are any, an image that looks like an orphan may be theirs.
    pub unlocated_volumes: Vec<String>,
}

/// The result of the recovery of one qube.
pub struct RecoveredQube {
    /// The qube.
    pub name: VmName,
    /// The state of the qube now, or why it could not be reconciled.
    pub outcome: Result<QubeState, LifecycleError>,
    /// Whether the qube was removed but some of its files could not be deleted, which was reported.
    pub has_leftovers: bool,
}

impl Context {
    /// Reconciles every qube that has a record, a dirty volume or images of a finished run. At
    /// boot, when nothing was started yet, also removes every disposable that is removed when it
    /// stops. A qube that cannot be reconciled does not stop the others.
    ///
    /// # Errors
    /// The store or the records cannot be read.
    pub fn recover(&self, at_boot: bool) -> Result<Vec<RecoveredQube>, LifecycleError> {
        if at_boot {
            // Members of group qubes cannot create RUN themselves.
            crate::lifecycle::qube::create_run_directories(&self.system)?;
        }
        record::clear_stale_files(&self.system);
        let mut names: Vec<VmName> =
            record::names(&self.system).map_err(|source| LifecycleError::Io {
                what: format!(
                    "cannot list the records in {}",
                    self.system.run_dir().path().display()
                ),
                source,
            })?;
        let (unrecorded, remaining_images) = self.find_unrecorded_runs(&names, at_boot)?;
        names.extend(unrecorded);
        // Images beside a qube that needs no recovery are reported here; reconciling reports the
        // others.
        remaining_images
            .iter()
            .for_each(|image| self.system.notify(image));
        let recover = |name| self.recover_qube(name, at_boot);
        Ok(names.into_iter().map(recover).collect())
    }

    /// Finds the qubes without a record that need recovery. Also returns the reports about foreign
    /// images beside the other qubes.
    fn find_unrecorded_runs(
        &self,
        recorded: &[VmName],
        at_boot: bool,
    ) -> Result<(Vec<VmName>, Vec<String>), LifecycleError> {
        let recorded: HashSet<&VmName> = recorded.iter().collect();
        let (mut names, mut remaining_images) = (Vec::new(), Vec::new());
        let qubes = self.read()?;
        // A store of R1 to R3 was never started from here, and its images are not ours yet.
        let qubes_of_r4 = qubes.iter().filter(|_| !qubes.needs_conversion);
        for vm in qubes_of_r4.filter(|vm| vm.class.is_local_guest() && !recorded.contains(&vm.name))
        {
            let inspect = || -> Result<Option<Vec<String>>, LifecycleError> {
                let storage = VmStorage::for_qube(&self.system, &qubes, vm, self)?;
                if storage.is_dirty()? || storage.has_stale_run()? {
                    return Ok(None);
                }
                storage
                    .foreign_images(|| self.image_owners_in(&qubes))
                    .map(Some)
            };
            match inspect() {
                Ok(Some(images)) if !(at_boot && self.is_removed_on_stop(&qubes, vm)) => {
                    remaining_images.extend(images)
                }
                // A qube whose storage cannot be inspected is listed with the reason.
                Ok(_) | Err(_) => names.push(vm.name.clone()),
            }
        }
        Ok((names, remaining_images))
    }

    /// Reconciles one qube under its lock; at boot also removes a halted disposable.
    fn recover_qube(&self, name: VmName, at_boot: bool) -> RecoveredQube {
        let reconciled = self.lock_qube(&name).and_then(|lock| {
            let state = if at_boot {
                self.remove_disposable_if_halted(&lock)
            } else {
                self.reconcile(&lock)
            }?;
            let has_leftovers = state == QubeState::Gone
                && self.resumed_removal_outcome(&lock) == RemovalOutcome::WithLeftovers;
            Ok((state, has_leftovers))
        });
        let has_leftovers = reconciled
            .as_ref()
            .is_ok_and(|(_, has_leftovers)| *has_leftovers);
        RecoveredQube {
            name,
            outcome: reconciled.map(|(state, _)| state),
            has_leftovers,
        }
    }

    /// Finds the volumes in pools that no volume of the store uses. They are compared by their
    /// images, not by the text of their ids.
    ///
    /// # Errors
    /// The store cannot be read as a whole.
    pub fn orphans(&self) -> Result<Orphans, LifecycleError> {
        let qubes = self.read()?;
        self.require_converted(&qubes)?;
        let owners = self.image_owners_in(&qubes)?;
        let mut found = Orphans {
            unlocated_volumes: owners.unresolved.clone(),
            ..Orphans::default()
        };
        // Two pools over one directory list the same images; report each once.
        let mut seen = HashSet::new();
        for pool in qubes.pools.iter().filter(|p| p.driver() != "linux-kernel") {
            let Ok(driver) = open_driver(&self.system, pool) else {
                continue;
            };
            let in_pool = self.find_orphans_in_pool(pool.name(), &*driver, &owners, &mut seen);
            match in_pool {
                Ok(orphans) => found.orphans.extend(orphans),
                Err(error) => found
                    .unlisted_pools
                    .push(format!("pool {}: {error}", pool.name())),
            }
        }
        found.orphans.sort_by(|a, b| a.orphan.cmp(&b.orphan));
        Ok(found)
    }

    /// Finds the orphans of one pool whose images are not in `seen`, and adds their images to it.
    fn find_orphans_in_pool(
        &self,
        pool: &str,
        driver: &dyn Driver,
        owners: &ImageOwners,
        seen: &mut HashSet<ImageIdentity>,
    ) -> Result<Vec<OrphanImages>, StorageError> {
        let mut orphans = Vec::new();
        for vid in driver.volume_ids()? {
            let mut images = Vec::new();
            for image in driver.images(&Volume::orphan(pool, &vid))? {
                if owners.find_owner(&image)?.is_none() && seen.insert(image.identity()?) {
                    images.push(image.to_string());
                }
            }
            if !images.is_empty() {
                orphans.push(OrphanImages {
                    orphan: Orphan {
                        pool: pool.to_string(),
                        vid,
                    },
                    images,
                });
            }
        }
        Ok(orphans)
    }

    /// Removes an orphan volume, under the lock of the qube that its id names: a qube that is being
    /// created has volumes before it is in the store.
    ///
    /// # Errors
    /// [`LifecycleError::OrphansUnknown`] if the images of some volume of the store cannot be
    /// located: the orphan may be one of them.
    pub fn remove_orphan(&self, orphan: &Orphan) -> Result<(), LifecycleError> {
        let _lock = qube_of_volume_id(&orphan.vid)
            .map(|name| self.lock_qube(&name))
            .transpose()?;
        let qubes = self.read()?;
        let owners = self.image_owners_in(&qubes)?;
        if let Some(reason) = owners.unresolved.first() {
            return Err(LifecycleError::OrphansUnknown {
                reason: reason.clone(),
            });
        }
        let Some(pool) = qubes.pools.get(&orphan.pool) else {
            return Ok(());
        };
        let driver = open_driver(&self.system, pool)?;
        let volume = Volume::orphan(&orphan.pool, &orphan.vid);
        Ok(self.remove_unowned(&*driver, &volume, &owners)?)
    }
}

/// Returns whether a volume id names the qube `name`.
pub(in crate::lifecycle) fn is_volume_of_qube(vid: &str, name: &VmName) -> bool {
    let is_plain = vid.split('/').all(|part| !matches!(part, "" | "." | ".."));
    is_plain && qube_of_volume_id(vid).is_some_and(|qube| qube == *name)
}

/// Returns the qube that a volume id names: `appvms/QUBE/VOLUME`, or `GROUP/vm-QUBE-VOLUME` for
/// logical volumes.
fn qube_of_volume_id(vid: &str) -> Option<VmName> {
    let mut parts = vid.split('/').skip(1);
    let name = match (parts.next()?, parts.next()) {
        (qube, Some(_volume)) => qube,
        (logical, None) => logical.strip_prefix("vm-")?.rsplit_once('-')?.0,
    };
    VmName::from_store(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_id_names_its_qube() {
        let qube = |vid: &str| qube_of_volume_id(vid).map(|name| name.to_string());
        assert_eq!(qube("appvms/work/private").as_deref(), Some("work"));
        assert_eq!(
            qube("qubes_dom0/vm-sys-net-private").as_deref(),
            Some("sys-net")
        );
        assert_eq!((qube("qubes_dom0/root"), qube("stray")), (None, None));
    }
}
