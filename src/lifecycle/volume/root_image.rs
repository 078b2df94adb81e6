//! The file whose data a new qube's root volume is filled with. The volume has the data before the
//! store has the qube, so a qube in the store is always complete.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileTypeExt;

use crate::lifecycle::LifecycleError;
use crate::lifecycle::volume::{ImportLength, VolumeContent};
use crate::storage::{Driver, Progress, VmStorage, Volume, VolumeKind};

/// The name of the volume that is filled.
pub(in crate::lifecycle) const ROOT_VOLUME: &str = "root";

/// Data for the root volume of a new qube: a file, a device or a pipe, read from its current
/// position.
#[derive(Clone, Copy)]
pub struct RootImage<'a> {
    /// The open file.
    pub file: &'a File,
    /// Receives the progress of the copy.
    pub progress: &'a dyn Progress,
}

impl fmt::Debug for RootImage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootImage")
            .field("file", self.file)
            .finish_non_exhaustive()
    }
}

impl RootImage<'_> {
    /// Checks whether the root volume can be filled with these data, as far as that is known before
    /// they are read. Creates nothing.
    ///
    /// # Errors
    /// [`LifecycleError::NotImported`].
    pub(in crate::lifecycle) fn check(
        &self,
        qube: &str,
        storage: &VmStorage,
    ) -> Result<(), LifecycleError> {
        let (volume, driver) = root_volume(qube, storage)?;
        self.size(volume, driver).map(drop)
    }

    /// Creates the root volume with these data.
    ///
    /// # Errors
    /// [`LifecycleError::NotImported`].
    pub(in crate::lifecycle) fn fill(
        &self,
        qube: &str,
        storage: &VmStorage,
    ) -> Result<(), LifecycleError> {
        let (volume, driver) = root_volume(qube, storage)?;
        let size = self.size(volume, driver)?;
        let resized = Volume {
            size: size.unwrap_or(volume.size),
            ..volume.clone()
        };
        // Removes what a crash left under the name. No empty image is created first: it would only
        // become a revision.
        let made = driver.remove(volume).and_then(|()| {
            driver.import_with(&resized, &mut |to| {
                self.data()
                    .write_into(to, size, &volume.name, self.progress)
            })
        });
        made.map_err(|error| LifecycleError::NotImported {
            volume: volume.full_name(),
            reason: error.to_string(),
            source: Some(Box::new(error)),
        })
    }

    /// Returns the volume's future size in bytes, if it is known before the data are read.
    fn size(&self, volume: &Volume, driver: &dyn Driver) -> Result<Option<u64>, LifecycleError> {
        let refused = |reason: String| not_imported(volume.full_name(), reason);
        // Terminals and /dev/zero never end, and /dev/null is empty.
        match self.file.metadata() {
            Ok(found) if found.file_type().is_char_device() => {
                Err(refused("a character device holds no image".into()))
            }
            _ => self
                .data()
                .check(volume, driver)
                .map_err(|error| match error {
                    refusal @ LifecycleError::NotImported { .. } => refusal,
                    other => refused(other.to_string()),
                }),
        }
    }

    fn data(&self) -> VolumeContent<'_> {
        VolumeContent::File {
            file: self.file,
            length: ImportLength::FromData,
        }
    }
}

/// Creates the volumes of a new qube: first all but the root volume with `make`, then the root
/// volume from `root`. Without `root`, `make` creates that one, too. A failure of `make` thus costs
/// no copy.
///
/// # Errors
/// Those of `make`, and [`LifecycleError::NotImported`].
pub(in crate::lifecycle) fn create_volumes(
    root: Option<RootImage<'_>>,
    qube: &str,
    storage: &VmStorage,
    make: impl FnOnce(&VmStorage) -> Result<(), LifecycleError>,
) -> Result<(), LifecycleError> {
    make(&storage.select(|volume| root.is_none() || volume.name != ROOT_VOLUME))?;
    root.map_or(Ok(()), |root| root.fill(qube, storage))
}

/// Finds the root volume of a qube that has one of its own.
fn root_volume<'s>(
    qube: &str,
    storage: &'s VmStorage,
) -> Result<(&'s Volume, &'s dyn Driver), LifecycleError> {
    let found = storage
        .volumes()
        .find(|(volume, _)| volume.name == ROOT_VOLUME && volume.kind() == VolumeKind::Origin);
    found.ok_or_else(|| {
        not_imported(
            format!("{qube}:{ROOT_VOLUME}"),
            "it has no such volume of its own".into(),
        )
    })
}

fn not_imported(volume: String, reason: String) -> LifecycleError {
    LifecycleError::NotImported {
        volume,
        reason,
        source: None,
    }
}
