//! Saves the states of a volume and restores them.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Reflink;
use crate::fs::comparison::have_same_data;
use crate::fs::directory::OpenMode;
use crate::storage::durable::{self, CopyMode};
use crate::storage::open_images::refuse_if_open;
use crate::storage::pool_files::{self, exists, metadata_if_exists};
use crate::storage::revision::choose_revision;
use crate::storage::volume_files::{RevisionFile, VolumeFiles};
use crate::storage::{Revision, StorageError, Volume, VolumeKind, VolumeRevisions};

impl VolumeRevisions for Reflink {
    fn revisions(&self, volume: &Volume) -> Result<Vec<Revision>, StorageError> {
        if volume.kind() != VolumeKind::Origin {
            return Ok(Vec::new());
        }
        let revisions = self.files(volume)?.revisions()?;
        Ok(revisions.iter().map(Revision::from).collect())
    }

    fn revert(&self, volume: &Volume, id: Option<&str>) -> Result<(), StorageError> {
        let files = self.revertible_files(volume)?;
        if exists(&files.dirty())? {
            return Err(volume.in_use("before reverting"));
        }
        refuse_if_open(volume, &files.image())?;
        let _alone = self.pool.lock(volume)?;
        let revisions = files.revisions()?;
        let copies = count_clean_copies(&files, &revisions)?;
        let chosen = choose(volume, &revisions, copies, id)?;
        // An interrupted revert has saved it already.
        let is_saved = revisions
            .iter()
            .rev()
            .take(copies)
            .any(|copy| copy.number != chosen.number);
        let made = if is_saved {
            None
        } else {
            self.save_revision(volume, &files)?
        };
        let replaced = durable::remove(&files.precache())
            .and_then(|()| durable::replace(&chosen.path, &files.image()));
        if let Some(made) = made.filter(|_| {
            replaced
                .as_ref()
                .is_err_and(|error| !error.has_taken_effect())
        }) {
            // Report the first error. The next revert recognises a revision that stays.
            let _stays = durable::remove(&made);
        }
        replaced?;
        self.precache(volume, &files);
        Ok(())
    }

    fn revision_size(&self, volume: &Volume, id: Option<&str>) -> Result<u64, StorageError> {
        let files = self.revertible_files(volume)?;
        let revisions = files.revisions()?;
        let copies = count_clean_copies(&files, &revisions)?;
        let chosen = choose(volume, &revisions, copies, id)?;
        Ok(metadata_if_exists(&chosen.path)?.map_or(volume.size, |revision| revision.len()))
    }

    fn prune_revisions(&self, volume: &Volume, keep: usize) -> Result<(), StorageError> {
        let files = self.files(volume)?;
        let _alone = self.pool.lock(volume)?;
        prune_to(&files, keep)?;
        durable::sync_parent(&files.image())
    }
}

impl Reflink {
    /// Saves the clean image as a new revision, unless no revisions are kept or there is no image.
    /// Returns the path of the revision.
    pub(super) fn save_revision(
        &self,
        volume: &Volume,
        files: &VolumeFiles,
    ) -> Result<Option<PathBuf>, StorageError> {
        let clean = files.image();
        let Some(found) = metadata_if_exists(&clean)? else {
            return Ok(None);
        };
        if volume.revisions_to_keep == 0 {
            return Ok(None);
        }
        let time = found
            .modified()
            .map_err(StorageError::on("examine", &clean))?;
        let revision = files.next_revision(time)?;
        match self
            .pool
            .copy(volume, &clean, &revision, CopyMode::SameTime)
        {
            // The clean image is replaced next, never written to. So a hard link serves as well,
            // and takes no space.
            Err(error) if error.is_disk_full() => {
                match durable::hard_link_scratch(&clean, &revision) {
                    Ok(true) => {}
                    _ => return Err(error),
                }
            }
            copied => copied?,
        }
        Ok(Some(revision))
    }

    /// Removes all but the newest revisions. The commit that follows in the same directory waits
    /// for the disk.
    pub(super) fn prune(&self, volume: &Volume, files: &VolumeFiles) -> Result<(), StorageError> {
        prune_to(
            files,
            usize::try_from(volume.revisions_to_keep).unwrap_or(0),
        )
    }

    /// Returns the files of a volume that can have revisions.
    fn revertible_files(&self, volume: &Volume) -> Result<VolumeFiles, StorageError> {
        match volume.kind() {
            VolumeKind::Origin => self.files(volume),
            VolumeKind::Snapshot | VolumeKind::Volatile => {
                Err(volume.refusal("it is not kept from start to start; nothing to revert"))
            }
        }
    }
}

/// Removes all but the newest `keep` revisions.
fn prune_to(files: &VolumeFiles, keep: usize) -> Result<(), StorageError> {
    let revisions = files.revisions()?;
    for revision in &revisions[..revisions.len().saturating_sub(keep)] {
        durable::remove_scratch(&revision.path)?;
    }
    Ok(())
}

/// Returns how many of the newest revisions equal the clean image. An interrupted revert leaves
/// such a revision. Restoring it would change nothing.
fn count_clean_copies(
    files: &VolumeFiles,
    revisions: &[RevisionFile],
) -> Result<usize, StorageError> {
    let clean = files.image();
    let mut copies = 0;
    for revision in revisions.iter().rev() {
        if !is_copy_with_time(&revision.path, &clean)? {
            break;
        }
        copies += 1;
    }
    Ok(copies)
}

/// Whether one image is a copy of the other with the same modification time.
fn is_copy_with_time(one: &Path, other: &Path) -> Result<bool, StorageError> {
    let (Some(first), Some(second)) = (metadata_if_exists(one)?, metadata_if_exists(other)?) else {
        return Ok(false);
    };
    if (first.mtime(), first.mtime_nsec(), first.len())
        != (second.mtime(), second.mtime_nsec(), second.len())
    {
        return Ok(false);
    }
    if (first.dev(), first.ino()) == (second.dev(), second.ino()) {
        return Ok(true);
    }
    let compared = || {
        have_same_data(
            &pool_files::open(one, OpenMode::Read)?,
            &pool_files::open(other, OpenMode::Read)?,
        )
    };
    compared().map_err(StorageError::io(format!(
        "cannot compare {} with {}",
        one.display(),
        other.display()
    )))
}

/// Returns the revision `id`; without an id, the newest one that is not among the `copies` of the
/// clean image, or else the newest.
fn choose<'r>(
    volume: &Volume,
    revisions: &'r [RevisionFile],
    copies: usize,
    id: Option<&str>,
) -> Result<&'r RevisionFile, StorageError> {
    let ids: Vec<String> = revisions.iter().map(|r| r.number.to_string()).collect();
    choose_revision(volume, &ids, copies, id).map(|at| &revisions[at])
}
