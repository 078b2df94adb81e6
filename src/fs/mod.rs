//! Files, locks and directories. Nothing here depends on Qubes.
//!
//! [`directory`] opens files below a directory where others can write, [`run_directory`] does so
//! for a directory of locks and records, [`chroot`] resolves paths of another system, [`replace`]
//! replaces files durably, [`file_lock`] has record locks, and [`stale_files`] removes temporary
//! files that a killed process left. [`clone_range`] shares blocks between files, [`sparse_copy`]
//! copies them without their holes, [`holes`] makes holes of zeros, and [`comparison`] compares
//! files.

pub mod chroot;
pub mod clone_range;
pub mod comparison;
pub mod directory;
pub mod file_lock;
pub mod holes;
mod links;
pub mod owned_paths;
pub mod replace;
pub mod run_directory;
pub mod sparse_copy;
pub mod stale_files;
pub mod text_file;

pub use links::refuse_foreign_link;
pub(crate) use links::retry_leased;

use std::ffi::OsString;
use std::io;
use std::path::Path;

use nix::errno::Errno;

/// Returns the names in a directory, in no particular order. The standard library's `read_dir`
/// aborts the program if the directory cannot be closed.
pub fn list_names(directory: &Path) -> io::Result<Vec<OsString>> {
    replace::retry_interrupted(|| {
        directory::Directory::open(directory, directory::LinkPolicy::Never)?.names()
    })
}

/// Returns the system's text for an error, without its number and what a library adds.
pub fn errno_text(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => Errno::from_raw(code).desc().to_string(),
        None => error
            .to_string()
            .split(" (os error")
            .next()
            .unwrap_or_default()
            .to_string(),
    }
}

/// Returns whether an error was caused by a full file system or an exhausted quota.
pub fn is_disk_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(
            kind,
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        ) {
            return true;
        }
        next = error.source();
    }
    false
}

/// Returns whether a file exists and can be read by this user.
pub fn is_readable(path: &Path) -> bool {
    match std::fs::File::open(path) {
        Ok(_) => true,
        Err(error) => !matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
        ),
    }
}
