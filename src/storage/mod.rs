//! Pools and volumes on disk, with one driver per kind of pool behind the trait [`Driver`].
//!
//! [`pools`] opens the driver of a pool of the store. The modules beside the drivers hold what
//! several of them need: file operations that survive a power loss (`durable`), and the detection of open images (`open_images`, `loop_device`).

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

pub mod aliases;
mod device_mapper;
mod dm_file;
mod durable;
mod encryption;
pub mod fullness;
pub mod identity;
mod linux_kernel;
mod locks;
mod loop_device;
mod lvm_thin;
mod open_images;
pub mod overlap;
pub(crate) mod pool_files;
pub mod pools;
mod reflink;
mod run_images;
mod thin_pool;
mod vm_storage;
mod volume_files;

pub use crate::progress::{NoProgress, Progress, ProgressGuard, SharedProgress};
pub use device_mapper::is_available as has_device_mapper;
pub use dm_file::DmFile;
pub use durable::{
    DirectoryRemoval, copy_data_with_progress, remove_directory, remove_real_directory,
};
pub use identity::{Image, ImageOwner, ImageOwners};
pub use linux_kernel::LinuxKernel;
pub use locks::VolumeLocks;
pub use loop_device::LoopDevice;
pub use lvm_thin::LvmThin;
pub use pools::{PoolDrivers, open_driver};
pub use reflink::Reflink;
pub use run_images::ForeignImage;
pub use thin_pool::{ThinPool, find_thin_pool};
pub use vm_storage::{StartedVolumes, VmStorage, VolumeDisk};
pub use volume_files::list_names;

use crate::fs::file_lock::FileLock;
use crate::model::VmName;
use crate::model::volume::{ResolvedVolume, VolumeError};

/// The life cycle of a volume, from the flags `snap_on_start` and `save_on_stop`
/// (`docs/spec/r4-storage.md` §1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VolumeKind {
    /// Created empty at each start, discarded at each stop.
    Volatile,
    /// A snapshot of its source, made at each start and discarded at each stop.
    Snapshot,
    /// Persistent; changes are committed at each stop.
    Origin,
}

/// A volume with all its settings resolved, as the drivers take it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// The name of the qube that the volume belongs to, for messages.
    pub owner: String,
    /// The name within the qube: `root`, `private`, `volatile`, `kernel`, …
    pub name: String,
    /// The name of the pool.
    pub pool: String,
    /// The volume id, unique in the pool ([`crate::model::volume::default_vid`] makes it).
    pub vid: String,
    /// What becomes of the data at start and stop.
    pub kind: VolumeKind,
    /// Whether the guest may write to the volume.
    pub rw: bool,
    /// The configured size in bytes; 0 where the driver determines it (kernels).
    pub size: u64,
    /// The number of revisions to keep; −1 disables snapshots.
    pub revisions_to_keep: i64,
    /// The vid of the volume that a [`VolumeKind::Snapshot`] is made of, in the same pool.
    pub source: Option<String>,
    /// Whether the volume is encrypted with a key that is discarded at stop.
    pub ephemeral: bool,
}

impl Volume {
    /// Converts a volume that the model has resolved.
    ///
    /// # Errors
    /// Both `snap_on_start` and `save_on_stop` are set, which no driver supports.
    pub fn from_resolved(owner: &VmName, resolved: ResolvedVolume) -> Result<Volume, StorageError> {
        let kind = match (resolved.snap_on_start, resolved.save_on_stop) {
            (false, false) => VolumeKind::Volatile,
            (true, false) => VolumeKind::Snapshot,
            (false, true) => VolumeKind::Origin,
            (true, true) => {
                let text = format!(
                    "volume {owner}:{}: both snap_on_start and save_on_stop is not supported",
                    resolved.name
                );
                return Err(StorageError::Refused(text));
            }
        };
        Ok(Volume {
            owner: owner.to_string(),
            name: resolved.name,
            pool: resolved.pool,
            vid: resolved.vid,
            kind,
            rw: resolved.rw,
            size: resolved.size,
            revisions_to_keep: resolved.revisions_to_keep,
            source: resolved.source,
            ephemeral: resolved.ephemeral,
        })
    }

    /// Describes a volume whose settings are unknown, so that its images can be removed.
    pub fn orphan(pool: &str, vid: &str) -> Volume {
        let mut parts = vid.rsplit('/');
        let (name, owner) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        Volume {
            owner: owner.to_string(),
            name: name.to_string(),
            pool: pool.to_string(),
            vid: vid.to_string(),
            kind: VolumeKind::Origin,
            rw: true,
            size: 0,
            revisions_to_keep: 0,
            source: None,
            ephemeral: false,
        }
    }

    /// Whether the guest writes to the only image of the volume (`docs/spec/r4-storage.md` §1).
    pub fn has_snapshots_disabled(&self) -> bool {
        self.revisions_to_keep == -1 && self.kind == VolumeKind::Origin
    }

    /// Returns the name that tools take and print: `work:private`.
    pub fn full_name(&self) -> String {
        format!("{}:{}", self.owner, self.name)
    }

    /// Returns the name for messages: `volume work:private`.
    pub fn label(&self) -> String {
        format!("volume {}:{}", self.owner, self.name)
    }
}

/// What the guest gets of a started volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attachment {
    /// A raw image file.
    File(PathBuf),
    /// A block device.
    Device(PathBuf),
    /// Nothing is attached (a kernel without modules.img).
    None,
}

/// A saved state of an origin volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// The id that [`Driver::revert`] takes.
    pub id: String,
    /// A time at which the state was current: `YYYY-MM-DDTHH:MM:SS`, UTC.
    pub time: String,
}

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

