//! Imports, exports and resizes volumes.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::Gid;

use super::DmFile;
use crate::fs::comparison::file_length;
use crate::storage::durable;
use crate::storage::open_images::{find_direct_holder, refuse_if_open};
use crate::storage::pool_directory::remove_import_leftovers;
use crate::storage::pool_files::{exists, metadata_if_exists, open_image};
use crate::storage::volume_files::VolumeFiles;
use crate::storage::{
    CommittedData, ImageWriter, Remedy, StorageError, Volume, VolumeData, VolumeKind, cow,
    device_mapper, loop_device,
};

impl VolumeData for DmFile {
    fn size(&self, volume: &Volume) -> Result<u64, StorageError> {
        let files = match volume.kind() {
            VolumeKind::Snapshot => self.pool.source(volume)?,
            VolumeKind::Origin | VolumeKind::Volatile => self.files(volume)?,
        };
        Ok(metadata_if_exists(&files.image())?.map_or(volume.size, |image| image.len()))
    }

    fn usage(&self, volume: &Volume) -> Result<u64, StorageError> {
        let files = self.files(volume)?;
        let file = match volume.kind() {
            VolumeKind::Snapshot => files.cow(),
            VolumeKind::Origin | VolumeKind::Volatile => files.image(),
        };
        Ok(metadata_if_exists(&file)?.map_or(0, |file| file.blocks() * 512))
    }

    /// Enlarges a volume. A volatile volume without an image gets its size at its next start.
    fn resize(&self, volume: &Volume, bytes: u64) -> Result<(), StorageError> {
        volume.require_writable()?;
        if volume.kind() == VolumeKind::Snapshot {
            return Err(
                volume.refusal("a snapshot has the size of its source and cannot be resized")
            );
        }
        let files = self.files(volume)?;
        let Some(image) = metadata_if_exists(&files.image())? else {
            return Ok(());
        };
        if bytes < image.len() {
            return Err(volume.refusal(format_args!(
                "{bytes} bytes are less than the {} it has; images of driver 'file' cannot \
                 shrink, as the data beyond would be lost",
                image.len()
            )));
        }
        if !bytes.is_multiple_of(512) {
            return Err(volume.refusal(format_args!(
                "{bytes} bytes are not a multiple of the sector size (512 bytes)"
            )));
        }
        let _alone = self.pool.lock(volume)?;
        durable::lengthen(&files.image(), bytes, self.pool.group)?;
        if exists(&files.cow())? {
            durable::lengthen(&files.cow(), cow::required_size(bytes), self.pool.group)?;
        }
        match volume.kind() == VolumeKind::Origin && self.is_mapped(&files)? {
            true => self.remap_origin(&files),
            false => loop_device::update_sizes(&files.image()),
        }
    }

    fn export(&self, volume: &Volume) -> Result<PathBuf, StorageError> {
        volume.require_origin("exported")?;
        let files = self.files(volume)?;
        let image = files.image();
        if !exists(&image)? {
            return Err(volume.refusal(format_args!("its image is missing ({})", image.display())));
        }
        if self.is_mapped(&files)? {
            return Ok(device_mapper::device_path(&self.committed_device(&files)?));
        }
        self.refuse_if_uncommitted(volume, &files)?;
        Ok(image)
    }

    /// Opens the committed data: for a running volume, the device with the committed state; for a
    /// halted one, the image, whose holes need not be read. The start of a halted qube waits until
    /// the image is closed.
    fn open_committed_data(&self, volume: &Volume) -> Result<CommittedData, StorageError> {
        let unchanged = self.pool.lock_shared(&volume.vid)?;
        volume.require_origin("read")?;
        let files = self.files(volume)?;
        let start_lock = (!self.is_mapped(&files)?).then_some(unchanged);
        let image = self.export(volume)?;
        let file = match image == files.image() {
            true => open_image(&image)?,
            // Members of group qubes cannot exchange a device of the kernel.
            false => File::open(&image).map_err(StorageError::on("open", &image))?,
        };
        let size = file_length(&file).map_err(StorageError::on("open", &image))?;
        Ok(CommittedData {
            name: volume.name.clone(),
            file,
            size,
            start_lock,
        })
    }

