//! From create over start and stop to remove. The order of the steps makes each of them safe to be
//! the last one before a crash: what the guest has synced lies in the dirty image until the moment
//! the dirty image becomes the clean one.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Reflink;
use super::images::ImageFiles;
use crate::storage::aliases::describe_links;
use crate::storage::durable::{self, CopyMode, CopyProgress};
use crate::storage::open_images::refuse_if_open;
use crate::storage::volume_files::{
    exists, make_directories, metadata_if_exists, remove_qube_directory, source_vid,
};
use crate::storage::{
    Driver, ImageOwners, StorageError, Volume, VolumeKind, run_images, volume_files,
};

impl Reflink {
    pub(super) fn create_volume(&self, volume: &Volume) -> Result<(), StorageError> {
        let images = self.images(&volume.vid)?;
        let _alone = self.lock(volume)?;
        refuse_if_open(volume, &images.dirty())?;
        self.remove_files(&images)?;
        if volume.kind != VolumeKind::Origin {
            return Ok(());
        }
        self.make_directory(&images)?;
        durable::create_sparse(&images.clean(), volume.size, self.group)?;
        self.precache(volume, &images);
        Ok(())
    }

    pub(super) fn remove_volume(
        &self,
        volume: &Volume,
        owners: &ImageOwners,
    ) -> Result<Vec<String>, StorageError> {
        let images = self.images(&volume.vid)?;
        let _alone = self.lock(volume)?;
        let mut files = images.driver_file_leftovers()?;
        files.extend(images.all()?);
        let (mut unowned, mut told) = volume_files::split_unowned(files, owners)?;
        run_images::exclude_foreign(
            volume,
            &self.foreign_images(volume)?,
            &mut unowned,
            &mut told,
        );
        told.extend(describe_links(&unowned)?);
        if unowned.contains(&images.dirty()) {
            refuse_if_open(volume, &images.dirty())?;
        }
        durable::remove_all(&unowned)?;
        remove_qube_directory(&self.location.directory, images.directory())?;
        Ok(told)
    }

    pub(super) fn start_volume(&self, volume: &Volume) -> Result<(), StorageError> {
        let images = self.images(&volume.vid)?;
        refuse_if_open(volume, &images.dirty())?;
        run_images::refuse_foreign(volume, &self.foreign_images(volume)?)?;
        remove_incomplete(&images)?;
        match volume.kind {
            VolumeKind::Origin if volume.has_snapshots_disabled() => {
                self.start_in_place(volume, &images)
            }
            VolumeKind::Origin => self.start_origin(volume, &images),
            VolumeKind::Snapshot => self.start_snapshot(volume, &images),
            VolumeKind::Volatile => {
                self.make_directory(&images)?;
                durable::create_sparse_scratch(&images.dirty(), volume.size, self.group)
            }
        }
    }

    pub(super) fn stop_volume(&self, volume: &Volume) -> Result<(), StorageError> {
        let images = self.images(&volume.vid)?;
        let dirty = images.dirty();
        refuse_if_open(volume, &dirty)?;
        if volume.kind != VolumeKind::Origin {
            return self
                .run_files(volume)?
                .iter()
                .try_for_each(|file| durable::remove_scratch(file).map(drop));
        }
        if !exists(&dirty)? {
            return Ok(());
        }
        let _alone = self.lock(volume)?;
        self.commit(volume, &images, &dirty)
    }

    pub(super) fn discard_volume(&self, volume: &Volume) -> Result<(), StorageError> {
        let images = self.images(&volume.vid)?;
        // Without snapshots there is one image, and stopping only renames it.
        if volume.kind != VolumeKind::Origin
            || volume.has_snapshots_disabled()
            || !exists(&images.clean())?
        {
            return self.stop_volume(volume);
        }
        refuse_if_open(volume, &images.dirty())?;
        durable::remove(&images.dirty())?;
        self.precache(volume, &images);
        Ok(())
    }

    /// Makes `from`, a complete image, the volume's clean one, and the clean one a revision. The
    /// volume is locked.
    pub(super) fn commit(
        &self,
        volume: &Volume,
        images: &ImageFiles,
        from: &Path,
    ) -> Result<(), StorageError> {
        if !volume.has_snapshots_disabled() {
            self.save_revision(volume, images)?;
            self.prune(volume, images)?;
        }
        durable::sync_file(from)?;
        durable::remove_scratch(&images.precache())?;
        durable::replace(from, &images.clean())?;
        self.precache(volume, images);
        Ok(())
    }

    /// Copies the clean image in advance, so that the next start is one rename. The work before it
    /// is done and durable and must not count as failed because there was no room for this: the
    /// next start copies then, or says why not.
    pub(super) fn precache(&self, volume: &Volume, images: &ImageFiles) {
        if !volume.has_snapshots_disabled() {
            let _no_room = self.copy(
                volume,
                &images.clean(),
                &images.precache(),
                CopyMode::SameTime,
            );
        }
    }

