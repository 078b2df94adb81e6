//! Identifies images independently of the paths that name them: a directory by device and inode
//! with a file name in it, or a logical volume of a group. Pools with two names, links, bind mounts
//! and vids like `appvms/work/private-dirty` lead to the same identity here.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use nix::unistd::{Whence, lseek};

use super::logical_names::LogicalNames;
use super::volume_files::is_volume_file;
use super::{StorageError, Volume};
use crate::fs::replace::parent_directory;
use crate::fs::retry_leased;
use crate::model::image_claims::{ImageClaims, ImageRole};
use crate::model::{Pool, VmName};
use crate::system::System;

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
    look().map_err(StorageError::io(format!(
        "cannot examine {}",
        path.display()
    )))
}

/// The identity of an image, independent of the path by which it was found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageIdentity {
    location: ImageLocation,
    name: String,
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

/// A volume that an image belongs to.
#[derive(Debug, Clone)]
pub struct ImageOwner {
    /// The name for messages: `work:private`.
    pub volume: String,
    /// The qube, if its domain in the store is valid.
    pub qube: Option<VmName>,
    /// The line of the domain in the store, from 1.
    pub line: usize,
    /// How the volume uses the image.
    pub role: ImageRole,
    /// Whether the image is the volume's own and persistent.
    pub is_kept: bool,
    /// Whether a start would use the image.
    pub is_certain: bool,
    stem: OsString,
}

/// The owners of the images on disk, for the volumes of one or more stores.
#[derive(Debug, Default)]
pub struct ImageOwners {
    pub(super) by_location: HashMap<ImageLocation, Vec<ImageOwner>>,
    /// A path to each location that is a directory.
    pub(super) directories: HashMap<ImageLocation, PathBuf>,
    /// The volumes whose images cannot be located, each with the reason.
    pub unresolved: Vec<String>,
}

impl ImageOwners {
    /// Locates the images that the volumes of a store claim.
    pub fn from_claims(claims: &ImageClaims<'_>, system: &System) -> ImageOwners {
        let mut owners = ImageOwners {
            unresolved: claims.unresolved.clone(),
            ..ImageOwners::default()
        };
        let mut cache = HashMap::new();
        for claim in &claims.claims {
            let place = match locate_images(claim.pool, &claim.vid, system, &mut cache) {
                Ok(place) => place,
                Err(error) => {
                    owners
                        .unresolved
                        .push(format!("volume {}: {error}", claim.volume));
                    continue;
                }
            };
            let Some((location, stem)) = place else {
                continue;
            };
            owners
                .by_location
                .entry(location)
                .or_default()
                .push(ImageOwner {
                    volume: claim.volume.clone(),
                    qube: claim.qube.clone(),
                    line: claim.line,
                    role: claim.role,
                    is_kept: claim.is_kept,
                    is_certain: claim.is_certain,
                    stem,
                });
        }
        owners.directories = cache.into_values().collect();
        owners.unresolved.sort();
        owners.unresolved.dedup();
        owners
    }

    /// Creates owners of which nothing is known, for the given reason.
    pub fn unknown(reason: String) -> ImageOwners {
        ImageOwners {
            unresolved: vec![reason],
            ..ImageOwners::default()
        }
    }

    /// Adds the owners of another store.
    pub fn merge(&mut self, others: ImageOwners) {
        for (location, owners) in others.by_location {
            self.by_location.entry(location).or_default().extend(owners);
        }
        self.directories.extend(others.directories);
        self.unresolved.extend(others.unresolved);
    }

    /// Marks each owner as belonging to the store in `file`, which is not this system's.
    #[must_use]
    pub fn mark_foreign(mut self, file: &Path) -> ImageOwners {
        for owner in self.by_location.values_mut().flatten() {
            owner.volume.push_str(&format!(" of {}", file.display()));
            owner.qube = None;
        }
        self
    }

    /// Removes the owners that belong to a qube.
    #[must_use]
    pub fn without_qube(mut self, qube: &VmName) -> ImageOwners {
        for owners in self.by_location.values_mut() {
            owners.retain(|owner| owner.qube.as_ref() != Some(qube));
        }
        self
    }

    /// Removes the owners whose start would not use their image.
    #[must_use]
    pub fn retain_certain(mut self) -> ImageOwners {
        self.by_location
            .values_mut()
            .for_each(|owners| owners.retain(|owner| owner.is_certain));
        self
    }

    /// Returns a volume that the image belongs to, if any.
    ///
    /// # Errors
    /// Its directory cannot be examined.
    pub fn find_owner(&self, image: &Image) -> Result<Option<&ImageOwner>, StorageError> {
        if self.by_location.is_empty() {
            return Ok(None);
        }
        let ImageIdentity { location, name } = image.identity()?;
        let owners = self
            .by_location
            .get(&location)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let mut fitting = owners
            .iter()
            .filter(|owner| owner.has_name(&location, &name));
        Ok(fitting
            .clone()
            .find(|owner| owner.is_certain)
            .or_else(|| fitting.next()))
    }

