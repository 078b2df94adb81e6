//! Manages the mapped devices of running volumes, which have the names of upstream's scripts
//! (`docs/spec/r4-storage.md` §6, `docs/spec/r3-start.md` §6).
//!
//! | device | content |
//! |---|---|
//! | `origin-IMAGE` | the image; its snapshots get a block before it is overwritten |
//! | `snapshot-IMAGE-COW` | the committed state: the image before the run that fills COW |
//! | `snapshot-IMAGE-COW-OWN` | a writable snapshot of the committed state, which writes to OWN |
//! | `snapshot-IMAGE-OWN` | a writable snapshot of an image without COW |
//!
//! Each part is `DEVICE:INODE` of a file. The kernel groups the snapshots of an image by the loop
//! device that they share. Whoever creates or removes one of these devices holds the lock of mapped
//! devices.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::DmFile;
use crate::fs::comparison::file_length;
use crate::storage::cow;
use crate::storage::device_mapper::{self, DeviceRemoval};
use crate::storage::durable;
use crate::storage::open_images::find_direct_holder;
use crate::storage::pool_files::exists;
use crate::storage::volume_files::VolumeFiles;
use crate::storage::{LoopDevice, StorageError, Volume};

/// Returns the part of a device name that identifies a file: its device number in hexadecimal and
/// its inode.
fn file_id(file: &Path) -> Result<String, StorageError> {
    let metadata = fs::metadata(file).map_err(StorageError::on("examine", file))?;
    Ok(format!("{:x}:{}", metadata.dev(), metadata.ino()))
}

/// Returns the id of a file, `None` if it does not exist.
fn file_id_if_exists(file: &Path) -> Result<Option<String>, StorageError> {
    exists(file)?.then(|| file_id(file)).transpose()
}

fn origin_name(image: &str) -> String {
    format!("origin-{image}")
}

impl DmFile {
    /// Returns the name of the device that a running origin writes to.
    pub(super) fn origin_device(&self, files: &VolumeFiles) -> Result<String, StorageError> {
        Ok(origin_name(&file_id(&files.image())?))
    }

    /// Whether the origin has its device.
    pub(super) fn is_mapped(&self, files: &VolumeFiles) -> Result<bool, StorageError> {
        let image = file_id_if_exists(&files.image())?;
        Ok(image.is_some_and(|image| device_mapper::exists(&origin_name(&image))))
    }

    /// Returns the name of the device with the committed state while the image is written to.
    pub(super) fn committed_device(&self, files: &VolumeFiles) -> Result<String, StorageError> {
        Ok(format!(
            "snapshot-{}-{}",
            file_id(&files.image())?,
            file_id(&files.cow())?
        ))
    }

    /// Returns the name of the device of a running snapshot. Only its own file identifies it, as
    /// the source may have been exchanged since.
    pub(super) fn snapshot_device(
        &self,
        files: &VolumeFiles,
    ) -> Result<Option<String>, StorageError> {
        let Some(own) = file_id_if_exists(&files.cow())? else {
            return Ok(None);
        };
        let is_own =
            |name: &String| name.starts_with("snapshot-") && name.ends_with(&format!("-{own}"));
        Ok(device_mapper::names().into_iter().find(is_own))
    }

    /// Whether the source of a running snapshot has been committed or exchanged since the snapshot
    /// was made.
    pub(super) fn is_source_newer(
        &self,
        source: &VolumeFiles,
        own: &VolumeFiles,
    ) -> Result<bool, StorageError> {
        let (Some(name), Some(image)) = (
            self.snapshot_device(own)?,
            file_id_if_exists(&source.image())?,
        ) else {
            return Ok(false);
        };
        Ok(match name.split('-').collect::<Vec<_>>()[..] {
            [_, of_image, of_cow, _own] => {
                of_image != image
                    || file_id_if_exists(&source.cow())?.is_some_and(|cow| of_cow != cow)
            }
            [_, of_image, _own] => of_image != image,
            _ => false,
        })
    }

