//! Memory requests to qmemman, the memory manager of Qubes, before a domain is created
//! (`docs/spec/r4-properties.md` §5.7, `docs/spec/r3-start.md` §10).
//!
//! The request is the number of bytes and a line feed over a socket, the reply `OK` or `FAIL`.
//! qmemman takes the memory from running qubes and reserves it while the connection is open. It
//! serves one request at a time.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, socket};
use nix::unistd::geteuid;

use crate::fs::replace::retry_interrupted;

/// The time limit for a reply. It includes the wait for earlier requests.
const TIMEOUT: Duration = Duration::from_secs(300);

/// The pause between two attempts to connect to a socket with a full queue.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Memory that qmemman keeps free until this is dropped.
#[derive(Debug)]
#[must_use = "the reservation ends when this is dropped"]
pub struct MemoryReservation {
    _connection: UnixStream,
}

/// The result of a memory request.
#[derive(Debug)]
pub enum MemoryReply {
    /// The memory is free, and reserved until the reservation is dropped.
    Reserved(MemoryReservation),
    /// qmemman does not run.
    NoService,
    /// The socket belongs to neither root nor the effective user, or is not a socket; holds the
    /// reason.
    UntrustedSocket(String),
    /// The running qubes cannot give up enough memory.
    Insufficient,
}

/// The result of connecting to the service.
enum Connection {
    Open(UnixStream),
    NotFound,
    Untrusted(String),
}

/// Requests `bytes` of memory from the service at `socket`.
///
/// Members of group qubes can create a socket of their own at this path, so only a service of root
/// or of the effective user is trusted.
///
/// # Errors
/// The socket exists, but no valid reply arrives in time.
pub fn request_memory(socket: &Path, bytes: u64) -> io::Result<MemoryReply> {
    request_within(socket, bytes, TIMEOUT)
}

/// Requests memory as [`request_memory`] does, within `timeout`.
fn request_within(socket: &Path, bytes: u64, timeout: Duration) -> io::Result<MemoryReply> {
    let deadline = Instant::now() + timeout;
    let timeout_error = || {
        io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {} s", timeout.as_secs()),
        )
    };
    let mut connection = match connect_to_service(socket, deadline, &timeout_error)? {
        Connection::Open(connection) => connection,
        Connection::NotFound => return Ok(MemoryReply::NoService),
        Connection::Untrusted(reason) => return Ok(MemoryReply::UntrustedSocket(reason)),
    };
    let remaining = deadline
        .saturating_duration_since(Instant::now())
        .max(Duration::from_millis(1));
    connection.set_write_timeout(Some(remaining))?;
    connection.set_read_timeout(Some(remaining))?;
    let map_timeout = |error: io::Error| {
        if error.kind() == io::ErrorKind::WouldBlock {
            timeout_error()
        } else {
            error
        }
    };
    connection
        .write_all(format!("{bytes}\n").as_bytes())
        .map_err(map_timeout)?;
    let mut answer = [0; 16];
    let length = retry_interrupted(|| connection.read(&mut answer)).map_err(map_timeout)?;
    match answer[..length].trim_ascii() {
        b"OK" => Ok(MemoryReply::Reserved(MemoryReservation {
            _connection: connection,
        })),
        b"FAIL" => Ok(MemoryReply::Insufficient),
        b"" => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "it closed the connection without a reply",
        )),
        other => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it sent an invalid reply, '{}'", other.escape_ascii()),
        )),
    }
}

/// Connects to the service. While its queue is full, connect(2) would block without a limit, so
/// this retries without blocking until the deadline.
fn connect_to_service(
    socket: &Path,
    deadline: Instant,
    timeout_error: &dyn Fn() -> io::Error,
) -> io::Result<Connection> {
    loop {
        let metadata = match std::fs::symlink_metadata(socket) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Connection::NotFound);
            }
            metadata => metadata?,
        };
        if !metadata.file_type().is_socket() {
            return Ok(Connection::Untrusted("it is not a socket".to_string()));
        }
        if !is_trusted(metadata.uid()) {
            return Ok(Connection::Untrusted(format!(
                "it belongs to user {}",
                metadata.uid()
            )));
        }
        match connect_nonblocking(socket) {
            Ok(connection) => {
                // The socket may have been replaced since the check of its owner, or passed to
                // another process.
                let peer = getsockopt(&connection, PeerCredentials)?.uid();
                if !is_trusted(peer) {
                    return Ok(Connection::Untrusted(format!("user {peer} listens on it")));
                }
                connection.set_nonblocking(false)?;
                return Ok(Connection::Open(connection));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Connection::NotFound);
            }
            Err(error) if error.raw_os_error() == Some(Errno::EAGAIN as i32) => {
                if Instant::now() >= deadline {
                    return Err(timeout_error());
                }
                thread::sleep(RETRY_INTERVAL);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Returns whether a service of this user is trusted: root or the effective user.
fn is_trusted(user: u32) -> bool {
    user == 0 || user == geteuid().as_raw()
}

/// Connects without blocking; fails with `EAGAIN` if the queue is full.
fn connect_nonblocking(path: &Path) -> io::Result<UnixStream> {
    let address = UnixAddr::new(path)?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    retry_interrupted(|| Ok(connect(socket.as_raw_fd(), &address)?))?;
    Ok(UnixStream::from(socket))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use nix::sys::socket::{Backlog, bind, listen};

    use super::*;

    #[test]
    fn a_full_queue_and_a_silent_service_time_out() {
        let place = tempfile::tempdir().unwrap();
        let full = place.path().join("full");
        let listener = socket(
            AddressFamily::Unix,
            SockType::Stream,
            SockFlag::empty(),
            None,
        )
        .unwrap();
        bind(listener.as_raw_fd(), &UnixAddr::new(&full).unwrap()).unwrap();
        listen(&listener, Backlog::new(1).unwrap()).unwrap();
        let queued: Vec<UnixStream> = (0..8)
            .map_while(|_| connect_nonblocking(&full).ok())
            .collect();
        assert!((1..8).contains(&queued.len()));
        let silent = place.path().join("silent");
        let _listener = UnixListener::bind(&silent).unwrap();
        for socket in [full, silent] {
            let begun = Instant::now();
            let error = request_within(&socket, 1, Duration::from_millis(300)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
            assert!(begun.elapsed() < Duration::from_secs(20));
        }
    }
}
