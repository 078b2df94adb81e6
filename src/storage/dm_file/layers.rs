//! The mapped devices of running volumes, with the names that upstream's scripts give them
//! (`docs/spec/r4-storage.md` §6, `docs/spec/r3-start.md` §6).
//!
//! | device | what it is |
//! |---|---|
//! | `origin-IMAGE` | the image itself; before a block of it is overwritten, every snapshot below gets the old one |
//! | `snapshot-IMAGE-COW` | the image as it was before the run in which COW is filled: what is committed |
//! | `snapshot-IMAGE-COW-OWN` | two layers: a writable snapshot of that, which writes to OWN |
//! | `snapshot-IMAGE-OWN` | one layer: a writable snapshot of an image that has no COW |
//!
//! Each part is `DEVICE:INODE` of a file. The kernel tells snapshots of one image by the loop
//! device that they share. Whoever makes or takes down one of these devices holds the lock of
//! mapped devices meanwhile.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::files::VolumeFiles;
use super::{DmFile, cow};
use crate::storage::device_mapper::{self, DeviceRemoval};
use crate::storage::durable;
use crate::storage::open_images::find_direct_holder;
use crate::storage::volume_files::exists;
use crate::storage::{LoopDevice, StorageError, Volume};

/// How long a device may still be open after the domain has gone: its backend and udev let go a
/// moment later.
const GRACE: Duration = Duration::from_secs(10);

/// A file in the names of devices: its device in hexadecimal digits and its inode.
fn file_id(file: &Path) -> Result<String, StorageError> {
    let metadata =
        fs::metadata(file).map_err(StorageError::io(format!("looking at {}", file.display())))?;
    Ok(format!("{:x}:{}", metadata.dev(), metadata.ino()))
}

/// The same, none where there is no file.
fn file_id_if_exists(file: &Path) -> Result<Option<String>, StorageError> {
    exists(file)?.then(|| file_id(file)).transpose()
}

fn origin_name(image: &str) -> String {
    format!("origin-{image}")
}

impl DmFile {
    /// The device that a running origin writes to.
    pub(super) fn origin_device(&self, files: &VolumeFiles) -> Result<String, StorageError> {
        Ok(origin_name(&file_id(&files.image())?))
    }

    pub(super) fn is_mapped(&self, files: &VolumeFiles) -> Result<bool, StorageError> {
        let image = file_id_if_exists(&files.image())?;
        Ok(image.is_some_and(|image| device_mapper::exists(&origin_name(&image))))
    }

    /// The device that shows what is committed while the image is written to.
    pub(super) fn committed_device(&self, files: &VolumeFiles) -> Result<String, StorageError> {
        Ok(format!(
            "snapshot-{}-{}",
            file_id(&files.image())?,
            file_id(&files.cow())?
        ))
    }

    /// The device of a running snapshot, by its own file: what it was made of may have been
    /// exchanged since.
    pub(super) fn snapshot_device(
        &self,
        files: &VolumeFiles,
    ) -> Result<Option<String>, StorageError> {
        let Some(own) = file_id_if_exists(&files.cow())? else {
            return Ok(None);
        };
        let mine =
            |name: &String| name.starts_with("snapshot-") && name.ends_with(&format!("-{own}"));
        Ok(device_mapper::names().into_iter().find(mine))
    }

    /// Whether the source of a running snapshot has committed since that started, or was exchanged.
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

    /// Makes the devices of an origin that is about to run.
    pub(super) fn map_origin(&self, files: &VolumeFiles) -> Result<(), StorageError> {
        let _alone = self.locks.lock_mapped_devices()?;
        let base = LoopDevice::attach_shared(&files.image())?;
        let committed = map_committed(files, &base)?;
        let origin = self.origin_device(files)?;
        if device_mapper::exists(&origin) {
            return Ok(());
        }
        let made = device_mapper::create(&origin, &origin_table(&base)?);
        if made.is_err() {
            // The first error is the one to tell; what stays is taken over by the next start.
            let _stays = remove_or_defer(&committed);
        }
        made
    }

    /// Takes down the devices of an origin that ran.
    pub(super) fn unmap_origin(
        &self,
        volume: &Volume,
        files: &VolumeFiles,
    ) -> Result<(), StorageError> {
        let Some(image) = file_id_if_exists(&files.image())? else {
            return Ok(());
        };
        let given_up = self.is_mapped(files)? && !self.has_valid_cow(files)?;
        self.remove_device(volume, &origin_name(&image))?;
        self.drop_committed_device(files)?;
        match given_up {
            // Also where the full disk could not even take that: no way leads back any more.
            true => durable::remove_all(&[files.old_cow(), files.cow()]),
            false => Ok(()),
        }
    }

    /// Whether whatever is overwritten in the image is still put aside.
    fn has_valid_cow(&self, files: &VolumeFiles) -> Result<bool, StorageError> {
        if !exists(&files.cow())? {
            return Ok(false);
        }
        let committed = self.committed_device(files)?;
        Ok(device_mapper::exists(&committed) && !device_mapper::is_invalid(&committed)?)
    }

