//! The lock on the store: an OFD record lock on qubes.xml itself ([`super::file_lock`]; `docs/locks.md` tells why).
//!
//! Writers replace the file by renaming, so what a lock was granted on may not be the store any more: then all begins
//! again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::libc;
use nix::unistd::Gid;

use super::error::StoreError;
use super::file_lock::{Exclusivity, lock_within, posix_holder, process, unlock};
use super::replace::{Access, make_shared_directory, uninterrupted};

/// How long to wait for a lock that somebody else holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait(Duration);

impl Wait {
    /// `--no-wait`
    pub const NO: Wait = Wait(Duration::ZERO);

    pub fn at_most(limit: Duration) -> Wait {
        Wait(limit)
    }

    pub fn limit(self) -> Duration {
        self.0
    }
}

impl Default for Wait {
    /// 30 seconds.
    fn default() -> Wait {
        Wait(Duration::from_secs(30))
    }
}

/// A file with a lock on it, which is given back when this is dropped.
#[derive(Debug)]
pub struct Locked(File);

impl Locked {
    /// Takes over a file whose lock was taken.
    pub(crate) fn adopt(file: File) -> Locked {
        Locked(file)
    }

    pub fn file(&self) -> &File {
        &self.0
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // It is closed next; only a child that inherited the descriptor makes a difference.
        let _closed_next = unlock(&self.0);
    }
}

/// Locks the file at `path` as it is *now*: after the lock is granted, what the path means is compared with what was
/// locked, and when a writer has renamed another file into place meanwhile, all begins again.
pub fn lock_path(path: &Path, mode: Exclusivity, wait: Wait, note: &HolderNote) -> Result<Locked, StoreError> {
    let deadline = Instant::now() + wait.limit();
    loop {
        let file = open(path, mode)?;
        let left = deadline.saturating_duration_since(Instant::now());
        if !lock_within(&file, mode, left).map_err(StoreError::io("lock", path))? {
            let holder = note.holder(posix_holder(&file));
            return Err(StoreError::Busy { path: path.into(), holder, waited: wait.limit() });
        }
        let locked = Locked(file);
        if is_still_at(locked.file(), path)? {
            return Ok(locked);
        }
    }
}

/// Opens an existing regular file without ever waiting for it (a FIFO would make us).
pub(crate) fn open(path: &Path, mode: Exclusivity) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(mode == Exclusivity::Exclusive).custom_flags(libc::O_NONBLOCK);
    let file = options.open(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => StoreError::Missing { path: path.into() },
        io::ErrorKind::IsADirectory => StoreError::NotAFile { path: path.into() },
        _ => StoreError::Io {
            action: if mode == Exclusivity::Shared { "read" } else { "write" },
            path: path.into(),
            source,
        },
    })?;
    match uninterrupted(|| file.metadata()) {
        Ok(metadata) if metadata.is_file() => Ok(file),
        Ok(_) => Err(StoreError::NotAFile { path: path.into() }),
        Err(source) => Err(StoreError::Io { action: "read", path: path.into(), source }),
    }
}

/// Whether `path` still means the open file.
pub(crate) fn is_still_at(file: &File, path: &Path) -> Result<bool, StoreError> {
    let ours = uninterrupted(|| file.metadata()).map_err(StoreError::io("read", path))?;
    match uninterrupted(|| fs::metadata(path)) {
        Ok(there) => Ok(there.dev() == ours.dev() && there.ino() == ours.ino()),
        // Gone: opening it again says so.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::io("read", path)(error)),
    }
}

/// The file in which a writer says who it is: `RUN/lock/database.holder`. It only helps messages, so nothing fails
/// over it.
#[derive(Debug, Clone)]
pub struct HolderNote {
    run_dir: PathBuf,
    group: Option<Gid>,
}

impl HolderNote {
    pub fn in_run_dir(run_dir: &Path, group: Option<Gid>) -> HolderNote {
        HolderNote { run_dir: run_dir.to_path_buf(), group }
    }

    fn path(&self) -> PathBuf {
        self.run_dir.join("lock/database.holder")
    }

    /// Leaves this process's number and command.
    pub fn leave(&self) {
        let _no_matter = self.try_leave();
    }

    fn try_leave(&self) -> io::Result<()> {
        make_shared_directory(&self.run_dir, self.group)?;
        make_shared_directory(&self.run_dir.join("lock"), self.group)?;
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o660).open(self.path())?;
        // A file of somebody else's has had its mode from him.
        let _not_ours = Access::shared(self.group).apply(&file);
        let pid = std::process::id();
        file.write_all(format!("{pid} {}\n", process(pid as i32)).as_bytes())
    }

    /// Empties the note, before the lock is given back.
    pub fn withdraw(&self) {
        let _no_matter = OpenOptions::new().write(true).truncate(true).open(self.path());
    }

    /// Who holds the lock, in words: the process that the kernel named, else the living one that left the note.
    fn holder(&self, posix: Option<i32>) -> String {
        let noted = || fs::read_to_string(self.path()).ok()?.split_whitespace().next()?.parse().ok();
        match posix.or_else(noted) {
            Some(pid) if Path::new("/proc").join(pid.to_string()).exists() => process(pid),
            _ => "another process".to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_given_back_even_where_its_descriptor_lives_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        fs::write(&path, "").unwrap();
        let note = HolderNote::in_run_dir(dir.path(), None);
        let take = || lock_path(&path, Exclusivity::Exclusive, Wait::NO, &note);
        let held = take().unwrap();
        // A duplicate shares the lock, as a forked child would.
        let _inherited = held.file().try_clone().unwrap();
        assert!(take().is_err());
        drop(held);
        take().unwrap();
    }
}
