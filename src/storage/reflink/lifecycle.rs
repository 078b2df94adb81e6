//! Creates, starts, stops and removes volumes. The order of the steps makes a crash after any of
//! them safe: what the guest has synced is in the dirty image until that becomes the clean one.

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
    /// Implements `Driver::create`.
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

    /// Implements `Driver::remove_unowned`.
    pub(super) fn remove_volume(
        &self,
        volume: &Volume,
        owners: &ImageOwners,
    ) -> Result<Vec<String>, StorageError> {
        let images = self.images(&volume.vid)?;
        let _alone = self.lock(volume)?;
        let mut files = images.driver_file_leftovers()?;
        files.extend(images.all_files()?);
        let (mut unowned, mut messages) = volume_files::split_unowned(files, owners)?;
        run_images::exclude_foreign(
            volume,
            &self.foreign_images(volume)?,
            &mut unowned,
            &mut messages,
        );
        messages.extend(describe_links(&unowned)?);
        if unowned.contains(&images.dirty()) {
            refuse_if_open(volume, &images.dirty())?;
        }
        durable::remove_all(&unowned)?;
        remove_qube_directory(&self.location.directory, images.directory())?;
        Ok(messages)
    }

    /// Implements `Driver::start`.
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

    /// Implements `Driver::stop`.
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

    /// Implements `Driver::discard`.
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

    /// Makes the complete image `from` the clean one, and the former clean one a revision. The
    /// caller holds the volume's lock.
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

    /// Copies the clean image in advance, so that the next start is one rename. An error is
    /// ignored: the work before it is done and durable, and the next start makes the copy or
    /// reports why it cannot.
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

    /// Gives the guest the clean image itself. Revisions and precache are removed.
    fn start_in_place(&self, volume: &Volume, images: &ImageFiles) -> Result<(), StorageError> {
        let _alone = self.lock(volume)?;
        let has_dirty = exists(&images.dirty())?;
        if !has_dirty {
            // Check this before removing anything: if the image is missing, the revisions are all
            // that is left.
            refuse_if_missing(volume, images)?;
        }
        let mut obsolete: Vec<_> = images.revisions()?.into_iter().map(|r| r.path).collect();
        obsolete.push(images.precache());
        obsolete.extend(images.driver_file_leftovers()?);
        durable::remove_all(&obsolete)?;
        if has_dirty {
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
                    "is in use without snapshots (revisions_to_keep is -1), or was not stopped \
                     cleanly; shut that qube down, or run qubes-recover, first"
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
        // Not made by a run, but without data.
        durable::remove_scratch(&images.clean())?;
        let what = volume.full_name();
        let progress = CopyProgress {
            receiver: &self.progress,
            what: &what,
        };
        // The copy has the mark of a run. It exists before the second name and is removed after it,
        // so it identifies the second name even if the source has a new image by then.
        durable::copy_scratch(&source.clean(), &images.dirty(), self.group, progress)?;
        let linked = durable::hard_link_scratch(&source.clean(), &images.clean());
        if linked.is_err() {
            // Report the first error. The next start removes the image.
            let _until_the_next_start = durable::remove_scratch(&images.dirty());
        }
        // On another file system the qube runs without the second name. Then it cannot be
        // determined whether its source has changed.
        linked.map(drop)
    }

    fn remove_files(&self, images: &ImageFiles) -> Result<(), StorageError> {
        durable::remove_all(&images.driver_file_leftovers()?)?;
        durable::remove_all(&images.all_files()?)
    }

    /// Creates the volume's directory and its missing parents below the pool's.
    pub(super) fn make_directory(&self, images: &ImageFiles) -> Result<(), StorageError> {
        make_directories(&self.location.directory, images.directory(), self.group)
    }
}

/// Removes temporary files and an incomplete import. Nobody continues the import, because whoever
/// began it held the qube's lock, which the caller holds now.
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

/// Whether the precache is a current copy of the clean image and a file of its own. Some tools
/// replace equal files by hard links, and the guest would write to the clean image.
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
