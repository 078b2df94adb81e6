//! The volumes that the images on disk belong to, by the identity of the images.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::image::{Image, ImageIdentity, ImageLocation, can_share_name, is_image_name};
use super::{StorageError, Volume};
use crate::fs::replace::parent_directory;
use crate::model::image_claims::{ImageClaims, ImageRole};
use crate::model::{Pool, VmName};
use crate::system::System;

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

    /// Returns the owners of images in a location.
    fn at(&self, location: &ImageLocation) -> &[ImageOwner] {
        self.by_location.get(location).map_or(&[], Vec::as_slice)
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
        let mut fitting = self
            .at(&location)
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
            let is_other =
                |owner: &ImageOwner| owner.role == ImageRole::Own && !owner.is_volume(volume);
            if self
                .at(&location)
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
        let meets =
            |owner: &&ImageOwner| can_share_name(&location, &stem, &owner.stem.to_string_lossy());
        Ok(self.at(&location).iter().filter(meets).collect())
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
