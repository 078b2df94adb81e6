//! File operations that survive a power loss once they return (`docs/spec/r4-storage.md` §5,
//! primitive operations).
//!
//! Operations with `scratch` in their name do not wait for the disk, which takes most of the time
//! of a start. They are for images that the next start makes anew after a power loss. The files
//! that they make have the mark of a run (`run_images`).

use std::fs::{File, FileTimes, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::unistd::Gid;

use super::run_images::{RUN_MARK, has_run_mark};
use super::{ImageWriter, Progress, ProgressGuard, StorageError, pool_files};
use crate::fs::chroot;
use crate::fs::clone_range::{CloneOutcome, clone_file};
use crate::fs::directory::{LinkPolicy, OpenMode};
use crate::fs::replace::{Access, parent_directory};
use crate::fs::sparse_copy::sparse_copy_checked;

/// How a copy differs from its original.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyMode {
    /// The copy has a new modification time.
    Fresh,
    /// The copy has the modification time of the original.
    SameTime,
    /// The copy is this many bytes long: truncated, or extended by a hole.
    Resized(u64),
}

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

/// Creates an image of `size` bytes that is one hole, in place of any other file.
pub fn create_sparse(path: &Path, size: u64, group: Option<Gid>) -> Result<(), StorageError> {
    put(path, group, Durability::Synced, |file| file.set_len(size))
}

/// Creates a sparse image of `size` bytes in place of any other file, without waiting for the disk.
pub fn create_sparse_scratch(
    path: &Path,
    size: u64,
    group: Option<Gid>,
) -> Result<(), StorageError> {
    put(path, group, Durability::Scratch, |file| file.set_len(size))
}

/// The receiver of the progress of a copy, and the name that it gets.
#[derive(Clone, Copy)]
pub struct CopyProgress<'a> {
    /// The receiver.
    pub receiver: &'a dyn Progress,
    /// The name of what is copied.
    pub what: &'a str,
}

/// Copies `from` to `to`, replacing any other file. Blocks are shared where the file system can,
/// else the data are copied.
pub fn copy(
    from: &Path,
    to: &Path,
    group: Option<Gid>,
    mode: CopyMode,
    progress: CopyProgress<'_>,
) -> Result<(), StorageError> {
    copy_opened(&pool_files::open_image(from)?, to, group, mode, progress)
}

/// Copies an open file to `to` like [`copy`].
pub fn copy_opened(
    from: &File,
    to: &Path,
    group: Option<Gid>,
    mode: CopyMode,
    progress: CopyProgress<'_>,
) -> Result<(), StorageError> {
    put(to, group, Durability::Synced, |file| {
        fill_with_copy(from, file, mode, progress)
    })
}

/// Replaces `to` with a copy of `from` that has `size` bytes, if the two can share blocks. Returns
/// whether they can; if not, nothing changes.
pub fn clone_resized(
    from: &Path,
    to: &Path,
    group: Option<Gid>,
    size: u64,
) -> Result<bool, StorageError> {
    let source = pool_files::open_image(from)?;
    let mut is_shared = true;
    let shared = put(to, group, Durability::Synced, |file| {
        is_shared = clone_file(&source, file)? == CloneOutcome::Shared;
        if is_shared {
            file.set_len(size)
        } else {
            Err(io::ErrorKind::Unsupported.into())
        }
    });
    if is_shared {
        shared.map(|()| true)
    } else {
        Ok(false)
    }
}

/// Extends a file that is shorter than `size` with a hole.
pub fn lengthen(path: &Path, size: u64, group: Option<Gid>) -> Result<(), StorageError> {
    let longer = || {
        let file = pool_files::open_to_change(path, group)?;
        if file.metadata()?.len() < size {
            file.set_len(size)?;
        }
        file.sync_all()
    };
    longer().map_err(StorageError::io(format!(
        "cannot resize {}",
        path.display()
    )))
}

/// Sets the modification time of a file to that of another.
pub fn copy_mtime(path: &Path, of: &Path, group: Option<Gid>) -> Result<(), StorageError> {
    let take = || {
        let time = pool_files::open(of, OpenMode::Read)?
            .metadata()?
            .modified()?;
        pool_files::open_to_change(path, group)?.set_times(FileTimes::new().set_modified(time))
    };
    take().map_err(StorageError::io(format!(
        "cannot set the time of {}",
        path.display()
    )))
}

