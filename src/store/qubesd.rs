//! Whether a qubesd runs that owns the store: it keeps everything in memory and overwrites what
//! others have written (`docs/spec/r4-xml.md` §4).

use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use crate::fs::replace::retry_interrupted;

/// Whether somebody listens at a socket. Asked without waiting: a queue that is full has an owner
/// too, and so has a socket that we may not use. One that a qubesd left behind when it ended has
/// none.
///
/// # Errors
/// It cannot be told.
pub fn is_listening(path: &Path) -> io::Result<bool> {
    let Ok(address) = UnixAddr::new(path) else {
        // Longer than any socket's path can be.
        return Ok(false);
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket =
        retry_interrupted(|| Ok(socket(AddressFamily::Unix, SockType::Stream, flags, None)?))?;
    match retry_interrupted(|| Ok(connect(socket.as_raw_fd(), &address)?)) {
        Ok(()) => Ok(true),
        Err(error) => match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOENT | Errno::ECONNREFUSED | Errno::ENOTDIR | Errno::ENOTSOCK) => {
                Ok(false)
            }
            Some(Errno::EAGAIN | Errno::EINPROGRESS | Errno::EACCES | Errno::EPERM) => Ok(true),
            _ => Err(error),
        },
    }
}
