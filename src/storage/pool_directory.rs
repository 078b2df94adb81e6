//! A pool that is a directory, for the drivers that keep each volume in files of its own.

use std::io;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use nix::unistd::Gid;

use super::durable::{self, CopyMode, CopyProgress, create_directory};
use super::pool_files::{self, DANGLING_SUFFIX, exists, list_names};
use super::volume_files::VolumeFiles;
use super::{SharedProgress, StorageError, Volume, VolumeLocks};
use crate::fs::file_lock::FileLock;
use crate::fs::replace::parent_directory;
use crate::model::class::DIRECTORIES;
use crate::model::rules::qubesd::is_file_vid;

/// The directory of a pool, and what its driver needs to work there.
#[derive(Debug)]
pub struct PoolDirectory {
    /// The name of the pool.
    pub(super) name: String,
    /// The path of the directory.
    pub(super) path: PathBuf,
    /// The root of the system that the pool belongs to, if that is not the machine's. Absolute
    /// links begin there.
    root: Option<PathBuf>,
    /// Whether only metadata are read and nothing is opened. Then links may lead anywhere.
    read_only: bool,
    /// The group of new files.
    pub(super) group: Option<Gid>,
    pub(super) locks: VolumeLocks,
    progress: SharedProgress,
}

impl PoolDirectory {
    /// Describes the pool `name` in the directory `path`, whose new files belong to `group`.
    pub fn new(name: &str, path: PathBuf, group: Option<Gid>, locks: VolumeLocks) -> PoolDirectory {
        PoolDirectory {
            name: name.to_string(),
            path,
            root: None,
            read_only: false,
            group,
            locks,
            progress: SharedProgress::default(),
        }
    }

    /// Sets the root of the system, where absolute links begin. With `read_only`, nothing is
    /// created or opened.
    pub fn with_root(self, root: Option<&Path>, read_only: bool) -> PoolDirectory {
        PoolDirectory {
            root: root.map(Path::to_path_buf),
            read_only,
            ..self
        }
    }

    /// Sets the receiver of the progress of copies.
    pub fn with_progress(self, progress: SharedProgress) -> PoolDirectory {
        PoolDirectory { progress, ..self }
    }

    /// Locks the image of an origin while it is exchanged or a run of it begins. Other volumes
    /// cannot be the source of a snapshot, so they need no lock.
    pub(super) fn lock(&self, volume: &Volume) -> Result<Option<FileLock>, StorageError> {
        self.locks.lock_origin(&self.name, volume)
    }

    /// Keeps the image of the volume `vid` from being replaced.
    pub(super) fn lock_shared(&self, vid: &str) -> Result<FileLock, StorageError> {
        self.locks.lock_shared(&self.name, vid)
    }

    /// Returns the files of the volume `vid`, with the links in their path resolved. A vid comes
    /// from qubes.xml; one that leads out of the pool is refused.
    pub(super) fn files(&self, vid: &str) -> Result<VolumeFiles, StorageError> {
        let base = self.base_path(vid)?;
        let stem = vid.rsplit('/').next().unwrap_or_default();
        if self.read_only {
            return Ok(VolumeFiles::new(base, stem));
        }
        let nominal = parent_directory(&base);
        let inside = nominal.strip_prefix(&self.path).unwrap_or(Path::new(""));
        let real = pool_files::resolve(&self.path, self.root.as_deref(), inside)
            .map_err(StorageError::on("use", nominal))?;
        Ok(VolumeFiles::new(real.join(stem), stem))
    }

    /// Returns the files of a snapshot's source.
    pub(super) fn source(&self, volume: &Volume) -> Result<VolumeFiles, StorageError> {
        self.files(volume.source_vid()?)
    }

    /// Returns `DIR/VID`, the common beginning of the paths of a volume's files.
    fn base_path(&self, vid: &str) -> Result<PathBuf, StorageError> {
        match is_file_vid(vid) {
            true => Ok(self.path.join(vid)),
            false => Err(StorageError::Refused(format!(
                "volume id '{}' does not name a file inside {}",
                vid.escape_debug(),
                self.path.display()
            ))),
        }
    }

    /// Creates the directories of a pool that contain those of its qubes.
    pub(super) fn make_prefix_directories(&self) -> Result<(), StorageError> {
        DIRECTORIES
            .iter()
            .try_for_each(|prefix| create_directory(&self.path.join(prefix), self.group).map(drop))
    }

    /// Creates the directory of a volume's files and its missing parents below the pool's.
    pub(super) fn make_directory(&self, files: &VolumeFiles) -> Result<(), StorageError> {
        let target = files.directory();
        let dangling = target
            .to_str()
            .and_then(|path| path.strip_suffix(DANGLING_SUFFIX));
        if let Some(link) = dangling {
            return Err(StorageError::Refused(format!(
                "{link} is a dangling symbolic link"
            )));
        }
        let Ok(inside) = target.strip_prefix(&self.path) else {
            // It lies behind a link. There, only the qube's own directory is created.
            return create_directory(target, self.group).map(drop);
        };
        let mut directory = self.path.clone();
        for part in inside {
            directory.push(part);
            create_directory(&directory, self.group)?;
        }
        Ok(())
    }

