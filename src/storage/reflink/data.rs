//! Imports, exports and resizes volumes.

use std::fs::File;
use std::path::{Path, PathBuf};

use nix::unistd::Gid;

use super::Reflink;
use super::images::ImageFiles;
use super::lifecycle::is_precache_current;
use crate::fs::directory::OpenMode;
use crate::storage::durable::{self, CopyMode, CopyProgress};
use crate::storage::open_images::refuse_if_open;
use crate::storage::volume_files::{exists, metadata_if_exists, remove_import_leftovers};
use crate::storage::{CommittedData, StorageError, Volume, VolumeKind, loop_device, pool_files};

impl Reflink {
    /// Resizes the image of the running qube, else the clean image. A volume without an image gets
    /// its size at its next start.
    pub(super) fn resize_volume(&self, volume: &Volume, bytes: u64) -> Result<(), StorageError> {
        if !volume.rw {
            let text = format!("{}: it is read-only and cannot be resized", volume.label());
            return Err(StorageError::Refused(text));
        }
        let images = self.images(&volume.vid)?;
        let has_run = match volume.kind {
            VolumeKind::Origin => exists(&images.dirty())?,
            VolumeKind::Snapshot | VolumeKind::Volatile => {
                self.run_files(volume)?.contains(&images.dirty())
            }
        };
        if has_run {
            return resize_in_place(&images.dirty(), bytes, self.group);
        }
        if volume.kind != VolumeKind::Origin {
            return Ok(());
        }
        let _alone = self.lock(volume)?;
        let clean = images.clean();
        let is_shorter = metadata_if_exists(&clean)?.is_some_and(|image| bytes < image.len());
        if is_shorter {
            self.copy(volume, &clean, &clean, CopyMode::Resized(bytes))?;
        } else if !durable::clone_resized(&clean, &clean, self.group, bytes)? {
            return lengthen_in_place(&images, bytes, self.group);
        }
        self.precache(volume, &images);
        Ok(())
    }

    /// Implements `Driver::export`.
    pub(super) fn export_volume(&self, volume: &Volume) -> Result<PathBuf, StorageError> {
        let clean = self.origin_images(volume, "exported")?.clean();
        if exists(&clean)? {
            return Ok(clean);
        }
        let why = match volume.has_snapshots_disabled() {
            true => {
                "it is in use without snapshots (revisions_to_keep is -1); shut the qube down first"
            }
            false => "its image is missing",
        };
        Err(StorageError::Refused(format!(
            "{}: {why} ({})",
            volume.label(),
            clean.display()
        )))
    }

    /// Opens the clean image while it is locked. An open image is not written to, even after
    /// another has taken its name.
    pub(super) fn open_committed_volume(
        &self,
        volume: &Volume,
    ) -> Result<CommittedData, StorageError> {
        let unchanged = self.locks.lock_shared(&self.name, &volume.vid)?;
        let clean = self.export_volume(volume)?;
        let failed = || StorageError::io(format!("cannot open {}", clean.display()));
        let file = pool_files::open(&clean, OpenMode::Read).map_err(failed())?;
        let size = file.metadata().map_err(failed())?.len();
        let start_lock = volume.has_snapshots_disabled().then_some(unchanged);
        Ok(CommittedData {
            name: volume.name.clone(),
            file,
            size,
            start_lock,
        })
    }

    /// Implements `Driver::import`.
    pub(super) fn import_volume(&self, volume: &Volume, from: &Path) -> Result<(), StorageError> {
        let failed = StorageError::io(format!("cannot open {}", from.display()));
        // The caller chooses the file, so it may be anywhere.
        let from = File::open(from).map_err(failed)?;
        let what = volume.full_name();
        let progress = CopyProgress {
            receiver: &self.progress,
            what: &what,
        };
        self.replace_data(volume, |import| {
            durable::copy_opened(&from, import, self.group, CopyMode::Fresh, progress)
        })
    }

    /// Makes the image that `write` creates at the given path the clean one.
    pub(super) fn replace_data(
        &self,
        volume: &Volume,
        write: impl FnOnce(&Path) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let images = self.origin_images(volume, "imported to")?;
        if exists(&images.dirty())? {
            let label = volume.label();
            let text = format!(
                "{label}: it is in use or was not stopped cleanly; \
                 shut the qube down before importing"
            );
            return Err(StorageError::Refused(text));
        }
        refuse_if_open(volume, &images.clean())?;
        self.make_directory(&images)?;
        let import = images.import();
        remove_import_leftovers(&import)?;
        let done = write(&import).and_then(|()| {
            let _alone = self.lock(volume)?;
            self.commit(volume, &images, &import)
        });
        if done.is_err() {
            // Report the first error. The next start removes the leftover.
            let _leftover = durable::remove(&import);
        }
        done
    }

    /// Adopts the image that a package has installed: sets its access mode and makes it durable
    /// before anything refers to it.
    pub(super) fn adopt_image(&self, volume: &Volume) -> Result<(), StorageError> {
        let images = self.origin_images(volume, "adopted")?;
        let clean = images.clean();
        if exists(&images.dirty())? {
            let text = format!(
                "{}: it is in use or was not stopped cleanly; shut the qube down first",
                volume.label()
            );
            return Err(StorageError::Refused(text));
        }
        let _alone = self.lock(volume)?;
        refuse_if_open(volume, &clean)?;
        durable::adopt(&clean, self.group)?;
        self.precache(volume, &images);
        Ok(())
    }

    /// Returns the images of a persistent volume. For others, the error says that they cannot be
    /// `verb`.
    fn origin_images(&self, volume: &Volume, verb: &str) -> Result<ImageFiles, StorageError> {
        if volume.kind == VolumeKind::Origin {
            return self.images(&volume.vid);
        }
        let text = format!(
            "{}: it is not kept from start to start and cannot be {verb}",
            volume.label()
        );
        Err(StorageError::Refused(text))
    }
}

/// Extends the clean image in place, where a copy would take the time and space of a whole image.
/// The hole at its end changes nothing for readers and snapshots of the clean image. The precache
/// grows with it.
fn lengthen_in_place(
    images: &ImageFiles,
    bytes: u64,
    group: Option<Gid>,
) -> Result<(), StorageError> {
    let (clean, precache) = (images.clean(), images.precache());
    let is_current = is_precache_current(images)?;
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
    let failed = |what: &Path| StorageError::io(format!("cannot resize {}", what.display()));
    let file = pool_files::open_to_change(image, group).map_err(failed(image))?;
    file.set_len(bytes)
        .and_then(|()| file.sync_all())
        .map_err(failed(image))?;
    for device in loop_device::find_loop_devices(image) {
        loop_device::update_size(&device).map_err(failed(&device))?;
    }
    Ok(())
}
