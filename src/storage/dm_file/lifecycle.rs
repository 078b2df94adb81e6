//! Creates, starts, stops and removes volumes. The image is written in place, so it always has what
//! the guest has synced. A commit begins a new COW file. A crash can only cost the revision.

use super::files::VolumeFiles;
use super::{DmFile, cow};
use crate::storage::aliases::describe_links;
use crate::storage::durable;
use crate::storage::open_images::{has_mapped_layers, refuse_if_open};
use crate::storage::volume_files::{
    exists, make_directories, metadata_if_exists, remove_qube_directory, source_vid,
};
use crate::storage::{
    Driver, ImageOwners, StorageError, Volume, VolumeKind, device_mapper, run_images, volume_files,
};

impl DmFile {
    /// Implements `Driver::create`.
    pub(super) fn create_volume(&self, volume: &Volume) -> Result<(), StorageError> {
        if volume.size == 0 && volume.kind == VolumeKind::Origin {
            return Err(StorageError::Refused(format!(
                "{}: the size of the image must not be 0",
                volume.label()
            )));
        }
        let files = self.files(&volume.vid)?;
        let _alone = self.lock(volume)?;
        self.remove_files(volume, &files)?;
        if volume.kind != VolumeKind::Origin {
            return Ok(());
        }
        make_directories(&self.location.directory, files.directory(), self.group)?;
        durable::create_sparse(&files.image(), volume.size, self.group)?;
        self.begin_cow(volume, &files)
    }

    /// Implements `Driver::remove_unowned`.
    pub(super) fn remove_volume(
        &self,
        volume: &Volume,
        owners: &ImageOwners,
    ) -> Result<Vec<String>, StorageError> {
        let files = self.files(&volume.vid)?;
        let _alone = self.lock(volume)?;
        let (mut unowned, mut kept) = volume_files::split_unowned(files.all_files()?, owners)?;
        run_images::exclude_foreign(
            volume,
            &self.foreign_images(volume)?,
            &mut unowned,
            &mut kept,
        );
        let links = describe_links(&unowned)?;
        match kept.is_empty() {
            true => self.remove_files(volume, &files)?,
            // Devices over an image that stays may be in use by its owner.
            false => durable::remove_all(&unowned)?,
        }
        remove_qube_directory(&self.location.directory, files.directory())?;
        kept.extend(links);
        Ok(kept)
    }

    /// Implements `Driver::start`.
    pub(super) fn start_volume(&self, volume: &Volume) -> Result<(), StorageError> {
        let files = self.files(&volume.vid)?;
        run_images::refuse_foreign(volume, &self.foreign_images(volume)?)?;
        match volume.kind {
            VolumeKind::Volatile => {
                refuse_if_open(volume, &files.image())?;
                make_directories(&self.location.directory, files.directory(), self.group)?;
                durable::create_sparse_scratch(&files.image(), volume.size, self.group)
            }
            VolumeKind::Snapshot => self.start_snapshot(volume, &files),
            VolumeKind::Origin => {
                let _alone = self.lock(volume)?;
                self.finish_interrupted(&files)?;
                self.refuse_if_unusable(volume, &files)?;
                match volume.has_snapshots_disabled() {
                    true => self.start_in_place(volume, &files),
                    false => self.start_origin(volume, &files),
                }
            }
        }
    }

    /// Implements `Driver::stop`.
    pub(super) fn stop_volume(&self, volume: &Volume) -> Result<(), StorageError> {
        let files = self.files(&volume.vid)?;
        match volume.kind {
            VolumeKind::Volatile => {
                refuse_if_open(volume, &files.image())?;
                self.remove_run(volume)
            }
            VolumeKind::Snapshot if volume.rw => {
                self.unmap_snapshot(volume, &files)?;
                self.remove_run(volume)
            }
            VolumeKind::Snapshot => self.unmap_read_only(&self.files(source_vid(volume)?)?),
            VolumeKind::Origin => {
                self.unmap_origin(volume, &files)?;
                match volume.has_snapshots_disabled() || !cow::has_data(&files.cow())? {
                    true => Ok(()),
                    false => self.commit(volume, &files),
                }
            }
        }
    }

    fn remove_run(&self, volume: &Volume) -> Result<(), StorageError> {
        self.run_file(volume)?
            .map_or(Ok(()), |file| durable::remove_scratch(&file).map(drop))
    }

    /// Removes the devices of a start. Nothing was written, so nothing is committed.
    pub(super) fn discard_volume(&self, volume: &Volume) -> Result<(), StorageError> {
        match volume.kind {
            VolumeKind::Origin => self.unmap_origin(volume, &self.files(&volume.vid)?),
            VolumeKind::Snapshot | VolumeKind::Volatile => self.stop_volume(volume),
        }
    }

    /// Makes the state before this run the revision, and begins a new COW file.
    fn commit(&self, volume: &Volume, files: &VolumeFiles) -> Result<(), StorageError> {
        let _alone = self.lock(volume)?;
        durable::sync_file(&files.image())?;
        match volume.revisions_to_keep == 0 || cow::is_invalid(&files.cow())? {
            // Restoring the older revision would need this run's changes, which are not kept.
            true => durable::remove_all(&[files.old_cow(), files.cow()])?,
            false => durable::rename(&files.cow(), &files.old_cow())?,
        }
        self.begin_cow(volume, files)
    }

