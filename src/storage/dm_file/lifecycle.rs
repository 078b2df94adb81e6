//! Creates, starts, stops and removes volumes. The image is written in place, so it always has what
//! the guest has synced. A commit begins a new COW file. A crash can only cost the revision.

use std::path::PathBuf;

use super::DmFile;
use crate::storage::aliases::describe_links;
use crate::storage::open_images::{has_mapped_layers, refuse_if_open};
use crate::storage::pool_directory::require_image;
use crate::storage::pool_files::{exists, metadata_if_exists};
use crate::storage::volume_files::VolumeFiles;
use crate::storage::{
    Attachment, ForeignImage, Image, ImageOwners, Remedy, StorageError, Volume, VolumeKind,
    VolumeLife, cow, device_mapper, durable, run_images,
};

impl VolumeLife for DmFile {
    fn create(&self, volume: &Volume) -> Result<(), StorageError> {
        if volume.size == 0 && volume.kind() == VolumeKind::Origin {
            return Err(volume.refusal("the size of the image must not be 0"));
        }
        let files = self.files(volume)?;
        let _alone = self.pool.lock(volume)?;
        self.remove_files(volume, &files)?;
        if volume.kind() != VolumeKind::Origin {
            return Ok(());
        }
        self.pool.make_directory(&files)?;
        durable::create_sparse(&files.image(), volume.size, self.pool.group)?;
        self.begin_cow(volume, &files)
    }

    fn remove_unowned(
        &self,
        volume: &Volume,
        owners: &ImageOwners,
    ) -> Result<Vec<String>, StorageError> {
        let files = self.files(volume)?;
        let _alone = self.pool.lock(volume)?;
        let (unowned, mut kept) =
            run_images::split_removable(&self.pool, volume, files.all()?, owners)?;
        let links = describe_links(&unowned)?;
        match kept.is_empty() {
            true => self.remove_files(volume, &files)?,
            // Devices over an image that stays may be in use by its owner.
            false => durable::remove_all(&unowned)?,
        }
        self.pool.remove_directory(&files)?;
        kept.extend(links);
        Ok(kept)
    }

    fn start(&self, volume: &Volume) -> Result<(), StorageError> {
        let files = self.files(volume)?;
        run_images::refuse_foreign(volume, &self.foreign_images(volume)?)?;
        match volume.kind() {
            VolumeKind::Volatile => {
                refuse_if_open(volume, &files.image())?;
                self.pool.make_directory(&files)?;
                durable::create_sparse_scratch(&files.image(), volume.size, self.pool.group)
            }
            VolumeKind::Snapshot => self.start_snapshot(volume, &files),
            VolumeKind::Origin => {
                let _alone = self.pool.lock(volume)?;
                self.finish_interrupted(&files)?;
                self.refuse_if_unusable(volume, &files)?;
                match volume.has_snapshots_disabled() {
                    true => self.start_in_place(volume, &files),
                    false => self.start_origin(volume, &files),
                }
            }
        }
    }

    fn stop(&self, volume: &Volume) -> Result<(), StorageError> {
        let files = self.files(volume)?;
        match volume.kind() {
            VolumeKind::Volatile => {
                refuse_if_open(volume, &files.image())?;
                self.remove_run(volume)
            }
            VolumeKind::Snapshot if volume.rw => {
                self.unmap_snapshot(volume, &files)?;
                self.remove_run(volume)
            }
            VolumeKind::Snapshot => self.unmap_read_only(&self.pool.source(volume)?),
            VolumeKind::Origin => {
                self.unmap_origin(volume, &files)?;
                match volume.has_snapshots_disabled() || !cow::has_data(&files.cow())? {
                    true => Ok(()),
                    false => self.commit(volume, &files),
                }
            }
        }
    }

    /// Removes the devices of a start. Nothing was written, so nothing is committed.
    fn discard(&self, volume: &Volume) -> Result<(), StorageError> {
        match volume.kind() {
            VolumeKind::Origin => self.unmap_origin(volume, &self.files(volume)?),
            VolumeKind::Snapshot | VolumeKind::Volatile => self.stop(volume),
        }
    }

    fn images(&self, volume: &Volume) -> Result<Vec<Image>, StorageError> {
        let files = self.files(volume)?.all()?;
        Ok(files.into_iter().map(Image::File).collect())
    }

    fn verify(&self, volume: &Volume) -> Result<(), StorageError> {
        self.pool.verify(volume)
    }

    fn attachment(&self, volume: &Volume) -> Result<Attachment, StorageError> {
        let files = self.files(volume)?;
        match volume.kind() {
            VolumeKind::Snapshot => self.snapshot_attachment(volume),
            VolumeKind::Origin if !volume.has_snapshots_disabled() => Ok(Attachment::Device(
                device_mapper::device_path(&self.origin_device(&files)?),
            )),
            VolumeKind::Origin | VolumeKind::Volatile => Ok(Attachment::File(files.image())),
        }
    }

    fn is_dirty(&self, volume: &Volume) -> Result<bool, StorageError> {
        if volume.kind() != VolumeKind::Origin || volume.has_snapshots_disabled() {
            return Ok(false);
        }
        cow::has_data(&self.files(volume)?.cow())
    }

