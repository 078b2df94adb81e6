//! Contents in, out, and to another size.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

use nix::unistd::Gid;

use super::files::VolumeFiles;
use super::{DmFile, cow};
use crate::fs::beneath::Use;
use crate::storage::durable::{self, CopyMode, CopyProgress};
use crate::storage::open_images::{find_direct_holder, refuse_if_open};
use crate::storage::volume_files::{
    exists, make_directories, metadata_if_exists, remove_import_leftovers,
};
use crate::storage::{
    CommittedData, StorageError, Volume, VolumeKind, device_mapper, loop_device, pool_files,
};

impl DmFile {
    /// Makes a volume larger. A volatile one that is not there yet is given its size at its next
    /// start.
    pub(super) fn resize_volume(&self, volume: &Volume, bytes: u64) -> Result<(), StorageError> {
        let label = volume.label();
        if !volume.rw || volume.kind == VolumeKind::Snapshot {
            let why = if volume.rw {
                "a snapshot has the size of what it is made of"
            } else {
                "it is read-only"
            };
            return Err(StorageError::Refused(format!(
                "{label}: {why} and cannot be resized"
            )));
        }
        let files = self.files(&volume.vid)?;
        let Some(image) = metadata_if_exists(&files.image())? else {
            return Ok(());
        };
        if bytes < image.len() {
            return Err(StorageError::Refused(format!(
                "{label}: {bytes} bytes are less than the {} it has; images of driver 'file' are not made smaller, the data \
                 beyond would be lost",
                image.len()
            )));
        }
        if !bytes.is_multiple_of(512) {
            let text = format!("{label}: {bytes} bytes are no whole number of sectors (512 bytes)");
            return Err(StorageError::Refused(text));
        }
        let _alone = self.lock(volume)?;
        durable::lengthen(&files.image(), bytes, self.group)?;
        if exists(&files.cow())? {
            durable::lengthen(&files.cow(), cow::required_size(bytes), self.group)?;
        }
        if volume.kind == VolumeKind::Origin && self.is_mapped(&files)? {
            return self.remap_origin(&files);
        }
        for device in loop_device::find_loop_devices(&files.image()) {
            let failed = StorageError::io(format!("resizing {}", device.display()));
            loop_device::update_size(&device).map_err(failed)?;
        }
        Ok(())
    }

    pub(super) fn export_volume(&self, volume: &Volume) -> Result<PathBuf, StorageError> {
        let files = self.origin_files(volume, "exported")?;
        let (label, image) = (volume.label(), files.image());
        if !exists(&image)? {
            return Err(StorageError::Refused(format!(
                "{label}: its image is missing ({})",
                image.display()
            )));
        }
        if self.is_mapped(&files)? {
            return Ok(device_mapper::device_path(&self.committed_device(&files)?));
        }
        self.refuse_if_uncommitted(volume, &files)?;
        Ok(image)
    }

    /// Of a running volume, the device that shows what is committed. Of a halted one, the image:
    /// its holes need not be read, and its start waits until this is let go.
    pub(super) fn open_committed_volume(
        &self,
        volume: &Volume,
    ) -> Result<CommittedData, StorageError> {
        let unchanged = self.locks.lock_shared(&self.name, &volume.vid)?;
        let files = self.origin_files(volume, "read")?;
        let start_lock = (!self.is_mapped(&files)?).then_some(unchanged);
        let image = self.export_volume(volume)?;
        let failed = || StorageError::io(format!("opening {}", image.display()));
        let opened = match image == files.image() {
            true => pool_files::open(&image, Use::Read),
            // A device of the kernel's, which no member can exchange.
            false => File::open(&image),
        };
        let mut file = opened.map_err(failed())?;
        let size = file
            .seek(SeekFrom::End(0))
            .and_then(|end| file.rewind().map(|()| end))
            .map_err(failed())?;
        Ok(CommittedData {
            name: volume.name.clone(),
            file,
            size,
            start_lock,
        })
    }

    pub(super) fn import_volume(&self, volume: &Volume, from: &Path) -> Result<(), StorageError> {
        let what = volume.full_name();
        let told = CopyProgress {
            watcher: &self.watcher,
            what: &what,
        };
        // Whoever imports says which file, wherever it lies.
        let failed = StorageError::io(format!("opening {}", from.display()));
        let from = File::open(from).map_err(failed)?;
        self.replace_data(volume, |import| {
            durable::copy_opened(&from, import, self.group, CopyMode::Fresh, told)
        })
    }

