//! Room on a full disk, for saves that are to make more of it: what no qube misses is deleted
//! first.

use std::time::Duration;

use super::start::known;
use super::{LifecycleError, Session};
use crate::model::VmName;
use crate::storage::{Kind, VmStorage};

impl Session {
    /// Saves with `save`; where the disk is full, deletes what `release` names, then every qube's
    /// copies that only save time, and tries again after each.
    ///
    /// # Errors
    /// Those of `save` and `release`.
    pub(super) fn save_on_full_disk<T>(
        &self,
        locked: &VmName,
        save: impl Fn() -> Result<T, LifecycleError>,
        release: impl FnOnce() -> Result<(), LifecycleError>,
    ) -> Result<T, LifecycleError> {
        match save() {
            Err(error) if error.is_disk_full() => release()?,
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
        let owners = self.image_owners_of(&qubes)?;
        for vm in qubes.iter().filter(|vm| vm.class.is_local_guest() && vm.name != *locked) {
            let Ok(_lock) = self.lock_qube_within(&vm.name, Duration::ZERO) else { continue };
            let Ok(storage) = VmStorage::of(&self.system, &qubes, vm, self) else { continue };
            for (volume, driver) in storage.volumes().filter(|(volume, _)| volume.kind == Kind::Origin) {
                let are_shared = driver.images(volume).and_then(|images| owners.others_have(&images, volume));
                if let Ok(false) = are_shared {
                    // Whether it was enough is seen at the next try.
                    let _kept = driver.remove_spare(volume);
                }
            }
        }
        Ok(())
    }

    /// Removes what the next start of a qube would copy anew, and of one of its volumes the
    /// revisions that are not to be kept, unless another qube has an image of it, too. The qube is
    /// locked.
    pub(super) fn release_volume(&self, name: &VmName, volume: &str, keep: Option<i64>) -> Result<(), LifecycleError> {
        let qubes = self.read()?;
        let owners = self.image_owners_of(&qubes)?;
        self.with_volume(&qubes, known(&qubes, name)?, volume, |volume, driver| {
            if owners.others_have(&driver.images(volume)?, volume)? {
                return Ok(());
            }
            if let Some(keep) = keep {
                driver.prune_revisions(volume, usize::try_from(keep).unwrap_or(0))?;
            }
            // The other kinds have nothing but what the running qube uses.
            match volume.kind {
                Kind::Origin => Ok(driver.remove_spare(volume)?),
                Kind::Snapshot | Kind::Volatile => Ok(()),
            }
        })
    }
}
