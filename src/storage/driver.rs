//! The operations of a pool on disk, in one trait per subject: the pool itself ([`PoolSpace`]), a
//! volume's life ([`VolumeLife`]), its data ([`VolumeData`]) and its revisions
//! ([`VolumeRevisions`]). A driver implements each beside the code of that subject.
//!
//! Callers hold the operation lock of the volume's qube. Drivers take the lock of the volume itself
//! where two qubes can meet: one takes a snapshot of a source that the other commits.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use super::{
    Attachment, ForeignImage, Image, ImageOwners, Revision, StorageError, Volume, copy_file_data,
};
use crate::fs::file_lock::FileLock;

/// A driver with an open pool.
pub trait Driver: PoolSpace + VolumeLife + VolumeData + VolumeRevisions {}

impl<D: PoolSpace + VolumeLife + VolumeData + VolumeRevisions> Driver for D {}

/// The pool as a whole.
pub trait PoolSpace: Send + Sync {
    /// Prepares the pool's location.
    ///
    /// # Errors
    /// The pool cannot work there.
    fn setup(&self) -> Result<(), StorageError>;

    /// Returns the size and the usage of the pool in bytes, where the driver knows them.
    fn capacity(&self) -> Result<Option<(u64, u64)>, StorageError>;

    /// Returns the size and the usage of the pool's metadata in bytes, where these can fill up
    /// separately (thin pools).
    fn metadata_capacity(&self) -> Result<Option<(u64, u64)>, StorageError> {
        Ok(None)
    }

    /// Returns the vids of all volumes in the pool.
    fn volume_ids(&self) -> Result<Vec<String>, StorageError>;
}

/// The life of a volume, from its creation to its removal.
pub trait VolumeLife: Send + Sync {
    /// Creates the volume empty, in place of whatever has its images' names.
    fn create(&self, volume: &Volume) -> Result<(), StorageError>;

    /// Removes the images of a volume except those of `owners` and its
    /// [`VolumeLife::foreign_images`]. Returns messages about those that stay.
    fn remove_unowned(
        &self,
        volume: &Volume,
        owners: &ImageOwners,
    ) -> Result<Vec<String>, StorageError>;

    /// Removes the images of a volume that cannot belong to another one.
    fn remove(&self, volume: &Volume) -> Result<(), StorageError> {
        self.remove_unowned(volume, &ImageOwners::default())
            .map(drop)
    }

    /// Returns every existing image of a volume, including what a crash has left.
    fn images(&self, volume: &Volume) -> Result<Vec<Image>, StorageError>;

    /// Checks that everything a start needs exists.
    fn verify(&self, volume: &Volume) -> Result<(), StorageError>;

    /// Makes the image that the guest gets. The uncommitted data that a crash has left in an origin
    /// stay in use.
    fn start(&self, volume: &Volume) -> Result<(), StorageError>;

    /// Commits or discards what the guest has written. Also works when `start` was not called, and
    /// after a power loss.
    fn stop(&self, volume: &Volume) -> Result<(), StorageError>;

    /// Undoes a start without committing anything, provided that the guest has not run. Not for an
    /// origin that was dirty before that start.
    fn discard(&self, volume: &Volume) -> Result<(), StorageError>;

    /// Returns what the guest gets.
    fn attachment(&self, volume: &Volume) -> Result<Attachment, StorageError>;

    /// Whether an origin has data that are not committed.
    fn is_dirty(&self, _volume: &Volume) -> Result<bool, StorageError> {
        Ok(false)
    }

    /// Whether a run has left images of a volume that is not persistent
    /// ([`super::VolumeKind::Snapshot`], [`super::VolumeKind::Volatile`]).
    fn has_run_images(&self, _volume: &Volume) -> Result<bool, StorageError> {
        Ok(false)
    }

    /// Returns the images with data that have a non-persistent volume's names but were not made by
    /// a run of it. Starting, stopping and removing the volume leaves them alone.
    fn foreign_images(&self, _volume: &Volume) -> Result<Vec<ForeignImage>, StorageError> {
        Ok(Vec::new())
    }

    /// Whether the source has changed since the running snapshot was made.
    fn is_outdated(&self, _volume: &Volume) -> Result<bool, StorageError> {
        Ok(false)
    }

    /// Removes images that only speed up the next start, or that no start would use, to free space
    /// on a full disk.
    fn remove_spare_images(&self, _volume: &Volume) -> Result<(), StorageError> {
        Ok(())
    }

