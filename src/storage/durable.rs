//! Steps on files that hold after a power loss once they return (`docs/spec/r4-storage.md` §5,
//! primitive operations).
//!
//! Those with `scratch` in their name do not wait for the disk: for images that a power loss ends
//! anyway, because the next start makes them anew. Waiting is what takes the time in a start. What
//! they make is marked as a run's (`runs`).

use std::fs::{File, FileTimes, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::unistd::Gid;

use super::clone_range::{CloneOutcome, clone_file};
use super::run_images::{RUN_MARK, has_run_mark};
use super::sparse_copy::{sparse_copy_checked, sparse_copy_with_progress};
use super::{CopyWatcher, ImageWriter, StorageError, Watched, pool_files};
use crate::fs::beneath::{Links, Use};
use crate::fs::replace::{Access, directory_of};
use crate::fs::rooted;

/// How a copy differs from its original.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyMode {
    /// A new modification time.
    Fresh,
    /// The original's modification time.
    SameTime,
    /// This many bytes long: cut, or lengthened by a hole.
    Resized(u64),
}

/// Renames over whatever has the new name.
pub fn rename(from: &Path, to: &Path) -> Result<(), StorageError> {
    rename_scratch(from, to)?;
    sync(directory_of(to))?;
    if directory_of(from) == directory_of(to) {
        Ok(())
    } else {
        sync(directory_of(from))
    }
}

/// The same, not waiting for the disk.
fn rename_scratch(from: &Path, to: &Path) -> Result<(), StorageError> {
    let failed = || format!("renaming {} to {}", from.display(), to.display());
    let renamed = || {
        let (slash, old) = pool_files::locate(from, Links::Owned)?;
        slash.rename(&old, &pool_files::locate(to, Links::Owned)?.1)
    };
    renamed().map_err(StorageError::io(failed()))
}

/// Renames a complete image over the one that it replaces.
///
/// # Errors
/// [`StorageError::NotProvenDurable`] once it has the name; all others say that it has not.
pub fn replace(from: &Path, to: &Path) -> Result<(), StorageError> {
    rename_scratch(from, to)?;
    let directory = directory_of(to);
    let synced = pool_files::open_directory(directory).and_then(|opened| opened.sync());
    synced.map_err(|source| StorageError::NotProvenDurable {
        image: to.to_path_buf(),
        source,
    })
}

/// Removes a file if it exists.
pub fn remove(path: &Path) -> Result<(), StorageError> {
    if remove_scratch(path)? {
        sync(directory_of(path))
    } else {
        Ok(())
    }
}

/// Removes those files of one directory that exist. One that cannot be removed does not keep the
/// others; its error is returned.
pub fn remove_all<P: AsRef<Path>>(paths: &[P]) -> Result<(), StorageError> {
    let (mut removed, mut outcome) = (None, Ok(()));
    for path in paths.iter().map(AsRef::as_ref) {
        match remove_scratch(path) {
            Ok(true) => removed = Some(directory_of(path)),
            Ok(false) => {}
            Err(error) if outcome.is_ok() => outcome = Err(error),
            Err(_the_first_is_told) => {}
        }
    }
    removed.map_or(Ok(()), sync).and(outcome)
}

/// Removes a file, for a start without waiting, or before another step in the same directory that
/// waits; says whether there was one.
pub fn remove_scratch(path: &Path) -> Result<bool, StorageError> {
    let removed = || {
        let (directory, name) = pool_files::parent_of(path)?;
        directory.remove_file(Path::new(&name))
    };
    match removed() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        removed => removed.map_err(StorageError::io(format!("removing {}", path.display()))),
    }
}

/// What became of a directory that was to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectoryRemoval {
    /// It is gone, with the link that stood for it if there was one.
    Gone,
    /// Something lies in the directory of this path. A link that led there is gone.
    NotEmpty(PathBuf),
}