    /// Creates the devices of an origin that is being started.
    pub(super) fn map_origin(&self, files: &VolumeFiles) -> Result<(), StorageError> {
        let _alone = self.pool.locks.lock_mapped_devices()?;
        let base = LoopDevice::attach_shared(&files.image())?;
        let committed = map_committed(files, &base)?;
        let origin = self.origin_device(files)?;
        if device_mapper::exists(&origin) {
            return Ok(());
        }
        let made = device_mapper::create(&origin, &origin_table(&base)?);
        if made.is_err() {
            // Report the first error. The next start reuses a device that stays.
            let _stays = remove_or_defer(&committed);
        }
        made
    }

    /// Removes the devices of an origin that has been stopped.
    pub(super) fn unmap_origin(
        &self,
        volume: &Volume,
        files: &VolumeFiles,
    ) -> Result<(), StorageError> {
        let Some(image) = file_id_if_exists(&files.image())? else {
            return Ok(());
        };
        let is_invalid = self.is_mapped(files)? && !self.has_valid_cow(files)?;
        self.remove_device(volume, &origin_name(&image))?;
        self.drop_committed_device(files)?;
        match is_invalid {
            // The full disk may not even have recorded that the COW is invalid. There is no
            // revision any more.
            true => durable::remove_all(&[files.old_cow(), files.cow()]),
            false => Ok(()),
        }
    }

    /// Whether the COW still receives the blocks that are overwritten in the image.
    fn has_valid_cow(&self, files: &VolumeFiles) -> Result<bool, StorageError> {
        if !exists(&files.cow())? {
            return Ok(false);
        }
        let committed = self.committed_device(files)?;
        Ok(device_mapper::exists(&committed) && !device_mapper::is_invalid(&committed)?)
    }

    /// Removes the device with the committed state. Those who have it open keep it.
    pub(super) fn drop_committed_device(&self, files: &VolumeFiles) -> Result<(), StorageError> {
        if !exists(&files.image())? || !exists(&files.cow())? {
            return Ok(());
        }
        let _alone = self.pool.locks.lock_mapped_devices()?;
        remove_or_defer(&self.committed_device(files)?)
    }

    /// Creates the device of a snapshot that is being started. The caller holds the source's lock.
    pub(super) fn map_snapshot(
        &self,
        volume: &Volume,
        source: &VolumeFiles,
        own: &VolumeFiles,
    ) -> Result<(), StorageError> {
        let _alone = self.pool.locks.lock_mapped_devices()?;
        let two_layers = exists(&source.cow())?;
        if !two_layers && let Some(holder) = find_direct_holder(&source.image()) {
            return Err(volume.refusal(format_args!(
                "its source {} is in use without snapshots in {holder} (revisions_to_keep is -1); \
                 shut that qube down first",
                source.image().display()
            )));
        }
        let base = LoopDevice::attach_shared(&source.image())?;
        let (below, name) = match two_layers {
            true => {
                let committed = map_committed(source, &base)?;
                (device_mapper::device_path(&committed), committed)
            }
            false => (
                base.path().to_path_buf(),
                format!("snapshot-{}", file_id(&source.image())?),
            ),
        };
        if !volume.rw {
            return Ok(());
        }
        let made = self.map_cow(&below, &name, own);
        if made.is_err() && two_layers && !device_mapper::exists(&self.origin_device(source)?) {
            // Report the first error. The next start reuses a device that stays.
            let _stays = remove_or_defer(&name);
        }
        made
    }

    fn map_cow(&self, below: &Path, name: &str, own: &VolumeFiles) -> Result<(), StorageError> {
        let bytes = device_length(below)?;
        durable::create_sparse_scratch(&own.cow(), cow::required_size(bytes), self.pool.group)?;
        let layer = LoopDevice::attach(&own.cow(), true)?;
        let name = format!("{name}-{}", file_id(&own.cow())?);
        device_mapper::create(&name, &snapshot_table(bytes, below, layer.path()))
    }

    /// Removes the device of a snapshot that has been stopped, and the device below it if nothing
    /// else uses that.
    pub(super) fn unmap_snapshot(
        &self,
        volume: &Volume,
        own: &VolumeFiles,
    ) -> Result<(), StorageError> {
        let Some(name) = self.snapshot_device(own)? else {
            return Ok(());
        };
        self.remove_device(volume, &name)?;
        self.remove_unused_base(&name)
    }