    /// The guest gets the clean image itself; nothing of before stays.
    fn start_in_place(&self, volume: &Volume, images: &ImageFiles) -> Result<(), StorageError> {
        let _alone = self.lock(volume)?;
        let goes_on = exists(&images.dirty())?;
        if !goes_on {
            // Asked before anything goes: where the image is missing, the revisions are all there
            // is.
            refuse_if_missing(volume, images)?;
        }
        let mut superfluous: Vec<_> = images.revisions()?.into_iter().map(|r| r.path).collect();
        superfluous.push(images.precache());
        superfluous.extend(images.driver_file_leftovers()?);
        durable::remove_all(&superfluous)?;
        if goes_on {
            Ok(())
        } else {
            durable::rename(&images.clean(), &images.dirty())
        }
    }

    fn start_origin(&self, volume: &Volume, images: &ImageFiles) -> Result<(), StorageError> {
        if exists(&images.dirty())? {
            return Ok(());
        }
        refuse_if_missing(volume, images)?;
        durable::remove_all(&images.driver_file_leftovers()?)?;
        if is_precache_current(images)? {
            return durable::rename(&images.precache(), &images.dirty());
        }
        durable::remove(&images.precache())?;
        self.copy(volume, &images.clean(), &images.dirty(), CopyMode::Fresh)
    }

    fn start_snapshot(&self, volume: &Volume, images: &ImageFiles) -> Result<(), StorageError> {
        let source = self.source(volume)?;
        let _unchanged = self.locks.lock_shared(&self.name, source_vid(volume)?)?;
        if !exists(&source.clean())? {
            let (label, image) = (volume.label(), source.clean());
            let why = match exists(&source.dirty())? {
                true => {
                    "is in use without snapshots (revisions_to_keep is -1), or was not stopped cleanly; shut that qube down, \
                     or run qubes-recover, first"
                }
                false => "is missing",
            };
            return Err(StorageError::Refused(format!(
                "{label}: its source {} {why}",
                image.display()
            )));
        }
        self.make_directory(images)?;
        self.stop_volume(volume)?;
        // Of no run, but without data.
        durable::remove_scratch(&images.clean())?;
        let what = volume.full_name();
        let told = CopyProgress {
            watcher: &self.watcher,
            what: &what,
        };
        // The copy has a run's mark. It is there before the second name and goes after it, so it
        // tells whose that is, also when the source has another image by then.
        durable::copy_scratch(&source.clean(), &images.dirty(), self.group, told)?;
        let linked = durable::hard_link_scratch(&source.clean(), &images.clean());
        if linked.is_err() {
            // The first error is the one to tell.
            let _until_the_next_start = durable::remove_scratch(&images.dirty());
        }
        // On another disk the qube does without: then nobody can tell whether its source has moved
        // on since.
        linked.map(drop)
    }

    fn remove_files(&self, images: &ImageFiles) -> Result<(), StorageError> {
        durable::remove_all(&images.driver_file_leftovers()?)?;
        durable::remove_all(&images.all()?)
    }

    /// Makes the volume's directory and what is missing between it and the pool's.
    pub(super) fn make_directory(&self, images: &ImageFiles) -> Result<(), StorageError> {
        make_directories(&self.location.directory, images.directory(), self.group)
    }
}

/// Temporary files, and an import that nobody will finish: whoever started it held the qube's lock,
/// which is ours now.
fn remove_incomplete(images: &ImageFiles) -> Result<(), StorageError> {
    durable::remove_all(&images.leftovers()?)?;
    durable::remove(&images.import())
}

fn refuse_if_missing(volume: &Volume, images: &ImageFiles) -> Result<(), StorageError> {
    match exists(&images.clean())? {
        true => Ok(()),
        false => {
            let (label, image) = (volume.label(), images.clean());
            Err(StorageError::Refused(format!(
                "{label}: image {} is missing",
                image.display()
            )))
        }
    }
}

/// Whether the precache is a copy of the clean image as it is now, and a file of its own: some
/// tools join equal files, and the guest would write to the clean image.
pub(super) fn is_precache_current(images: &ImageFiles) -> Result<bool, StorageError> {
    let (clean, precache) = (
        metadata_if_exists(&images.clean())?,
        metadata_if_exists(&images.precache())?,
    );
    Ok(clean
        .zip(precache)
        .filter(|(_, p)| p.nlink() == 1)
        .is_some_and(|(c, p)| {
            (c.mtime(), c.mtime_nsec(), c.size()) == (p.mtime(), p.mtime_nsec(), p.size())
        }))
}
