//! What lies beside a qube's images in its directory, and how that directory goes: only files that
//! Qubes makes are deleted, and only directories that are empty then.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use crate::fs::stale_files::target_of;
use crate::storage::{DirectoryRemoval, StorageError, names_in, pool_files, remove_directory};

/// The files beside the images that describe a qube.
pub(super) const FILES: [&str; 2] = ["firewall.xml", "notes.txt"];

/// How many names of files a warning has room for.
const NAMED: usize = 5;

/// Removes the files that describe a qube, with what killed writers of them left.
///
/// # Errors
/// The first one that cannot be removed, or that the directory cannot be read.
pub(super) fn remove_files(directory: &Path) -> Result<(), StorageError> {
    let known = |name: &str| FILES.contains(&target_of(name).unwrap_or(name));
    let failed = || StorageError::io(format!("cannot remove files in {}", directory.display()));
    let opened = match pool_files::open_directory(directory) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        opened => opened.map_err(failed())?,
    };
    let mut outcome = Ok(());
    for name in opened.names().map_err(failed())? {
        if name.to_str().is_some_and(known)
            && let Err(error) = opened.remove_file(Path::new(&name))
            && outcome.is_ok()
        {
            let file = directory.join(&name);
            outcome = Err(StorageError::io(format!("cannot remove {}", file.display()))(error));
        }
    }
    outcome
}

/// Removes a qube's directory, or the link that stands for it. Returns in words what keeps it
/// there, if anything does.
///
/// # Errors
/// It is empty, or a link, and cannot be removed.
pub(super) fn remove(directory: &Path, root: Option<&Path>) -> Result<Option<String>, StorageError> {
    match remove_directory(directory, root)? {
        DirectoryRemoval::Gone => Ok(None),
        DirectoryRemoval::NotEmpty(kept) => {
            let names: Vec<OsString> = names_in(&kept)?.into_iter().map(OsString::from).collect();
            let reason = "which Qubes did not make, or another volume means";
            Ok(Some(format!("{} stays, with {}, {reason}", kept.display(), listed(&names))))
        }
    }
}

/// Names of files, sorted, as a message has room for them.
pub(super) fn listed(names: &[OsString]) -> String {
    let mut names: Vec<String> = names.iter().map(|name| name.to_string_lossy().escape_debug().to_string()).collect();
    names.sort();
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    names.truncate(NAMED);
    format!("{}{more}", names.join(", "))
}