    /// Releases the device of a read-only snapshot, which is its source's.
    pub(super) fn unmap_read_only(&self, source: &VolumeFiles) -> Result<(), StorageError> {
        if self.is_mapped(source)? {
            Ok(())
        } else {
            self.drop_committed_device(source)
        }
    }

    /// Removes the device below the snapshot `name`, unless its image is being written to.
    fn remove_unused_base(&self, name: &str) -> Result<(), StorageError> {
        let _alone = self.pool.locks.lock_mapped_devices()?;
        match name.split('-').collect::<Vec<_>>()[..] {
            [_, image, cow, _own] if !device_mapper::exists(&origin_name(image)) => {
                remove_or_defer(&format!("snapshot-{image}-{cow}"))
            }
            _ => Ok(()),
        }
    }

    /// Removes a device after giving those who have it open a moment.
    fn remove_device(&self, volume: &Volume, name: &str) -> Result<(), StorageError> {
        device_mapper::remove_after_grace(volume, name, || self.remove_locked(name))
    }

    fn remove_locked(&self, name: &str) -> Result<DeviceRemoval, StorageError> {
        if !device_mapper::exists(name) {
            return Ok(DeviceRemoval::Gone);
        }
        let _alone = self.pool.locks.lock_mapped_devices()?;
        device_mapper::remove(name)
    }

    /// Updates the devices of a running origin to the current size of its files.
    pub(super) fn remap_origin(&self, files: &VolumeFiles) -> Result<(), StorageError> {
        let _alone = self.pool.locks.lock_mapped_devices()?;
        let base = LoopDevice::attach_shared(&files.image())?;
        let _longer = LoopDevice::attach_shared(&files.cow())?;
        device_mapper::replace_table(&self.origin_device(files)?, &origin_table(&base)?)
    }

    /// Returns the device that a read-only snapshot shows: that of the committed state; `None` if
    /// the image has no COW.
    pub(super) fn read_only_device(
        &self,
        source: &VolumeFiles,
    ) -> Result<Option<PathBuf>, StorageError> {
        exists(&source.cow())?
            .then(|| {
                self.committed_device(source)
                    .map(|name| device_mapper::device_path(&name))
            })
            .transpose()
    }
}

/// Creates the device with the committed state, unless it exists. Its pending removal is cancelled.
fn map_committed(files: &VolumeFiles, base: &LoopDevice) -> Result<String, StorageError> {
    let name = format!(
        "snapshot-{}-{}",
        file_id(&files.image())?,
        file_id(&files.cow())?
    );
    if !device_mapper::cancel_removal(&name) {
        let cow = LoopDevice::attach_shared(&files.cow())?;
        let table = snapshot_table(base.sectors()? * 512, base.path(), cow.path());
        device_mapper::create(&name, &table)?;
    }
    Ok(name)
}

/// Removes a device, now or when it is closed for the last time.
fn remove_or_defer(name: &str) -> Result<(), StorageError> {
    match device_mapper::remove(name)? {
        DeviceRemoval::Gone => Ok(()),
        DeviceRemoval::InUse => device_mapper::remove_when_closed(name),
    }
}

fn origin_table(base: &LoopDevice) -> Result<String, StorageError> {
    Ok(format!(
        "0 {} snapshot-origin {}",
        base.sectors()?,
        base.path().display()
    ))
}

/// Returns the table of a snapshot. It is persistent (P), so that the previous blocks are still
/// known after a power loss.
fn snapshot_table(bytes: u64, base: &Path, cow: &Path) -> String {
    let (sectors, base, cow, chunk) = (
        bytes / 512,
        base.display(),
        cow.display(),
        cow::CHUNK_SECTORS,
    );
    format!("0 {sectors} snapshot {base} {cow} P {chunk}")
}

fn device_length(device: &Path) -> Result<u64, StorageError> {
    let length = File::open(device).and_then(|file| file_length(&file));
    length.map_err(StorageError::on("measure", device))
}
