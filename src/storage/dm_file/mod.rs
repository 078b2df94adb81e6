//! Driver `file`: images that are written in place, with dm-snapshot keeping the previous blocks
//! (`docs/spec/r4-storage.md` §6).
//!
//! `layers` manages the mapped devices of running volumes, `lifecycle` creates, starts, stops and
//! removes volumes, `revisions` restores the revision, and `data` imports, exports and resizes
//! volumes.

mod data;
mod layers;
mod lifecycle;
mod revisions;

use std::path::PathBuf;

use super::pool_directory::PoolDirectory;
use super::pools::PoolOpening;
use super::volume_files::{VolumeFiles, volume_name};
use super::{PoolSpace, StorageError, Volume, VolumeKind, durable, run_images};

/// A pool of driver `file`.
#[derive(Debug)]
pub struct DmFile {
    pool: PoolDirectory,
}

impl DmFile {
    /// Creates the pool in a directory.
    pub fn new(pool: PoolDirectory) -> DmFile {
        DmFile { pool }
    }

    /// Opens a pool of the store. It must not be set to keep more than one revision, which upstream
    /// refuses, too, also when it loads the store.
    pub(super) fn open(opening: &PoolOpening<'_>) -> Result<DmFile, StorageError> {
        let directory = opening.directory()?;
        match opening.pool.option("revisions_to_keep").unwrap_or("1") {
            "-1" | "0" | "1" | "" => Ok(DmFile::new(directory)),
            other => Err(opening.refusal(format_args!(
                "driver 'file' keeps one revision at most, and revisions_to_keep is '{}'; set it \
                 to 1, 0 or -1",
                other.escape_debug()
            ))),
        }
    }

    fn files(&self, volume: &Volume) -> Result<VolumeFiles, StorageError> {
        self.pool.files(&volume.vid)
    }

    /// Returns the file that a run of a non-persistent volume has left.
    fn run_file(&self, volume: &Volume) -> Result<Option<PathBuf>, StorageError> {
        let files = self.files(volume)?;
        let made = match volume.kind() {
            VolumeKind::Volatile => files.image(),
            VolumeKind::Snapshot if volume.rw => files.cow(),
            VolumeKind::Snapshot | VolumeKind::Origin => return Ok(None),
        };
        let run_files = run_images::find_run_files(&self.pool, volume)?;
        Ok(run_files.into_iter().find(|file| *file == made))
    }
}

impl PoolSpace for DmFile {
    fn setup(&self) -> Result<(), StorageError> {
        durable::create_directory(&self.pool.path, self.pool.group)?;
        self.pool.make_prefix_directories()
    }

    fn capacity(&self) -> Result<Option<(u64, u64)>, StorageError> {
        self.pool.capacity().map(Some)
    }

    fn volume_ids(&self) -> Result<Vec<String>, StorageError> {
        self.pool.volume_ids(volume_name)
    }
}
