//! Pools and volumes on disk: one file per driver behind one trait.
//!
//! [`pools`] leads from a pool of the store to its driver. What belongs to no driver alone stands
//! beside them: copying (`clone_range`, `sparse_copy`), steps that survive a power loss
//! (`durable`), and who else has an image open (`in_use`, `loop_device`).

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

pub mod aliases;
mod clone_range;
mod data_comparison;
mod device_mapper;
mod dm_file;
mod durable;
mod encryption;
pub mod fullness;
mod holes;
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
mod sparse_copy;
mod thin_pool;
mod vm_storage;
mod volume_files;

pub use crate::watcher::{CopyWatcher, SharedWatcher, Unwatched, Watched};
pub use clone_range::can_reflink;
pub use data_comparison::{file_length, has_only_holes};
pub use device_mapper::is_available as has_device_mapper;
pub use dm_file::DmFile;
pub use durable::{
    DirectoryRemoval, copy_data_with_progress, remove_directory, remove_real_directory,
};
pub use holes::{find_zero_runs, punch_holes};
pub use identity::{Image, ImageOwner, ImageOwners};
pub use linux_kernel::LinuxKernel;
pub use locks::VolumeLocks;
pub use loop_device::LoopDevice;
pub use lvm_thin::LvmThin;
pub use pools::{PoolDrivers, open_driver};
pub use reflink::Reflink;
pub use run_images::ForeignImage;
pub use sparse_copy::{write_sparse, write_sparse_at, write_sparse_with_progress};
pub use thin_pool::{ThinPool, find_thin_pool};
pub use vm_storage::{StartedVolumes, VmStorage, VolumeDisk};
pub use volume_files::list_names;

use crate::fs::file_lock::FileLock;
use crate::model::VmName;
use crate::model::volume::{ResolvedVolume, VolumeError};

/// What a volume is for: the two flags of `docs/spec/r4-storage.md` §1 as one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VolumeKind {
    /// Fresh and empty at each start, discarded at stop.
    Volatile,
    /// A snapshot of its source at each start, discarded at stop.
    Snapshot,
    /// Persistent, committed at stop.
    Origin,
}

/// A volume with everything decided: what the drivers work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// The qube it belongs to, for messages.
    pub owner: String,
    /// `root`, `private`, `volatile`, `kernel`, …
    pub name: String,
    /// The pool's name.
    pub pool: String,
    /// Unique in the pool ([`crate::model::volume::new_vid`] makes it).
    pub vid: String,
    pub kind: VolumeKind,
    pub rw: bool,
    /// Configured size in bytes; 0 when the driver knows better (kernels).
    pub size: u64,
    /// −1: no snapshots at all; 0: no revisions; n: keep n.
    pub revisions_to_keep: i64,
    /// The vid of the volume a [`VolumeKind::Snapshot`] is made of, in the same pool.
    pub source: Option<String>,
    /// Whether it is to be encrypted with a key nobody keeps.
    pub ephemeral: bool,
}

impl Volume {
    /// The volume `of` a qube as the model tells it.
    pub fn from_resolved(owner: &VmName, of: ResolvedVolume) -> Result<Volume, StorageError> {
        let kind = match (of.snap_on_start, of.save_on_stop) {
            (false, false) => VolumeKind::Volatile,
            (true, false) => VolumeKind::Snapshot,
            (false, true) => VolumeKind::Origin,
            (true, true) => {
                let text = format!(
                    "volume {owner}:{}: both snap_on_start and save_on_stop is not supported",
                    of.name
                );
                return Err(StorageError::Refused(text));
            }
        };
        Ok(Volume {
            owner: owner.to_string(),
            name: of.name,
            pool: of.pool,
            vid: of.vid,
            kind,
            rw: of.rw,
            size: of.size,
            revisions_to_keep: of.revisions_to_keep,
            source: of.source,
            ephemeral: of.ephemeral,
        })
    }

    /// A volume of which nothing is known but where it lies, to be removed.
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

    /// Whether the guest writes to the only image there is (`docs/spec/r4-storage.md` §1).
    pub fn has_snapshots_disabled(&self) -> bool {
        self.revisions_to_keep == -1 && self.kind == VolumeKind::Origin
    }

