//! Opens files below a pool's directory, where every member of group qubes can write.
//!
//! Paths are resolved as [`crate::fs::owned_paths`] does it, so that links of other users cannot
//! lead a command out of the pool.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, geteuid};

use super::StorageError;
use crate::fs::directory::{Directory, LinkPolicy, OpenMode};
pub use crate::fs::owned_paths::{open, open_directory, open_parent, split_root};

/// Opens an image to change it in place. An image with a second name is refused unless the name may
/// be that of a snapshot: then it belongs to the pool's `group`, as every image that Qubes makes.
pub fn open_to_change(path: &Path, group: Option<Gid>) -> io::Result<File> {
    let file = open(path, OpenMode::ReadWrite)?;
    let metadata = file.metadata()?;
    let is_from_qubes = match group {
        // Users outside of the group cannot assign their files to it.
        Some(group) => {
            metadata.gid() == group.as_raw()
                || !geteuid().is_root() && metadata.uid() == geteuid().as_raw()
        }
        None => metadata.uid() == geteuid().as_raw(),
    };
    if metadata.nlink() > 1 && !is_from_qubes {
        return Err(io::Error::other(
            "it has a second name (hard link) and does not belong to group qubes, as images do; \
             shut down the qubes that run on it, or give it to the group (chgrp qubes)",
        ));
    }
    Ok(file)
}

/// Opens a regular file that another program has put there. Links and files with a second name are
/// refused.
pub fn open_foreign(path: &Path) -> io::Result<File> {
    let (parent, name) = open_parent(path)?;
    let real = match real_path(&parent) {
        // Without /proc, as in an installer's chroot, use the path if it leads to the same
        // directory.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            verified_parent_path(path, &parent)?
        }
        real => real?,
    };
    let (slash, below) = split_root(&real.join(name), LinkPolicy::Never)?;
    slash.open_owned_file(&below, OpenMode::Read)
}

/// Returns the metadata of `path` after following links that may be followed; `None` if it does not
/// exist.
pub fn metadata(path: &Path) -> io::Result<Option<Metadata>> {
    let found = match fs::symlink_metadata(path) {
        // Most files are not links. Reading metadata does no harm.
        Ok(found) if !found.is_symlink() => return Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    refuse_foreign_link(path, &found)?;
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the metadata of a file; `None` if it does not exist.
pub fn metadata_if_exists(path: &Path) -> Result<Option<Metadata>, StorageError> {
    metadata(path).map_err(StorageError::on("examine", path))
}

/// Whether a file exists.
pub fn exists(path: &Path) -> Result<bool, StorageError> {
    Ok(metadata_if_exists(path)?.is_some())
}

/// Opens an existing image for reading.
pub fn open_image(path: &Path) -> Result<File, StorageError> {
    open(path, OpenMode::Read).map_err(StorageError::on("open", path))
}

/// Returns the names in a directory, sorted; none if it does not exist. Names that are not valid
/// text are skipped, as Qubes makes none.
pub fn list_names(directory: &Path) -> Result<Vec<String>, StorageError> {
    let names = match open_directory(directory).and_then(|opened| opened.names()) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        names => names.map_err(StorageError::on("read directory", directory))?,
    };
    let mut names: Vec<String> = names
        .into_iter()
        .filter_map(|name| name.into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}

/// Returns the path of `inside`, a directory below a pool's, with the links in it resolved. For
/// components that do not exist, returns the path that they will have.
pub fn resolve(pool: &Path, root: Option<&Path>, inside: &Path) -> io::Result<PathBuf> {
    let opened = match root.and_then(|root| Some((root, pool.strip_prefix(root).ok()?))) {
        Some((root, below)) => {
            Directory::open_in_root(root, &Path::new("/").join(below), LinkPolicy::Owned)
        }
        None => Directory::open(pool, LinkPolicy::Owned),
    };
    let pool_directory = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(pool.join(inside)),
        opened => opened?,
    };
    for part in inside.ancestors() {
        match pool_directory.subdirectory(part) {
            Ok(found) => {
                let real = if has_link(pool, part) {
                    real_path(&found)?
                } else {
                    pool.join(part)
                };
                let mut rest = inside
                    .strip_prefix(part)
                    .unwrap_or(Path::new(""))
                    .components();
                let Some(first) = rest.next() else {
                    return Ok(real);
                };
                let mut next = first.as_os_str().to_os_string();
                if fs::symlink_metadata(real.join(&next)).is_ok() {
                    // A dangling link. Its path must not be used, because it may lead out of the
                    // root.
                    next.push(DANGLING_SUFFIX);
                }
                return Ok(real.join(next).join(rest.as_path()));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(pool.join(inside))
}

/// A suffix for the name of a dangling link. No file has such a name, and none is created under it.
pub const DANGLING_SUFFIX: &str = "~nowhere";

/// Whether a component of `inside` is a link. If not, paths are used as they are written.
fn has_link(pool: &Path, inside: &Path) -> bool {
    let parts = inside
        .ancestors()
        .filter(|part| !part.as_os_str().is_empty());
    parts
        .map(|part| pool.join(part))
        .any(|path| fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()))
}

/// Returns the path of an open directory, without links.
pub fn real_path(directory: &Directory) -> io::Result<PathBuf> {
    use std::os::fd::AsRawFd;
    fs::read_link(format!("/proc/self/fd/{}", directory.handle().as_raw_fd()))
}

/// Returns the path without links of the directory of `path`, if it is the one that is open as
/// `parent`.
fn verified_parent_path(path: &Path, parent: &Directory) -> io::Result<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    let above = path
        .parent()
        .filter(|above| !above.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let real = fs::canonicalize(above)?;
    let (found, opened) = (fs::metadata(&real)?, parent.handle().metadata()?);
    match (found.dev(), found.ino()) == (opened.dev(), opened.ino()) {
        true => Ok(real),
        false => Err(io::ErrorKind::NotFound.into()),
    }
}

/// Refuses a link that belongs neither to root nor to the effective user.
pub fn refuse_foreign_link(path: &Path, link: &Metadata) -> io::Result<()> {
    let owner = link.uid();
    match owner == 0 || owner == geteuid().as_raw() {
        true => Ok(()),
        false => {
            let name = path
                .file_name()
                .unwrap_or(path.as_os_str())
                .to_string_lossy();
            Err(io::Error::other(format!(
                "{name} is a symbolic link of user {owner}, not followed"
            )))
        }
    }
}
