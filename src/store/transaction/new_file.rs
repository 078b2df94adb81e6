//! The new file that replaces the store: created beside it, filled, locked, and given the old
//! file's owner.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Gid, Uid, fchown, geteuid};

use crate::fs::file_lock::{LockMode, try_lock};
use crate::fs::replace::{Access, Replacement, parent_directory, retry_interrupted};
use crate::fs::stale_files;
use crate::store::error::StoreError;
use crate::store::location::StoreLocation;
use crate::store::lock::Locked;

/// Removes the temporary files of saves that were killed.
pub(super) fn clear_stale_files(path: &Path) {
    stale_files::clear(parent_directory(path), |target| {
        path.file_name().is_some_and(|name| name == target)
    });
}

/// Creates the temporary file beside the store.
pub(super) fn begin(place: &StoreLocation) -> Result<Replacement, StoreError> {
    Replacement::new(&place.file, Access::shared(place.group))
        .map_err(StoreError::io("make a temporary file beside", &place.file))
}

/// Writes the content of a replacement and locks it. The returned lock has a duplicate of the
/// descriptor, so it remains when publishing closes the original.
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
            false => Err(io::Error::other(
                "another process has locked the temporary file",
            )),
        }
    };
    write(replacement).map_err(StoreError::io("write", path))
}

/// Gives the new file the old one's owner, if this process is root. Without a group qubes, as on a
/// system that repairs another one's store, the new file gets the old group as well.
pub(super) fn keep_owner(old: &File, new: &File, group: Option<Gid>) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let old = retry_interrupted(|| old.metadata())?;
    if old.uid() != 0 {
        fchown(new, Some(Uid::from_raw(old.uid())), None)?;
    }
    if group.is_none() {
        // A failure is ignored, as it is when the file is given to the group qubes.
        let _refused = fchown(new, None, Some(Gid::from_raw(old.gid())));
    }
    Ok(())
}
