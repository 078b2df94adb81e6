//! The files of one volume and their names (`docs/spec/r4-storage.md` §6).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::fs::replace::directory_of;
use crate::storage::volume_files::{PoolLocation, list_names, resolve};
use crate::storage::{StorageError, reflink};

/// What the names of a volume's files end in beside those that driver file-reflink has too, the
/// longest first.
const TAILS: [&str; 4] = ["-revert-cow.img", "-cow.img.old", "-revert.img", "-cow.img"];

/// Where the files of one volume are: `DIR/VID` and what is appended to it.
#[derive(Debug, Clone)]
pub struct VolumeFiles {
    base: PathBuf,
    stem: String,
}

impl VolumeFiles {
    #[cfg(test)]
    /// The files of the volume `vid` in the pool at `directory`.
    pub fn new(directory: &Path, vid: &str) -> Result<VolumeFiles, StorageError> {
        let (base, stem) = crate::storage::volume_files::base_path(directory, vid)?;
        Ok(VolumeFiles { base, stem })
    }

    /// The files of a volume of a pool.
    pub fn for_volume(location: &PoolLocation, vid: &str) -> Result<VolumeFiles, StorageError> {
        let (base, stem) = resolve(location, vid)?;
        Ok(VolumeFiles { base, stem })
    }

    /// The data, written in place.
    pub fn image(&self) -> PathBuf {
        self.with(".img")
    }

    /// Of an origin: what its blocks were before this run wrote to them. Of a snapshot: what it
    /// wrote.
    pub fn cow(&self) -> PathBuf {
        self.with("-cow.img")
    }

    /// The same of the run before: the only revision.
    pub fn old_cow(&self) -> PathBuf {
        self.with("-cow.img.old")
    }

    /// An import that is not complete.
    pub fn import(&self) -> PathBuf {
        self.with("-import.img")
    }

    /// The image that a revert makes, until it is the volume's.
    pub fn revert_image(&self) -> PathBuf {
        self.with("-revert.img")
    }

    /// The way back from a revert, until that is done.
    pub fn revert_cow(&self) -> PathBuf {
        self.with("-revert-cow.img")
    }

    /// What driver `file-reflink` makes for the next start; nobody will use it.
    pub fn reflink_precache(&self) -> PathBuf {
        self.with("-precache.img")
    }

    /// What driver `file-reflink` leaves of a qube that did not stop: data that are nowhere else.
    pub fn reflink_dirty(&self) -> PathBuf {
        self.with("-dirty.img")
    }

    /// The directory in which all of them lie.
    pub fn directory(&self) -> &Path {
        directory_of(&self.base)
    }

    /// Temporary files that a crash left behind.
    pub fn leftovers(&self) -> Result<Vec<PathBuf>, StorageError> {
        self.names(|name| name.contains('~') && is_volume_file(name, &self.stem))
    }

    /// Everything that belongs to the volume, also what `file-reflink` had of it.
    pub fn all(&self) -> Result<Vec<PathBuf>, StorageError> {
        self.names(|name| is_volume_file(name, &self.stem))
    }

    fn names(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, StorageError> {
        let names = list_names(self.directory())?;
        Ok(names
            .iter()
            .filter(|name| wanted(name))
            .map(|name| self.directory().join(name))
            .collect())
    }

    fn with(&self, tail: &str) -> PathBuf {
        let mut name = OsString::from(&self.base);
        name.push(tail);
        name.into()
    }
}

/// Whether the file called `name` is one of the volume `stem`, with this driver or with
/// `file-reflink`.
pub fn is_volume_file(name: &str, stem: &str) -> bool {
    let name = name.split_once('~').map_or(name, |(name, _)| name);
    name.strip_prefix(stem)
        .is_some_and(|tail| TAILS.contains(&tail) || reflink::is_tail(tail))
}

/// The name of the volume that a file belongs to, by the file's name alone.
pub fn volume_of(name: &str) -> Option<&str> {
    let own = name.split_once('~').map_or(name, |(name, _)| name);
    let stem = TAILS
        .iter()
        .find_map(|tail| own.strip_suffix(tail))
        .filter(|stem| !stem.is_empty());
    stem.or_else(|| reflink::volume_of(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_knows_its_own_files_among_its_neighbours() {
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
        assert_eq!(names(files.all().unwrap()), own);
        assert_eq!(names(files.leftovers().unwrap()), [own[2], own[5]]);
        own.iter()
            .for_each(|name| assert_eq!(volume_of(name), Some("root"), "{name}"));
        assert_eq!(volume_of("firewall.xml"), None);
    }
}