/// Removes an empty directory. Of a symbolic link, removes the link, and the directory that it
/// leads to if that is empty and the link is not somebody else's. An absolute link begins at
/// `root`, where there is one, also of the links above it.
pub fn remove_directory(
    path: &Path,
    root: Option<&Path>,
) -> Result<DirectoryRemoval, StorageError> {
    let failed = || StorageError::io(format!("cannot remove {}", path.display()));
    let path = &match root.and_then(|root| Some((root, path.strip_prefix(root).ok()?))) {
        Some((root, below)) => rooted::resolve_parent(root, below).map_err(failed())?,
        None => path.to_path_buf(),
    };
    let (parent, name) = match pool_files::parent_of(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(DirectoryRemoval::Gone),
        opened => opened.map_err(failed())?,
    };
    let name = Path::new(&name);
    let Some(found) = parent.look(name).map_err(failed())? else {
        return Ok(DirectoryRemoval::Gone);
    };
    if !found.is_symlink() {
        return remove_real_directory(path);
    }
    // A link to nowhere, or to something that is no directory, has nothing behind it that is the
    // qube's.
    let target = pool_files::resolve(directory_of(path), root, name)
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

/// Removes a directory if it is empty. A link that stands for one stays.
pub fn remove_real_directory(path: &Path) -> Result<DirectoryRemoval, StorageError> {
    let removed = || {
        let (parent, name) = pool_files::parent_of(path)?;
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

/// Gives a file a second name, which must be free; false where that would lie on another file
/// system.
pub fn hard_link_scratch(from: &Path, to: &Path) -> Result<bool, StorageError> {
    let failed = || format!("linking {} to {}", from.display(), to.display());
    let linked = || {
        let (slash, old) = pool_files::locate(from, Links::Owned)?;
        slash.hard_link(&old, &pool_files::locate(to, Links::Owned)?.1)
    };
    match linked() {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => Ok(false),
        linked => linked.map(|()| true).map_err(StorageError::io(failed())),
    }
}

/// Makes a directory for members of group qubes, 2770, in one that exists; says whether it was new.
pub fn create_directory(path: &Path, group: Option<Gid>) -> Result<bool, StorageError> {
    let created = || {
        let (parent, name) = pool_files::parent_of(path)?;
        let is_new = parent.create_directory(Path::new(&name), 0o2770, Access::shared(group))?;
        if is_new {
            parent.sync().map(|()| true)
        } else {
            Ok(false)
        }
    };
    created().map_err(StorageError::io(format!(
        "creating directory {}",
        path.display()
    )))
}

/// An image of `size` bytes that is one hole, in the place of whatever was there.
pub fn create_sparse(path: &Path, size: u64, group: Option<Gid>) -> Result<(), StorageError> {
    put(path, group, Durability::Synced, |file| file.set_len(size))
}

/// The same, not waiting for the disk.
pub fn create_sparse_scratch(
    path: &Path,
    size: u64,
    group: Option<Gid>,
) -> Result<(), StorageError> {
    put(path, group, Durability::Scratch, |file| file.set_len(size))
}

/// Who hears of a copy, and what that is called.
#[derive(Clone, Copy)]
pub struct CopyProgress<'a> {
    pub watcher: &'a dyn CopyWatcher,
    pub what: &'a str,
}

/// Puts a copy of `from` in the place of `to`: shared blocks where the file system can, else its
/// data.
pub fn copy(
    from: &Path,
    to: &Path,
    group: Option<Gid>,
    mode: CopyMode,
    told: CopyProgress<'_>,
) -> Result<(), StorageError> {
    copy_opened(&open_source(from)?, to, group, mode, told)
}

/// The same of a file that is open.
pub fn copy_opened(
    from: &File,
    to: &Path,
    group: Option<Gid>,
    mode: CopyMode,
    told: CopyProgress<'_>,
) -> Result<(), StorageError> {
    put(to, group, Durability::Synced, |file| {
        fill_with_copy(from, file, mode, told)
    })
}

/// Puts a copy of `from` with this many bytes in the place of `to` if the two can share their
/// blocks; says whether they can. Otherwise nothing changes.
pub fn clone_resized(
    from: &Path,
    to: &Path,
    group: Option<Gid>,
    size: u64,
) -> Result<bool, StorageError> {
    let source = open_source(from)?;
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

/// Makes a file that is shorter this long: a hole follows what it has.
pub fn lengthen(path: &Path, size: u64, group: Option<Gid>) -> Result<(), StorageError> {
    let longer = || {
        let file = pool_files::open_to_change(path, group)?;
        if file.metadata()?.len() < size {
            file.set_len(size)?;
        }
        file.sync_all()
    };
    longer().map_err(StorageError::io(format!("resizing {}", path.display())))
}

/// Gives a file the modification time of another.
pub fn copy_mtime(path: &Path, of: &Path, group: Option<Gid>) -> Result<(), StorageError> {
    let take = || {
        let time = pool_files::open(of, Use::Read)?.metadata()?.modified()?;
        pool_files::open_to_change(path, group)?.set_times(FileTimes::new().set_modified(time))
    };
    take().map_err(StorageError::io(format!(
        "setting the time of {}",
        path.display()
    )))
}

/// Puts what `write` writes into an empty file in the place of `to`.
pub fn write(to: &Path, group: Option<Gid>, write: ImageWriter<'_>) -> Result<(), StorageError> {
    put(to, group, Durability::Synced, |file| write(file))
}

/// Gives a regular file that somebody else put there the access that images have, and makes it
/// durable.
pub fn adopt(path: &Path, group: Option<Gid>) -> Result<(), StorageError> {
    let failed = || StorageError::io(format!("taking over {}", path.display()));
    let file = pool_files::open_foreign(path).map_err(failed())?;
    // Only its owner may; a member who is not goes on with the access that the package gave.
    let _refused = Access::shared(group).apply(&file);
    file.sync_all().map_err(failed())?;
    sync(directory_of(path))
}

/// The same, not waiting for the disk.
pub fn copy_scratch(
    from: &Path,
    to: &Path,
    group: Option<Gid>,
    told: CopyProgress<'_>,
) -> Result<(), StorageError> {
    let source = open_source(from)?;
    put(to, group, Durability::Scratch, |file| {
        fill_with_copy(&source, file, CopyMode::Fresh, told)
    })
}

/// Makes what was written to a file, by whomever, survive a power loss: it is kept from now on,
/// also where a run of a volume that was not has made it.
pub fn sync_file(path: &Path) -> Result<(), StorageError> {
    let synced = pool_files::open(path, Use::Read).and_then(|file| {
        if has_run_mark(&file.metadata()?) {
            // Only its owner may. The mark counts where a volume is not kept.
            let _stays = file.set_permissions(Permissions::from_mode(0o660));
        }
        file.sync_all()
    });
    synced.map_err(StorageError::io(format!("syncing {}", path.display())))
}

/// Gives an empty file the other's data: shared blocks where the file system can. Of data that have
/// to be copied somebody hears.
pub fn copy_data(from: &File, to: &File, told: CopyProgress<'_>) -> io::Result<()> {
    match clone_file(from, to)? {
        CloneOutcome::Shared => Ok(()),
        CloneOutcome::Impossible => {
            let watched = Watched::begin(told.watcher, told.what, Some(from.metadata()?.len()));
            sparse_copy_checked(from, to, &|at| {
                watched.reached(at);
                told.watcher.check()
            })
        }
    }
}

/// The same; `told` hears how far it has come, also when it is there at once.
pub fn copy_data_with_progress(from: &File, to: &File, told: &dyn Fn(u64)) -> io::Result<()> {
    match clone_file(from, to)? {
        CloneOutcome::Shared => Ok(()),
        CloneOutcome::Impossible => sparse_copy_with_progress(from, to, told),
    }
}

fn fill_with_copy(
    source: &File,
    file: &File,
    mode: CopyMode,
    told: CopyProgress<'_>,
) -> io::Result<()> {
    if mode != CopyMode::Resized(0) {
        copy_data(source, file, told)?;
    }
    match mode {
        CopyMode::Fresh => Ok(()),
        CopyMode::SameTime => {
            file.set_times(FileTimes::new().set_modified(source.metadata()?.modified()?))
        }
        CopyMode::Resized(size) => file.set_len(size),
    }
}

fn open_source(path: &Path) -> Result<File, StorageError> {
    pool_files::open(path, Use::Read)
        .map_err(StorageError::io(format!("opening {}", path.display())))
}

/// Whether a step waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Durability {
    Synced,
    Scratch,
}

/// Puts a new file that `fill` fills in the place of whatever has this path.
fn put(
    path: &Path,
    group: Option<Gid>,
    durability: Durability,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), StorageError> {
    let written = || {
        let (directory, name) = pool_files::parent_of(path)?;
        let (name, access) = (Path::new(&name), Access::shared(group));
        let of_run = Access {
            mode: access.mode | RUN_MARK,
            ..access
        };
        match durability {
            Durability::Synced => directory.replace(name, access, fill),
            Durability::Scratch => directory.replace_unsynced(name, of_run, fill),
        }
    };
    written().map(drop).map_err(cannot_write(path))
}

fn cannot_write(path: &Path) -> impl FnOnce(io::Error) -> StorageError {
    StorageError::io(format!("writing {}", path.display()))
}

/// Makes changes of names in the directory of a file survive a power loss.
pub fn sync_directory_of(path: &Path) -> Result<(), StorageError> {
    sync(directory_of(path))
}

fn sync(directory: &Path) -> Result<(), StorageError> {
    pool_files::open_directory(directory)
        .and_then(|opened| opened.sync())
        .map_err(StorageError::io(format!("syncing {}", directory.display())))
}
