//! From the store's text to the owners of images.

use std::io;
use std::path::Path;

use crate::format::{self, Bytes, FormatError};
use crate::lifecycle::{LifecycleError, Session};
use crate::model::image_claims::{ImageRole, collect_image_claims};
use crate::model::{Qubes, Vm, VmName};
use crate::storage::pools::open_driver;
use crate::storage::{Driver, ImageOwners, StorageError, VmStorage, Volume, VolumeKind};
use crate::store::{Read, StoreError, read_bytes};

impl Session {
    /// Looks up whose the images on disk are, by the store as it is now and, for a store that is
    /// not the system's own, by that one, too: two stores may be over one pool.
    ///
    /// # Errors
    /// The store cannot be read as a whole.
    pub(in crate::lifecycle) fn image_owners(&self) -> Result<ImageOwners, LifecycleError> {
        let read = self.read()?;
        self.image_owners_of(&read)
    }

    /// Looks up whose the images are that are not those of `qube`.
    ///
    /// # Errors
    /// The store cannot be read as a whole.
    pub(in crate::lifecycle) fn images_of_others(
        &self,
        qube: &VmName,
    ) -> Result<ImageOwners, LifecycleError> {
        Ok(self.image_owners()?.without_qube(qube))
    }

    /// As [`Session::image_owners`], by a store that was read before.
    pub(in crate::lifecycle) fn image_owners_of(
        &self,
        read: &Read,
    ) -> Result<ImageOwners, LifecycleError> {
        let file = self.system.store_file();
        let failed = |source| StoreError::Format {
            path: file.to_path_buf(),
            source,
        };
        let mut owners = self.owners_in(read, read.bytes()).map_err(failed)?;
        if let Some(others) = self.owners_in_system_store() {
            owners.merge(others);
        }
        Ok(owners)
    }

    /// Looks up whose the images are by a text of the store.
    pub(in crate::lifecycle) fn owners_in(
        &self,
        qubes: &Qubes,
        bytes: &Bytes,
    ) -> Result<ImageOwners, FormatError> {
        let domains = format::list_all_domains(bytes)?;
        Ok(ImageOwners::from_claims(
            &collect_image_claims(qubes, &domains, self),
            &self.system,
        ))
    }

    /// The owners that the system's own store has, where this store is another one.
    fn owners_in_system_store(&self) -> Option<ImageOwners> {
        let file = self.system.system_store();
        if file == self.system.store_file() || !is_readable(&file) {
            return None;
        }
        let untold = |reason: String| {
            ImageOwners::unknown(format!(
                "the volumes of {} cannot be told: {reason}",
                file.display()
            ))
        };
        let bytes = match read_bytes(&file) {
            Ok(bytes) => bytes,
            Err(error) => return Some(untold(error.to_string())),
        };
        let found = format::read(bytes.clone()).and_then(|qubes| self.owners_in(&qubes, &bytes));
        let owners = match found {
            Ok(owners) => owners,
            Err(FormatError::OldFormat) => match self.owners_in_old_store(&bytes) {
                Ok(owners) => owners,
                Err(error) => untold(error.to_string()),
            },
            Err(error) => untold(error.to_string()),
        };
        Some(owners.mark_foreign(&file))
    }

    /// The owners by the text of a store of R1 to R3: its images are those of the store that a
    /// conversion would make.
    fn owners_in_old_store(&self, bytes: &Bytes) -> Result<ImageOwners, LifecycleError> {
        let (qubes, _) = self.plan_conversion(bytes)?;
        let failed = |source| StoreError::Format {
            path: self.system.system_store(),
            source,
        };
        let written = Bytes::from(format::write_new(&qubes).map_err(failed)?);
        let mut owners = self.owners_in(&qubes, &written).map_err(failed)?;
        // What cannot be taken over may be a qube with images.
        owners.unresolved.extend(
            qubes
                .diagnoses
                .iter()
                .map(|diagnosis| diagnosis.text.clone()),
        );
        Ok(owners)
    }

    /// An error where the own image of a volume is another volume's, too, also by a second name:
    /// whoever would write to the one would write to the other.
    ///
    /// # Errors
    /// It is, or nobody can tell.
    pub(in crate::lifecycle) fn refuse_shared_image(
        &self,
        qubes: &Qubes,
        owners: &ImageOwners,
        volume: &Volume,
        verb: &str,
    ) -> Result<(), LifecycleError> {
        let Some(pool) = qubes.pools.get(&volume.pool) else {
            return Ok(());
        };
        if pool.driver() == "linux-kernel" || volume.vid.is_empty() {
            return Ok(());
        }
        let sharers = owners.find_sharers(pool, &volume.vid, &self.system)?;
        // A snapshot needs its source's images and changes none of them.
        let sharer = sharers
            .into_iter()
            .find(|owner| owner.role == ImageRole::Own && !owner.is_volume(volume));
        let sharer = match volume.kind {
            // Only files have second names; of logical volumes LVM would be asked once more.
            VolumeKind::Origin if sharer.is_none() && pool.option("dir_path").is_some() => {
                owners
                    .find_alias_owner(&open_driver(&self.system, pool)?.images(volume)?, volume)?
            }
            _ => sharer,
        };
        match sharer {
            None => Ok(()),
            Some(owner) => Err(LifecycleError::ImageOwned {
                verb: verb.to_owned(),
                volume: volume.full_name(),
                owner: owner.volume.clone(),
            }),
        }
    }

