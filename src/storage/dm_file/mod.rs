//! Driver `file`: images that are written in place, with dm-snapshot keeping the previous blocks
//! (`docs/spec/r4-storage.md` §6).
//!
//! `files` has the names of a volume's files, `cow` reads the files that dm-snapshot fills,
//! `layers` manages the mapped devices of running volumes, `lifecycle` creates, starts, stops and
//! removes volumes, `revisions` restores the revision, and `data` imports, exports and resizes
//! volumes.

mod cow;
mod data;
mod files;
mod layers;
mod lifecycle;
mod revisions;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::Gid;

pub(super) use self::cow::is_cow;
pub(super) use self::files::is_volume_file as is_file_of;
use self::files::{VolumeFiles, volume_name};
use super::volume_files::{self, PoolLocation, exists, metadata_if_exists, source_vid};
use super::{
    Attachment, CommittedData, Driver, ForeignImage, Image, ImageOwners, ImageWriter, Revision,
    SharedProgress, StorageError, Volume, VolumeKind, VolumeLocks, device_mapper, durable,
    run_images,
};
use crate::fs::file_lock::FileLock;
use crate::fs::replace::parent_directory;

/// A pool of driver `file`.
#[derive(Debug)]
pub struct DmFile {
    name: String,
    location: PoolLocation,
    group: Option<Gid>,
    locks: VolumeLocks,
    progress: SharedProgress,
}

impl DmFile {
    /// Creates the pool `name` in `directory`, whose new files belong to `group`.
    pub fn new(name: &str, directory: PathBuf, group: Option<Gid>, locks: VolumeLocks) -> DmFile {
        let location = PoolLocation {
            directory,
            root: None,
            read_only: false,
        };
        DmFile {
            name: name.to_string(),
            location,
            group,
            locks,
            progress: SharedProgress::default(),
        }
    }

    /// Sets the root of the system, where absolute links begin. With `read_only`, nothing is
    /// created or opened.
    pub fn with_root(self, root: Option<&Path>, read_only: bool) -> DmFile {
        let location = PoolLocation {
            root: root.map(Path::to_path_buf),
            read_only,
            ..self.location
        };
        DmFile { location, ..self }
    }

    /// Sets the receiver of the progress of copies.
    pub fn with_progress(self, progress: SharedProgress) -> DmFile {
        DmFile { progress, ..self }
    }

    /// Locks the image of an origin while it is exchanged or a run of it begins. Other volumes
    /// cannot be the source of a snapshot, so they need no lock.
    fn lock(&self, volume: &Volume) -> Result<Option<FileLock>, StorageError> {
        (volume.kind == VolumeKind::Origin)
            .then(|| self.locks.lock_exclusive(&self.name, &volume.vid))
            .transpose()
    }

    fn files(&self, vid: &str) -> Result<VolumeFiles, StorageError> {
        VolumeFiles::for_volume(&self.location, vid)
    }

    /// Returns the file that a run of a non-persistent volume has left.
    fn run_file(&self, volume: &Volume) -> Result<Option<PathBuf>, StorageError> {
        let files = self.files(&volume.vid)?;
        let made = match volume.kind {
            VolumeKind::Volatile => files.image(),
            VolumeKind::Snapshot if volume.rw => files.cow(),
            VolumeKind::Snapshot | VolumeKind::Origin => return Ok(None),
        };
        let run_files = run_images::find_run_files(&self.location, volume)?;
        Ok(run_files.into_iter().find(|file| *file == made))
    }

    /// Returns the files of a snapshot's source.
    fn source(&self, volume: &Volume) -> Result<VolumeFiles, StorageError> {
        self.files(source_vid(volume)?)
    }

    fn snapshot_attachment(&self, volume: &Volume) -> Result<Attachment, StorageError> {
        if !volume.rw {
            let source = self.source(volume)?;
            let device = self.read_only_device(&source)?;
            return Ok(device.map_or_else(|| Attachment::File(source.image()), Attachment::Device));
        }
        let missing =
            || StorageError::Refused(format!("{}: it has not been started", volume.label()));
        let name = self
            .snapshot_device(&self.files(&volume.vid)?)?
            .ok_or_else(missing)?;
        Ok(Attachment::Device(device_mapper::device_path(&name)))
    }
}

impl Driver for DmFile {
    fn setup(&self) -> Result<(), StorageError> {
        durable::create_directory(&self.location.directory, self.group)?;
        volume_files::make_prefix_directories(&self.location.directory, self.group)
    }

    fn capacity(&self) -> Result<Option<(u64, u64)>, StorageError> {
        volume_files::filesystem_usage(&self.location.directory).map(Some)
    }

    fn create(&self, volume: &Volume) -> Result<(), StorageError> {
        self.create_volume(volume)
    }

    fn remove_unowned(
        &self,
        volume: &Volume,
        owners: &ImageOwners,
    ) -> Result<Vec<String>, StorageError> {
        self.remove_volume(volume, owners)
    }

    fn images(&self, volume: &Volume) -> Result<Vec<Image>, StorageError> {
        Ok(self
            .files(&volume.vid)?
            .all_files()?
            .into_iter()
            .map(Image::File)
            .collect())
    }

