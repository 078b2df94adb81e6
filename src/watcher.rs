//! Telling whoever waits how far a copy has come.

use std::fmt;
use std::io;
use std::sync::Arc;

/// Hears of data that are being copied.
pub trait CopyWatcher {
    /// The data of a volume (or of whatever is called `what`) begin to be copied: this many bytes,
    /// holes among them, where that is known.
    fn begins(&self, what: &str, bytes: Option<u64>);
    /// The copy has come this far.
    fn reached(&self, bytes: u64);
    /// The copy is complete, or there will be none.
    fn ends(&self);

    /// Whether the copy is still wanted; asked while it is made, and an error ends it.
    fn check(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Who hears of every copy on a system, also of those by which a driver starts, commits and brings
/// back volumes.
#[derive(Clone)]
pub struct SharedWatcher(Arc<dyn CopyWatcher + Send + Sync>);

impl SharedWatcher {
    pub fn new(watcher: Arc<dyn CopyWatcher + Send + Sync>) -> SharedWatcher {
        SharedWatcher(watcher)
    }
}

impl Default for SharedWatcher {
    fn default() -> SharedWatcher {
        SharedWatcher(Arc::new(Unwatched))
    }
}

impl fmt::Debug for SharedWatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedWatcher")
    }
}

impl CopyWatcher for SharedWatcher {
    fn begins(&self, what: &str, bytes: Option<u64>) {
        self.0.begins(what, bytes);
    }

    fn reached(&self, bytes: u64) {
        self.0.reached(bytes);
    }

    fn ends(&self) {
        self.0.ends();
    }

    fn check(&self) -> io::Result<()> {
        self.0.check()
    }
}

/// Nobody.
#[derive(Debug, Clone, Copy)]
pub struct Unwatched;

impl CopyWatcher for Unwatched {
    fn begins(&self, _what: &str, _bytes: Option<u64>) {}
    fn reached(&self, _bytes: u64) {}
    fn ends(&self) {}
}

/// One copy that is watched from here to where this is dropped.
pub struct Watched<'a>(&'a dyn CopyWatcher);

impl<'a> Watched<'a> {
    pub fn begin(watcher: &'a dyn CopyWatcher, what: &str, bytes: Option<u64>) -> Watched<'a> {
        watcher.begins(what, bytes);
        Watched(watcher)
    }

    pub fn reached(&self, bytes: u64) {
        self.0.reached(bytes);
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.0.ends();
    }
}
