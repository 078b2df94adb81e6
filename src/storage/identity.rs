//! What an image is on disk, whatever texts name it: a directory by device and inode with a
//! file's name in it, or a logical volume of a group. Pools with two names, links, bind mounts and
//! ids like `appvms/work/private-dirty` come out at the same image here.

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

use super::dm_file::is_file_of;
use super::lvm_thin::LogicalNames;
use super::{StorageError, Volume};
use crate::fs::replace::directory_of;
use crate::fs::unleased;
use crate::model::image_claims::{ImageClaims, Role};
use crate::model::{Pool, VmName};
use crate::system::System;

/// One thing that a driver keeps of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Image {
    File(PathBuf),
    Logical { group: String, name: String },
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
    /// Looks up where the image lies.
    ///
    /// # Errors
    /// Its directory cannot be looked at.
    pub fn identity(&self) -> Result<ImageIdentity, StorageError> {
        Ok(match self {
            Image::File(path) => {
                let name = path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                ImageIdentity {
                    location: ImageLocation::directory(directory_of(path))?,
                    name,
                }
            }
            Image::Logical { group, name } => ImageIdentity {
                location: ImageLocation::Group(group.clone()),
                name: name.clone(),
            },
        })
    }

    /// The path of a file; none of a logical volume.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Image::File(path) => Some(path),
            Image::Logical { .. } => None,
        }
    }
}

/// Whether the regular file at `path`, of which this was `found`, has more than holes.
///
/// # Errors
/// Nobody can look at it.
pub(super) fn has_data(path: &Path, found: &Metadata) -> Result<bool, StorageError> {
    let look = || -> io::Result<bool> {
        if found.len() == 0 {
            return Ok(false);
        }
        let file = unleased(|| {
            File::options()
                .read(true)
                .custom_flags(libc::O_NONBLOCK)
                .open(path)
        })?;
        match lseek(&file, 0, Whence::SeekData) {
            Ok(_) => Ok(true),
            // Nothing but a hole up to the end.
            Err(Errno::ENXIO) => Ok(false),
            // A file system that does not tell holes: what takes no blocks has no data.
            Err(_) => Ok(found.blocks() > 0),
        }
    };
    look().map_err(StorageError::io(format!("looking at {}", path.display())))
}

/// What tells an image from every other one, by whatever path it was found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageIdentity {
    location: ImageLocation,
    name: String,
}

/// Where images lie side by side.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum ImageLocation {
    /// A directory: the nearest one that exists, and the way from there.
    Directory {
        device: u64,
        inode: u64,
        rest: PathBuf,
    },
    /// A volume group.
    Group(String),
}

/// A volume to which an image belongs.
#[derive(Debug, Clone)]
pub struct ImageOwner {
    /// For messages: `work:private`.
    pub volume: String,
    /// The qube, where its domain can be used.
    pub qube: Option<VmName>,
    /// The line of its domain, from 1.
    pub line: usize,
    pub role: Role,
    /// Whether the image is the volume's own and what is written to it stays.
    pub is_kept: bool,
    /// Whether a start would use the image.
    pub is_certain: bool,
    stem: OsString,
}

/// Whose the images on disk are, for the volumes of one or more stores.
#[derive(Debug, Default)]
pub struct ImageOwners {
    pub(super) by_location: HashMap<ImageLocation, Vec<ImageOwner>>,
    /// A path by which each of the homes that are directories was found.
    pub(super) directories: HashMap<ImageLocation, PathBuf>,
    /// Volumes of which nobody can tell where their images are, each with the reason.
    pub unresolved: Vec<String>,
}

