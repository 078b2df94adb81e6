//! Driver `file-reflink`: images in a directory whose copies share blocks
//! (`docs/spec/r4-storage.md` §5).
//!
//! `lifecycle` creates, starts, stops and removes volumes, `revisions` saves and restores states,
//! and `data` imports, exports and resizes volumes.
//!
//! A committed image is never written in place, as snapshots of it are second names of the same
//! file. Volumes without snapshots (`revisions_to_keep` −1) are the exception, as in upstream.

mod data;
mod lifecycle;
mod revisions;

use std::path::PathBuf;

use super::cow::is_cow;
use super::pool_directory::PoolDirectory;
use super::pools::PoolOpening;
use super::volume_files::{VolumeFiles, reflink_volume_name};
use super::{PoolSpace, StorageError, Volume, durable, run_images};
use crate::fs::clone_range::try_reflink;
use crate::model::boolean::BooleanDialect;

/// A pool of driver `file-reflink`.
#[derive(Debug)]
pub struct Reflink {
    pool: PoolDirectory,
    setup_check: bool,
}

impl Reflink {
    /// Creates the pool in a directory. With `setup_check`, [`PoolSpace::setup`] requires that
    /// files can share blocks; without, images are copied where they cannot.
    pub fn new(pool: PoolDirectory, setup_check: bool) -> Reflink {
        Reflink { pool, setup_check }
    }

    /// Opens a pool of the store. Its option `setup_check` takes upstream's spellings of a boolean;
    /// the default is yes.
    pub(super) fn open(opening: &PoolOpening<'_>) -> Result<Reflink, StorageError> {
        let directory = opening.directory()?;
        let text = opening.pool.option("setup_check").unwrap_or("yes");
        match BooleanDialect::Literal.parse(text) {
            Some(setup_check) => Ok(Reflink::new(directory, setup_check)),
            None => Err(opening.refusal(format_args!(
                "setup_check '{}' is neither yes nor no",
                text.escape_debug()
            ))),
        }
    }

    fn files(&self, volume: &Volume) -> Result<VolumeFiles, StorageError> {
        self.pool.files(&volume.vid)
    }

    /// Returns the files that a run has made, in the order in which they may be removed.
    fn run_files(&self, volume: &Volume) -> Result<Vec<PathBuf>, StorageError> {
        let files = self.files(volume)?;
        let mut run_files = run_images::find_run_files(&self.pool, volume)?;
        run_files.retain(|file| *file == files.dirty() || *file == files.image());
        Ok(run_files)
    }

    fn check_reflink(&self) -> Result<(), StorageError> {
        let directory = self.pool.path.display();
        let tried = try_reflink(&self.pool.path);
        match tried.map_err(StorageError::io(format!(
            "cannot try to share blocks between files in {directory}"
        )))? {
            true => Ok(()),
            false => Err(StorageError::pool(
                &self.pool.name,
                format_args!(
                    "files in {directory} cannot share blocks (reflink); give it a directory on \
                     btrfs or XFS, use driver 'file', or set setup_check=no to have every image \
                     copied"
                ),
            )),
        }
    }
}

impl PoolSpace for Reflink {
    fn setup(&self) -> Result<(), StorageError> {
        let new = durable::create_directory(&self.pool.path, self.pool.group)?;
        if self.setup_check
            && let Err(refused) = self.check_reflink()
        {
            if new {
                durable::remove_real_directory(&self.pool.path)?;
            }
            return Err(refused);
        }
        self.pool.make_prefix_directories()
    }

    fn capacity(&self) -> Result<Option<(u64, u64)>, StorageError> {
        self.pool.capacity().map(Some)
    }

    fn volume_ids(&self) -> Result<Vec<String>, StorageError> {
        self.pool.volume_ids(reflink_volume_name)
    }
}

/// Returns the files that driver `file` has left if the pool was its: the blocks that dm-snapshot
/// has kept. A volume may have such a name, so the content decides.
fn driver_file_leftovers(files: &VolumeFiles) -> Result<Vec<PathBuf>, StorageError> {
    let mut found = Vec::new();
    for file in [files.cow(), files.old_cow()] {
        if is_cow(&file)? {
            found.push(file);
        }
    }
    Ok(found)
}
