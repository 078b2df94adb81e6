//! Driver `file-reflink`: images in a directory whose copies share blocks
//! (`docs/spec/r4-storage.md` §5).
//!
//! `images` has the names of a volume's files, `lifecycle` creates, starts, stops and removes
//! volumes, `revisions` saves and restores states, and `data` imports, exports and resizes volumes.
//!
//! A committed image is never written in place, as snapshots of it are second names of the same
//! file. Volumes without snapshots (`revisions_to_keep` −1) are the exception, as in upstream.

mod data;
mod images;
mod lifecycle;
mod revisions;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::Gid;

pub(super) use self::images::{ImageFiles, is_tail, volume_name};
use self::revisions::prune_to;
use super::durable::{self, CopyMode, CopyProgress};
use super::open_images::refuse_if_open;
use super::volume_files::{self, PoolLocation, exists, metadata_if_exists, source_vid};
use super::{
    Attachment, CommittedData, Driver, ForeignImage, Image, ImageOwners, ImageWriter, Revision,
    SharedProgress, StorageError, Volume, VolumeKind, VolumeLocks, run_images,
};
use crate::fs::clone_range::try_reflink;
use crate::fs::file_lock::FileLock;
use crate::fs::replace::parent_directory;

/// A pool of driver `file-reflink`.
#[derive(Debug)]
pub struct Reflink {
    name: String,
    location: PoolLocation,
    setup_check: bool,
    group: Option<Gid>,
    locks: VolumeLocks,
    progress: SharedProgress,
}

impl Reflink {
    /// Creates the pool `name` in `directory`, whose new files belong to `group`. With
    /// `setup_check`, [`Driver::setup`] requires that files can share blocks; without, images are
    /// copied where they cannot.
    pub fn new(
        name: &str,
        directory: PathBuf,
        setup_check: bool,
        group: Option<Gid>,
        locks: VolumeLocks,
    ) -> Reflink {
        let location = PoolLocation {
            directory,
            root: None,
            read_only: false,
        };
        Reflink {
            name: name.to_string(),
            location,
            setup_check,
            group,
            locks,
            progress: SharedProgress::default(),
        }
    }

    /// Sets the root of the system, where absolute links begin. With `read_only`, nothing is
    /// created or opened.
    pub fn with_root(self, root: Option<&Path>, read_only: bool) -> Reflink {
        let location = PoolLocation {
            root: root.map(Path::to_path_buf),
            read_only,
            ..self.location
        };
        Reflink { location, ..self }
    }

    /// Sets the receiver of the progress of copies.
    pub fn with_progress(self, progress: SharedProgress) -> Reflink {
        Reflink { progress, ..self }
    }

    /// Locks the clean image of an origin while it is exchanged. Other volumes cannot be the source
    /// of a snapshot, so they need no lock.
    fn lock(&self, volume: &Volume) -> Result<Option<FileLock>, StorageError> {
        (volume.kind == VolumeKind::Origin)
            .then(|| self.locks.lock_exclusive(&self.name, &volume.vid))
            .transpose()
    }

    /// Replaces an image of the volume with a copy of another.
    fn copy(
        &self,
        volume: &Volume,
        from: &Path,
        to: &Path,
        mode: CopyMode,
    ) -> Result<(), StorageError> {
        let what = volume.full_name();
        durable::copy(
            from,
            to,
            self.group,
            mode,
            CopyProgress {
                receiver: &self.progress,
                what: &what,
            },
        )
    }

    fn images(&self, vid: &str) -> Result<ImageFiles, StorageError> {
        ImageFiles::for_volume(&self.location, vid)
    }

    /// Returns the files that a run has made, in the order in which they may be removed.
    fn run_files(&self, volume: &Volume) -> Result<Vec<PathBuf>, StorageError> {
        let images = self.images(&volume.vid)?;
        let mut run_files = run_images::find_run_files(&self.location, volume)?;
        run_files.retain(|file| *file == images.dirty() || *file == images.clean());
        Ok(run_files)
    }

    /// Returns the images of a snapshot's source.
    fn source(&self, volume: &Volume) -> Result<ImageFiles, StorageError> {
        self.images(source_vid(volume)?)
    }

    fn check_reflink(&self) -> Result<(), StorageError> {
        let directory = self.location.directory.display();
        let tried = try_reflink(&self.location.directory);
        match tried.map_err(StorageError::io(format!(
            "cannot try to share blocks between files in {directory}"
        )))? {
            true => Ok(()),
            false => Err(StorageError::Refused(format!(
                "pool {}: files in {directory} cannot share blocks (reflink); \
                 give it a directory on btrfs or XFS, use driver 'file', or set \
                 setup_check=no to have every image copied",
                self.name
            ))),
        }
    }
}

impl Driver for Reflink {
    fn setup(&self) -> Result<(), StorageError> {
        let new = durable::create_directory(&self.location.directory, self.group)?;
        if self.setup_check
            && let Err(refused) = self.check_reflink()
        {
            if new {
                durable::remove_real_directory(&self.location.directory)?;
            }
            return Err(refused);
        }
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
        let images = self.images(&volume.vid)?;
        let mut files = images.all_files()?;
        files.extend(images.driver_file_leftovers()?);
        Ok(files.into_iter().map(Image::File).collect())
    }

