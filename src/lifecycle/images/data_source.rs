//! A file whose data become a new qube's root volume and that may be removed then. It must not be
//! an image of a volume that needs it, nor lie where the creation makes images: those would be
//! wiped before it is read.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::fs::beneath::{Directory, Links};
use crate::fs::replace::directory_of;
use crate::lifecycle::{LifecycleError, Session};
use crate::model::VmName;
use crate::storage::{Image, ImageOwners, VmStorage};

/// A file with the data of a volume that is about to be made.
#[derive(Debug, Clone, Copy)]
pub struct DataSource<'a> {
    pub file: &'a Path,
    /// Whether it is removed once the volume has its data.
    pub is_moved: bool,
}

impl DataSource<'_> {
    /// Refuses a source that the creation of a qube would destroy, or that is to be removed and is
    /// an image of a volume. Nothing is changed.
    ///
    /// # Errors
    /// It is such a file, or nobody can tell.
    pub(super) fn check(
        &self,
        qube: &VmName,
        storage: &VmStorage,
        owners: &ImageOwners,
    ) -> Result<(), LifecycleError> {
        let source = fs::metadata(self.file).map_err(failed("looking at", self.file))?;
        if self.is_moved {
            self.require_removable(&source, owners)?;
        }
        for (volume, driver) in storage.volumes() {
            let images = driver.images(volume)?;
            if images
                .iter()
                .any(|image| look(image).is_some_and(|found| is_same(&found, &source)))
            {
                let reason = format!("volume {} will have its image there", volume.full_name());
                return Err(LifecycleError::SourceInPlace {
                    qube: qube.clone(),
                    file: self.file.into(),
                    reason,
                });
            }
        }
        Ok(())
    }

    fn require_removable(
        &self,
        source: &Metadata,
        owners: &ImageOwners,
    ) -> Result<(), LifecycleError> {
        let refused = |reason: String| LifecycleError::NotMovable {
            file: self.file.into(),
            reason,
        };
        if !source.is_file() {
            return Err(refused("it is not a regular file".into()));
        }
        if let Some(owner) = owners.find_file_owner(self.file)? {
            return Err(refused(format!("volume {} means it", owner.volume)));
        }
        match owners.unresolved.first() {
            Some(reason) => Err(refused(format!(
                "it may be an image of a volume that cannot be told ({reason})"
            ))),
            None => Ok(()),
        }
    }
}

impl Session {
    /// Removes a file whose data a volume has now, unless it became an image of some volume
    /// meanwhile, or is not the file `read` any more.
    ///
    /// # Errors
    /// It stays.
    pub fn remove_source(&self, file: &Path, read: &File) -> Result<(), LifecycleError> {
        let source = DataSource {
            file,
            is_moved: true,
        };
        let failed = |error| failed("removing", file)(error);
        let found = fs::metadata(file).map_err(failed)?;
        if !is_same(&found, &read.metadata().map_err(failed)?) {
            let reason = "it was exchanged while it was read".into();
            return Err(LifecycleError::NotMovable {
                file: file.into(),
                reason,
            });
        }
        source.require_removable(&found, &self.image_owners()?)?;
        let name = Path::new(
            file.file_name()
                .ok_or(io::ErrorKind::InvalidInput.into())
                .map_err(failed)?,
        );
        let directory = Directory::open(directory_of(file), Links::Never).map_err(failed)?;
        directory
            .remove_file(name)
            .and_then(|_| directory.sync())
            .map_err(failed)
    }
}

/// What is behind an image, if anything is.
fn look(image: &Image) -> Option<Metadata> {
    let path = match image {
        Image::File(path) => path.clone(),
        Image::Logical { group, name } => PathBuf::from(format!("/dev/{group}/{name}")),
    };
    fs::metadata(path).ok()
}

/// Whether two names lead to one file, or to one device by whatever node.
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    let is_device = |metadata: &Metadata| metadata.file_type().is_block_device();
    match is_device(one) && is_device(other) {
        true => one.rdev() == other.rdev(),
        false => (one.dev(), one.ino()) == (other.dev(), other.ino()),
    }
}

fn failed(verb: &str, path: &Path) -> impl FnOnce(io::Error) -> LifecycleError {
    let what = format!("{verb} {}", path.display());
    move |source| LifecycleError::Io { what, source }
}
