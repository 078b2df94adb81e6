//! Identifies images independently of the paths that name them: a directory by device and inode
//! with a file name in it, or a logical volume of a group. Pools with two names, links, bind mounts
//! and vids like `appvms/work/private-dirty` lead to the same identity here.

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use nix::unistd::{Whence, lseek};

use super::StorageError;
use super::logical_names::LogicalNames;
use super::volume_files::is_volume_file;
use crate::fs::replace::parent_directory;
use crate::fs::retry_leased;

/// An image file or a logical volume.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Image {
    /// A file.
    File(PathBuf),
    /// A logical volume.
    Logical {
        /// Name of the volume group.
        group: String,
        /// Name of the logical volume in the group.
        name: String,
    },
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Image::File(path) => path.display().fmt(f),
            Image::Logical { group, name } => write!(f, "{group}/{name}"),
        }
    }
}

impl Image {
    /// Determines the identity of the image.
    ///
    /// # Errors
    /// Its directory cannot be examined.
    pub fn identity(&self) -> Result<ImageIdentity, StorageError> {
        Ok(match self {
            Image::File(path) => {
                let name = path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                ImageIdentity {
                    location: ImageLocation::directory(parent_directory(path))?,
                    name,
                }
            }
            Image::Logical { group, name } => ImageIdentity {
                location: ImageLocation::Group(group.clone()),
                name: name.clone(),
            },
        })
    }

    /// Returns the path of a file; `None` for a logical volume.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Image::File(path) => Some(path),
            Image::Logical { .. } => None,
        }
    }
}

/// Whether the regular file at `path` contains anything but holes. `found` is its metadata.
///
/// # Errors
/// The file cannot be examined.
pub(super) fn has_data(path: &Path, found: &Metadata) -> Result<bool, StorageError> {
    let look = || -> io::Result<bool> {
        if found.len() == 0 {
            return Ok(false);
        }
        let file = retry_leased(|| {
            File::options()
                .read(true)
                .custom_flags(libc::O_NONBLOCK)
                .open(path)
        })?;
        match lseek(&file, 0, Whence::SeekData) {
            Ok(_) => Ok(true),
            // There is only a hole up to the end.
            Err(Errno::ENXIO) => Ok(false),
            // The file system does not report holes: a file without blocks has no data.
            Err(_) => Ok(found.blocks() > 0),
        }
    };
    look().map_err(StorageError::on("examine", path))
}

/// The identity of an image, independent of the path by which it was found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageIdentity {
    pub(super) location: ImageLocation,
    pub(super) name: String,
}

/// A directory or a volume group, where image names are unique.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum ImageLocation {
    /// The nearest existing directory, and the rest of the path from there.
    Directory {
        device: u64,
        inode: u64,
        rest: PathBuf,
    },
    /// A volume group.
    Group(String),
}

impl ImageLocation {
    /// Locates a directory, which need not exist.
    ///
    /// # Errors
    /// It cannot be examined.
    pub(super) fn directory(path: &Path) -> Result<ImageLocation, StorageError> {
        let failed = || StorageError::on("examine", path);
        let mut at = path.to_path_buf();
        let mut rest = Vec::new();
        loop {
            match fs::metadata(&at) {
                Ok(found) if found.is_dir() => {
                    let rest = rest.iter().rev().collect();
                    return Ok(ImageLocation::Directory {
                        device: found.dev(),
                        inode: found.ino(),
                        rest,
                    });
                }
                Ok(_) => {}
                Err(error) => match error.raw_os_error() {
                    Some(libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG) => {}
                    _ => return Err(failed()(error)),
                },
            }
            match at.components().next_back() {
                Some(Component::Normal(name)) => rest.push(name.to_os_string()),
                // Behind a missing directory, `..` can only be resolved in the text.
                Some(Component::ParentDir) => {
                    at = lexically_normal(&rest.iter().rev().fold(at, |at, name| at.join(name)));
                    rest.clear();
                    continue;
                }
                _ => return Err(failed()(io::ErrorKind::NotFound.into())),
            }
            at.pop();
            if at.as_os_str().is_empty() {
                at.push(".");
            }
        }
    }
}

/// Resolves `.` and `..` in the text of a path.
fn lexically_normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

/// Whether `name` in `location` belongs to the volume whose images begin with `stem`.
pub(super) fn is_image_name(location: &ImageLocation, name: &str, stem: &str) -> bool {
    match location {
        ImageLocation::Directory { .. } => is_volume_file(name, stem),
        ImageLocation::Group(group) => LogicalNames {
            group: group.clone(),
            own: stem.to_owned(),
        }
        .owns(name),
    }
}

/// Whether an image of both volumes could have the same name.
pub(super) fn can_share_name(location: &ImageLocation, one: &str, other: &str) -> bool {
    const TIME: &str = "2000-01-01T00:00:00";
    let (short, long) = if one.len() <= other.len() {
        (one, other)
    } else {
        (other, one)
    };
    if !long.starts_with(short) {
        return false;
    }
    let revision = format!(".img.1@{TIME}Z");
    let tails: &[&str] = match location {
        ImageLocation::Directory { .. } => &[
            ".img",
            "-dirty.img",
            "-precache.img",
            "-import.img",
            "-cow.img",
            "-cow.img.old",
            &revision,
        ],
        ImageLocation::Group(_) => &["", "-snap", "-import", "-1-back"],
    };
    tails
        .iter()
        .any(|tail| is_image_name(location, &format!("{long}{tail}"), short))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_the_same_by_every_path() {
        let dir = tempfile::tempdir().unwrap();
        let pool = dir.path().join("pool");
        fs::create_dir_all(pool.join("appvms/work")).unwrap();
        std::os::unix::fs::symlink(&pool, dir.path().join("other")).unwrap();
        let location = |path: &str| ImageLocation::directory(&dir.path().join(path)).unwrap();
        assert_eq!(location("pool/appvms/work"), location("other/appvms/work"));
        assert_eq!(
            location("pool/appvms/work"),
            location("other/./appvms/../appvms/work")
        );
        assert_eq!(location("pool/appvms/new"), location("other/appvms/new"));
        assert_eq!(
            location("pool/appvms/work"),
            location("pool/missing/../appvms/work")
        );
        assert_ne!(location("pool/appvms/new"), location("pool/appvms/work"));
        assert_ne!(
            location("pool/appvms/new/deep"),
            location("pool/appvms/new")
        );
    }

    #[test]
    fn volumes_conflict_if_an_image_name_can_belong_to_both() {
        let directory = ImageLocation::Directory {
            device: 1,
            inode: 1,
            rest: PathBuf::new(),
        };
        for (one, other) in [
            ("private", "private"),
            ("private", "private-dirty"),
            ("private-precache", "private"),
            ("private", "private-revert-cow"),
            ("private", "private-revert"),
            ("private", "private.img~x"),
        ] {
            assert!(can_share_name(&directory, one, other), "{one} {other}");
        }
        for (one, other) in [
            ("private", "private2"),
            ("root", "private"),
            ("a", "a-b"),
            ("a", "a.b"),
        ] {
            assert!(!can_share_name(&directory, one, other), "{one} {other}");
        }
        let group = ImageLocation::Group("vg".into());
        assert!(can_share_name(&group, "vm-a-root", "vm-a-root-snap"));
        assert!(can_share_name(&group, "vm-a-root-7-back", "vm-a-root"));
        assert!(!can_share_name(&group, "vm-a-root", "vm-a-root2"));
    }
}