    /// The volume as tools name it: `work:private`.
    pub fn full_name(&self) -> String {
        format!("{}:{}", self.owner, self.name)
    }

    /// The volume as messages call it: `volume work:private`.
    pub fn label(&self) -> String {
        format!("volume {}:{}", self.owner, self.name)
    }
}

/// How a started volume is given to the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attachment {
    /// A raw image file.
    File(PathBuf),
    /// A block device.
    Device(PathBuf),
    /// The volume has nothing to attach (a kernel without modules.img).
    None,
}

/// A saved state of an origin volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// What `revert` takes.
    pub id: String,
    /// When it was the current state: `YYYY-MM-DDTHH:MM:SS`, UTC.
    pub time: String,
}

/// The last committed data of a volume, open for being read without any lock of its qube.
#[derive(Debug)]
pub struct CommittedData {
    /// The volume's name, which is also that of the volume to fill with it.
    pub name: String,
    pub file: File,
    /// Bytes.
    pub size: u64,
    /// A committed image is replaced, never written to, so an open one needs no lock. The guest of
    /// a volume without snapshots writes to the only image there is: its start waits until this is
    /// let go.
    pub start_lock: Option<FileLock>,
}

/// Why storage could not do it. Every message names the volume or pool, the rule and the way on.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Volumes(#[from] VolumeError),
    #[error("{what}: {}", crate::fs::errno_text(source))]
    Io { what: String, source: io::Error },
    /// The new image has its place: whoever looks finds it.
    #[error("a power loss may take the change of {image} back: {}", crate::fs::errno_text(source), image = image.display())]
    NotProvenDurable { image: PathBuf, source: io::Error },
}

impl StorageError {
    /// Whether there was no room on the disk for what was to be written, which was not written.
    pub fn is_disk_full(&self) -> bool {
        !self.has_taken_effect() && crate::fs::is_disk_full(self)
    }

    /// Whether the volume has become what it was to become all the same.
    pub fn has_taken_effect(&self) -> bool {
        matches!(self, StorageError::NotProvenDurable { .. })
    }

    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> StorageError {
        let what = what.into();
        move |source| StorageError::Io { what, source }
    }
}

/// Writes an image into an empty file.
pub type ImageWriter<'a> = &'a mut dyn FnMut(&File) -> io::Result<()>;

/// One pool on disk. All calls on a volume are made under its qube's operation lock; the driver
/// adds the volume's own leaf locks where two qubes can meet (a source that is committed while
/// another takes a snapshot of it).
pub trait Driver: Send + Sync {
    /// Prepares the pool's place; refuses where it cannot work.
    fn setup(&self) -> Result<(), StorageError>;
    /// Size and use of the place in bytes, where the driver knows.
    fn capacity(&self) -> Result<Option<(u64, u64)>, StorageError>;
    /// The same of the place for its own bookkeeping, where that can fill up apart (thin pools).
    fn metadata_capacity(&self) -> Result<Option<(u64, u64)>, StorageError> {
        Ok(None)
    }

    fn create(&self, volume: &Volume) -> Result<(), StorageError>;
    /// Removes every image of a volume but those that belong to `owners` and its
    /// [`Driver::foreign_images`]; lists what stays, in words.
    fn remove_unowned(
        &self,
        volume: &Volume,
        owners: &ImageOwners,
    ) -> Result<Vec<String>, StorageError>;
    /// The same where no image can be anybody's.
    fn remove(&self, volume: &Volume) -> Result<(), StorageError> {
        self.remove_unowned(volume, &ImageOwners::default())
            .map(drop)
    }
    /// Every image of a volume that is there, also what a crash left of it.
    fn images(&self, volume: &Volume) -> Result<Vec<Image>, StorageError>;
    fn verify(&self, volume: &Volume) -> Result<(), StorageError>;
    /// Makes the image that the guest gets. On a dirty origin (a leftover of a crash) the dirty
    /// data stay in use.
    fn start(&self, volume: &Volume) -> Result<(), StorageError>;
    /// Commits or discards; also right when `start` never ran or the machine lost power.
    fn stop(&self, volume: &Volume) -> Result<(), StorageError>;
    /// Takes back a start whose image nobody wrote to: nothing is committed. Not for an origin that
    /// was dirty before.
    fn discard(&self, volume: &Volume) -> Result<(), StorageError>;
    fn attachment(&self, volume: &Volume) -> Result<Attachment, StorageError>;