/// Replaces `to` with a file that `write` fills.
pub fn write(to: &Path, group: Option<Gid>, write: ImageWriter<'_>) -> Result<(), StorageError> {
    put(to, group, Durability::Synced, |file| write(file))
}

/// Sets the access mode of images on a regular file of another origin and makes it durable.
pub fn adopt(path: &Path, group: Option<Gid>) -> Result<(), StorageError> {
    let failed = || StorageError::io(format!("cannot adopt {}", path.display()));
    let file = pool_files::open_foreign(path).map_err(failed())?;
    // Only the owner may change the mode. For other members, the mode that the package has set must
    // do.
    let _refused = Access::shared(group).apply(&file);
    file.sync_all().map_err(failed())?;
    sync(parent_directory(path))
}

/// Copies `from` to `to` like [`copy`], without waiting for the disk.
pub fn copy_scratch(
    from: &Path,
    to: &Path,
    group: Option<Gid>,
    progress: CopyProgress<'_>,
) -> Result<(), StorageError> {
    let source = pool_files::open_image(from)?;
    put(to, group, Durability::Scratch, |file| {
        fill_with_copy(&source, file, CopyMode::Fresh, progress)
    })
}

/// Makes the content of a file durable, whoever wrote it, and removes the mark of a run.
pub fn sync_file(path: &Path) -> Result<(), StorageError> {
    let synced = pool_files::open(path, OpenMode::Read).and_then(|file| {
        if has_run_mark(&file.metadata()?) {
            // Only the owner may change the mode. The mark is ignored on persistent volumes.
            let _stays = file.set_permissions(Permissions::from_mode(0o660));
        }
        file.sync_all()
    });
    synced.map_err(StorageError::io(format!("cannot sync {}", path.display())))
}

/// Copies the data of a file to an empty one: blocks are shared where the file system can, else the
/// copy is reported to `progress`.
pub fn copy_data(from: &File, to: &File, progress: CopyProgress<'_>) -> io::Result<()> {
    match clone_file(from, to)? {
        CloneOutcome::Shared => Ok(()),
        CloneOutcome::Impossible => {
            let guard = ProgressGuard::start(
                progress.receiver,
                progress.what,
                Some(from.metadata()?.len()),
            );
            sparse_copy_checked(from, to, &|at| {
                guard.update(at);
                progress.receiver.check_cancelled()
            })
        }
    }
}

fn fill_with_copy(
    source: &File,
    file: &File,
    mode: CopyMode,
    progress: CopyProgress<'_>,
) -> io::Result<()> {
    if mode != CopyMode::Resized(0) {
        copy_data(source, file, progress)?;
    }
    match mode {
        CopyMode::Fresh => Ok(()),
        CopyMode::SameTime => {
            file.set_times(FileTimes::new().set_modified(source.metadata()?.modified()?))
        }
        CopyMode::Resized(size) => file.set_len(size),
    }
}

/// Whether an operation waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Durability {
    Synced,
    Scratch,
}

/// Replaces `path` with a new file that `fill` fills.
fn put(
    path: &Path,
    group: Option<Gid>,
    durability: Durability,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), StorageError> {
    let written = || {
        let (directory, name) = pool_files::open_parent(path)?;
        let (name, access) = (Path::new(&name), Access::shared(group));
        let run_access = Access {
            mode: access.mode | RUN_MARK,
            ..access
        };
        match durability {
            Durability::Synced => directory.replace(name, access, fill),
            Durability::Scratch => directory.replace_unsynced(name, run_access, fill),
        }
    };
    written().map(drop).map_err(cannot_write(path))
}

fn cannot_write(path: &Path) -> impl FnOnce(io::Error) -> StorageError {
    StorageError::io(format!("cannot write {}", path.display()))
}

/// Makes renames and removals in the directory of a file durable.
pub fn sync_parent(path: &Path) -> Result<(), StorageError> {
    sync(parent_directory(path))
}

fn sync(directory: &Path) -> Result<(), StorageError> {
    pool_files::open_directory(directory)
        .and_then(|opened| opened.sync())
        .map_err(StorageError::io(format!(
            "cannot sync {}",
            directory.display()
        )))
}
