//! Saved states of a volume and the way back to one.

use super::Reflink;
use super::images::{Images, RevisionFile};
use crate::storage::durable::{self, Copy};
use crate::storage::in_use::refuse_if_open;
use crate::storage::volume_files::{exists, look};
use crate::storage::{Kind, StorageError, Volume};

impl Reflink {
    /// Copies the clean image to a new revision, unless none are kept or there is nothing to save.
    pub(super) fn save_revision(&self, volume: &Volume, images: &Images) -> Result<(), StorageError> {
        let Some(clean) = look(&images.clean())? else { return Ok(()) };
        if volume.revisions_to_keep == 0 {
            return Ok(());
        }
        let time = clean.modified().map_err(StorageError::io(format!("looking at {}", images.clean().display())))?;
        let (clean, revision) = (images.clean(), images.next_revision(time)?);
        match self.copy(volume, &clean, &revision, Copy::SameTime) {
            // The clean image is replaced next, never written to, so a second name of it is as
            // good, and takes no room.
            Err(error) if error.is_disk_full() => match durable::hard_link_scratch(&clean, &revision) {
                Ok(true) => Ok(()),
                _ => Err(error),
            },
            copied => copied,
        }
    }

    /// Removes all but the newest revisions; the commit that follows in the same directory waits for the disk.
    pub(super) fn prune(&self, volume: &Volume, images: &Images) -> Result<(), StorageError> {
        prune_to(images, usize::try_from(volume.revisions_to_keep).unwrap_or(0))
    }

    pub(super) fn revert_volume(&self, volume: &Volume, wanted: Option<&str>) -> Result<(), StorageError> {
        let label = volume.label();
        if volume.kind != Kind::Origin {
            return Err(StorageError::Refused(format!(
                "{label}: it is not kept from start to start; nothing to revert"
            )));
        }
        let images = self.images(&volume.vid)?;
        if exists(&images.dirty())? {
            let text = format!("{label}: it is in use or was not stopped cleanly; shut the qube down before reverting");
            return Err(StorageError::Refused(text));
        }
        refuse_if_open(volume, &images.clean())?;
        let _alone = self.lock(volume)?;
        let chosen = choose(&label, &images.revisions()?, wanted)?;
        self.save_revision(volume, &images)?;
        durable::remove(&images.precache())?;
        durable::rename(&chosen.path, &images.clean())?;
        self.precache(volume, &images);
        Ok(())
    }
}

/// Removes all but the newest `keep` revisions.
pub(super) fn prune_to(images: &Images, keep: usize) -> Result<(), StorageError> {
    let revisions = images.revisions()?;
    for revision in &revisions[..revisions.len().saturating_sub(keep)] {
        durable::remove_scratch(&revision.path)?;
    }
    Ok(())
}

/// The wanted revision, else the newest.
fn choose(label: &str, revisions: &[RevisionFile], wanted: Option<&str>) -> Result<RevisionFile, StorageError> {
    let chosen = match wanted {
        Some(id) => revisions.iter().find(|r| r.number.to_string() == id),
        None => revisions.last(),
    };
    let known = || revisions.iter().map(|r| r.number.to_string()).collect::<Vec<_>>().join(", ");
    chosen.cloned().ok_or_else(|| {
        StorageError::Refused(match (revisions.is_empty(), wanted) {
            (true, _) | (_, None) => format!("{label}: it has no revision to revert to"),
            (false, Some(id)) => format!("{label}: it has no revision '{}'; it has {}", id.escape_debug(), known()),
        })
    })
}