/// An error of a storage operation. Every message names the volume or the pool, the reason and what
/// to do.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The operation is not possible or not allowed.
    #[error("{0}")]
    Refused(String),
    /// The store does not describe the volume correctly.
    #[error(transparent)]
    Volumes(#[from] VolumeError),
    /// A system call failed.
    #[error("{what}: {}", crate::fs::errno_text(source))]
    Io {
        /// The failed action, as in "cannot read PATH".
        what: String,
        /// The error of the system call.
        source: io::Error,
    },
    /// The new image is in place, but may not survive a power loss.
    #[error(
        "a power loss may take the change of {image} back: {}",
        crate::fs::errno_text(source),
        image = image.display()
    )]
    NotDurable {
        /// Path of the new image.
        image: PathBuf,
        /// The error of syncing the image or its directory.
        source: io::Error,
    },
}

impl StorageError {
    /// Whether the operation failed because the disk is full.
    pub fn is_disk_full(&self) -> bool {
        !self.has_taken_effect() && crate::fs::is_disk_full(self)
    }

    /// Whether the change was made although an error is returned.
    pub fn has_taken_effect(&self) -> bool {
        matches!(self, StorageError::NotDurable { .. })
    }

    /// Returns a function that turns an [`io::Error`] into a [`StorageError::Io`] with this text.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> StorageError {
        let what = what.into();
        move |source| StorageError::Io { what, source }
    }
}

/// A function that writes an image into an empty file.
pub type ImageWriter<'a> = &'a mut dyn FnMut(&File) -> io::Result<()>;

/// The operations of one pool on disk.
///
/// Callers hold the operation lock of the volume's qube. Drivers take the lock of the volume itself
/// where two qubes can meet: one takes a snapshot of a source that the other commits.
pub trait Driver: Send + Sync {
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

    /// Creates the volume empty, in place of whatever has its images' names.
    fn create(&self, volume: &Volume) -> Result<(), StorageError>;
    /// Removes the images of a volume except those of `owners` and its [`Driver::foreign_images`].
    /// Returns messages about those that stay.
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
    fn is_dirty(&self, volume: &Volume) -> Result<bool, StorageError>;
    /// Whether a run has left images of a volume that is not persistent ([`VolumeKind::Snapshot`],
    /// [`VolumeKind::Volatile`]).
    fn has_run_images(&self, volume: &Volume) -> Result<bool, StorageError>;
    /// Returns the images with data that have a non-persistent volume's names but were not made by
    /// a run of it. Starting, stopping and removing the volume leaves them alone.
    fn foreign_images(&self, _volume: &Volume) -> Result<Vec<ForeignImage>, StorageError> {
        Ok(Vec::new())
    }
    /// Whether the source has changed since the running snapshot was made.
    fn is_outdated(&self, volume: &Volume) -> Result<bool, StorageError>;
    /// Returns the revisions, oldest first.
    fn revisions(&self, volume: &Volume) -> Result<Vec<Revision>, StorageError>;
    /// Exchanges the volume's data with a revision; without an id, with the newest one that differs
    /// from the data.
    fn revert(&self, volume: &Volume, revision: Option<&str>) -> Result<(), StorageError>;
    /// Returns the size in bytes that the volume has after [`Driver::revert`].
    fn revision_size(&self, volume: &Volume, revision: Option<&str>) -> Result<u64, StorageError>;
    /// Changes the size, also while the qube runs.
    fn resize(&self, volume: &Volume, bytes: u64) -> Result<(), StorageError>;
    /// Returns the path of the committed data, which can be read also while the qube runs.
    fn export(&self, volume: &Volume) -> Result<PathBuf, StorageError>;
    /// Opens the committed data for reading. They do not change, whatever happens to the volume
    /// meanwhile.
    fn open_committed_data(&self, volume: &Volume) -> Result<CommittedData, StorageError>;
    /// Replaces the volume's data with those of a file, atomically.
    fn import(&self, volume: &Volume, from: &Path) -> Result<(), StorageError>;
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
            copy_data_with_progress(&data.file, image, on_progress)
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
                copy_data_with_progress(&data.file, image, on_progress)?;
            }
            change(image)
        })
    }
    /// Returns the path of the image file, whether it exists or not; `None` where the driver has no
    /// image files.
    fn image_file(&self, volume: &Volume) -> Result<Option<PathBuf>, StorageError>;
    /// Makes the file that a package has put at [`Driver::image_file`] the volume's committed data.
    fn adopt(&self, volume: &Volume) -> Result<(), StorageError>;

    /// Removes images that only speed up the next start, or that no start would use, to free space
    /// on a full disk.
    fn remove_spare_images(&self, _volume: &Volume) -> Result<(), StorageError> {
        Ok(())
    }
    /// Removes all but the newest `keep` revisions immediately, where that frees space on a full
    /// disk.
    fn prune_revisions(&self, _volume: &Volume, _keep: usize) -> Result<(), StorageError> {
        Ok(())
    }
    /// Returns the directory that is removed with the qube's last volume; `None` where the qube has
    /// no directory of its own.
    fn qube_directory(&self, _volume: &Volume) -> Option<PathBuf> {
        None
    }

    /// Returns the current size in bytes.
    fn size(&self, volume: &Volume) -> Result<u64, StorageError>;
    /// Returns the allocated space in bytes.
    fn usage(&self, volume: &Volume) -> Result<u64, StorageError>;
    /// Returns the vids of all volumes in the pool.
    fn volume_ids(&self) -> Result<Vec<String>, StorageError>;
}
