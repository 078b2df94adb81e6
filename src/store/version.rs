//! The states of a file, told apart without reading it.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::error::StoreError;
use crate::fs::replace::retry_interrupted;

/// By what a file can be told from a later state of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileVersion {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl FileVersion {
    pub(super) fn try_read(file: &File) -> Option<FileVersion> {
        file.metadata().ok().map(|m| FileVersion::from(&m))
    }

    pub(super) fn from(m: &fs::Metadata) -> FileVersion {
        FileVersion {
            device: m.dev(),
            inode: m.ino(),
            size: m.size(),
            modified: (m.mtime(), m.mtime_nsec()),
        }
    }

    /// Whether the content can have changed; a mere chmod does not count.
    pub(super) fn has_other_content(self, other: FileVersion) -> bool {
        (self.device, self.inode, self.size, self.modified)
            != (other.device, other.inode, other.size, other.modified)
    }
}

/// The state of an open file.
pub(super) fn read_version(file: &File, path: &Path) -> Result<FileVersion, StoreError> {
    retry_interrupted(|| file.metadata())
        .map(|m| FileVersion::from(&m))
        .map_err(StoreError::io("read", path))
}