    fn verify(&self, volume: &Volume) -> Result<(), StorageError> {
        let clean = match volume.kind {
            VolumeKind::Volatile => return Ok(()),
            VolumeKind::Snapshot => self.source(volume)?.clean(),
            VolumeKind::Origin => self.images(&volume.vid)?.clean(),
        };
        if exists(&clean)? {
            return Ok(());
        }
        Err(StorageError::Refused(format!(
            "{}: image {} is missing",
            volume.label(),
            clean.display()
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
        Ok(Attachment::File(self.images(&volume.vid)?.dirty()))
    }

    fn is_dirty(&self, volume: &Volume) -> Result<bool, StorageError> {
        Ok(volume.kind == VolumeKind::Origin && exists(&self.images(&volume.vid)?.dirty())?)
    }

    fn has_run_images(&self, volume: &Volume) -> Result<bool, StorageError> {
        let run_files = self.run_files(volume)?;
        match volume.kind {
            // P.img is of driver `file` or R3. No run with this driver makes it.
            VolumeKind::Volatile => Ok(run_files.contains(&self.images(&volume.vid)?.dirty())),
            VolumeKind::Snapshot | VolumeKind::Origin => Ok(!run_files.is_empty()),
        }
    }

    fn foreign_images(&self, volume: &Volume) -> Result<Vec<ForeignImage>, StorageError> {
        Ok(run_images::classify_files(&self.location, volume)?.foreign)
    }

    fn is_outdated(&self, volume: &Volume) -> Result<bool, StorageError> {
        if volume.kind != VolumeKind::Snapshot {
            return Ok(false);
        }
        let own = metadata_if_exists(&self.images(&volume.vid)?.clean())?;
        let source = metadata_if_exists(&self.source(volume)?.clean())?;
        Ok(own
            .zip(source)
            .is_some_and(|(own, source)| (own.dev(), own.ino()) != (source.dev(), source.ino())))
    }

    fn revisions(&self, volume: &Volume) -> Result<Vec<Revision>, StorageError> {
        if volume.kind != VolumeKind::Origin {
            return Ok(Vec::new());
        }
        Ok(self
            .images(&volume.vid)?
            .revisions()?
            .iter()
            .map(Revision::from)
            .collect())
    }

    fn revert(&self, volume: &Volume, revision: Option<&str>) -> Result<(), StorageError> {
        self.revert_volume(volume, revision)
    }

    fn revision_size(&self, volume: &Volume, revision: Option<&str>) -> Result<u64, StorageError> {
        self.size_of_revision(volume, revision)
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
        Ok(Some(self.images(&volume.vid)?.clean()))
    }

    fn adopt(&self, volume: &Volume) -> Result<(), StorageError> {
        self.adopt_image(volume)
    }

    fn remove_spare_images(&self, volume: &Volume) -> Result<(), StorageError> {
        let images = self.images(&volume.vid)?;
        let _alone = self.lock(volume)?;
        durable::remove(&images.precache())?;
        if volume.kind == VolumeKind::Origin {
            return Ok(());
        }
        refuse_if_open(volume, &images.dirty())?;
        durable::remove_all(&self.run_files(volume)?)
    }

    fn prune_revisions(&self, volume: &Volume, keep: usize) -> Result<(), StorageError> {
        let images = self.images(&volume.vid)?;
        let _alone = self.lock(volume)?;
        prune_to(&images, keep)?;
        durable::sync_parent(&images.clean())
    }

    fn qube_directory(&self, volume: &Volume) -> Option<PathBuf> {
        let (base, _) = volume_files::base_path(&self.location.directory, &volume.vid).ok()?;
        let directory = parent_directory(&base).to_path_buf();
        volume_files::is_qube_directory(&self.location.directory, &directory).then_some(directory)
    }

    fn size(&self, volume: &Volume) -> Result<u64, StorageError> {
        let images = self.images(&volume.vid)?;
        let image = match metadata_if_exists(&images.dirty())? {
            Some(dirty) => Some(dirty),
            None if volume.kind == VolumeKind::Snapshot => {
                metadata_if_exists(&self.source(volume)?.clean())?
            }
            None => metadata_if_exists(&images.clean())?,
        };
        Ok(image.map_or(volume.size, |image| image.len()))
    }

    fn usage(&self, volume: &Volume) -> Result<u64, StorageError> {
        let images = self.images(&volume.vid)?;
        let image = match metadata_if_exists(&images.dirty())? {
            Some(dirty) => Some(dirty),
            None => metadata_if_exists(&images.clean())?,
        };
        Ok(image.map_or(0, |image| image.blocks() * 512))
    }

    fn volume_ids(&self) -> Result<Vec<String>, StorageError> {
        volume_files::list_volumes(&self.location.directory, volume_name)
    }
}
