//! What there is to know of volumes: looked at without a lock, also where a pool cannot be used.

use super::Session;
use crate::model::{Qubes, ResolvedVolume, Vm, VmName, VolumeError};
use crate::storage::{PoolDrivers, Revision, StorageError, Volume};

/// One volume of one qube.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeDetails {
    pub qube: VmName,
    pub volume: ResolvedVolume,
    /// Bytes it has now: where nobody can look, what the store says.
    pub size: u64,
    /// Bytes that it takes on disk; none where nobody can look.
    pub usage: Option<u64>,
    /// Whether what it is a snapshot of has been committed anew since.
    pub is_outdated: bool,
    /// Oldest first.
    pub revisions: Vec<Revision>,
    /// Why nobody could look.
    pub why_unknown: Option<String>,
}

impl Session {
    /// Everything about one volume.
    ///
    /// # Errors
    /// The qube has no such volume, or its description is broken.
    pub fn volume_details(
        &self,
        qubes: &Qubes,
        vm: &Vm,
        volume: &str,
    ) -> Result<VolumeDetails, VolumeError> {
        let volume = qubes.volume(vm, volume, self)?;
        let mut details = VolumeDetails {
            qube: vm.name.clone(),
            size: volume.size,
            usage: None,
            is_outdated: false,
            revisions: Vec::new(),
            why_unknown: None,
            volume,
        };
        if let Err(error) = self.look_at_volume(qubes, vm, &mut details) {
            details.why_unknown = Some(error.to_string());
        }
        Ok(details)
    }

    fn look_at_volume(
        &self,
        qubes: &Qubes,
        vm: &Vm,
        details: &mut VolumeDetails,
    ) -> Result<(), StorageError> {
        // Of a kernel upstream tells neither: it is nobody's alone.
        if details.volume.driver == "linux-kernel" {
            return Ok(());
        }
        let driver =
            PoolDrivers::read_only(&qubes.pools, &self.system).get(&details.volume.pool)?;
        let volume = Volume::from_resolved(&vm.name, details.volume.clone())?;
        details.size = driver.size(&volume)?;
        details.usage = Some(driver.usage(&volume)?);
        details.is_outdated = driver.is_outdated(&volume)?;
        details.revisions = driver.revisions(&volume)?;
        Ok(())
    }

    /// The volumes of these qubes, with whether each has a revision to revert to. One whose
    /// description is broken is left out.
    pub fn list_volumes(&self, qubes: &Qubes, names: &[&str]) -> Vec<ListedVolume> {
        let mut drivers = PoolDrivers::read_only(&qubes.pools, &self.system);
        let mut listed = Vec::new();
        let mut unusable: Vec<String> = Vec::new();
        for vm in names
            .iter()
            .filter_map(|name| qubes.get(name))
            .filter(|vm| vm.class.is_local_guest())
        {
            for name in qubes.volume_names(vm) {
                let Ok(volume) = qubes.volume(vm, name, self) else {
                    continue;
                };
                let (pool, vid, qube, name) = (
                    volume.pool.clone(),
                    volume.vid.clone(),
                    vm.name.clone(),
                    volume.name.clone(),
                );
                let is_usable = !unusable.contains(&pool);
                let revisions = || {
                    drivers
                        .get(&volume.pool)?
                        .revisions(&Volume::from_resolved(&vm.name, volume)?)
                };
                // A pool that cannot be used has nothing to revert to, and is not asked again.
                let can_be_reverted = match is_usable.then(revisions) {
                    Some(Ok(revisions)) => !revisions.is_empty(),
                    Some(Err(_)) => {
                        // Of a broken description only this volume suffers.
                        if drivers
                            .get(&pool)
                            .and_then(|driver| driver.capacity())
                            .is_err()
                        {
                            unusable.push(pool.clone());
                        }
                        false
                    }
                    None => false,
                };
                listed.push(ListedVolume {
                    pool,
                    vid,
                    qube,
                    name,
                    can_be_reverted,
                });
            }
        }
        listed.sort_by(|a, b| {
            (&a.pool, &a.vid, &a.qube, &a.name).cmp(&(&b.pool, &b.vid, &b.qube, &b.name))
        });
        for shared in listed.chunk_by_mut(|a, b| (&a.pool, &a.vid) == (&b.pool, &b.vid)) {
            // Of those that share one (a kernel) upstream shows the last first.
            shared.rotate_right(1);
        }
        listed
    }
}

/// A line of the list of volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedVolume {
    pub pool: String,
    pub vid: String,
    pub qube: VmName,
    pub name: String,
    pub can_be_reverted: bool,
}
