//! A file whose data become a new qube's root volume, and which may be removed then. It must not be
//! an image of another volume, nor be where the creation makes images: those are wiped before the
//! file is read.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::fs::directory::{Directory, LinkPolicy};
use crate::fs::replace::parent_directory;
use crate::lifecycle::volume::images;
use crate::lifecycle::{Context, LifecycleError};
use crate::model::VmName;
use crate::storage::{Image, ImageOwners, VmStorage};

/// A file with the data of a volume to be created.
#[derive(Debug, Clone, Copy)]
pub struct DataSource<'a> {
    /// The file's path.
    pub file: &'a Path,
    /// Whether the file is removed once the volume has its data.
    pub is_moved: bool,
}

impl DataSource<'_> {
    /// Refuses a file that the creation would destroy, or that is to be removed and is a volume's
    /// image. Changes nothing.
    ///
    /// # Errors
    /// It is such a file, or the images of the store are unknown.
    pub(super) fn check(
        &self,
        qube: &VmName,
        storage: &VmStorage,
        owners: &ImageOwners,
    ) -> Result<(), LifecycleError> {
        let source = fs::metadata(self.file)
            .map_err(LifecycleError::cannot("look at", &self.file.display()))?;
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

    /// Refuses a file that is not regular or may be a volume's image.
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
            return Err(refused(format!(
                "it is an image of volume {}",
                owner.volume
            )));
        }
        match owners.unresolved.first() {
            Some(reason) => Err(refused(format!(
                "it may be an image of an unknown volume ({reason})"
            ))),
            None => Ok(()),
        }
    }
}

/// Removes a file whose data a volume has now. `read` is the file that was read.
///
/// # Errors
/// The file was replaced, became an image of a volume, or cannot be removed.
pub fn remove_source(context: &Context, file: &Path, read: &File) -> Result<(), LifecycleError> {
    let source = DataSource {
        file,
        is_moved: true,
    };
    let cannot = LifecycleError::cannot("remove", &file.display());
    let found = fs::metadata(file).map_err(&cannot)?;
    if !is_same(&found, &read.metadata().map_err(&cannot)?) {
        let reason = "it was replaced while it was read".into();
        return Err(LifecycleError::NotMovable {
            file: file.into(),
            reason,
        });
    }
    source.require_removable(&found, &images::find_owners(context)?)?;
    let name = Path::new(
        file.file_name()
            .ok_or(io::ErrorKind::InvalidInput.into())
            .map_err(&cannot)?,
    );
    let directory = Directory::open(parent_directory(file), LinkPolicy::Never).map_err(&cannot)?;
    directory
        .remove_file(name)
        .and_then(|_| directory.sync())
        .map_err(&cannot)
}

/// Looks at the file or device of an image, if it exists.
fn look(image: &Image) -> Option<Metadata> {
    let path = match image {
        Image::File(path) => path.clone(),
        Image::Logical { group, name } => PathBuf::from(format!("/dev/{group}/{name}")),
    };
    fs::metadata(path).ok()
}

/// Whether two names lead to the same file, or to the same device through any node.
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    let is_device = |metadata: &Metadata| metadata.file_type().is_block_device();
    match is_device(one) && is_device(other) {
        true => one.rdev() == other.rdev(),
        false => (one.dev(), one.ino()) == (other.dev(), other.ino()),
    }
}
