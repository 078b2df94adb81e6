//! What the errors of all rooms have in common: each room has an enum of its own, a message is one line.

use std::io;

use nix::errno::Errno;

/// The system's words for an error, without its number and what a library adds behind it.
pub fn words_of(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => Errno::from_raw(code).desc().to_string(),
        None => error.to_string().split(" (os error").next().unwrap_or_default().to_string(),
    }
}
