//! Creates, copies, fills and lengthens images.

use std::fs::{File, FileTimes, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use nix::unistd::Gid;

use super::names::sync;
use crate::fs::clone_range::{CloneOutcome, clone_file};
use crate::fs::directory::OpenMode;
use crate::fs::replace::{Access, parent_directory};
use crate::fs::sparse_copy::sparse_copy_checked;
use crate::storage::{ImageWriter, Progress, ProgressGuard, StorageError, pool_files};

/// The mode bit of files that a run of a non-persistent volume has made: the sticky bit, `T` in `ls
/// -l`. Linux gives it no other meaning on files, and every file system stores it.
pub const RUN_MARK: u32 = 0o1000;

/// Whether the file has the mark of a run.
pub fn has_run_mark(found: &Metadata) -> bool {
    found.mode() & RUN_MARK != 0
}

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
    let source = pool_files::open_image(from)?;
    put(to, group, Durability::Synced, |file| {
        fill_with_copy(&source, file, mode, progress)
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
