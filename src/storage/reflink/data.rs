//! Imports, exports and resizes volumes.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::Gid;

use super::Reflink;
use super::lifecycle::is_precache_current;
use crate::storage::durable::{self, CopyMode};
use crate::storage::open_images::refuse_if_open;
use crate::storage::pool_directory::remove_import_leftovers;
use crate::storage::pool_files::{exists, metadata_if_exists, open_image, open_to_change};
use crate::storage::volume_files::VolumeFiles;
use crate::storage::{
    CommittedData, ImageWriter, StorageError, Volume, VolumeData, VolumeKind, loop_device,
};

impl VolumeData for Reflink {
    fn size(&self, volume: &Volume) -> Result<u64, StorageError> {
        let files = self.files(volume)?;
        let image = match metadata_if_exists(&files.dirty())? {
            Some(dirty) => Some(dirty),
            None if volume.kind() == VolumeKind::Snapshot => {
                metadata_if_exists(&self.pool.source(volume)?.image())?
            }
            None => metadata_if_exists(&files.image())?,
        };
        Ok(image.map_or(volume.size, |image| image.len()))
    }

    fn usage(&self, volume: &Volume) -> Result<u64, StorageError> {
        let files = self.files(volume)?;
        let image = match metadata_if_exists(&files.dirty())? {
            Some(dirty) => Some(dirty),
            None => metadata_if_exists(&files.image())?,
        };
        Ok(image.map_or(0, |image| image.blocks() * 512))
    }

    /// Resizes the image of the running qube, else the clean image. A volume without an image gets
    /// its size at its next start.
    fn resize(&self, volume: &Volume, bytes: u64) -> Result<(), StorageError> {
        volume.require_writable()?;
        let files = self.files(volume)?;
        let has_run = match volume.kind() {
            VolumeKind::Origin => exists(&files.dirty())?,
            VolumeKind::Snapshot | VolumeKind::Volatile => {
                self.run_files(volume)?.contains(&files.dirty())
            }
        };
        if has_run {
            return resize_in_place(&files.dirty(), bytes, self.pool.group);
        }
        if volume.kind() != VolumeKind::Origin {
            return Ok(());
        }
        let _alone = self.pool.lock(volume)?;
        let clean = files.image();
        let is_shorter = metadata_if_exists(&clean)?.is_some_and(|image| bytes < image.len());
        if is_shorter {
            self.pool
                .copy(volume, &clean, &clean, CopyMode::Resized(bytes))?;
        } else if !durable::clone_resized(&clean, &clean, self.pool.group, bytes)? {
            return lengthen_in_place(&files, bytes, self.pool.group);
        }
        self.precache(volume, &files);
        Ok(())
    }

    fn export(&self, volume: &Volume) -> Result<PathBuf, StorageError> {
        volume.require_origin("exported")?;
        let clean = self.files(volume)?.image();
        if exists(&clean)? {
            return Ok(clean);
        }
        let why = match volume.has_snapshots_disabled() {
            true => {
                "it is in use without snapshots (revisions_to_keep is -1); shut the qube down first"
            }
            false => "its image is missing",
        };
        Err(volume.refusal(format_args!("{why} ({})", clean.display())))
    }

    /// Opens the clean image while it is locked. An open image is not written to, even after
    /// another has taken its name.
    fn open_committed_data(&self, volume: &Volume) -> Result<CommittedData, StorageError> {
        let unchanged = self.pool.lock_shared(&volume.vid)?;
        let clean = self.export(volume)?;
        let file = open_image(&clean)?;
        let size = file
            .metadata()
            .map_err(StorageError::on("open", &clean))?
            .len();
        let start_lock = volume.has_snapshots_disabled().then_some(unchanged);
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

    /// Adopts the image that a package has installed: sets its access mode and makes it durable
    /// before anything refers to it.
    fn adopt(&self, volume: &Volume) -> Result<(), StorageError> {
        volume.require_origin("adopted")?;
        let files = self.files(volume)?;
        if exists(&files.dirty())? {
            return Err(volume.in_use("first"));
        }
        let _alone = self.pool.lock(volume)?;
        refuse_if_open(volume, &files.image())?;
        durable::adopt(&files.image(), self.pool.group)?;
        self.precache(volume, &files);
        Ok(())
    }
}

impl Reflink {
    /// Makes the image that `write` creates at the given path the clean one.
    fn replace_data(
        &self,
        volume: &Volume,
        write: impl FnOnce(&Path) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        volume.require_origin("imported to")?;
        let files = self.files(volume)?;
        if exists(&files.dirty())? {
            return Err(volume.in_use("before importing"));
        }
        refuse_if_open(volume, &files.image())?;
        self.pool.make_directory(&files)?;
        remove_import_leftovers(&files)?;
        let import = files.import();
        let done = write(&import).and_then(|()| {
            let _alone = self.pool.lock(volume)?;
            self.commit(volume, &files, &import)
        });
        if done.is_err() {
            // Report the first error. The next start removes the leftover.
            let _leftover = durable::remove(&import);
        }
        done
    }
}

/// Extends the clean image in place, where a copy would take the time and space of a whole image.
/// The hole at its end changes nothing for readers and snapshots of the clean image. The precache
/// grows with it.
fn lengthen_in_place(
    files: &VolumeFiles,
    bytes: u64,
    group: Option<Gid>,
) -> Result<(), StorageError> {
    let (clean, precache) = (files.image(), files.precache());
    let is_current = is_precache_current(files)?;
    durable::lengthen(&clean, bytes, group)?;
    // A precache that differs from the clean image is never used, so a crash here only costs time.
    let grown = || {
        durable::lengthen(&precache, bytes, group)
            .and_then(|()| durable::copy_mtime(&precache, &clean, group))
    };
    if is_current && grown().is_err() {
        // Only the owner may set the times of a file. The next start makes a copy.
        durable::remove(&precache)?;
    }
    Ok(())
}

fn resize_in_place(image: &Path, bytes: u64, group: Option<Gid>) -> Result<(), StorageError> {
    let failed = || StorageError::on("resize", image);
    let file = open_to_change(image, group).map_err(failed())?;
    file.set_len(bytes)
        .and_then(|()| file.sync_all())
        .map_err(failed())?;
    loop_device::update_sizes(image)
}