    /// Makes the image that `write` puts at the path it is given the volume's. What the volume had
    /// is gone: a COW keeps blocks of one image.
    pub(super) fn replace_data(
        &self,
        volume: &Volume,
        write: impl FnOnce(&Path) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let files = self.origin_files(volume, "imported to")?;
        self.refuse_if_in_use(volume, &files, "importing")?;
        make_directories(&self.location.directory, files.directory(), self.group)?;
        self.finish_revert(&files)?;
        let import = files.import();
        remove_import_leftovers(&import)?;
        let done = write(&import).and_then(|()| {
            let _alone = self.lock(volume)?;
            round_up_to_sector(&import, self.group)?;
            self.drop_committed_device(&files)?;
            durable::remove_all(&[files.old_cow(), files.cow()])?;
            durable::replace(&import, &files.image())?;
            self.begin_cow(volume, &files)
        });
        if done.is_err() {
            // The first error is the one to tell; what stays behind is removed by the next start.
            let _leftover = durable::remove(&import);
        }
        done
    }

    /// The image is a package's: it belongs to members from now on, and what was overwritten before
    /// is no matter of it.
    pub(super) fn adopt_image(&self, volume: &Volume) -> Result<(), StorageError> {
        let files = self.origin_files(volume, "adopted")?;
        self.refuse_if_in_use(volume, &files, "taking over its image")?;
        let _alone = self.lock(volume)?;
        self.drop_committed_device(&files)?;
        durable::remove_all(&[files.old_cow(), files.cow()])?;
        durable::adopt(&files.image(), self.group)?;
        self.begin_cow(volume, &files)
    }

    /// The files of a volume that is kept from start to start; others are refused what `verb` says.
    pub(super) fn origin_files(
        &self,
        volume: &Volume,
        verb: &str,
    ) -> Result<VolumeFiles, StorageError> {
        if volume.kind == VolumeKind::Origin {
            return self.files(&volume.vid);
        }
        let text = format!(
            "{}: it is not kept from start to start and cannot be {verb}",
            volume.label()
        );
        Err(StorageError::Refused(text))
    }

    /// An error unless nobody works on the volume and nothing waits for being committed.
    pub(super) fn refuse_if_in_use(
        &self,
        volume: &Volume,
        files: &VolumeFiles,
        verb: &str,
    ) -> Result<(), StorageError> {
        self.refuse_reflink_data(volume, files)?;
        if self.is_mapped(files)?
            || (!volume.has_snapshots_disabled() && cow::has_data(&files.cow())?)
        {
            let label = volume.label();
            return Err(StorageError::Refused(format!(
                "{label}: it is in use or was not stopped cleanly; shut the qube down before {verb}"
            )));
        }
        match volume.has_snapshots_disabled() {
            true => refuse_if_open(volume, &files.image()),
            false => Ok(()),
        }
    }

    /// An error where the image is not what is committed.
    fn refuse_if_uncommitted(
        &self,
        volume: &Volume,
        files: &VolumeFiles,
    ) -> Result<(), StorageError> {
        let label = volume.label();
        self.refuse_reflink_data(volume, files)?;
        if let Some(holder) = find_direct_holder(&files.image()) {
            return Err(StorageError::Refused(format!(
                "{label}: it is in use without snapshots in {holder} (revisions_to_keep is -1); shut the qube down first"
            )));
        }
        if !volume.has_snapshots_disabled() && cow::has_data(&files.cow())? {
            let text = format!("{label}: it was not stopped cleanly; qubes-recover commits it");
            return Err(StorageError::Refused(text));
        }
        Ok(())
    }
}

/// A disk has sectors of 512 bytes; what somebody imports need not.
fn round_up_to_sector(image: &Path, group: Option<Gid>) -> Result<(), StorageError> {
    let length = metadata_if_exists(image)?.map_or(0, |image| image.len());
    if length % 512 == 0 {
        Ok(())
    } else {
        durable::lengthen(image, length.next_multiple_of(512), group)
    }
}
