//! The progress of long copies.

use std::fmt;
use std::io;
use std::sync::Arc;

/// Receives the progress of data copies.
pub trait Progress {
    /// Reports that the copy of a volume's data, or of whatever `what` names, begins. `bytes` is
    /// the size including holes, if it is known.
    fn start(&self, what: &str, bytes: Option<u64>);

    /// Reports the position that the copy has reached, in bytes from the beginning.
    fn update(&self, bytes: u64);

    /// Reports that the copy is complete or was abandoned.
    fn finish(&self);

    /// Checks whether the copy may go on. It is called repeatedly during a copy.
    ///
    /// # Errors
    /// The copy is no longer wanted; the error ends it.
    fn check_cancelled(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A [`Progress`] that is shared by all copies on a system, including those that a driver makes
/// when it starts, commits or reverts a volume.
#[derive(Clone)]
pub struct SharedProgress(Arc<dyn Progress + Send + Sync>);

impl SharedProgress {
    /// Shares `progress`.
    pub fn new(progress: Arc<dyn Progress + Send + Sync>) -> SharedProgress {
        SharedProgress(progress)
    }
}

impl Default for SharedProgress {
    fn default() -> SharedProgress {
        SharedProgress(Arc::new(NoProgress))
    }
}

impl fmt::Debug for SharedProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedProgress")
    }
}

impl Progress for SharedProgress {
    fn start(&self, what: &str, bytes: Option<u64>) {
        self.0.start(what, bytes);
    }

    fn update(&self, bytes: u64) {
        self.0.update(bytes);
    }

    fn finish(&self) {
        self.0.finish();
    }

    fn check_cancelled(&self) -> io::Result<()> {
        self.0.check_cancelled()
    }
}

/// A [`Progress`] that ignores every report.
#[derive(Debug, Clone, Copy)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn start(&self, _what: &str, _bytes: Option<u64>) {}
    fn update(&self, _bytes: u64) {}
    fn finish(&self) {}
}

/// The reports of one copy, which finish when the guard is dropped.
pub struct ProgressGuard<'a>(&'a dyn Progress);

impl<'a> ProgressGuard<'a> {
    /// Reports the start of a copy, as [`Progress::start`].
    pub fn start(progress: &'a dyn Progress, what: &str, bytes: Option<u64>) -> ProgressGuard<'a> {
        progress.start(what, bytes);
        ProgressGuard(progress)
    }

    /// Reports the position of the copy, as [`Progress::update`].
    pub fn update(&self, bytes: u64) {
        self.0.update(bytes);
    }
}

impl Drop for ProgressGuard<'_> {
    fn drop(&mut self) {
        self.0.finish();
    }
}
