//! What the domain gets of each volume, and the encryption of ephemeral volumes.

use super::VmStorage;
use crate::fs::directory::OpenMode;
use crate::storage::{
    Attachment, Driver, StorageError, Volume, VolumeKind, device_mapper, encryption, pool_files,
};

impl VmStorage {
    /// Returns each volume with what the domain gets of it: root, private, volatile, kernel, then
    /// the user's own.
    pub fn attachments(&self) -> Result<Vec<(&Volume, Attachment)>, StorageError> {
        let attachment = |(volume, driver)| {
            let (volume, driver): (&Volume, &dyn Driver) = (volume, driver);
            let attachment = match self.mapping(volume, driver)?.filter(|_| volume.ephemeral) {
                Some(mapping) => Attachment::Device(device_mapper::device_path(&mapping)),
                None => driver.attachment(volume)?,
            };
            // The hypervisor opens the image by its path, so check now where the path leads.
            if let Attachment::File(image) = &attachment {
                let failed = || {
                    StorageError::io(format!(
                        "{}: cannot use {}",
                        volume.label(),
                        image.display()
                    ))
                };
                match pool_files::open(image, OpenMode::Read) {
                    // The image need not exist yet: a start makes it, and the domain may only be
                    // described.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    opened => drop(opened.map_err(failed())?),
                }
            }
            Ok((volume, attachment))
        };
        self.volumes().map(attachment).collect()
    }

    /// Returns the name of the encrypted mapping that a volume may have while it is started.
    fn mapping(
        &self,
        volume: &Volume,
        driver: &dyn Driver,
    ) -> Result<Option<String>, StorageError> {
        if volume.kind() != VolumeKind::Volatile || !volume.rw {
            return Ok(None);
        }
        Ok(encryption::mapping_name(
            volume,
            &driver.attachment(volume)?,
            &self.suffix,
        ))
    }

    /// Opens the encrypted mapping of an ephemeral volume, which is never started unencrypted.
    pub(super) fn encrypt(&self, volume: &Volume, driver: &dyn Driver) -> Result<(), StorageError> {
        match self.mapping(volume, driver)?.filter(|_| volume.ephemeral) {
            Some(mapping) => {
                encryption::open(volume, &driver.attachment(volume)?, &mapping).map(drop)
            }
            None => Ok(()),
        }
    }

    /// Closes the mapping of a volume, even if it is no longer ephemeral: it may have been when it
    /// was started.
    pub(super) fn close_mapping(
        &self,
        volume: &Volume,
        driver: &dyn Driver,
    ) -> Result<(), StorageError> {
        self.mapping(volume, driver)?
            .map_or(Ok(()), |mapping| encryption::close(volume, &mapping))
    }
}
