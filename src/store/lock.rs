//! The lock on the store: an OFD record lock on qubes.xml itself ([`crate::fs::file_lock`];
//! `docs/locks.md` explains why).
//!
//! Writers replace the file by renaming, so the file on which a lock was granted may no longer be
//! the store. Then the file at the path is opened and locked again.

use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::libc;
use nix::unistd::Gid;

use super::error::StoreError;
use crate::fs::directory::OpenMode;
use crate::fs::file_lock::{
    LockMode, NOTICE_DELAY, describe_process, is_locked, lock_fairly, lock_with_timeout,
    posix_holder, try_lock, unlock,
};
use crate::fs::replace::retry_interrupted;
use crate::fs::retry_leased;
use crate::fs::run_directory::RunDirectory;

/// How long to wait for a lock that another process holds, and who is notified of a long wait.
#[derive(Debug, Clone, Copy)]
pub struct LockWait {
    limit: Duration,
    notify: Option<fn(&str)>,
}

impl LockWait {
    /// No wait at all: `--no-wait`.
    pub const NONE: LockWait = LockWait::up_to(Duration::ZERO);

    /// Waits at most `limit`, without a notice.
    pub const fn up_to(limit: Duration) -> LockWait {
        LockWait {
            limit,
            notify: None,
        }
    }

    /// Makes a wait longer than [`NOTICE_DELAY`] call `notify` once, with one line.
    pub fn with_notifier(self, notify: Option<fn(&str)>) -> LockWait {
        LockWait { notify, ..self }
    }

    /// Returns the longest time to wait.
    pub fn limit(self) -> Duration {
        self.limit
    }
}

impl Default for LockWait {
    /// Waits up to 30 seconds.
    fn default() -> LockWait {
        LockWait::up_to(Duration::from_secs(30))
    }
}

/// A file with a lock on it, which is released when this is dropped.
#[derive(Debug)]
pub struct Locked(File);

impl Locked {
    /// Takes ownership of a file that is locked already.
    pub(crate) fn adopt(file: File) -> Locked {
        Locked(file)
    }

    /// Returns the locked file.
    pub fn file(&self) -> &File {
        &self.0
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Closing the descriptor would be enough, unless a child process inherited it.
        let _closed_next = unlock(&self.0);
    }
}

/// Locks the file that is at `path` when the lock is granted: if a writer has renamed another file
/// into place meanwhile, that one is opened and locked instead.
///
/// If the file is locked, or others wait for it, the caller queues, and only the first in the queue
/// tries to lock the file. So the lock is granted in the order of the requests, even if a process
/// takes it again and again.
///
/// # Errors
/// [`StoreError::Busy`] if the lock was not granted in time; the file is missing, not a regular
/// file, or cannot be opened or locked.
pub fn lock_path(
    path: &Path,
    mode: LockMode,
    wait: LockWait,
    files: &LockFiles,
) -> Result<Locked, StoreError> {
    let begun = Instant::now();
    let mut turn: Option<Turn> = None;
    let notified = Cell::new(false);
    let notify_once = |file: &File| {
        if let Some(notify) = wait.notify.filter(|_| !notified.replace(true)) {
            notify(&format!(
                "waiting for {}, which writes {}",
                files.describe_holder(posix_holder(file)),
                path.display()
            ));
        }
    };
    loop {
        let file = open(path, mode)?;
        let left = wait.limit().saturating_sub(begun.elapsed());
        let granted = match turn {
            Some(_) => lock_with_timeout(&file, mode, left.min(NOTICE_DELAY)).and_then(|granted| {
                if granted || left <= NOTICE_DELAY {
                    return Ok(granted);
                }
                notify_once(&file);
                lock_with_timeout(&file, mode, left - NOTICE_DELAY)
            }),
            None if left.is_zero() || files.is_queue_empty() => try_lock(&file, mode),
            None => Ok(false),
        };
        if granted.map_err(StoreError::io("lock", path))? {
            let locked = Locked(file);
            if is_still_at(locked.file(), path)? {
                return Ok(locked);
            }
            continue;
        }
        if turn.is_none() && !left.is_zero() {
            turn = files.wait_in_queue(left, &|| notify_once(&file));
            if turn.is_some() {
                continue;
            }
        }
        let holder = files.describe_holder(posix_holder(&file));
        return Err(StoreError::Busy {
            path: path.into(),
            holder,
            waited: wait.limit(),
        });
    }
}

/// The first place in the queue; the next process gets it when this is dropped.
struct Turn {
    /// `None` if the queue's file cannot be locked: then every process tries.
    _locked: Option<Locked>,
}

