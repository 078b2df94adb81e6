//! Creates, starts, stops and removes volumes. The order of the steps makes a crash after any of
//! them safe: what the guest has synced is in the dirty image until that becomes the clean one.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Reflink, driver_file_leftovers};
use crate::storage::aliases::describe_links;
use crate::storage::durable::{self, CopyMode};
use crate::storage::open_images::refuse_if_open;
use crate::storage::pool_directory::require_image;
use crate::storage::pool_files::{exists, metadata_if_exists};
use crate::storage::volume_files::VolumeFiles;
use crate::storage::{
    Attachment, ForeignImage, Image, ImageOwners, Remedy, StorageError, Volume, VolumeKind,
    VolumeLife, run_images,
};

impl VolumeLife for Reflink {
    fn create(&self, volume: &Volume) -> Result<(), StorageError> {
        let files = self.files(volume)?;
        let _alone = self.pool.lock(volume)?;
        refuse_if_open(volume, &files.dirty())?;
        self.remove_files(&files)?;
        if volume.kind() != VolumeKind::Origin {
            return Ok(());
        }
        self.pool.make_directory(&files)?;
        durable::create_sparse(&files.image(), volume.size, self.pool.group)?;
        self.precache(volume, &files);
        Ok(())
    }

    fn remove_unowned(
        &self,
        volume: &Volume,
        owners: &ImageOwners,
    ) -> Result<Vec<String>, StorageError> {
        let files = self.files(volume)?;
        let _alone = self.pool.lock(volume)?;
        let mut found = driver_file_leftovers(&files)?;
        found.extend(files.reflink_all()?);
        let (unowned, mut messages) =
            run_images::split_removable(&self.pool, volume, found, owners)?;
        messages.extend(describe_links(&unowned)?);
        if unowned.contains(&files.dirty()) {
            refuse_if_open(volume, &files.dirty())?;
        }
        durable::remove_all(&unowned)?;
        self.pool.remove_directory(&files)?;
        Ok(messages)
    }

    fn start(&self, volume: &Volume) -> Result<(), StorageError> {
        let files = self.files(volume)?;
        refuse_if_open(volume, &files.dirty())?;
        run_images::refuse_foreign(volume, &self.foreign_images(volume)?)?;
        remove_incomplete(&files)?;
        match volume.kind() {
            VolumeKind::Origin if volume.has_snapshots_disabled() => {
                self.start_in_place(volume, &files)
            }
            VolumeKind::Origin => self.start_origin(volume, &files),
            VolumeKind::Snapshot => self.start_snapshot(volume, &files),
            VolumeKind::Volatile => {
                self.pool.make_directory(&files)?;
                durable::create_sparse_scratch(&files.dirty(), volume.size, self.pool.group)
            }
        }
    }

    fn stop(&self, volume: &Volume) -> Result<(), StorageError> {
        let files = self.files(volume)?;
        let dirty = files.dirty();
        refuse_if_open(volume, &dirty)?;
        if volume.kind() != VolumeKind::Origin {
            return self
                .run_files(volume)?
                .iter()
                .try_for_each(|file| durable::remove_scratch(file).map(drop));
        }
        if !exists(&dirty)? {
            return Ok(());
        }
        let _alone = self.pool.lock(volume)?;
        self.commit(volume, &files, &dirty)
    }

    fn discard(&self, volume: &Volume) -> Result<(), StorageError> {
        let files = self.files(volume)?;
        // Without snapshots there is one image, and stopping only renames it.
        if volume.kind() != VolumeKind::Origin
            || volume.has_snapshots_disabled()
            || !exists(&files.image())?
        {
            return self.stop(volume);
        }
        refuse_if_open(volume, &files.dirty())?;
        durable::remove(&files.dirty())?;
        self.precache(volume, &files);
        Ok(())
    }

    fn images(&self, volume: &Volume) -> Result<Vec<Image>, StorageError> {
        let files = self.files(volume)?;
        let mut found = files.reflink_all()?;
        found.extend(driver_file_leftovers(&files)?);
        Ok(found.into_iter().map(Image::File).collect())
    }

    fn verify(&self, volume: &Volume) -> Result<(), StorageError> {
        self.pool.verify(volume)
    }

    fn attachment(&self, volume: &Volume) -> Result<Attachment, StorageError> {
        Ok(Attachment::File(self.files(volume)?.dirty()))
    }

    fn is_dirty(&self, volume: &Volume) -> Result<bool, StorageError> {
        Ok(volume.kind() == VolumeKind::Origin && exists(&self.files(volume)?.dirty())?)
    }

    fn has_run_images(&self, volume: &Volume) -> Result<bool, StorageError> {
        let run_files = self.run_files(volume)?;
        match volume.kind() {
            // P.img is of driver `file` or R3. No run with this driver makes it.
            VolumeKind::Volatile => Ok(run_files.contains(&self.files(volume)?.dirty())),
            VolumeKind::Snapshot | VolumeKind::Origin => Ok(!run_files.is_empty()),
        }
    }

    fn foreign_images(&self, volume: &Volume) -> Result<Vec<ForeignImage>, StorageError> {
        Ok(run_images::classify_files(&self.pool, volume)?.foreign)
    }

    fn is_outdated(&self, volume: &Volume) -> Result<bool, StorageError> {
        if volume.kind() != VolumeKind::Snapshot {
            return Ok(false);
        }
        let own = metadata_if_exists(&self.files(volume)?.image())?;
        let source = metadata_if_exists(&self.pool.source(volume)?.image())?;
        Ok(own
            .zip(source)
            .is_some_and(|(own, source)| (own.dev(), own.ino()) != (source.dev(), source.ino())))
    }

