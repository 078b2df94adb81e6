//! A file whose data the root volume of a new qube begins with. They are in the volume before the
//! qube is in the store: whoever finds the qube there finds it whole.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileTypeExt;

use super::LifecycleError;
use super::volume_data::{NewData, NewLength};
use crate::storage::{CopyWatcher, Driver, VmStorage, Volume, VolumeKind};

/// The volume that is filled.
pub(super) const ROOT: &str = "root";

/// Data for the root volume of a qube that is about to be made: a file, a device or a pipe, from
/// where it stands.
#[derive(Clone, Copy)]
pub struct RootImage<'a> {
    pub file: &'a File,
    /// Hears how far the copy has come.
    pub watcher: &'a dyn CopyWatcher,
}

impl fmt::Debug for RootImage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootImage")
            .field("file", self.file)
            .finish_non_exhaustive()
    }
}

impl RootImage<'_> {
    /// Refuses data that the root volume of the qube cannot be filled with, as far as that can be
    /// told before they are read. Nothing is made.
    ///
    /// # Errors
    /// [`LifecycleError::NotImported`].
    pub(super) fn check(&self, qube: &str, storage: &VmStorage) -> Result<(), LifecycleError> {
        let (volume, driver) = volume_in(qube, storage)?;
        self.size(volume, driver).map(drop)
    }

    /// Makes the root volume with these data.
    ///
    /// # Errors
    /// [`LifecycleError::NotImported`].
    pub(super) fn fill(&self, qube: &str, storage: &VmStorage) -> Result<(), LifecycleError> {
        let (volume, driver) = volume_in(qube, storage)?;
        let size = self.size(volume, driver)?;
        let wanted = Volume {
            size: size.unwrap_or(volume.size),
            ..volume.clone()
        };
        // Whatever a crash left under its name; an empty image first would only become a revision.
        let made = driver.remove(volume).and_then(|()| {
            driver.import_with(&wanted, &mut |to| {
                self.data().write_into(to, size, &volume.name, self.watcher)
            })
        });
        made.map_err(|error| LifecycleError::NotImported {
            volume: volume.full_name(),
            reason: error.to_string(),
            source: Some(Box::new(error)),
        })
    }

    /// How many bytes the volume will have, where that is known before they are read.
    fn size(&self, volume: &Volume, driver: &dyn Driver) -> Result<Option<u64>, LifecycleError> {
        let refused = |reason: String| not_imported(volume.full_name(), reason);
        // Neither a terminal nor /dev/zero has an end, and /dev/null has nothing before it.
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

    fn data(&self) -> NewData<'_> {
        NewData::From {
            file: self.file,
            length: NewLength::OfTheData,
        }
    }
}

/// Makes the volumes of a new qube: the root volume with these data, if there are any, and before
/// it the others with `make`, whose failure then costs no copy.
///
/// # Errors
/// Those of `make`, and [`LifecycleError::NotImported`].
pub(super) fn make_volumes(
    root: Option<RootImage<'_>>,
    qube: &str,
    storage: &VmStorage,
    make: impl FnOnce(&VmStorage) -> Result<(), LifecycleError>,
) -> Result<(), LifecycleError> {
    make(&storage.select(|volume| root.is_none() || volume.name != ROOT))?;
    root.map_or(Ok(()), |root| root.fill(qube, storage))
}

fn volume_in<'s>(
    qube: &str,
    storage: &'s VmStorage,
) -> Result<(&'s Volume, &'s dyn Driver), LifecycleError> {
    let found = storage
        .volumes()
        .find(|(volume, _)| volume.name == ROOT && volume.kind == VolumeKind::Origin);
    found.ok_or_else(|| {
        not_imported(
            format!("{qube}:{ROOT}"),
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
