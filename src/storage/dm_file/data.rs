//! Imports, exports and resizes volumes.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

use nix::unistd::Gid;

use super::files::VolumeFiles;
use super::{DmFile, cow};
use crate::fs::directory::OpenMode;
use crate::storage::durable::{self, CopyMode, CopyProgress};
use crate::storage::open_images::{find_direct_holder, refuse_if_open};
use crate::storage::volume_files::{
    exists, make_directories, metadata_if_exists, remove_import_leftovers,
};
use crate::storage::{
    CommittedData, StorageError, Volume, VolumeKind, device_mapper, loop_device, pool_files,
};

impl DmFile {
    /// Enlarges a volume. A volatile volume without an image gets its size at its next start.
    pub(super) fn resize_volume(&self, volume: &Volume, bytes: u64) -> Result<(), StorageError> {
        let label = volume.label();
        if !volume.rw || volume.kind == VolumeKind::Snapshot {
            let why = if volume.rw {
                "a snapshot has the size of its source"
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
                "{label}: {bytes} bytes are less than the {} it has; \
                 images of driver 'file' cannot shrink, as the data beyond would be lost",
                image.len()
            )));
        }
        if !bytes.is_multiple_of(512) {
            let text =
                format!("{label}: {bytes} bytes are not a multiple of the sector size (512 bytes)");
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
            let failed = StorageError::io(format!("cannot resize {}", device.display()));
            loop_device::update_size(&device).map_err(failed)?;
        }
        Ok(())
    }

    /// Implements `Driver::export`.
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

    /// Opens the committed data: for a running volume, the device with the committed state; for a
    /// halted one, the image, whose holes need not be read. The start of a halted qube waits until
    /// the image is closed.
    pub(super) fn open_committed_volume(
        &self,
        volume: &Volume,
    ) -> Result<CommittedData, StorageError> {
        let unchanged = self.locks.lock_shared(&self.name, &volume.vid)?;
        let files = self.origin_files(volume, "read")?;
        let start_lock = (!self.is_mapped(&files)?).then_some(unchanged);
        let image = self.export_volume(volume)?;
        let failed = || StorageError::io(format!("cannot open {}", image.display()));
        let opened = match image == files.image() {
            true => pool_files::open(&image, OpenMode::Read),
            // Members of group qubes cannot exchange a device of the kernel.
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

    /// Implements `Driver::import`.
    pub(super) fn import_volume(&self, volume: &Volume, from: &Path) -> Result<(), StorageError> {
        let what = volume.full_name();
        let progress = CopyProgress {
            receiver: &self.progress,
            what: &what,
        };
        // The caller chooses the file, so it may be anywhere.
        let failed = StorageError::io(format!("cannot open {}", from.display()));
        let from = File::open(from).map_err(failed)?;
        self.replace_data(volume, |import| {
            durable::copy_opened(&from, import, self.group, CopyMode::Fresh, progress)
        })
    }

    /// Makes the image that `write` creates at the given path the volume's. The revision is
    /// removed, because a COW file belongs to one image.
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
            // Report the first error. The next start removes the leftover.
            let _leftover = durable::remove(&import);
        }
        done
    }

    /// Adopts the image that a package has installed: sets its access mode and removes the
    /// revision.
    pub(super) fn adopt_image(&self, volume: &Volume) -> Result<(), StorageError> {
        let files = self.origin_files(volume, "adopted")?;
        self.refuse_if_in_use(volume, &files, "taking over its image")?;
        let _alone = self.lock(volume)?;
        self.drop_committed_device(&files)?;
        durable::remove_all(&[files.old_cow(), files.cow()])?;
        durable::adopt(&files.image(), self.group)?;
        self.begin_cow(volume, &files)
    }

    /// Returns the files of a persistent volume. For others, the error says that they cannot be
    /// `verb`.
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

    /// Refuses a volume that is in use or has data that are not committed.
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

    /// Refuses a volume whose image differs from the committed state.
    fn refuse_if_uncommitted(
        &self,
        volume: &Volume,
        files: &VolumeFiles,
    ) -> Result<(), StorageError> {
        let label = volume.label();
        self.refuse_reflink_data(volume, files)?;
        if let Some(holder) = find_direct_holder(&files.image()) {
            return Err(StorageError::Refused(format!(
                "{label}: it is in use without snapshots in {holder} (revisions_to_keep is -1); \
                 shut the qube down first"
            )));
        }
        if !volume.has_snapshots_disabled() && cow::has_data(&files.cow())? {
            let text = format!("{label}: it was not stopped cleanly; qubes-recover commits it");
            return Err(StorageError::Refused(text));
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
