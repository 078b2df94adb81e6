//! Finds images with two names: hard links, and symbolic links in place of an image.

use std::collections::{HashMap, HashSet};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::image::{Image, has_data};
use super::owners::{ImageOwner, ImageOwners};
use super::{StorageError, Volume};
use crate::model::image_claims::ImageRole;

/// The identity of a file: device and inode.
type Inode = (u64, u64);

impl ImageOwners {
    /// Returns another volume than `volume` whose data are in a file that has one of `images` as
    /// its second name. Snapshots are ignored: their images are second names of their source's by
    /// design.
    ///
    /// # Errors
    /// A file cannot be examined.
    pub fn find_alias_owner(
        &self,
        images: &[Image],
        volume: &Volume,
    ) -> Result<Option<&ImageOwner>, StorageError> {
        let mut inodes = HashSet::new();
        for path in images.iter().filter_map(Image::path) {
            let found = find_regular_file(path)?;
            let has_another = found
                .as_ref()
                .is_some_and(|found| found.is_link || found.target.nlink() > 1);
            inodes.extend(
                found
                    .filter(|_| has_another)
                    .map(|found| inode(&found.target)),
            );
        }
        if inodes.is_empty() {
            return Ok(None);
        }
        let kept = self.persistent_files()?;
        let mut fitting = kept
            .into_iter()
            .filter(|(owner, inode)| !owner.is_volume(volume) && inodes.contains(inode));
        Ok(fitting.next().map(|(owner, _)| owner))
    }

    /// Returns the volume that a file belongs to: by its name, by the target of a link of that
    /// name, or because the volume keeps its data there under another name.
    ///
    /// # Errors
    /// The file does not exist or cannot be examined.
    pub fn find_file_owner(&self, path: &Path) -> Result<Option<&ImageOwner>, StorageError> {
        let real = fs::canonicalize(path).map_err(examine_error(path))?;
        for name in [path.to_path_buf(), real] {
            if let Some(owner) = self.find_owner(&Image::File(name))? {
                return Ok(Some(owner));
            }
        }
        let Some(found) = find_regular_file(path)? else {
            return Ok(None);
        };
        let target = inode(&found.target);
        Ok(self
            .persistent_files()?
            .into_iter()
            .find(|(_, inode)| *inode == target)
            .map(|(owner, _)| owner))
    }

    /// Returns every pair of volumes that certainly keep their data in one file under two names,
    /// the later one first.
    ///
    /// # Errors
    /// A file cannot be examined.
    pub fn find_aliased(&self) -> Result<Vec<(&ImageOwner, &ImageOwner)>, StorageError> {
        let mut first_owners: HashMap<Inode, &ImageOwner> = HashMap::new();
        let mut pairs = Vec::new();
        let mut kept = self.persistent_files()?;
        kept.retain(|(owner, _)| owner.is_certain);
        kept.sort_by_key(|(owner, _)| owner.line);
        for (owner, inode) in kept {
            let first = *first_owners.entry(inode).or_insert(owner);
            if first.volume != owner.volume {
                pairs.push((owner, first));
            }
        }
        pairs.dedup_by_key(|(later, first)| (later.volume.clone(), first.volume.clone()));
        Ok(pairs)
    }

    /// Returns the files of persistent volumes.
    fn persistent_files(&self) -> Result<Vec<(&ImageOwner, Inode)>, StorageError> {
        let mut files = Vec::new();
        for (location, owners) in &self.by_location {
            let keeps = |owner: &&ImageOwner| owner.is_kept && owner.role == ImageRole::Own;
            let keepers: Vec<&ImageOwner> = owners.iter().filter(keeps).collect();
            let Some(directory) = self
                .directories
                .get(location)
                .filter(|_| !keepers.is_empty())
            else {
                continue;
            };
            for name in names_if_exists(directory)? {
                let Some(owner) = keepers.iter().find(|owner| owner.has_name(location, &name))
                else {
                    continue;
                };
                if let Some(found) = find_regular_file(&directory.join(&name))? {
                    files.push((*owner, inode(&found.target)));
                }
            }
        }
        Ok(files)
    }
}

/// Returns the first of `images` whose replacement would lose data. These are files with data that
/// have no other names than these, and links to files with data. A logical volume always counts,
/// because its content is not known exactly enough.
///
/// # Errors
/// A file cannot be examined.
pub fn find_image_with_data(images: &[Image]) -> Result<Option<&Image>, StorageError> {
    let mut names: HashMap<Inode, u64> = HashMap::new();
    for path in images.iter().filter_map(Image::path) {
        if let Some(found) = find_regular_file(path)?.filter(|found| !found.is_link) {
            *names.entry(inode(&found.target)).or_default() += 1;
        }
    }
    for image in images {
        let Some(path) = image.path() else {
            return Ok(Some(image));
        };
        let Some(found) = find_regular_file(path)? else {
            continue;
        };
        let goes = found.is_link || names.get(&inode(&found.target)) == Some(&found.target.nlink());
        if goes && has_data(path, &found.target)? {
            return Ok(Some(image));
        }
    }
    Ok(None)
}

/// Returns a message for each file that is a link: where its data stay when the link is removed.
///
/// # Errors
/// A link cannot be read.
pub fn describe_links(files: &[PathBuf]) -> Result<Vec<String>, StorageError> {
    let mut messages = Vec::new();
    for file in files {
        if find_regular_file(file)?.is_some_and(|found| found.is_link) {
            let target = fs::read_link(file).map_err(examine_error(file))?;
            messages.push(format!(
                "{} was a link; {} stays",
                file.display(),
                target.display()
            ));
        }
    }
    Ok(messages)
}

/// A regular file found at a path.
struct RegularFile {
    /// Whether the path is a link to the file.
    is_link: bool,
    target: Metadata,
}

/// Returns the regular file at a path or behind a link there, if any.
fn find_regular_file(path: &Path) -> Result<Option<RegularFile>, StorageError> {
    let look = || -> io::Result<Option<RegularFile>> {
        let found = fs::symlink_metadata(path)?;
        let is_link = found.is_symlink();
        let target = if is_link { fs::metadata(path)? } else { found };
        Ok(Some(RegularFile { is_link, target }).filter(|found| found.target.is_file()))
    };
    match look() {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        found => found.map_err(examine_error(path)),
    }
}

fn inode(of: &Metadata) -> Inode {
    (of.dev(), of.ino())
}

fn names_if_exists(directory: &Path) -> Result<Vec<String>, StorageError> {
    let names = match crate::fs::list_names(directory) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Vec::new()
        }
        names => names.map_err(examine_error(directory))?,
    };
    Ok(names
        .into_iter()
        .filter_map(|name| name.into_string().ok())
        .collect())
}

fn examine_error(path: &Path) -> impl FnOnce(io::Error) -> StorageError {
    StorageError::io(format!("cannot examine {}", path.display()))
}
