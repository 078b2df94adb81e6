//! Detects a running qubesd. It keeps the whole store in memory and overwrites what others have
//! written (`docs/spec/r4-xml.md` §4).

use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use crate::fs::replace::retry_interrupted;

/// Returns whether a process listens at a socket, without waiting. A socket with a full queue, or
/// one that this user may not connect to, counts as listening; a socket that an ended qubesd left
/// behind does not.
///
/// # Errors
/// Making or connecting a socket failed for another reason.
pub fn is_listening(path: &Path) -> io::Result<bool> {
    let Ok(address) = UnixAddr::new(path) else {
        // The path is longer than a socket's path can be.
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