    /// Returns the directory that is removed with the qube's last volume; `None` where the qube has
    /// no directory of its own.
    fn qube_directory(&self, _volume: &Volume) -> Option<PathBuf> {
        None
    }
}

/// A function that writes an image into an empty file.
pub type ImageWriter<'a> = &'a mut dyn FnMut(&File) -> io::Result<()>;

/// The committed data of a volume, opened for reading without the lock of its qube.
#[derive(Debug)]
pub struct CommittedData {
    /// The name of the volume, and of the volume to import the data into.
    pub name: String,
    /// The image or device, open at its start.
    pub file: File,
    /// The size in bytes.
    pub size: u64,
    /// Keeps the qube from starting while the data are read; `None` where it need not wait. A
    /// committed image is replaced, never written to. Only the guest of a volume without snapshots
    /// writes to the image itself.
    pub start_lock: Option<FileLock>,
}

/// The data of a volume.
pub trait VolumeData: Send + Sync {
    /// Returns the current size in bytes.
    fn size(&self, volume: &Volume) -> Result<u64, StorageError>;

    /// Returns the allocated space in bytes.
    fn usage(&self, volume: &Volume) -> Result<u64, StorageError>;

    /// Changes the size, also while the qube runs.
    fn resize(&self, volume: &Volume, bytes: u64) -> Result<(), StorageError>;

    /// Returns the path of the committed data, which can be read also while the qube runs.
    fn export(&self, volume: &Volume) -> Result<PathBuf, StorageError>;

    /// Opens the committed data for reading. They do not change, whatever happens to the volume
    /// meanwhile.
    fn open_committed_data(&self, volume: &Volume) -> Result<CommittedData, StorageError>;

    /// Replaces the volume's data with what `fill` writes into an empty file, atomically: nothing
    /// changes if it fails. Ranges that are not written become holes.
    fn import_with(&self, volume: &Volume, fill: ImageWriter<'_>) -> Result<(), StorageError>;

    /// Replaces the volume's data with the committed data of another volume. Blocks are shared
    /// where that is possible. `on_progress` gets the number of bytes copied so far.
    fn import_committed_data(
        &self,
        volume: &Volume,
        data: &CommittedData,
        on_progress: &dyn Fn(u64),
    ) -> Result<(), StorageError> {
        self.import_with(volume, &mut |image| {
            copy_file_data(&data.file, image, on_progress)
        })
    }

    /// Replaces the volume's data with committed data that `change` modifies. `change` is called
    /// after `data` are closed, and an error of it cancels the import.
    fn import_modified(
        &self,
        volume: &Volume,
        data: CommittedData,
        change: ImageWriter<'_>,
        on_progress: &dyn Fn(u64),
    ) -> Result<(), StorageError> {
        let mut data = Some(data);
        self.import_with(volume, &mut |image| {
            if let Some(data) = data.take() {
                copy_file_data(&data.file, image, on_progress)?;
            }
            change(image)
        })
    }

    /// Returns the path of the image file, whether it exists or not; `None` where the driver has no
    /// image files.
    fn image_file(&self, _volume: &Volume) -> Result<Option<PathBuf>, StorageError> {
        Ok(None)
    }

    /// Makes the file that a package has put at [`VolumeData::image_file`] the volume's committed
    /// data.
    fn adopt(&self, volume: &Volume) -> Result<(), StorageError> {
        Err(volume.refusal(format_args!(
            "pool {} has no image files that could be adopted",
            volume.pool
        )))
    }
}

/// The saved states of a volume.
pub trait VolumeRevisions: Send + Sync {
    /// Returns the revisions, oldest first.
    fn revisions(&self, _volume: &Volume) -> Result<Vec<Revision>, StorageError> {
        Ok(Vec::new())
    }

    /// Exchanges the volume's data with a revision; without an id, with the newest one that differs
    /// from the data.
    fn revert(&self, volume: &Volume, revision: Option<&str>) -> Result<(), StorageError>;

    /// Returns the size in bytes that the volume has after [`VolumeRevisions::revert`].
    fn revision_size(&self, volume: &Volume, revision: Option<&str>) -> Result<u64, StorageError>;

    /// Removes all but the newest `keep` revisions immediately, where that frees space on a full
    /// disk.
    fn prune_revisions(&self, _volume: &Volume, _keep: usize) -> Result<(), StorageError> {
        Ok(())
    }
}
