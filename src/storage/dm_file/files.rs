//! The files of a volume and their names (`docs/spec/r4-storage.md` §6).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::fs::replace::parent_directory;
use crate::storage::volume_files::{PoolLocation, list_names, resolve};
use crate::storage::{StorageError, reflink};

/// The suffixes of a volume's files beside those that driver `file-reflink` has too, longest first.
const TAILS: [&str; 4] = ["-revert-cow.img", "-cow.img.old", "-revert.img", "-cow.img"];

/// The paths of a volume's files: `DIR/VID` and a suffix.
#[derive(Debug, Clone)]
pub struct VolumeFiles {
    base: PathBuf,
    stem: String,
}

impl VolumeFiles {
    #[cfg(test)]
    /// Returns the files of the volume `vid` in the pool at `directory`.
    pub fn new(directory: &Path, vid: &str) -> Result<VolumeFiles, StorageError> {
        let (base, stem) = crate::storage::volume_files::base_path(directory, vid)?;
        Ok(VolumeFiles { base, stem })
    }

    /// Returns the files of the volume `vid` of a pool.
    pub fn for_volume(location: &PoolLocation, vid: &str) -> Result<VolumeFiles, StorageError> {
        let (base, stem) = resolve(location, vid)?;
        Ok(VolumeFiles { base, stem })
    }

    /// The image, which is written in place.
    pub fn image(&self) -> PathBuf {
        self.with_suffix(".img")
    }

    /// The COW file: for an origin, the previous content of the blocks that this run has written;
    /// for a snapshot, the blocks that it has written.
    pub fn cow(&self) -> PathBuf {
        self.with_suffix("-cow.img")
    }

    /// The COW file of the previous run: the only revision.
    pub fn old_cow(&self) -> PathBuf {
        self.with_suffix("-cow.img.old")
    }

    /// The image of an incomplete import.
    pub fn import(&self) -> PathBuf {
        self.with_suffix("-import.img")
    }

    /// The image that a revert makes, before it becomes the volume's.
    pub fn revert_image(&self) -> PathBuf {
        self.with_suffix("-revert.img")
    }

    /// The COW file that undoes a revert, before it becomes the revision.
    pub fn revert_cow(&self) -> PathBuf {
        self.with_suffix("-revert-cow.img")
    }

    /// The precache of driver `file-reflink`, which this driver does not use.
    pub fn reflink_precache(&self) -> PathBuf {
        self.with_suffix("-precache.img")
    }

    /// The dirty image that driver `file-reflink` leaves after a crash, which has data that exist
    /// nowhere else.
    pub fn reflink_dirty(&self) -> PathBuf {
        self.with_suffix("-dirty.img")
    }

    /// The directory of the files.
    pub fn directory(&self) -> &Path {
        parent_directory(&self.base)
    }

    /// Returns the temporary files that a crash has left.
    pub fn leftovers(&self) -> Result<Vec<PathBuf>, StorageError> {
        self.names(|name| name.contains('~') && is_volume_file(name, &self.stem))
    }

    /// Returns all files of the volume, including those of driver `file-reflink`.
    pub fn all_files(&self) -> Result<Vec<PathBuf>, StorageError> {
        self.names(|name| is_volume_file(name, &self.stem))
    }

    fn names(&self, is_selected: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, StorageError> {
        let names = list_names(self.directory())?;
        Ok(names
            .iter()
            .filter(|name| is_selected(name))
            .map(|name| self.directory().join(name))
            .collect())
    }

    fn with_suffix(&self, tail: &str) -> PathBuf {
        let mut name = OsString::from(&self.base);
        name.push(tail);
        name.into()
    }
}

/// Whether the file `name` belongs to the volume `stem`, with this driver or with `file-reflink`.
pub fn is_volume_file(name: &str, stem: &str) -> bool {
    let name = name.split_once('~').map_or(name, |(name, _)| name);
    name.strip_prefix(stem)
        .is_some_and(|tail| TAILS.contains(&tail) || reflink::is_tail(tail))
}

/// Returns the name of the volume that a file belongs to, according to the file's name.
pub fn volume_name(name: &str) -> Option<&str> {
    let own = name.split_once('~').map_or(name, |(name, _)| name);
    let stem = TAILS
        .iter()
        .find_map(|tail| own.strip_suffix(tail))
        .filter(|stem| !stem.is_empty());
    stem.or_else(|| reflink::volume_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_volume_are_distinguished_from_others() {
        let dir = tempfile::tempdir().unwrap();
        let own = [
            "root-cow.img",
            "root-cow.img.old",
            "root-cow.img~x1.new",
            "root-import.img",
            "root.img",
            "root.img~y",
        ];
        for name in own.iter().chain(&[
            "root2.img",
            "root-2-cow.img",
            "root.img.bak",
            "firewall.xml",
            "rootx~",
        ]) {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let files = VolumeFiles::new(dir.path(), "root").unwrap();
        let names = |paths: Vec<PathBuf>| -> Vec<String> {
            paths
                .iter()
                .map(|p| p.file_name().unwrap().to_string_lossy().into_owned())
                .collect()
        };
        assert_eq!(names(files.all_files().unwrap()), own);
        assert_eq!(names(files.leftovers().unwrap()), [own[2], own[5]]);
        own.iter()
            .for_each(|name| assert_eq!(volume_name(name), Some("root"), "{name}"));
        assert_eq!(volume_name("firewall.xml"), None);
    }
}
