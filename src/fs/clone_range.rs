//! Shares blocks between files: the only user of the ioctl FICLONE (ioctl_ficlonerange(2)).

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::errno::Errno;

mod ioctl {
    // _IOW(0x94, 9, int) of <linux/fs.h>. nix handles the differences between architectures.
    nix::ioctl_write_int!(ficlone, 0x94, 9);
}

/// The result of an attempt to share blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloneOutcome {
    /// The file now has the blocks and the length of the other.
    Shared,
    /// These two files cannot share blocks. Nothing has changed.
    Impossible,
}

/// Makes the empty file `to` share all blocks of `from`. That the file systems cannot share blocks
/// is not an error; a full disk, for example, is.
pub fn clone_file(from: &File, to: &File) -> io::Result<CloneOutcome> {
    // SAFETY: the call takes two descriptors by value, both of which are open during the call, and
    // touches no memory of this process.
    match unsafe {
        ioctl::ficlone(
            to.as_raw_fd(),
            from.as_raw_fd() as nix::sys::ioctl::ioctl_param_type,
        )
    } {
        Ok(_) => Ok(CloneOutcome::Shared),
        Err(
            Errno::EBADF
            | Errno::EINVAL
            | Errno::EOPNOTSUPP
            | Errno::EXDEV
            | Errno::ENOTTY
            | Errno::ENOSYS,
        ) => Ok(CloneOutcome::Impossible),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether files in `directory` can share blocks; false where nothing can be written. If the
/// directory does not exist, its nearest existing parent is tried.
pub fn can_reflink(directory: &Path) -> bool {
    try_reflink(directory).unwrap_or(false)
}

/// Tries to share blocks between two nameless files in `directory`.
///
/// # Errors
/// The files cannot be created or written.
pub fn try_reflink(directory: &Path) -> io::Result<bool> {
    let existing = directory
        .ancestors()
        .find(|d| d.is_dir())
        .unwrap_or(Path::new("/"));
    let mut from = tempfile::tempfile_in(existing)?;
    from.write_all(b"sharing blocks")?;
    let to = tempfile::tempfile_in(existing)?;
    Ok(clone_file(&from, &to)? == CloneOutcome::Shared)
}
