//! Renames, links and removes files and directories.

use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::Gid;

use crate::fs::chroot;
use crate::fs::directory::LinkPolicy;
use crate::fs::replace::{Access, parent_directory};
use crate::storage::{StorageError, pool_files};

/// Renames a file, replacing any other of the new name.
pub fn rename(from: &Path, to: &Path) -> Result<(), StorageError> {
    rename_scratch(from, to)?;
    sync(parent_directory(to))?;
    if parent_directory(from) == parent_directory(to) {
        Ok(())
    } else {
        sync(parent_directory(from))
    }
}

/// Renames a file without waiting for the disk.
fn rename_scratch(from: &Path, to: &Path) -> Result<(), StorageError> {
    let failed = || format!("cannot rename {} to {}", from.display(), to.display());
    let renamed = || {
        let (slash, old) = pool_files::split_root(from, LinkPolicy::Owned)?;
        slash.rename(&old, &pool_files::split_root(to, LinkPolicy::Owned)?.1)
    };
    renamed().map_err(StorageError::io(failed()))
}

/// Renames a complete image over the one that it replaces.
///
/// # Errors
/// [`StorageError::NotDurable`] if the image is renamed; with all others, it is not.
pub fn replace(from: &Path, to: &Path) -> Result<(), StorageError> {
    rename_scratch(from, to)?;
    let directory = parent_directory(to);
    let synced = pool_files::open_directory(directory).and_then(|opened| opened.sync());
    synced.map_err(|source| StorageError::NotDurable {
        image: to.to_path_buf(),
        source,
    })
}

/// Removes a file if it exists.
pub fn remove(path: &Path) -> Result<(), StorageError> {
    if remove_scratch(path)? {
        sync(parent_directory(path))
    } else {
        Ok(())
    }
}

/// Removes the files that exist among `paths`, all in one directory. An error of one does not
/// affect the others; the first is returned.
pub fn remove_all<P: AsRef<Path>>(paths: &[P]) -> Result<(), StorageError> {
    let (mut removed, mut outcome) = (None, Ok(()));
    for path in paths.iter().map(AsRef::as_ref) {
        match remove_scratch(path) {
            Ok(true) => removed = Some(parent_directory(path)),
            Ok(false) => {}
            Err(error) if outcome.is_ok() => outcome = Err(error),
            Err(_later_error) => {}
        }
    }
    removed.map_or(Ok(()), sync).and(outcome)
}

/// Removes a file without waiting for the disk: for a start, or before another operation in the
/// same directory that waits. Returns whether the file existed.
pub fn remove_scratch(path: &Path) -> Result<bool, StorageError> {
    let removed = || {
        let (directory, name) = pool_files::open_parent(path)?;
        directory.remove_file(Path::new(&name))
    };
    match removed() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        removed => removed.map_err(StorageError::io(format!(
            "cannot remove {}",
            path.display()
        ))),
    }
}

/// The result of removing a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectoryRemoval {
    /// The directory is removed, and so is the link that led to it, if any.
    Gone,
    /// The directory at this path is not empty. A link that led to it is removed.
    NotEmpty(PathBuf),
}

/// Removes an empty directory. Of a symbolic link, removes the link, and its target if that is
/// empty and the link is not another user's. If there is a `root`, absolute links begin there,
/// including links above `path`.
pub fn remove_directory(
    path: &Path,
    root: Option<&Path>,
) -> Result<DirectoryRemoval, StorageError> {
    let failed = || StorageError::io(format!("cannot remove {}", path.display()));
    let path = &match root.and_then(|root| Some((root, path.strip_prefix(root).ok()?))) {
        Some((root, below)) => chroot::resolve_parent(root, below).map_err(failed())?,
        None => path.to_path_buf(),
    };
    let (parent, name) = match pool_files::open_parent(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(DirectoryRemoval::Gone),
        opened => opened.map_err(failed())?,
    };
    let name = Path::new(&name);
    let Some(found) = parent.symlink_metadata(name).map_err(failed())? else {
        return Ok(DirectoryRemoval::Gone);
    };
    if !found.is_symlink() {
        return remove_real_directory(path);
    }
    // A dangling link, or a link to anything but a directory, leads to nothing that belongs to the
    // qube.
    let target = pool_files::resolve(parent_directory(path), root, name)
        .ok()
        .filter(|target| target.is_dir());
    parent
        .remove_file(name)
        .and_then(|_| parent.sync())
        .map_err(failed())?;
    target.map_or(Ok(DirectoryRemoval::Gone), |target| {
        remove_real_directory(&target)
    })
}

/// Removes a directory if it is empty. A link to one is not followed.
pub fn remove_real_directory(path: &Path) -> Result<DirectoryRemoval, StorageError> {
    let removed = || {
        let (parent, name) = pool_files::open_parent(path)?;
        if parent.remove_directory(Path::new(&name))? {
            parent.sync()
        } else {
            Ok(())
        }
    };
    match removed() {
        Ok(()) => Ok(DirectoryRemoval::Gone),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(DirectoryRemoval::Gone),
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(DirectoryRemoval::NotEmpty(path.to_path_buf()))
        }
        Err(e) => Err(StorageError::io(format!(
            "cannot remove {}",
            path.display()
        ))(e)),
    }
}

/// Gives a file a second name, which must not exist. Returns false if that would be on another file
/// system.
pub fn hard_link_scratch(from: &Path, to: &Path) -> Result<bool, StorageError> {
    let failed = || format!("cannot link {} to {}", from.display(), to.display());
    let linked = || {
        let (slash, old) = pool_files::split_root(from, LinkPolicy::Owned)?;
        slash.hard_link(&old, &pool_files::split_root(to, LinkPolicy::Owned)?.1)
    };
    match linked() {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => Ok(false),
        linked => linked.map(|()| true).map_err(StorageError::io(failed())),
    }
}

/// Creates a directory for members of group qubes, mode 2770, in an existing one. Returns whether
/// it is new.
pub fn create_directory(path: &Path, group: Option<Gid>) -> Result<bool, StorageError> {
    let created = || {
        let (parent, name) = pool_files::open_parent(path)?;
        let is_new = parent.create_directory(Path::new(&name), 0o2770, Access::shared(group))?;
        if is_new {
            parent.sync().map(|()| true)
        } else {
            Ok(false)
        }
    };
    created().map_err(StorageError::io(format!(
        "cannot create directory {}",
        path.display()
    )))
}

/// Makes renames and removals in the directory of a file durable.
pub fn sync_parent(path: &Path) -> Result<(), StorageError> {
    sync(parent_directory(path))
}

pub(super) fn sync(directory: &Path) -> Result<(), StorageError> {
    pool_files::open_directory(directory)
        .and_then(|opened| opened.sync())
        .map_err(StorageError::io(format!(
            "cannot sync {}",
            directory.display()
        )))
}
