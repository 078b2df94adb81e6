//! Saves the states of a volume and restores them.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Reflink;
use super::images::{ImageFiles, RevisionFile};
use crate::fs::comparison::have_same_data;
use crate::fs::directory::OpenMode;
use crate::storage::durable::{self, CopyMode};
use crate::storage::open_images::refuse_if_open;
use crate::storage::volume_files::{exists, metadata_if_exists};
use crate::storage::{StorageError, Volume, VolumeKind, pool_files};

impl Reflink {
    /// Saves the clean image as a new revision, unless no revisions are kept or there is no image.
    /// Returns the path of the revision.
    pub(super) fn save_revision(
        &self,
        volume: &Volume,
        images: &ImageFiles,
    ) -> Result<Option<PathBuf>, StorageError> {
        let Some(clean) = metadata_if_exists(&images.clean())? else {
            return Ok(None);
        };
        if volume.revisions_to_keep == 0 {
            return Ok(None);
        }
        let time = clean.modified().map_err(StorageError::io(format!(
            "cannot examine {}",
            images.clean().display()
        )))?;
        let (clean, revision) = (images.clean(), images.next_revision(time)?);
        match self.copy(volume, &clean, &revision, CopyMode::SameTime) {
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
    pub(super) fn prune(&self, volume: &Volume, images: &ImageFiles) -> Result<(), StorageError> {
        prune_to(
            images,
            usize::try_from(volume.revisions_to_keep).unwrap_or(0),
        )
    }

    /// Implements `Driver::revert`.
    pub(super) fn revert_volume(
        &self,
        volume: &Volume,
        id: Option<&str>,
    ) -> Result<(), StorageError> {
        let (label, images) = (volume.label(), self.revertible_images(volume)?);
        if exists(&images.dirty())? {
            let text = format!(
                "{label}: it is in use or was not stopped cleanly; \
                 shut the qube down before reverting"
            );
            return Err(StorageError::Refused(text));
        }
        refuse_if_open(volume, &images.clean())?;
        let _alone = self.lock(volume)?;
        let revisions = images.revisions()?;
        let copies = count_clean_copies(&images, &revisions)?;
        let chosen = choose_revision(&label, &revisions, copies, id)?;
        // An interrupted revert has saved it already.
        let is_saved = revisions
            .iter()
            .rev()
            .take(copies)
            .any(|copy| copy.number != chosen.number);
        let made = if is_saved {
            None
        } else {
            self.save_revision(volume, &images)?
        };
        let replaced = durable::remove(&images.precache())
            .and_then(|()| durable::replace(&chosen.path, &images.clean()));
        if let Some(made) = made.filter(|_| {
            replaced
                .as_ref()
                .is_err_and(|error| !error.has_taken_effect())
        }) {
            // Report the first error. The next revert recognises a revision that stays.
            let _stays = durable::remove(&made);
        }
        replaced?;
        self.precache(volume, &images);
        Ok(())
    }

    /// Implements `Driver::revision_size`.
    pub(super) fn size_of_revision(
        &self,
        volume: &Volume,
        id: Option<&str>,
    ) -> Result<u64, StorageError> {
        let images = self.revertible_images(volume)?;
        let revisions = images.revisions()?;
        let chosen = choose_revision(
            &volume.label(),
            &revisions,
            count_clean_copies(&images, &revisions)?,
            id,
        )?;
        Ok(metadata_if_exists(&chosen.path)?.map_or(volume.size, |revision| revision.len()))
    }

    /// Returns the images of a volume that can have revisions.
    fn revertible_images(&self, volume: &Volume) -> Result<ImageFiles, StorageError> {
        if volume.kind == VolumeKind::Origin {
            return self.images(&volume.vid);
        }
        let text = format!(
            "{}: it is not kept from start to start; nothing to revert",
            volume.label()
        );
        Err(StorageError::Refused(text))
    }
}

/// Removes all but the newest `keep` revisions.
pub(super) fn prune_to(images: &ImageFiles, keep: usize) -> Result<(), StorageError> {
    let revisions = images.revisions()?;
    for revision in &revisions[..revisions.len().saturating_sub(keep)] {
        durable::remove_scratch(&revision.path)?;
    }
    Ok(())
}

/// Returns how many of the newest revisions equal the clean image. An interrupted revert leaves
/// such a revision. Restoring it would change nothing.
fn count_clean_copies(
    images: &ImageFiles,
    revisions: &[RevisionFile],
) -> Result<usize, StorageError> {
    let clean = images.clean();
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
fn choose_revision(
    label: &str,
    revisions: &[RevisionFile],
    copies: usize,
    id: Option<&str>,
) -> Result<RevisionFile, StorageError> {
    let chosen = match id {
        Some(id) => revisions.iter().find(|r| r.number.to_string() == id),
        None => revisions.iter().rev().nth(copies).or(revisions.last()),
    };
    let known = || {
        revisions
            .iter()
            .map(|r| r.number.to_string())
            .collect::<Vec<_>>()
            .join(", ")
    };
    chosen.cloned().ok_or_else(|| {
        StorageError::Refused(match (revisions.is_empty(), id) {
            (true, _) | (_, None) => format!("{label}: it has no revision to revert to"),
            (false, Some(id)) => format!(
                "{label}: it has no revision '{}'; it has {}",
                id.escape_debug(),
                known()
            ),
        })
    })
}
