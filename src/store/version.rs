//! The states of a file, told apart without reading it.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::error::StoreError;
use super::replace::uninterrupted;

/// By what a file can be told from a later state of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Version {
    pub(super) fn of(file: &File) -> Option<Version> {
        file.metadata().ok().map(|m| Version::from(&m))
    }

    pub(super) fn from(m: &fs::Metadata) -> Version {
        Version {
            device: m.dev(),
            inode: m.ino(),
            size: m.size(),
            modified: (m.mtime(), m.mtime_nsec()),
            changed: (m.ctime(), m.ctime_nsec()),
        }
    }

    /// What changes with the content, as one line.
    pub(super) fn of_content(self) -> String {
        let Version { device, inode, size, modified, .. } = self;
        format!("{device} {inode} {size} {}.{:09}", modified.0, modified.1)
    }

    /// Everything that changes with the file, as one line.
    pub(super) fn in_full(self) -> String {
        let Version { device, inode, size, modified, changed } = self;
        format!("{device} {inode} {size} {}.{:09} {}.{:09}", modified.0, modified.1, changed.0, changed.1)
    }

    /// The second in which it last changed, content or not.
    pub(super) fn last_change(self) -> i64 {
        self.modified.0.max(self.changed.0)
    }

    /// Whether the content can have changed; a mere chmod does not count.
    pub(super) fn has_other_content(self, other: Version) -> bool {
        (self.device, self.inode, self.size, self.modified) != (other.device, other.inode, other.size, other.modified)
    }
}

/// The state of an open file.
pub(super) fn version_of(file: &File, path: &Path) -> Result<Version, StoreError> {
    uninterrupted(|| file.metadata()).map(|m| Version::from(&m)).map_err(StoreError::io("read", path))
}
