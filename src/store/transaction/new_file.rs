//! The file that takes the store's place: beside it, filled, locked, and owned as the old one was.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Gid, Uid, fchown, geteuid};

use super::{Locked, StoreError, StoreLocation};
use crate::fs::file_lock::{LockMode, try_lock};
use crate::fs::replace::{Access, Replacement, parent_directory, retry_interrupted};
use crate::fs::stale_files;

/// Removes what kills have left of earlier saves.
pub(super) fn clear_stale_files(path: &Path) {
    stale_files::clear(parent_directory(path), |target| {
        path.file_name().is_some_and(|name| name == target)
    });
}

pub(super) fn begin(place: &StoreLocation) -> Result<Replacement, StoreError> {
    Replacement::new(&place.file, Access::shared(place.group))
        .map_err(StoreError::io("make a temporary file beside", &place.file))
}

/// Writes the content of a replacement and locks it. The lock lives in a duplicate of the
/// descriptor: it outlasts what committing does with the original.
pub(super) fn fill(
    replacement: &mut Replacement,
    content: &[u8],
    path: &Path,
) -> Result<Locked, StoreError> {
    let write = |replacement: &mut Replacement| {
        replacement.file().write_all(content)?;
        let lock = retry_interrupted(|| replacement.file().try_clone())?;
        match try_lock(&lock, LockMode::Exclusive)? {
            true => Ok(Locked::adopt(lock)),
            false => Err(io::Error::other("somebody has locked the temporary file")),
        }
    };
    write(replacement).map_err(StoreError::io("write", path))
}

/// Root leaves a store that belongs to somebody else to its owner. Where there is no group qubes,
/// as on a system that repairs another one's, it also stays with the group it had.
pub(super) fn keep_owner(old: &File, new: &File, group: Option<Gid>) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let old = retry_interrupted(|| old.metadata())?;
    if old.uid() != 0 {
        fchown(new, Some(Uid::from_raw(old.uid())), None)?;
    }
    if group.is_none() {
        // It is nothing to fail over, as with the group qubes itself.
        let _refused = fchown(new, None, Some(Gid::from_raw(old.gid())));
    }
    Ok(())
}