    fn remove_spare_images(&self, volume: &Volume) -> Result<(), StorageError> {
        let files = self.files(volume)?;
        let _alone = self.pool.lock(volume)?;
        durable::remove(&files.precache())?;
        if volume.kind() == VolumeKind::Origin {
            return Ok(());
        }
        refuse_if_open(volume, &files.dirty())?;
        durable::remove_all(&self.run_files(volume)?)
    }

    fn qube_directory(&self, volume: &Volume) -> Option<PathBuf> {
        self.pool.qube_directory(volume)
    }
}

impl Reflink {
    /// Makes the complete image `from` the clean one, and the former clean one a revision. The
    /// caller holds the volume's lock.
    pub(super) fn commit(
        &self,
        volume: &Volume,
        files: &VolumeFiles,
        from: &Path,
    ) -> Result<(), StorageError> {
        if !volume.has_snapshots_disabled() {
            self.save_revision(volume, files)?;
            self.prune(volume, files)?;
        }
        durable::sync_file(from)?;
        durable::remove_scratch(&files.precache())?;
        durable::replace(from, &files.image())?;
        self.precache(volume, files);
        Ok(())
    }

    /// Copies the clean image in advance, so that the next start is one rename. An error is
    /// ignored: the work before it is done and durable, and the next start makes the copy or
    /// reports why it cannot.
    pub(super) fn precache(&self, volume: &Volume, files: &VolumeFiles) {
        if !volume.has_snapshots_disabled() {
            let _no_room = self.pool.copy(
                volume,
                &files.image(),
                &files.precache(),
                CopyMode::SameTime,
            );
        }
    }

    /// Gives the guest the clean image itself. Revisions and precache are removed.
    fn start_in_place(&self, volume: &Volume, files: &VolumeFiles) -> Result<(), StorageError> {
        let _alone = self.pool.lock(volume)?;
        let has_dirty = exists(&files.dirty())?;
        if !has_dirty {
            // Check this before removing anything: if the image is missing, the revisions are all
            // that is left.
            require_image(volume, &files.image())?;
        }
        let mut obsolete: Vec<_> = files.revisions()?.into_iter().map(|r| r.path).collect();
        obsolete.push(files.precache());
        obsolete.extend(driver_file_leftovers(files)?);
        durable::remove_all(&obsolete)?;
        if has_dirty {
            Ok(())
        } else {
            durable::rename(&files.image(), &files.dirty())
        }
    }

    fn start_origin(&self, volume: &Volume, files: &VolumeFiles) -> Result<(), StorageError> {
        if exists(&files.dirty())? {
            return Ok(());
        }
        require_image(volume, &files.image())?;
        durable::remove_all(&driver_file_leftovers(files)?)?;
        if is_precache_current(files)? {
            return durable::rename(&files.precache(), &files.dirty());
        }
        durable::remove(&files.precache())?;
        self.pool
            .copy(volume, &files.image(), &files.dirty(), CopyMode::Fresh)
    }

    fn start_snapshot(&self, volume: &Volume, files: &VolumeFiles) -> Result<(), StorageError> {
        let source = self.pool.source(volume)?;
        let _unchanged = self.pool.lock_shared(volume.source_vid()?)?;
        if !exists(&source.image())? {
            let why = |state| format!("its source {} {state}", source.image().display());
            return Err(match exists(&source.dirty())? {
                true => volume.not_ready(
                    why(
                        "is in use without snapshots (revisions_to_keep is -1), or was not \
                         stopped cleanly",
                    ),
                    Remedy::StopSource,
                ),
                false => volume.refusal(why("is missing")),
            });
        }
        self.pool.make_directory(files)?;
        self.stop(volume)?;
        // Not made by a run, but without data.
        durable::remove_scratch(&files.image())?;
        let what = volume.full_name();
        // The copy has the mark of a run. It exists before the second name and is removed after it,
        // so it identifies the second name even if the source has a new image by then.
        durable::copy_scratch(
            &source.image(),
            &files.dirty(),
            self.pool.group,
            self.pool.progress(&what),
        )?;
        let linked = durable::hard_link_scratch(&source.image(), &files.image());
        if linked.is_err() {
            // Report the first error. The next start removes the image.
            let _until_the_next_start = durable::remove_scratch(&files.dirty());
        }
        // On another file system the qube runs without the second name. Then it cannot be
        // determined whether its source has changed.
        linked.map(drop)
    }

    fn remove_files(&self, files: &VolumeFiles) -> Result<(), StorageError> {
        durable::remove_all(&driver_file_leftovers(files)?)?;
        durable::remove_all(&files.reflink_all()?)
    }
}

/// Removes temporary files and an incomplete import. Nobody continues the import, because whoever
/// began it held the qube's lock, which the caller holds now.
fn remove_incomplete(files: &VolumeFiles) -> Result<(), StorageError> {
    durable::remove_all(&files.reflink_temporary()?)?;
    durable::remove(&files.import())
}

/// Whether the precache is a current copy of the clean image and a file of its own. Some tools
/// replace equal files by hard links, and the guest would write to the clean image.
pub(super) fn is_precache_current(files: &VolumeFiles) -> Result<bool, StorageError> {
    let (clean, precache) = (
        metadata_if_exists(&files.image())?,
        metadata_if_exists(&files.precache())?,
    );
    Ok(clean
        .zip(precache)
        .filter(|(_, p)| p.nlink() == 1)
        .is_some_and(|(c, p)| {
            (c.mtime(), c.mtime_nsec(), c.size()) == (p.mtime(), p.mtime_nsec(), p.size())
        }))
}
