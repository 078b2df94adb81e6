//! The durable atomic replacement of a file, by which every file that matters is changed.
//!
//! A temporary file beside the target is filled, given its mode and group, synced and renamed over
//! the target; then the directory is synced. A crash at any instruction leaves either the old file
//! or the new one. A temporary file that is not committed is unlinked.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, fchown};
use tempfile::NamedTempFile;

/// The mode and group of a file that we create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Permission bits.
    pub mode: u32,
    /// The group, if it exists. Failing to set it is not an error (`docs/spec/r4-xml.md`
    /// §0).
    pub group: Option<Gid>,
}

impl Access {
    /// Returns the access for members of group qubes: mode 0660.
    pub fn shared(group: Option<Gid>) -> Access {
        Access { mode: 0o660, group }
    }

    /// Sets the mode and group of an open file.
    pub(crate) fn apply(self, file: &File) -> io::Result<()> {
        if let Some(group) = self.group {
            // Only root and members of the group may do that; for others the group stays theirs.
            let _refused = fchown(file, None, Some(group));
        }
        file.set_permissions(Permissions::from_mode(self.mode))
    }
}

/// The suffix of temporary files, `TARGET~RANDOM.new`. No other program uses such names.
pub(super) const TEMPORARY_SUFFIX: &str = ".new";

/// The number of random characters before [`TEMPORARY_SUFFIX`].
pub(super) const RANDOM_LENGTH: usize = 8;

/// Repeats a call that a signal interrupted.
pub(crate) fn retry_interrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// The new content of a file, which is not visible before [`Replacement::commit`].
pub struct Replacement {
    temporary: NamedTempFile,
    target: PathBuf,
}

impl Replacement {
    /// Creates the temporary file `TARGET~RANDOM.new`. The directory must exist.
    pub fn new(target: &Path, access: Access) -> io::Result<Replacement> {
        let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let mut prefix = name.to_os_string();
        prefix.push("~");
        let mut builder = tempfile::Builder::new();
        builder
            .prefix(&prefix)
            .rand_bytes(RANDOM_LENGTH)
            .suffix(TEMPORARY_SUFFIX);
        let temporary = builder.tempfile_in(parent_directory(target))?;
        access.apply(temporary.as_file())?;
        Ok(Replacement {
            temporary,
            target: target.to_path_buf(),
        })
    }

    /// Returns the temporary file, to be filled.
    pub fn file(&mut self) -> &mut File {
        self.temporary.as_file_mut()
    }

    /// Returns the path of the temporary file.
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Makes the content durable and visible under the target's name. Returns the open file.
    pub fn commit(self) -> io::Result<File> {
        self.sync()?;
        self.publish()?.make_durable()
    }

    /// Waits until the content is on disk. Call this before [`Replacement::publish`].
    pub fn sync(&self) -> io::Result<()> {
        retry_interrupted(|| self.temporary.as_file().sync_all())
    }

    /// Makes the synced content visible under the target's name. On an error the target is
    /// unchanged, unless the file system reports an error after renaming.
    pub fn publish(self) -> io::Result<PublishedFile> {
        self.rename(|temporary, target| temporary.persist(target))
    }

    /// Makes the synced content visible under the target's name, or fails with
    /// [`io::ErrorKind::AlreadyExists`] if the target exists.
    pub fn publish_new(self) -> io::Result<PublishedFile> {
        self.rename(|temporary, target| temporary.persist_noclobber(target))
    }

    /// Makes the content visible under the target's name without syncing, for files that do not
    /// have to survive a power loss.
    pub fn commit_unsynced(self) -> io::Result<File> {
        self.rename(|temporary, target| temporary.persist(target))
            .map(|published| published.file)
    }

    fn rename(
        self,
        rename: impl Fn(NamedTempFile, &Path) -> Result<File, tempfile::PersistError>,
    ) -> io::Result<PublishedFile> {
        let mut temporary = self.temporary;
        loop {
            match rename(temporary, &self.target) {
                Ok(file) => {
                    return Ok(PublishedFile {
                        file,
                        target: self.target,
                    });
                }
                Err(interrupted) if interrupted.error.kind() == io::ErrorKind::Interrupted => {
                    temporary = interrupted.file;
                }
                Err(failed) => return Err(failed.error),
            }
        }
    }
}

/// A file that is visible under the target's name but not yet durable.
pub struct PublishedFile {
    file: File,
    target: PathBuf,
}

impl PublishedFile {
    /// Makes the rename durable. Returns the open file.
    pub fn make_durable(self) -> io::Result<File> {
        sync_directory(parent_directory(&self.target))?;
        Ok(self.file)
    }
}

/// Replaces `target` with what `fill` writes.
pub fn replace(
    target: &Path,
    access: Access,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<File> {
    let mut replacement = Replacement::new(target, access)?;
    fill(replacement.file())?;
    replacement.commit()
}

/// Makes earlier renames, links and unlinks in a directory durable.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Returns the directory that contains a file; `.` for a bare name.
pub fn parent_directory(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_failed_replacement_leaves_the_old_file_and_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("data");
        std::fs::write(&target, "old").unwrap();
        let failed = replace(&target, Access::shared(None), |f| {
            f.write_all(b"half")?;
            Err(io::Error::other("no"))
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);

        replace(&target, Access::shared(None), |f| f.write_all(b"new")).unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"new");
        assert_eq!(
            std::fs::metadata(&target).unwrap().permissions().mode() & 0o7777,
            0o660
        );
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
