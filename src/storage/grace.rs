//! Waits for images and devices that stay open for a moment after the domain has ended: its backend
//! and udev close them, and the kernel releases loop devices lazily.

use std::ops::ControlFlow;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::{StorageError, Volume};

/// How long something may stay open after the domain has ended.
const GRACE: Duration = Duration::from_secs(10);

/// Calls `check` every `interval` until it breaks with a value. After a while, the error with which
/// it continues is returned.
pub fn wait_until_closed<T>(
    interval: Duration,
    mut check: impl FnMut() -> Result<ControlFlow<T, StorageError>, StorageError>,
) -> Result<T, StorageError> {
    let deadline = Instant::now() + GRACE;
    loop {
        match check()? {
            ControlFlow::Break(value) => return Ok(value),
            ControlFlow::Continue(error) if Instant::now() >= deadline => return Err(error),
            ControlFlow::Continue(_) => thread::sleep(interval),
        }
    }
}

/// Returns the error that a device of the volume is still open.
pub fn still_open(volume: &Volume, device: &Path) -> StorageError {
    volume.refusal(format_args!(
        "{} is still open; stop what uses it first",
        device.display()
    ))
}