    fn is_dirty(&self, volume: &Volume) -> Result<bool, StorageError>;
    /// Whether there are images of a run of a volume that is not kept ([`VolumeKind::Snapshot`],
    /// [`VolumeKind::Volatile`]).
    fn has_run_images(&self, volume: &Volume) -> Result<bool, StorageError>;
    /// The images with data that lie beside a volume that is not kept and are not of a run of it.
    /// No stop and no removal takes them, and no start.
    fn foreign_images(&self, _volume: &Volume) -> Result<Vec<ForeignImage>, StorageError> {
        Ok(Vec::new())
    }
    fn is_outdated(&self, volume: &Volume) -> Result<bool, StorageError>;
    fn revisions(&self, volume: &Volume) -> Result<Vec<Revision>, StorageError>;
    /// Makes a revision the volume's data, and those a revision; the newest that differs from them
    /// where none is named.
    fn revert(&self, volume: &Volume, revision: Option<&str>) -> Result<(), StorageError>;
    /// How many bytes the volume will have after [`Driver::revert`].
    fn revision_size(&self, volume: &Volume, revision: Option<&str>) -> Result<u64, StorageError>;
    fn resize(&self, volume: &Volume, bytes: u64) -> Result<(), StorageError>;
    /// Where the last committed data can be read, also while the qube runs.
    fn export(&self, volume: &Volume) -> Result<PathBuf, StorageError>;
    /// The same, opened: what is read stays the same, whatever becomes of the volume meanwhile.
    fn open_committed_data(&self, volume: &Volume) -> Result<CommittedData, StorageError>;
    /// Replaces the volume's data by the file's, atomically.
    fn import(&self, volume: &Volume, from: &Path) -> Result<(), StorageError>;
    /// Replaces the volume's data by what `fill` writes into an empty file, atomically: when it
    /// fails, nothing changed. What it leaves out is a hole.
    fn import_with(&self, volume: &Volume, fill: ImageWriter<'_>) -> Result<(), StorageError>;
    /// The same with the committed data of another volume; blocks are shared where that is
    /// possible. `told` hears how many bytes are done.
    fn import_committed_data(
        &self,
        volume: &Volume,
        data: &CommittedData,
        told: &dyn Fn(u64),
    ) -> Result<(), StorageError> {
        self.import_with(volume, &mut |image| {
            copy_data_with_progress(&data.file, image, told)
        })
    }
    /// The same, and `change` may still change what came of it, or stop it all. `data` are let go
    /// before it is asked.
    fn import_modified(
        &self,
        volume: &Volume,
        data: CommittedData,
        change: ImageWriter<'_>,
        told: &dyn Fn(u64),
    ) -> Result<(), StorageError> {
        let mut data = Some(data);
        self.import_with(volume, &mut |image| {
            if let Some(data) = data.take() {
                copy_data_with_progress(&data.file, image, told)?;
            }
            change(image)
        })
    }
    /// The file that holds the volume's committed data, whether it is there or not; none where they
    /// are in no file.
    fn file(&self, volume: &Volume) -> Result<Option<PathBuf>, StorageError>;
    /// Takes what somebody else put into [`Driver::file`] (a package) as the volume's committed
    /// data.
    fn adopt(&self, volume: &Volume) -> Result<(), StorageError>;

    /// Removes what only saves time at the next start, or what no start would use: a full disk
    /// needs the room.
    fn remove_spare_images(&self, _volume: &Volume) -> Result<(), StorageError> {
        Ok(())
    }
    /// Removes all but the newest `keep` revisions at once, where a full disk gets room by it.
    fn prune_revisions(&self, _volume: &Volume, _keep: usize) -> Result<(), StorageError> {
        Ok(())
    }
    /// The directory that goes with the qube's last volume; none where volumes are in no directory
    /// of the qube's own.
    fn qube_directory(&self, _volume: &Volume) -> Option<PathBuf> {
        None
    }

    fn size(&self, volume: &Volume) -> Result<u64, StorageError>;
    fn usage(&self, volume: &Volume) -> Result<u64, StorageError>;
    /// The vids of every volume that lies in the pool, for finding orphans.
    fn volumes(&self) -> Result<Vec<String>, StorageError>;
}