    fn has_run_images(&self, volume: &Volume) -> Result<bool, StorageError> {
        Ok(self.run_file(volume)?.is_some())
    }

    fn foreign_images(&self, volume: &Volume) -> Result<Vec<ForeignImage>, StorageError> {
        Ok(run_images::classify_files(&self.pool, volume)?.foreign)
    }

    /// Compares the names of devices, as R3 did (`docs/spec/r3-start.md` §6). Upstream's R4 always
    /// returns false.
    fn is_outdated(&self, volume: &Volume) -> Result<bool, StorageError> {
        if volume.kind() != VolumeKind::Snapshot || !volume.rw {
            return Ok(false);
        }
        self.is_source_newer(&self.pool.source(volume)?, &self.files(volume)?)
    }

    fn qube_directory(&self, volume: &Volume) -> Option<PathBuf> {
        self.pool.qube_directory(volume)
    }
}

impl DmFile {
    fn snapshot_attachment(&self, volume: &Volume) -> Result<Attachment, StorageError> {
        if !volume.rw {
            let source = self.pool.source(volume)?;
            let device = self.read_only_device(&source)?;
            return Ok(device.map_or_else(|| Attachment::File(source.image()), Attachment::Device));
        }
        let name = self
            .snapshot_device(&self.files(volume)?)?
            .ok_or_else(|| volume.refusal("it has not been started"))?;
        Ok(Attachment::Device(device_mapper::device_path(&name)))
    }

    fn remove_run(&self, volume: &Volume) -> Result<(), StorageError> {
        self.run_file(volume)?
            .map_or(Ok(()), |file| durable::remove_scratch(&file).map(drop))
    }

    /// Makes the state before this run the revision, and begins a new COW file.
    fn commit(&self, volume: &Volume, files: &VolumeFiles) -> Result<(), StorageError> {
        let _alone = self.pool.lock(volume)?;
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
        durable::create_sparse(&files.cow(), cow::required_size(image), self.pool.group)
    }

    /// Gives the guest the image itself. The revision is removed, and there must not be snapshots
    /// of it.
    fn start_in_place(&self, volume: &Volume, files: &VolumeFiles) -> Result<(), StorageError> {
        if has_mapped_layers(&files.image()) {
            return Err(volume.refusal(format_args!(
                "qubes run on snapshots of {}, which would be written to (revisions_to_keep is \
                 -1); shut them down first",
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
        let source = self.pool.source(volume)?;
        let _unchanged = self.pool.lock_shared(volume.source_vid()?)?;
        if !exists(&source.image())? {
            let image = source.image();
            return Err(volume.refusal(format_args!("its source {} is missing", image.display())));
        }
        require_device_mapper(volume)?;
        self.pool.make_directory(files)?;
        // Remove what a crash has left of the previous run.
        self.unmap_snapshot(volume, files)?;
        durable::remove_scratch(&files.cow())?;
        self.map_snapshot(volume, &source, files)
    }

    fn remove_files(&self, volume: &Volume, files: &VolumeFiles) -> Result<(), StorageError> {
        self.unmap_origin(volume, files)?;
        self.unmap_snapshot(volume, files)?;
        if volume.kind() == VolumeKind::Volatile || volume.has_snapshots_disabled() {
            refuse_if_open(volume, &files.image())?;
        }
        durable::remove_all(&files.all()?)
    }

    /// Removes temporary files and an incomplete import, and finishes an interrupted revert. Nobody
    /// continues them, because whoever began them held the qube's lock, which the caller holds now.
    pub(super) fn finish_interrupted(&self, files: &VolumeFiles) -> Result<(), StorageError> {
        durable::remove_all(&files.temporary()?)?;
        durable::remove_all(&[files.import(), files.precache()])?;
        self.finish_revert(files)
    }

    fn refuse_if_unusable(&self, volume: &Volume, files: &VolumeFiles) -> Result<(), StorageError> {
        self.refuse_reflink_data(volume, files)?;
        let image = files.image();
        require_image(volume, &image)?;
        match metadata_if_exists(&image)?.map_or(0, |found| found.len()) {
            bytes if bytes % 512 != 0 || bytes == 0 => Err(volume.refusal(format_args!(
                "image {} has {bytes} bytes; a disk has sectors of 512, and at least one",
                image.display()
            ))),
            _ => Ok(()),
        }
    }

    /// Refuses a volume whose newest data are in the dirty image of driver `file-reflink`, which
    /// this driver never reads: a qube has crashed when that driver had the pool.
    pub(super) fn refuse_reflink_data(
        &self,
        volume: &Volume,
        files: &VolumeFiles,
    ) -> Result<(), StorageError> {
        let dirty = files.dirty();
        if !exists(&dirty)? {
            return Ok(());
        }
        let why = format!(
            "{} has data that driver 'file-reflink' has not committed",
            dirty.display()
        );
        let pool = self.pool.name.clone();
        Err(volume.not_ready(why, Remedy::RecoverByReflink { pool }))
    }
}

/// Checks for the device mapper before anything changes.
fn require_device_mapper(volume: &Volume) -> Result<(), StorageError> {
    device_mapper::require_available().map_err(|error| {
        volume.refusal(format_args!(
            "{error}; a pool of driver 'file' cannot run qubes here"
        ))
    })
}