    /// Creates an empty COW file, large enough for an image that is overwritten completely.
    pub(super) fn begin_cow(
        &self,
        volume: &Volume,
        files: &VolumeFiles,
    ) -> Result<(), StorageError> {
        if volume.has_snapshots_disabled() {
            return Ok(());
        }
        let image = metadata_if_exists(&files.image())?.map_or(volume.size, |image| image.len());
        durable::create_sparse(&files.cow(), cow::required_size(image), self.group)
    }

    /// Gives the guest the image itself. The revision is removed, and there must not be snapshots
    /// of it.
    fn start_in_place(&self, volume: &Volume, files: &VolumeFiles) -> Result<(), StorageError> {
        if has_mapped_layers(&files.image()) {
            return Err(StorageError::Refused(format!(
                "{}: qubes run on snapshots of {}, which would be written to \
                 (revisions_to_keep is -1); shut them down first",
                volume.label(),
                files.image().display()
            )));
        }
        refuse_if_open(volume, &files.image())?;
        durable::remove_all(&[files.cow(), files.old_cow()])
    }

    fn start_origin(&self, volume: &Volume, files: &VolumeFiles) -> Result<(), StorageError> {
        require_device_mapper(volume)?;
        match metadata_if_exists(&files.cow())? {
            // The pool was full before a power loss: the data are complete, only the revision is
            // lost.
            Some(_) if cow::is_invalid(&files.cow())? => {
                durable::remove(&files.old_cow())?;
                self.begin_cow(volume, files)?;
            }
            // After a crash the guest continues with what it has written.
            Some(_) => {}
            None => self.begin_cow(volume, files)?,
        }
        self.map_origin(files)
    }

    fn start_snapshot(&self, volume: &Volume, files: &VolumeFiles) -> Result<(), StorageError> {
        let source = self.files(source_vid(volume)?)?;
        let _unchanged = self.locks.lock_shared(&self.name, source_vid(volume)?)?;
        if !exists(&source.image())? {
            let (label, image) = (volume.label(), source.image());
            return Err(StorageError::Refused(format!(
                "{label}: its source {} is missing",
                image.display()
            )));
        }
        require_device_mapper(volume)?;
        make_directories(&self.location.directory, files.directory(), self.group)?;
        // Remove what a crash has left of the previous run.
        self.unmap_snapshot(volume, files)?;
        durable::remove_scratch(&files.cow())?;
        self.map_snapshot(volume, &source, files)
    }

    fn remove_files(&self, volume: &Volume, files: &VolumeFiles) -> Result<(), StorageError> {
        self.unmap_origin(volume, files)?;
        self.unmap_snapshot(volume, files)?;
        if volume.kind == VolumeKind::Volatile || volume.has_snapshots_disabled() {
            refuse_if_open(volume, &files.image())?;
        }
        durable::remove_all(&files.all_files()?)
    }

    /// Removes temporary files and an incomplete import, and finishes an interrupted revert. Nobody
    /// continues them, because whoever began them held the qube's lock, which the caller holds now.
    pub(super) fn finish_interrupted(&self, files: &VolumeFiles) -> Result<(), StorageError> {
        durable::remove_all(&files.leftovers()?)?;
        durable::remove_all(&[files.import(), files.reflink_precache()])?;
        self.finish_revert(files)
    }

    fn refuse_if_unusable(&self, volume: &Volume, files: &VolumeFiles) -> Result<(), StorageError> {
        self.refuse_reflink_data(volume, files)?;
        let label = volume.label();
        let image = files.image();
        match metadata_if_exists(&image)? {
            None => Err(StorageError::Refused(format!(
                "{label}: image {} is missing",
                image.display()
            ))),
            Some(found) if found.len() % 512 != 0 || found.len() == 0 => {
                Err(StorageError::Refused(format!(
                    "{label}: image {} has {} bytes; a disk has sectors of 512, and at least one",
                    image.display(),
                    found.len()
                )))
            }
            Some(_) => Ok(()),
        }
    }

    /// Refuses a volume whose newest data are in the dirty image of driver `file-reflink`, which
    /// this driver never reads: a qube has crashed when that driver had the pool.
    pub(super) fn refuse_reflink_data(
        &self,
        volume: &Volume,
        files: &VolumeFiles,
    ) -> Result<(), StorageError> {
        let dirty = files.reflink_dirty();
        if !exists(&dirty)? {
            return Ok(());
        }
        let (label, pool, dirty) = (volume.label(), &self.name, dirty.display());
        Err(StorageError::Refused(format!(
            "{label}: {dirty} has data that driver 'file-reflink' has not committed; \
             set the driver of pool {pool} to it and run qubes-recover"
        )))
    }
}

/// Checks for the device mapper before anything changes.
fn require_device_mapper(volume: &Volume) -> Result<(), StorageError> {
    let (label, way) = (
        volume.label(),
        "a pool of driver 'file' cannot run qubes here",
    );
    device_mapper::require_available()
        .map_err(|error| StorageError::Refused(format!("{label}: {error}; {way}")))
}