impl ImageOwners {
    /// Looks on the disk for what the volumes of a store mean.
    pub fn from_claims(claims: &ImageClaims<'_>, system: &System) -> ImageOwners {
        let mut owners = ImageOwners {
            unresolved: claims.untold.clone(),
            ..ImageOwners::default()
        };
        let mut known = HashMap::new();
        for claim in &claims.claims {
            let place = match locate_images(claim.pool, &claim.vid, system, &mut known) {
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
        owners.directories = known.into_values().collect();
        owners.unresolved.sort();
        owners.unresolved.dedup();
        owners
    }

    /// Knows only why nothing can be told.
    pub fn unknown(reason: String) -> ImageOwners {
        ImageOwners {
            unresolved: vec![reason],
            ..ImageOwners::default()
        }
    }

    /// Adds the owners that another store has.
    pub fn merge(&mut self, others: ImageOwners) {
        for (location, owners) in others.by_location {
            self.by_location.entry(location).or_default().extend(owners);
        }
        self.directories.extend(others.directories);
        self.unresolved.extend(others.unresolved);
    }

    /// Says of each owner that it is one of another store.
    #[must_use]
    pub fn mark_foreign(mut self, file: &Path) -> ImageOwners {
        for owner in self.by_location.values_mut().flatten() {
            owner.volume.push_str(&format!(" of {}", file.display()));
            owner.qube = None;
        }
        self
    }

    /// Leaves out what belongs to a qube.
    #[must_use]
    pub fn without_qube(mut self, qube: &VmName) -> ImageOwners {
        for owners in self.by_location.values_mut() {
            owners.retain(|owner| owner.qube.as_ref() != Some(qube));
        }
        self
    }

    /// Leaves out what volumes may mean, but a start would not use.
    #[must_use]
    pub fn retain_certain(mut self) -> ImageOwners {
        self.by_location
            .values_mut()
            .for_each(|owners| owners.retain(|owner| owner.is_certain));
        self
    }

    /// A volume to which this image belongs.
    ///
    /// # Errors
    /// Its directory cannot be looked at.
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

    /// Whether one of these images is one of its own to another volume than `volume`.
    ///
    /// # Errors
    /// Its directory cannot be looked at.
    pub fn has_other_owner(&self, images: &[Image], volume: &Volume) -> Result<bool, StorageError> {
        for image in images {
            let ImageIdentity { location, name } = image.identity()?;
            let owners = self
                .by_location
                .get(&location)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let is_other = |owner: &ImageOwner| owner.role == Role::Own && !owner.is_volume(volume);
            if owners
                .iter()
                .any(|owner| is_other(owner) && owner.has_name(&location, &name))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The volumes that have an image in common with the volume `vid` of `pool`, of which none
    /// need exist.
    ///
    /// # Errors
    /// Its directory cannot be looked at.
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

    /// Every two volumes that surely mean one image of their own, the later one first.
    pub fn find_shared(&self) -> Vec<(&ImageOwner, &ImageOwner)> {
        let mut pairs = Vec::new();
        for (location, owners) in &self.by_location {
            let own: Vec<&ImageOwner> = owners
                .iter()
                .filter(|owner| owner.is_certain && owner.role == Role::Own)
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
    /// Whether it is this volume of the store: no other domain of its qube's name, and no other
    /// store.
    pub fn is_volume(&self, volume: &Volume) -> bool {
        self.qube
            .as_ref()
            .is_some_and(|qube| *qube == volume.owner.as_str())
            && self.volume == volume.full_name()
    }

    /// Whether what is called `name` in `location` is one of the volume's images.
    pub(super) fn has_name(&self, location: &ImageLocation, name: &str) -> bool {
        is_image_name(location, name, &self.stem.to_string_lossy())
    }
}

impl ImageLocation {
    /// # Errors
    /// It cannot be looked at.
    fn directory(path: &Path) -> Result<ImageLocation, StorageError> {
        let failed = || StorageError::io(format!("looking at {}", path.display()));
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
                // Behind what does not exist, `..` can only be taken as a text.
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

/// The path without `.` and `..`.
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

/// Directories as pools and vids name them, each with its location and the path that leads there.
type LocationCache = HashMap<PathBuf, (ImageLocation, PathBuf)>;

/// Where the images of a volume lie and how their names begin; none where the driver keeps them
/// in no file and no logical volume.
fn locate_images(
    pool: &Pool,
    vid: &str,
    system: &System,
    known: &mut LocationCache,
) -> Result<Option<(ImageLocation, OsString)>, StorageError> {
    if let Some(directory) = pool.option("dir_path").filter(|text| !text.is_empty()) {
        // As upstream joins the two: a vid may lead anywhere, but not out of the root.
        let base = Path::new("/").join(directory).join(vid);
        let Some(stem) = base.file_name() else {
            return Ok(None);
        };
        let above = directory_of(&base);
        let location = match known.get(above) {
            Some((location, _)) => location.clone(),
            None => {
                let directory = system.below_root(above);
                let location = ImageLocation::directory(&directory)?;
                known.insert(above.to_path_buf(), (location.clone(), directory));
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
        ImageLocation::Directory { .. } => is_file_of(name, stem),
        ImageLocation::Group(group) => LogicalNames {
            group: group.clone(),
            own: stem.to_owned(),
        }
        .owns(name),
    }
}

/// Whether one name can be that of an image of both volumes.
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
    fn two_volumes_meet_where_a_name_can_be_of_both() {
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
