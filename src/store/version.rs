//! Detects that a file changed without reading it.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::error::StoreError;
use crate::fs::replace::retry_interrupted;

/// The metadata of a file that differ after its content has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileVersion {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl FileVersion {
    /// Reads the version of an open file, or returns `None` if that fails.
    pub(super) fn try_read(file: &File) -> Option<FileVersion> {
        file.metadata().ok().map(|m| FileVersion::from(&m))
    }

    /// Returns the version that these metadata describe.
    pub(super) fn from(m: &fs::Metadata) -> FileVersion {
        FileVersion {
            device: m.dev(),
            inode: m.ino(),
            size: m.size(),
            modified: (m.mtime(), m.mtime_nsec()),
        }
    }

    /// Returns whether the content may have changed. A change of mode does not count.
    pub(super) fn has_other_content(self, other: FileVersion) -> bool {
        (self.device, self.inode, self.size, self.modified)
            != (other.device, other.inode, other.size, other.modified)
    }
}

/// Reads the version of an open file; `path` is for the error.
pub(super) fn read_version(file: &File, path: &Path) -> Result<FileVersion, StoreError> {
    retry_interrupted(|| file.metadata())
        .map(|m| FileVersion::from(&m))
        .map_err(StoreError::io("read", path))
}
