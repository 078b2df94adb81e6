//! The states of a file, told apart without reading it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use super::error::StoreError;
use crate::fs::replace::uninterrupted;

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

/// Gives a file that was just written a time of change by which this content is known from any that comes after it, also
/// within the same tick of the clock: a nanosecond before the kernel's own. Whoever changes the content gives it the
/// kernel's time at that moment, which is later. Says whether it worked.
pub(super) fn set_apart(file: &File) -> bool {
    let set = || {
        let written = uninterrupted(|| file.metadata())?.modified()?;
        if let Some(before) = written.checked_sub(Duration::from_nanos(1)) {
            uninterrupted(|| file.set_modified(before))?;
        }
        // Some file systems know no such short times.
        Ok::<_, io::Error>(uninterrupted(|| file.metadata())?.modified()? < written)
    };
    set().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_is_set_apart_has_a_time_before_any_that_a_change_gets() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"content").unwrap();
        let written = file.metadata().unwrap().modified().unwrap();
        assert!(set_apart(&file));
        let before = file.metadata().unwrap().modified().unwrap();
        assert_eq!(written.duration_since(before).unwrap(), Duration::from_nanos(1));
        file.write_all(b"other").unwrap();
        assert!(file.metadata().unwrap().modified().unwrap() >= written);
    }
}
