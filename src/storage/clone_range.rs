//! Sharing blocks between files: the only place of the ioctl FICLONE (ioctl_ficlonerange(2)).

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::errno::Errno;

mod ioctl {
    // _IOW(0x94, 9, int) of <linux/fs.h>; nix knows how the architectures differ in the number.
    nix::ioctl_write_int!(ficlone, 0x94, 9);
}

/// What became of an attempt to share blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloneOutcome {
    /// The file now has the other's blocks and length.
    Shared,
    /// These two files cannot share blocks; nothing happened.
    Impossible,
}

/// Gives the empty file `to` all blocks of `from` without copying them. What is an error here is
/// one, such as a full disk; that the file system (or the pair of them) cannot do it is not.
pub fn clone_file(from: &File, to: &File) -> io::Result<CloneOutcome> {
    // SAFETY: the call takes two descriptors by value, both of which are borrowed open for its
    // time, and touches no memory of this process.
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

/// Whether files in `directory` can share blocks; no where nothing can be written. Where the
/// directory does not exist yet, the nearest one above it that does answers.
pub fn can_reflink(directory: &Path) -> bool {
    try_reflink(directory).unwrap_or(false)
}

/// The same, found by doing it with two nameless files, and with the reason why it cannot be found.
pub(super) fn try_reflink(directory: &Path) -> io::Result<bool> {
    let existing = directory
        .ancestors()
        .find(|d| d.is_dir())
        .unwrap_or(Path::new("/"));
    let mut from = tempfile::tempfile_in(existing)?;
    from.write_all(b"sharing blocks")?;
    let to = tempfile::tempfile_in(existing)?;
    Ok(clone_file(&from, &to)? == CloneOutcome::Shared)
}