    /// An error where the own image of a qube's volume is another volume's, too.
    ///
    /// # Errors
    /// It is, or nobody can tell.
    pub(in crate::lifecycle) fn require_own_image(
        &self,
        read: &Read,
        vm: &Vm,
        volume: &str,
        verb: &str,
    ) -> Result<(), LifecycleError> {
        let resolved = read.volume(vm, volume, self).map_err(StorageError::from)?;
        let resolved = Volume::from_resolved(&vm.name, resolved)?;
        let owners = self.image_owners_of(read)?;
        let verb = format!("{verb} {}", resolved.full_name());
        self.refuse_shared_image(read, &owners, &resolved, &verb)
    }

    /// An error where a start would write to an image that another volume surely means, too: both
    /// guests would have it, or the one's commit would take the other's data away.
    ///
    /// # Errors
    /// It would.
    pub(in crate::lifecycle) fn require_own_images(
        &self,
        read: &Read,
        vm: &Vm,
        storage: &VmStorage,
    ) -> Result<(), LifecycleError> {
        // A store that is damaged elsewhere is in no start's way.
        let Ok(owners) = self.image_owners_of(read) else {
            return Ok(());
        };
        let owners = owners.retain_certain();
        // Also of those that are not kept: a start makes their images anew.
        for (volume, _) in storage.volumes() {
            self.refuse_shared_image(read, &owners, volume, &format!("start {}", vm.name))?;
        }
        Ok(())
    }

    /// Leaves out the volumes of a halted qube whose own image is another volume's, too, and
    /// tells which: what a run has left of them may be that one's data.
    ///
    /// # Errors
    /// The store cannot be read, or nobody can tell.
    pub(in crate::lifecycle) fn without_shared_images(
        &self,
        storage: VmStorage,
    ) -> Result<VmStorage, LifecycleError> {
        let read = self.read()?;
        let owners = self.image_owners_of(&read)?;
        let mut shared = Vec::new();
        for (volume, _) in storage.volumes() {
            match self.refuse_shared_image(
                &read,
                &owners,
                volume,
                &format!("clean up {}", volume.full_name()),
            ) {
                Err(error @ LifecycleError::ImageOwned { .. }) => {
                    self.system.tell(&error.to_string());
                    shared.push(volume.name.clone());
                }
                checked => checked?,
            }
        }
        Ok(storage.without_volumes(&shared))
    }

    /// Removes the images of a qube that goes, but those that belong to `owners`. These are told.
    ///
    /// # Errors
    /// One cannot be removed.
    pub(in crate::lifecycle) fn remove_images(
        &self,
        storage: &VmStorage,
        owners: &ImageOwners,
    ) -> Result<(), LifecycleError> {
        for kept in storage.remove(owners)? {
            self.system.tell(&kept);
        }
        Ok(())
    }

    /// Removes the volumes of a qube beside which lie images that no run of it made, with these:
    /// who orders a qube removed gives up what lies under its names, but for images of `owners`.
    ///
    /// # Errors
    /// One cannot be removed.
    pub(in crate::lifecycle) fn remove_foreign_images(
        &self,
        storage: &VmStorage,
        owners: &ImageOwners,
    ) -> Result<(), StorageError> {
        for (volume, driver) in storage.volumes() {
            if !driver.foreign_images(volume)?.is_empty() {
                self.remove_unowned(driver, &Volume::orphan(&volume.pool, &volume.vid), owners)?;
            }
        }
        Ok(())
    }

    /// Removes one volume of which only the place is known, as [`Session::remove_images`] does.
    ///
    /// # Errors
    /// An image of it cannot be removed.
    pub(in crate::lifecycle) fn remove_unowned(
        &self,
        driver: &dyn Driver,
        volume: &Volume,
        owners: &ImageOwners,
    ) -> Result<(), StorageError> {
        for kept in driver.remove_unowned(volume, owners)? {
            self.system.tell(&kept);
        }
        Ok(())
    }
}

/// Whether there is a file that we may read: who may not read the system's store has no write
/// access to its images either.
pub(in crate::lifecycle) fn is_readable(file: &Path) -> bool {
    match std::fs::File::open(file) {
        Ok(_) => true,
        Err(error) => !matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
        ),
    }
}