    /// Whether one of the images is the own image of another volume than `volume`.
    ///
    /// # Errors
    /// Its directory cannot be examined.
    pub fn has_other_owner(&self, images: &[Image], volume: &Volume) -> Result<bool, StorageError> {
        for image in images {
            let ImageIdentity { location, name } = image.identity()?;
            let owners = self
                .by_location
                .get(&location)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let is_other =
                |owner: &ImageOwner| owner.role == ImageRole::Own && !owner.is_volume(volume);
            if owners
                .iter()
                .any(|owner| is_other(owner) && owner.has_name(&location, &name))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the volumes that share an image with the volume `vid` of `pool`. Neither need exist.
    ///
    /// # Errors
    /// Its directory cannot be examined.
    pub fn find_sharers(
        &self,
        pool: &Pool,
        vid: &str,
        system: &System,
    ) -> Result<Vec<&ImageOwner>, StorageError> {
        let Some((location, stem)) = locate_images(pool, vid, system, &mut HashMap::new())? else {
            return Ok(Vec::new());
        };
        let stem = stem.to_string_lossy();
        let owners = self
            .by_location
            .get(&location)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let meets =
            |owner: &&ImageOwner| can_share_name(&location, &stem, &owner.stem.to_string_lossy());
        Ok(owners.iter().filter(meets).collect())
    }

    /// Returns every pair of volumes that certainly claim the same image as their own, the later
    /// one first.
    pub fn find_shared(&self) -> Vec<(&ImageOwner, &ImageOwner)> {
        let mut pairs = Vec::new();
        for (location, owners) in &self.by_location {
            let own: Vec<&ImageOwner> = owners
                .iter()
                .filter(|owner| owner.is_certain && owner.role == ImageRole::Own)
                .collect();
            for (at, later) in own.iter().enumerate() {
                let later_stem = later.stem.to_string_lossy();
                let meets = |first: &&&ImageOwner| {
                    first.volume != later.volume
                        && can_share_name(location, &first.stem.to_string_lossy(), &later_stem)
                };
                pairs.extend(own[..at].iter().find(meets).map(|first| (*later, *first)));
            }
        }
        pairs.sort_by_key(|(later, first)| (later.line, first.line));
        pairs
    }
}

impl ImageOwner {
    /// Whether the owner is this volume of this store, and not of a second domain of that name or
    /// of another store.
    pub fn is_volume(&self, volume: &Volume) -> bool {
        self.qube
            .as_ref()
            .is_some_and(|qube| *qube == volume.owner.as_str())
            && self.volume == volume.full_name()
    }

    /// Whether the file or logical volume `name` in `location` is one of the volume's images.
    pub(super) fn has_name(&self, location: &ImageLocation, name: &str) -> bool {
        is_image_name(location, name, &self.stem.to_string_lossy())
    }
}

impl ImageLocation {
    /// Locates a directory, which need not exist.
    ///
    /// # Errors
    /// It cannot be examined.
    fn directory(path: &Path) -> Result<ImageLocation, StorageError> {
        let failed = || StorageError::io(format!("cannot examine {}", path.display()));
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

/// The locations of directories by the path that pools and vids name, each with the resolved path.
type LocationCache = HashMap<PathBuf, (ImageLocation, PathBuf)>;

/// Returns the location of a volume's images and the common beginning of their names; `None` where
/// the driver keeps neither files nor logical volumes.
fn locate_images(
    pool: &Pool,
    vid: &str,
    system: &System,
    cache: &mut LocationCache,
) -> Result<Option<(ImageLocation, OsString)>, StorageError> {
    if let Some(directory) = pool.option("dir_path").filter(|text| !text.is_empty()) {
        // Joined as upstream does it: a vid may lead anywhere, but not out of the root.
        let base = Path::new("/").join(directory).join(vid);
        let Some(stem) = base.file_name() else {
            return Ok(None);
        };
        let above = parent_directory(&base);
        let location = match cache.get(above) {
            Some((location, _)) => location.clone(),
            None => {
                let directory = system.path_below_root(above);
                let location = ImageLocation::directory(&directory)?;
                cache.insert(above.to_path_buf(), (location.clone(), directory));
                location
            }
        };
        return Ok(Some((location, stem.to_os_string())));
    }
    if pool.option("volume_group").is_none() {
        return Ok(None);
    }
    let (group, name) = vid
        .split_once('/')
        .unwrap_or((pool.option("volume_group").unwrap_or_default(), vid));
    Ok(Some((ImageLocation::Group(group.to_owned()), name.into())))
}

/// Whether `name` in `location` belongs to the volume whose images begin with `stem`.
fn is_image_name(location: &ImageLocation, name: &str, stem: &str) -> bool {
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
fn can_share_name(location: &ImageLocation, one: &str, other: &str) -> bool {
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
