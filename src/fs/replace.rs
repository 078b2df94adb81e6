//! The durable atomic replace: the one way in which this project changes a file that matters.
//!
//! A temporary file beside the target is filled, given its mode and group, synced, renamed over the
//! target, and the directory is synced. A crash at any instruction leaves the old file or the new
//! one; a temporary file that is not committed is unlinked.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, fchown};
use tempfile::NamedTempFile;

/// Who may use a file that we make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Permission bits.
    pub mode: u32,
    /// The group, where it exists and may be given; nobody fails over it (`docs/spec/r4-xml.md`
    /// §0).
    pub group: Option<Gid>,
}

impl Access {
    /// For members of group qubes: 0660.
    pub fn shared(group: Option<Gid>) -> Access {
        Access { mode: 0o660, group }
    }

    /// Gives an open file this access.
    pub(crate) fn apply(self, file: &File) -> io::Result<()> {
        if let Some(group) = self.group {
            // Only root and members may give a file to a group; who is neither keeps it in his own.
            let _refused = fchown(file, None, Some(group));
        }
        file.set_permissions(Permissions::from_mode(self.mode))
    }
}

/// Makes a directory for members of group qubes, 2770. Those that are missing above it are
/// anybody's, as installers make them; one that exists stays as it is. Links of other users are
/// refused.
pub fn create_shared_directory(path: &Path, group: Option<Gid>) -> io::Result<()> {
    super::owned_paths::create_directory(
        path,
        Access {
            mode: 0o2770,
            group,
        },
    )
}

/// What the name of a temporary file ends in: nobody else makes files called `TARGET~RANDOM.new`.
pub(super) const TEMPORARY: &str = ".new";

/// How many random characters stand before [`TEMPORARY`].
pub(super) const RANDOM_LETTERS: usize = 8;

/// Calls again what a signal interrupted.
pub(crate) fn retry_interrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// A new content for a file, not visible before [`Replacement::commit`].
pub struct Replacement {
    temporary: NamedTempFile,
    target: PathBuf,
}

impl Replacement {
    /// Makes the temporary file `TARGET~RANDOM.new`. The directory must exist.
    pub fn begin(target: &Path, access: Access) -> io::Result<Replacement> {
        let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let mut prefix = name.to_os_string();
        prefix.push("~");
        let mut builder = tempfile::Builder::new();
        builder
            .prefix(&prefix)
            .rand_bytes(RANDOM_LETTERS)
            .suffix(TEMPORARY);
        let temporary = builder.tempfile_in(parent_directory(target))?;
        access.apply(temporary.as_file())?;
        Ok(Replacement {
            temporary,
            target: target.to_path_buf(),
        })
    }

    /// The file to fill.
    pub fn file(&mut self) -> &mut File {
        self.temporary.as_file_mut()
    }

    /// Where it lies until it is committed.
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Makes the content durable and visible under the target's name; returns the file, still open.
    pub fn commit(self) -> io::Result<File> {
        self.sync()?;
        self.publish()?.make_durable()
    }

    /// Waits until the content is on the disk: before anybody sees it.
    pub fn sync(&self) -> io::Result<()> {
        retry_interrupted(|| self.temporary.as_file().sync_all())
    }

    /// Makes the content, which was synced, visible under the target's name. On an error the target
    /// is as it was, as far as the file system tells the truth.
    pub fn publish(self) -> io::Result<PublishedFile> {
        self.rename(|temporary, target| temporary.persist(target))
    }

    /// As [`Replacement::publish`], but fails with [`io::ErrorKind::AlreadyExists`] when the target
    /// is there.
    pub fn publish_new(self) -> io::Result<PublishedFile> {
        self.rename(|temporary, target| temporary.persist_noclobber(target))
    }

    /// Makes the content visible under the target's name without waiting for the disk: for what
    /// nobody looks at after a power loss.
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

/// A content that everybody sees under the target's name; a power loss may still take it back.
pub struct PublishedFile {
    file: File,
    target: PathBuf,
}

impl PublishedFile {
    /// Makes the rename survive a power loss; returns the file, still open.
    pub fn make_durable(self) -> io::Result<File> {
        sync_directory(parent_directory(&self.target))?;
        Ok(self.file)
    }
}

/// Replaces `target` by what `fill` writes.
pub fn replace(
    target: &Path,
    access: Access,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<File> {
    let mut replacement = Replacement::begin(target, access)?;
    fill(replacement.file())?;
    replacement.commit()
}

/// Makes renames, links and unlinks in a directory survive a power loss.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// The directory a file lies in; `.` for a bare name.
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
    fn a_replacement_that_fails_leaves_the_old_file_and_no_temporary_file() {
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
