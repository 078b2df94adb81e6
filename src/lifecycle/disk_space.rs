//! Room on a full disk, for saves that are to make more of it: what no qube misses is deleted
//! first.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use super::start::find_qube;
use super::{LifecycleError, Session};
use crate::model::VmName;
use crate::storage::{Image, VmStorage, VolumeKind};

impl Session {
    /// Saves with `save`; where the disk is full, deletes what `release` names, which is told the
    /// error, then every qube's copies that only save time, and tries again after each.
    ///
    /// # Errors
    /// Those of `save` and `release`.
    pub(super) fn save_or_free_space<T>(
        &self,
        locked: &VmName,
        save: impl Fn() -> Result<T, LifecycleError>,
        release: impl FnOnce(&LifecycleError) -> Result<(), LifecycleError>,
    ) -> Result<T, LifecycleError> {
        match save() {
            Err(error) if error.is_disk_full() => release(&error)?,
            saved => return saved,
        }
        match save() {
            Err(error) if error.is_disk_full() => self.remove_spare_images(locked)?,
            saved => return saved,
        }
        save()
    }

    /// Removes of every qube but `locked` the images that only save time at its next start. One
    /// that is worked on keeps them.
    fn remove_spare_images(&self, locked: &VmName) -> Result<(), LifecycleError> {
        let qubes = self.read()?;
        let owners = self.image_owners_in(&qubes)?;
        for vm in qubes
            .iter()
            .filter(|vm| vm.class.is_local_guest() && vm.name != *locked)
        {
            let Ok(_lock) = self.lock_qube_within(&vm.name, Duration::ZERO) else {
                continue;
            };
            let Ok(storage) = VmStorage::for_qube(&self.system, &qubes, vm, self) else {
                continue;
            };
            for (volume, driver) in storage
                .volumes()
                .filter(|(volume, _)| volume.kind == VolumeKind::Origin)
            {
                let are_shared = driver
                    .images(volume)
                    .and_then(|images| owners.has_other_owner(&images, volume));
                if let Ok(false) = are_shared {
                    // Whether it was enough is seen at the next try.
                    let _kept = driver.remove_spare_images(volume);
                }
            }
        }
        Ok(())
    }

    /// Removes what the next start of a qube would copy anew, and of one of its volumes the
    /// revisions that are not to be kept, unless another qube has an image of it, too, or it lies
    /// on another disk than the one that is `full`. The qube is locked. Returns how many revisions
    /// went.
    pub(super) fn free_volume_space(
        &self,
        name: &VmName,
        volume: &str,
        keep: Option<i64>,
        full: &LifecycleError,
    ) -> Result<usize, LifecycleError> {
        let qubes = self.read()?;
        let owners = self.image_owners_in(&qubes)?;
        self.with_volume(
            &qubes,
            find_qube(&qubes, name)?,
            volume,
            |volume, driver| {
                let images = driver.images(volume)?;
                let is_in_vain = full.is_store_error() && !self.is_on_store_disk(&images);
                if is_in_vain || owners.has_other_owner(&images, volume)? {
                    return Ok(0);
                }
                let before = driver.revisions(volume)?.len();
                if let Some(keep) = keep {
                    driver.prune_revisions(volume, usize::try_from(keep).unwrap_or(0))?;
                }
                // The other kinds have nothing but what the running qube uses.
                if volume.kind == VolumeKind::Origin {
                    driver.remove_spare_images(volume)?;
                }
                Ok(before.saturating_sub(driver.revisions(volume)?.len()))
            },
        )
    }

    /// Whether deleting these images makes room where the store lies. Subvolumes of a btrfs count
    /// as disks of their own.
    pub(super) fn is_on_store_disk(&self, images: &[Image]) -> bool {
        let store = fs::metadata(self.system.store_file()).map(|store| store.dev());
        images.iter().any(|image| match image {
            Image::File(path) => fs::symlink_metadata(path).is_ok_and(|image| {
                image.blocks() > 0 && store.as_ref().is_ok_and(|store| *store == image.dev())
            }),
            Image::Logical { .. } => false,
        })
    }
}
