//! Bringing a system into order after a crash: every record settled, every orphan volume found.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::model::VmName;
use crate::storage::identity::ImageIdentity;
use crate::storage::pools::open_driver;
use crate::storage::{Driver, ImageOwners, StorageError, Volume};

use super::reconcile::QubeState;
use super::remove::RemovalOutcome;
use super::{LifecycleError, Session, record};
use crate::storage::VmStorage;

/// A volume that lies in a pool and belongs to no qube of the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Orphan {
    pub pool: String,
    pub vid: String,
}

/// An orphan with its images on disk.
#[derive(Debug, Clone)]
pub struct OrphanImages {
    pub orphan: Orphan,
    /// The files or logical volumes that belong to no qube.
    pub images: Vec<String>,
}

/// The orphans of all pools.
#[derive(Debug, Default)]
pub struct Orphans {
    pub orphans: Vec<OrphanImages>,
    /// Why some pools could not be looked at, in words.
    pub unlisted_pools: Vec<String>,
    /// Volumes of the store of which nobody can tell where their images are, in words. While
    /// there are any, what looks like an orphan may be theirs.
    pub unlocated_volumes: Vec<String>,
}

/// What recovery did for one qube, or why it could not.
pub struct RecoveredQube {
    pub name: VmName,
    pub outcome: Result<QubeState, LifecycleError>,
    /// The qube is gone, and some of its files could not be deleted, which was told.
    pub has_leftovers: bool,
}

impl Session {
    /// Settles every qube that has a record, a dirty volume or images of a run that is over; at
    /// boot, when nothing was started yet, also every disposable that goes when it stops. One that
    /// cannot be settled does not stop the others.
    pub fn recover(&self, at_boot: bool) -> Result<Vec<RecoveredQube>, LifecycleError> {
        if at_boot {
            // Members of group qubes may not make RUN themselves.
            super::qube_lock::create_run_directories(&self.system)?;
        }
        record::clear_stale_files(&self.system);
        let mut names: Vec<VmName> =
            record::names(&self.system).map_err(|source| LifecycleError::Io {
                what: self.system.run_dir().path().display().to_string(),
                source,
            })?;
        let recorded: HashSet<VmName> = names.iter().cloned().collect();
        let mut beside = Vec::new();
        {
            let qubes = self.read()?;
            // Of an old system nothing was started here, and its images are not ours yet.
            let qubes_of_r4 = qubes.iter().filter(|_| !qubes.needs_conversion);
            for vm in
                qubes_of_r4.filter(|vm| vm.class.is_local_guest() && !recorded.contains(&vm.name))
            {
                // A qube whose storage cannot even be looked at is listed with the reason.
                let look = || -> Result<Option<Vec<String>>, LifecycleError> {
                    let storage = VmStorage::for_qube(&self.system, &qubes, vm, self)?;
                    if storage.is_dirty()? || storage.has_stale_run()? {
                        return Ok(None);
                    }
                    storage
                        .foreign_images(|| self.image_owners_in(&qubes))
                        .map(Some)
                };
                match look() {
                    Ok(Some(stay)) if !(at_boot && self.is_removed_on_stop(&qubes, vm)) => {
                        beside.extend(stay)
                    }
                    Ok(_) | Err(_) => names.push(vm.name.clone()),
                }
            }
        }
        let settle = |name: VmName| {
            let settled = self.lock_qube(&name).and_then(|lock| {
                let settled = if at_boot {
                    self.remove_disposable_if_halted(&lock)
                } else {
                    self.reconcile(&lock)
                }?;
                let is_gone = settled == QubeState::Gone;
                Ok((
                    settled,
                    is_gone && self.resumed_removal_outcome(&lock) == RemovalOutcome::WithLeftovers,
                ))
            });
            let has_leftovers = settled
                .as_ref()
                .is_ok_and(|(_, has_leftovers)| *has_leftovers);
            RecoveredQube {
                name,
                outcome: settled.map(|(settled, _)| settled),
                has_leftovers,
            }
        };
        // What has nothing to settle is told of here, the others by what settles them.
        beside.iter().for_each(|stays| self.system.tell(stays));
        Ok(names.into_iter().map(settle).collect())
    }

    /// The volumes in pools that no volume of any domain of the store means, told by their images
    /// and not by the texts that name them.
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
        // Two pools over one directory list the same images.
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

    /// Removes an orphan, under the lock of the name it is filed under: a qube that is just being
    /// created has its volumes before it is in the store.
    ///
    /// # Errors
    /// Of some volume of the store nobody can tell where its images are: it may be this one.
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

/// Whether a volume of this id is filed under the qube `name`.
pub(in crate::lifecycle) fn is_volume_of_qube(vid: &str, name: &VmName) -> bool {
    let is_plain = vid.split('/').all(|part| !matches!(part, "" | "." | ".."));
    is_plain && qube_of_volume_id(vid).is_some_and(|qube| qube == *name)
}

/// The qube that a volume of this id is filed under: `appvms/QUBE/VOLUME`, or
/// `GROUP/vm-QUBE-VOLUME` where volumes are logical ones.
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
    fn an_orphan_is_removed_under_the_lock_of_the_qube_that_its_id_names() {
        let qube = |vid: &str| qube_of_volume_id(vid).map(|name| name.to_string());
        assert_eq!(qube("appvms/work/private").as_deref(), Some("work"));
        assert_eq!(
            qube("qubes_dom0/vm-sys-net-private").as_deref(),
            Some("sys-net")
        );
        assert_eq!((qube("qubes_dom0/root"), qube("stray")), (None, None));
    }
}