    fn verify(&self, volume: &Volume) -> Result<(), StorageError> {
        let image = match volume.kind {
            VolumeKind::Volatile => return Ok(()),
            VolumeKind::Snapshot => self.source(volume)?.image(),
            VolumeKind::Origin => self.files(&volume.vid)?.image(),
        };
        if exists(&image)? {
            return Ok(());
        }
        Err(StorageError::Refused(format!(
            "{}: image {} is missing",
            volume.label(),
            image.display()
        )))
    }

    fn start(&self, volume: &Volume) -> Result<(), StorageError> {
        self.start_volume(volume)
    }

    fn stop(&self, volume: &Volume) -> Result<(), StorageError> {
        self.stop_volume(volume)
    }

    fn discard(&self, volume: &Volume) -> Result<(), StorageError> {
        self.discard_volume(volume)
    }

    fn attachment(&self, volume: &Volume) -> Result<Attachment, StorageError> {
        let files = self.files(&volume.vid)?;
        match volume.kind {
            VolumeKind::Snapshot => self.snapshot_attachment(volume),
            VolumeKind::Origin if !volume.has_snapshots_disabled() => Ok(Attachment::Device(
                device_mapper::device_path(&self.origin_device(&files)?),
            )),
            VolumeKind::Origin | VolumeKind::Volatile => Ok(Attachment::File(files.image())),
        }
    }

    fn is_dirty(&self, volume: &Volume) -> Result<bool, StorageError> {
        if volume.kind != VolumeKind::Origin || volume.has_snapshots_disabled() {
            return Ok(false);
        }
        cow::has_data(&self.files(&volume.vid)?.cow())
    }

    fn has_run_images(&self, volume: &Volume) -> Result<bool, StorageError> {
        Ok(self.run_file(volume)?.is_some())
    }

    fn foreign_images(&self, volume: &Volume) -> Result<Vec<ForeignImage>, StorageError> {
        Ok(run_images::classify_files(&self.location, volume)?.foreign)
    }

    /// Compares the names of devices, as R3 did (`docs/spec/r3-start.md` §6). Upstream's R4 always
    /// returns false.
    fn is_outdated(&self, volume: &Volume) -> Result<bool, StorageError> {
        if volume.kind != VolumeKind::Snapshot || !volume.rw {
            return Ok(false);
        }
        self.is_source_newer(&self.source(volume)?, &self.files(&volume.vid)?)
    }

    fn revisions(&self, volume: &Volume) -> Result<Vec<Revision>, StorageError> {
        match volume.kind {
            VolumeKind::Origin => self.list_revisions(&self.files(&volume.vid)?),
            VolumeKind::Snapshot | VolumeKind::Volatile => Ok(Vec::new()),
        }
    }

    fn revert(&self, volume: &Volume, revision: Option<&str>) -> Result<(), StorageError> {
        self.revert_volume(volume, revision)
    }

    /// Returns the size of the image, which a revert does not change.
    fn revision_size(&self, volume: &Volume, _revision: Option<&str>) -> Result<u64, StorageError> {
        self.size(volume)
    }

    fn resize(&self, volume: &Volume, bytes: u64) -> Result<(), StorageError> {
        self.resize_volume(volume, bytes)
    }

    fn export(&self, volume: &Volume) -> Result<PathBuf, StorageError> {
        self.export_volume(volume)
    }

    fn open_committed_data(&self, volume: &Volume) -> Result<CommittedData, StorageError> {
        self.open_committed_volume(volume)
    }

    fn import(&self, volume: &Volume, from: &Path) -> Result<(), StorageError> {
        self.import_volume(volume, from)
    }

    fn import_with(&self, volume: &Volume, fill: ImageWriter<'_>) -> Result<(), StorageError> {
        self.replace_data(volume, |import| durable::write(import, self.group, fill))
    }

    fn image_file(&self, volume: &Volume) -> Result<Option<PathBuf>, StorageError> {
        Ok(Some(self.files(&volume.vid)?.image()))
    }

    fn adopt(&self, volume: &Volume) -> Result<(), StorageError> {
        self.adopt_image(volume)
    }

    fn qube_directory(&self, volume: &Volume) -> Option<PathBuf> {
        let (base, _) = volume_files::base_path(&self.location.directory, &volume.vid).ok()?;
        let directory = parent_directory(&base).to_path_buf();
        volume_files::is_qube_directory(&self.location.directory, &directory).then_some(directory)
    }

    fn size(&self, volume: &Volume) -> Result<u64, StorageError> {
        let image = match volume.kind {
            VolumeKind::Snapshot => self.source(volume)?.image(),
            VolumeKind::Origin | VolumeKind::Volatile => self.files(&volume.vid)?.image(),
        };
        Ok(metadata_if_exists(&image)?.map_or(volume.size, |image| image.len()))
    }

    fn usage(&self, volume: &Volume) -> Result<u64, StorageError> {
        let files = self.files(&volume.vid)?;
        let file = if volume.kind == VolumeKind::Snapshot {
            files.cow()
        } else {
            files.image()
        };
        Ok(metadata_if_exists(&file)?.map_or(0, |file| file.blocks() * 512))
    }

    fn volume_ids(&self) -> Result<Vec<String>, StorageError> {
        volume_files::list_volumes(&self.location.directory, volume_name)
    }
}