    /// Removes the directory of a volume's files if it is empty, except the pool's own directories.
    pub(super) fn remove_directory(&self, files: &VolumeFiles) -> Result<(), StorageError> {
        match self.is_qube_directory(files.directory()) {
            true => durable::remove_real_directory(files.directory()).map(drop),
            false => Ok(()),
        }
    }

    /// Returns the directory of a volume's files, if it belongs to one qube.
    pub(super) fn qube_directory(&self, volume: &Volume) -> Option<PathBuf> {
        let base = self.base_path(&volume.vid).ok()?;
        let directory = parent_directory(&base).to_path_buf();
        self.is_qube_directory(&directory).then_some(directory)
    }

    /// Whether a directory in the pool belongs to one qube: `appvms/NAME`.
    fn is_qube_directory(&self, directory: &Path) -> bool {
        directory
            .strip_prefix(&self.path)
            .is_ok_and(|inside| inside.components().count() >= 2)
    }

    /// Checks that the image that a start needs exists.
    pub(super) fn verify(&self, volume: &Volume) -> Result<(), StorageError> {
        match volume.committed_vid()? {
            Some(vid) => require_image(volume, &self.files(vid)?.image()),
            None => Ok(()),
        }
    }

    /// Returns the size and the usage in bytes of the file system that holds the pool.
    pub(super) fn capacity(&self) -> Result<(u64, u64), StorageError> {
        let place = statvfs(&self.path)
            .map_err(io::Error::from)
            .map_err(StorageError::on("get the free space in", &self.path))?;
        Ok(size_and_usage(&place))
    }

    /// Returns the vids of all volumes in the pool. `volume_name` returns the volume's name for a
    /// file name.
    pub(super) fn volume_ids(
        &self,
        volume_name: impl Fn(&str) -> Option<&str>,
    ) -> Result<Vec<String>, StorageError> {
        let mut vids = Vec::new();
        for prefix in DIRECTORIES {
            for qube in list_names(&self.path.join(prefix))? {
                let files = list_names(&self.path.join(prefix).join(&qube))?;
                let names = files.iter().filter_map(|file| volume_name(file));
                vids.extend(names.map(|name| format!("{prefix}/{qube}/{name}")));
            }
        }
        vids.sort();
        vids.dedup();
        Ok(vids)
    }

    /// Replaces an image of the volume with a copy of another.
    pub(super) fn copy(
        &self,
        volume: &Volume,
        from: &Path,
        to: &Path,
        mode: CopyMode,
    ) -> Result<(), StorageError> {
        let what = volume.full_name();
        durable::copy(from, to, self.group, mode, self.progress(&what))
    }

    /// Returns the receiver of the progress of a copy of `what`.
    pub(super) fn progress<'a>(&'a self, what: &'a str) -> CopyProgress<'a> {
        CopyProgress {
            receiver: &self.progress,
            what,
        }
    }
}

/// Returns the size and the usage in bytes of a file system.
pub(super) fn size_and_usage(place: &nix::sys::statvfs::Statvfs) -> (u64, u64) {
    let unit = place.fragment_size();
    (
        place.blocks() * unit,
        (place.blocks() - place.blocks_free()) * unit,
    )
}

/// Refuses an operation that needs the image of a volume if that is missing.
pub(super) fn require_image(volume: &Volume, image: &Path) -> Result<(), StorageError> {
    match exists(image)? {
        true => Ok(()),
        false => Err(volume.refusal(format_args!("image {} is missing", image.display()))),
    }
}

/// Removes the temporary files of killed imports, `P-import.img~…`. The caller's is the only import
/// into the volume, and it has not begun to write.
pub(super) fn remove_import_leftovers(files: &VolumeFiles) -> Result<(), StorageError> {
    let begin = format!("{}-import.img~", files.stem());
    for left in list_names(files.directory())? {
        if left.starts_with(&begin) {
            durable::remove_scratch(&files.directory().join(left))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_vid_that_leads_out_of_the_pool_is_refused() {
        let locks = VolumeLocks::new(PathBuf::from("/nowhere"), None, Duration::ZERO);
        let pool = PoolDirectory::new("pool", "/pool".into(), None, locks);
        for vid in [
            "",
            "/etc/passwd",
            "../x",
            "appvms/../../x",
            "appvms//x",
            "appvms/work/",
            "appvms/a\nb/x",
            "a/~x",
        ] {
            let error = pool.files(vid).unwrap_err().to_string();
            assert!(
                error.starts_with("volume id '") && !error.contains('\n'),
                "{error}"
            );
        }
        let files = pool.files("appvms/work/private").unwrap();
        assert_eq!(
            (files.image().as_path(), files.stem()),
            (Path::new("/pool/appvms/work/private.img"), "private")
        );
    }
}