/// Opens an existing regular file without blocking, even if a FIFO is in its place. Only if another
/// program has a lease on the file, waits a moment for its release.
pub(crate) fn open(path: &Path, mode: LockMode) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(mode == LockMode::Exclusive)
        .custom_flags(libc::O_NONBLOCK);
    let file = retry_leased(|| options.open(path)).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => StoreError::missing(path),
        io::ErrorKind::IsADirectory => StoreError::NotAFile { path: path.into() },
        // A socket, or a device without a driver.
        _ if source.raw_os_error() == Some(libc::ENXIO) => {
            StoreError::NotAFile { path: path.into() }
        }
        _ => StoreError::Io {
            action: if mode == LockMode::Shared {
                "read"
            } else {
                "write"
            },
            path: path.into(),
            source,
        },
    })?;
    match retry_interrupted(|| file.metadata()) {
        Ok(metadata) if metadata.is_file() => Ok(file),
        Ok(_) => Err(StoreError::NotAFile { path: path.into() }),
        Err(source) => Err(StoreError::Io {
            action: "read",
            path: path.into(),
            source,
        }),
    }
}

/// Returns whether the open file is still the one at `path`.
pub(crate) fn is_still_at(file: &File, path: &Path) -> Result<bool, StoreError> {
    let ours = retry_interrupted(|| file.metadata()).map_err(StoreError::io("read", path))?;
    match retry_interrupted(|| fs::metadata(path)) {
        Ok(there) => Ok(there.dev() == ours.dev() && there.ino() == ours.ino()),
        // The file was removed; opening it again reports that.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::io("read", path)(error)),
    }
}

/// The files beside the lock: `RUN/lock/database.holder`, in which a writer leaves its process
/// number and command for messages, and `RUN/lock/database.queue`, on which waiting processes
/// queue. An error with these files is never an error of the store.
#[derive(Debug, Clone)]
pub struct LockFiles {
    run_dir: RunDirectory,
    group: Option<Gid>,
}

const HOLDER: &str = "lock/database.holder";
const QUEUE: &str = "lock/database.queue";

impl LockFiles {
    /// Returns the lock files below this RUN; they are created for `group`.
    pub fn in_run_dir(run_dir: &RunDirectory, group: Option<Gid>) -> LockFiles {
        LockFiles {
            run_dir: run_dir.clone(),
            group,
        }
    }

    /// Writes this process's number and command to the holder file.
    pub fn write_holder(&self) {
        // The file only helps messages.
        let _without_holder = self.try_write_holder();
    }

    /// Returns whether no process waits for the lock.
    pub fn is_queue_empty(&self) -> bool {
        let queue = self
            .run_dir
            .open()
            .and_then(|run| run.open_file(Path::new(QUEUE), OpenMode::Read));
        queue.map_or(true, |queue| !is_locked(&queue))
    }

    /// Waits until this process is the first in the queue; returns `None` when the time is over.
    /// `notify` is called when the wait takes long.
    fn wait_in_queue(&self, wait: Duration, notify: &dyn Fn()) -> Option<Turn> {
        let run = self.run_dir.create(&["lock"], self.group);
        let file = run
            .and_then(|run| run.open_or_create(Path::new(QUEUE), self.run_dir.access(self.group)));
        match file.and_then(|file| lock_fairly(file, wait, notify)) {
            Ok(locked) => Some(Turn {
                _locked: Some(Locked(locked?)),
            }),
            // The queue only decides the order; the lock on the store itself excludes others.
            Err(_) => Some(Turn { _locked: None }),
        }
    }

    fn try_write_holder(&self) -> io::Result<()> {
        let run = self.run_dir.create(&["lock"], self.group)?;
        let mut file = match run.open_or_create(Path::new(HOLDER), self.run_dir.access(self.group))
        {
            Ok(file) => file,
            // Not a regular file, for example a link: it is removed, not followed.
            Err(_not_a_file) => {
                run.remove_file(Path::new(HOLDER))?;
                run.open_or_create(Path::new(HOLDER), self.run_dir.access(self.group))?
            }
        };
        file.set_len(0)?;
        let pid = std::process::id();
        file.write_all(format!("{pid} {}\n", describe_process(pid as i32)).as_bytes())
    }

    /// Empties the holder file; called before the lock is released.
    pub fn clear_holder(&self) {
        let run = self.run_dir.open();
        let file = run.and_then(|run| run.open_file(Path::new(HOLDER), OpenMode::Write));
        // A file with a second hard link may be one that somebody else needs.
        let _not_cleared = file.and_then(|file| match file.metadata()?.nlink() {
            1 => file.set_len(0),
            _ => Ok(()),
        });
    }

    /// Describes the holder of the lock: the process that the kernel named, else the one in the
    /// holder file, if it still runs.
    fn describe_holder(&self, posix: Option<i32>) -> String {
        let read = || self.run_dir.read(Path::new(HOLDER)).ok().flatten();
        let recorded = || read()?.split_whitespace().next()?.parse().ok();
        match posix.or_else(recorded) {
            Some(pid) if Path::new("/proc").join(pid.to_string()).exists() => describe_process(pid),
            _ => "another process".to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_lock_is_released_although_a_duplicate_descriptor_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        fs::write(&path, "").unwrap();
        let files = LockFiles::in_run_dir(&dir.path().into(), None);
        let take = || lock_path(&path, LockMode::Exclusive, LockWait::NONE, &files);
        let held = take().unwrap();
        // A duplicate shares the lock, as a forked child would.
        let _inherited = held.file().try_clone().unwrap();
        assert!(take().is_err());
        drop(held);
        take().unwrap();
    }
}
