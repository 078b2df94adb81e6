//! Asking Qubes' memory manager for room before a domain is made (`spec/r4-properties.md` §5.7, `spec/r3-start.md` §10):
//! the number of bytes and a line feed over a socket, `OK` or `FAIL` back. It takes the room from running qubes and keeps
//! it while the connection is open, for one start after the other.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long it may take to make room, the starts that are before this one among that.
const PATIENCE: Duration = Duration::from_secs(300);

/// Memory that is kept free until this is dropped.
#[derive(Debug)]
#[must_use = "the memory is given to others when this is dropped"]
pub struct Reservation {
    _connection: UnixStream,
}

/// What came of asking.
#[derive(Debug)]
pub enum Room {
    Reserved(Reservation),
    /// There is no such service here.
    NobodyToAsk,
    /// There is not so much that qubes could give.
    NotEnough,
}

/// Asks for `bytes` at the service's socket.
///
/// # Errors
/// The socket is there and nobody answers at it, or not with one of the two words.
pub fn request(socket: &Path, bytes: u64) -> io::Result<Room> {
    let mut connection = match UnixStream::connect(socket) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Room::NobodyToAsk),
        connected => connected?,
    };
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.write_all(format!("{bytes}\n").as_bytes())?;
    let mut answer = [0; 16];
    let length = connection.read(&mut answer)?;
    match answer[..length].trim_ascii() {
        b"OK" => Ok(Room::Reserved(Reservation { _connection: connection })),
        b"FAIL" => Ok(Room::NotEnough),
        b"" => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it hung up without an answer")),
        other => Err(io::Error::new(io::ErrorKind::InvalidData, format!("it answered '{}'", other.escape_ascii()))),
    }
}