    /// Nobody is given the device of what is committed now any more; who has it keeps it.
    pub(super) fn drop_committed_device(&self, files: &VolumeFiles) -> Result<(), StorageError> {
        if !exists(&files.image())? || !exists(&files.cow())? {
            return Ok(());
        }
        let _alone = self.locks.lock_mapped_devices()?;
        remove_or_defer(&self.committed_device(files)?)
    }

    /// Makes the device of a snapshot that is about to run. The source is locked.
    pub(super) fn map_snapshot(
        &self,
        volume: &Volume,
        source: &VolumeFiles,
        own: &VolumeFiles,
    ) -> Result<(), StorageError> {
        let _alone = self.locks.lock_mapped_devices()?;
        let two_layers = exists(&source.cow())?;
        if !two_layers && let Some(holder) = find_direct_holder(&source.image()) {
            let (label, image) = (volume.label(), source.image());
            return Err(StorageError::Refused(format!(
                "{label}: its source {} is in use without snapshots in {holder} (revisions_to_keep is -1); shut that \
                 qube down first",
                image.display()
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
            // The first error is the one to tell; what stays is taken over by the next start.
            let _stays = remove_or_defer(&name);
        }
        made
    }

    fn map_cow(&self, below: &Path, name: &str, own: &VolumeFiles) -> Result<(), StorageError> {
        let bytes = file_length(below)?;
        durable::create_sparse_scratch(&own.cow(), cow::required_size(bytes), self.group)?;
        let layer = LoopDevice::attach(&own.cow(), true)?;
        let name = format!("{name}-{}", file_id(&own.cow())?);
        device_mapper::create(&name, &snapshot_table(bytes, below, layer.path()))
    }

    /// Takes down the device of a snapshot that ran, and what it alone stood on.
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

    /// Lets go of the device of a read-only snapshot, which is its source's.
    pub(super) fn unmap_read_only(&self, source: &VolumeFiles) -> Result<(), StorageError> {
        if self.is_mapped(source)? {
            Ok(())
        } else {
            self.drop_committed_device(source)
        }
    }

    /// What a snapshot of that name stood on is needed no longer, unless its image is being written
    /// to.
    fn remove_unused_base(&self, name: &str) -> Result<(), StorageError> {
        let _alone = self.locks.lock_mapped_devices()?;
        match name.split('-').collect::<Vec<_>>()[..] {
            [_, image, cow, _own] if !device_mapper::exists(&origin_name(image)) => {
                remove_or_defer(&format!("snapshot-{image}-{cow}"))
            }
            _ => Ok(()),
        }
    }

    /// Takes a device down, after giving those who have it open a moment.
    fn remove_device(&self, volume: &Volume, name: &str) -> Result<(), StorageError> {
        let deadline = Instant::now() + GRACE;
        while self.remove_locked(name)? == DeviceRemoval::InUse {
            if Instant::now() >= deadline {
                let (label, device) = (volume.label(), device_mapper::device_path(name));
                let text = format!(
                    "{label}: {} is still open; end what has it first",
                    device.display()
                );
                return Err(StorageError::Refused(text));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn remove_locked(&self, name: &str) -> Result<DeviceRemoval, StorageError> {
        if !device_mapper::exists(name) {
            return Ok(DeviceRemoval::Gone);
        }
        let _alone = self.locks.lock_mapped_devices()?;
        device_mapper::remove(name)
    }

    /// Gives the devices of a running origin the size that its files have now.
    pub(super) fn remap_origin(&self, files: &VolumeFiles) -> Result<(), StorageError> {
        let _alone = self.locks.lock_mapped_devices()?;
        let base = LoopDevice::attach_shared(&files.image())?;
        let _longer = LoopDevice::attach_shared(&files.cow())?;
        device_mapper::replace_table(&self.origin_device(files)?, &origin_table(&base)?)
    }

    /// The device that a read-only snapshot shows: the committed state, or the image where nothing
    /// ever runs on it with a COW.
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

/// The device of what is committed, made where it is not there yet; one that was to go stays.
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

/// Takes a device away, or has it go when the last one closes it.
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

/// Persistent, so that what a run overwrote is still known after a power loss.
fn snapshot_table(bytes: u64, base: &Path, cow: &Path) -> String {
    let (sectors, base, cow, chunk) = (
        bytes / 512,
        base.display(),
        cow.display(),
        cow::CHUNK_SECTORS,
    );
    format!("0 {sectors} snapshot {base} {cow} P {chunk}")
}

fn file_length(device: &Path) -> Result<u64, StorageError> {
    let end = File::open(device).and_then(|mut file| file.seek(SeekFrom::End(0)));
    end.map_err(StorageError::io(format!("measuring {}", device.display())))
}