    fn import_with(&self, volume: &Volume, fill: ImageWriter<'_>) -> Result<(), StorageError> {
        self.replace_data(volume, |import| {
            durable::write(import, self.pool.group, fill)
        })
    }

    fn image_file(&self, volume: &Volume) -> Result<Option<PathBuf>, StorageError> {
        Ok(Some(self.files(volume)?.image()))
    }

    /// Adopts the image that a package has installed: sets its access mode and removes the
    /// revision.
    fn adopt(&self, volume: &Volume) -> Result<(), StorageError> {
        volume.require_origin("adopted")?;
        let files = self.files(volume)?;
        self.refuse_if_in_use(volume, &files, "before taking over its image")?;
        let _alone = self.pool.lock(volume)?;
        self.drop_committed_device(&files)?;
        durable::remove_all(&[files.old_cow(), files.cow()])?;
        durable::adopt(&files.image(), self.pool.group)?;
        self.begin_cow(volume, &files)
    }
}

impl DmFile {
    /// Makes the image that `write` creates at the given path the volume's. The revision is
    /// removed, because a COW file belongs to one image.
    fn replace_data(
        &self,
        volume: &Volume,
        write: impl FnOnce(&Path) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        volume.require_origin("imported to")?;
        let files = self.files(volume)?;
        self.refuse_if_in_use(volume, &files, "before importing")?;
        self.pool.make_directory(&files)?;
        self.finish_revert(&files)?;
        remove_import_leftovers(&files)?;
        let import = files.import();
        let done = write(&import).and_then(|()| {
            let _alone = self.pool.lock(volume)?;
            round_up_to_sector(&import, self.pool.group)?;
            self.drop_committed_device(&files)?;
            durable::remove_all(&[files.old_cow(), files.cow()])?;
            durable::replace(&import, &files.image())?;
            self.begin_cow(volume, &files)
        });
        if done.is_err() {
            // Report the first error. The next start removes the leftover.
            let _leftover = durable::remove(&import);
        }
        done
    }

    /// Refuses a volume that is in use or has data that are not committed. The qube has to be shut
    /// down `when`.
    pub(super) fn refuse_if_in_use(
        &self,
        volume: &Volume,
        files: &VolumeFiles,
        when: &str,
    ) -> Result<(), StorageError> {
        self.refuse_reflink_data(volume, files)?;
        if self.is_mapped(files)?
            || (!volume.has_snapshots_disabled() && cow::has_data(&files.cow())?)
        {
            return Err(volume.in_use(when));
        }
        match volume.has_snapshots_disabled() {
            true => refuse_if_open(volume, &files.image()),
            false => Ok(()),
        }
    }

    /// Refuses a volume whose image differs from the committed state.
    fn refuse_if_uncommitted(
        &self,
        volume: &Volume,
        files: &VolumeFiles,
    ) -> Result<(), StorageError> {
        self.refuse_reflink_data(volume, files)?;
        if let Some(holder) = find_direct_holder(&files.image()) {
            return Err(volume.refusal(format_args!(
                "it is in use without snapshots in {holder} (revisions_to_keep is -1); shut the \
                 qube down first"
            )));
        }
        if !volume.has_snapshots_disabled() && cow::has_data(&files.cow())? {
            return Err(volume.not_ready("it was not stopped cleanly", Remedy::Recover));
        }
        Ok(())
    }
}

/// Extends an image to whole sectors of 512 bytes, which imported data need not have.
fn round_up_to_sector(image: &Path, group: Option<Gid>) -> Result<(), StorageError> {
    let length = metadata_if_exists(image)?.map_or(0, |image| image.len());
    if length % 512 == 0 {
        Ok(())
    } else {
        durable::lengthen(image, length.next_multiple_of(512), group)
    }
}
