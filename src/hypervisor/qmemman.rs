//! Asking Qubes' memory manager for room before a domain is made (`docs/spec/r4-properties.md`
//! §5.7, `docs/spec/r3-start.md` §10): the number of bytes and a line feed over a socket, `OK` or
//! `FAIL` back. It takes the room from running qubes and keeps it while the connection is open, for
//! one start after the other.

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

/// How long it may take to make room, the starts that are before this one among that.
const PATIENCE: Duration = Duration::from_secs(300);

/// Between two tries at a socket with as many in its queue as it takes.
const PAUSE: Duration = Duration::from_millis(50);

/// Memory that is kept free until this is dropped.
#[derive(Debug)]
#[must_use = "the memory is given to others when this is dropped"]
pub struct MemoryReservation {
    _connection: UnixStream,
}

/// What came of asking.
#[derive(Debug)]
pub enum MemoryReply {
    /// The memory is free, and reserved until the reservation is dropped.
    Reserved(MemoryReservation),
    /// There is no such service here.
    NoService,
    /// What is there is not of root's, nor of the effective user's; says whose it is.
    UntrustedSocket(String),
    /// There is not so much that qubes could give.
    Insufficient,
}

/// A way to the service, or why there is none.
enum Found {
    Service(UnixStream),
    Nobody,
    Foreign(String),
}

/// Asks for `bytes` at the service's socket. Members of group qubes can put a socket of theirs
/// there: only one of root or of the effective user is asked.
///
/// # Errors
/// The socket is there and nobody answers at it in time, or not with one of the two words.
pub fn request_memory(socket: &Path, bytes: u64) -> io::Result<MemoryReply> {
    request_within(socket, bytes, PATIENCE)
}

/// As [`request`], which takes no longer than `patience`.
fn request_within(socket: &Path, bytes: u64, patience: Duration) -> io::Result<MemoryReply> {
    let deadline = Instant::now() + patience;
    let late = || {
        io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {} s", patience.as_secs()),
        )
    };
    let mut connection = match find_service(socket, deadline, &late)? {
        Found::Service(connection) => connection,
        Found::Nobody => return Ok(MemoryReply::NoService),
        Found::Foreign(whose) => return Ok(MemoryReply::UntrustedSocket(whose)),
    };
    let left = deadline
        .saturating_duration_since(Instant::now())
        .max(Duration::from_millis(1));
    connection.set_write_timeout(Some(left))?;
    connection.set_read_timeout(Some(left))?;
    let in_time = |error: io::Error| {
        if error.kind() == io::ErrorKind::WouldBlock {
            late()
        } else {
            error
        }
    };
    connection
        .write_all(format!("{bytes}\n").as_bytes())
        .map_err(in_time)?;
    let mut answer = [0; 16];
    let length = retry_interrupted(|| connection.read(&mut answer)).map_err(in_time)?;
    match answer[..length].trim_ascii() {
        b"OK" => Ok(MemoryReply::Reserved(MemoryReservation {
            _connection: connection,
        })),
        b"FAIL" => Ok(MemoryReply::Insufficient),
        b"" => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "it hung up without an answer",
        )),
        other => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it answered '{}'", other.escape_ascii()),
        )),
    }
}

/// Connects to the service. While its queue is full, connect(2) would wait without a limit; so it
/// is tried again until the deadline.
fn find_service(
    socket: &Path,
    deadline: Instant,
    late: &dyn Fn() -> io::Error,
) -> io::Result<Found> {
    loop {
        let found = match std::fs::symlink_metadata(socket) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nobody),
            found => found?,
        };
        if !found.file_type().is_socket() {
            return Ok(Found::Foreign("it is not a socket".to_string()));
        }
        if !is_believed(found.uid()) {
            return Ok(Found::Foreign(format!(
                "it belongs to user {}",
                found.uid()
            )));
        }
        match connect_at_once(socket) {
            Ok(connection) => {
                // The socket may have been exchanged since, or given away.
                let peer = getsockopt(&connection, PeerCredentials)?.uid();
                if !is_believed(peer) {
                    return Ok(Found::Foreign(format!("user {peer} listens there")));
                }
                connection.set_nonblocking(false)?;
                return Ok(Found::Service(connection));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nobody),
            Err(error) if error.raw_os_error() == Some(Errno::EAGAIN as i32) => {
                if Instant::now() >= deadline {
                    return Err(late());
                }
                thread::sleep(PAUSE);
            }
            Err(error) => return Err(error),
        }
    }
}

fn is_believed(user: u32) -> bool {
    user == 0 || user == geteuid().as_raw()
}

/// Connects without waiting for a place in the queue.
fn connect_at_once(path: &Path) -> io::Result<UnixStream> {
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
    fn a_full_queue_and_a_silent_service_are_waited_for_only_so_long() {
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
        let queued: Vec<UnixStream> = (0..8).map_while(|_| connect_at_once(&full).ok()).collect();
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
