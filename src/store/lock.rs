//! The lock on the store: an OFD record lock on qubes.xml itself ([`crate::fs::file_lock`];
//! `docs/locks.md` tells why).
//!
//! Writers replace the file by renaming, so what a lock was granted on may not be the store any
//! more: then all begins again.

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

/// How long to wait for a lock that somebody else holds, and who hears that it takes long.
#[derive(Debug, Clone, Copy)]
pub struct LockWait {
    limit: Duration,
    tell: Option<fn(&str)>,
}

impl LockWait {
    /// `--no-wait`
    pub const NONE: LockWait = LockWait::up_to(Duration::ZERO);

    /// Waits at most `limit`; zero tries once.
    pub const fn up_to(limit: Duration) -> LockWait {
        LockWait { limit, tell: None }
    }

    /// The same, with one line for `tell` when it takes longer than [`NOTICE_DELAY`].
    pub fn with_notifier(self, tell: Option<fn(&str)>) -> LockWait {
        LockWait { tell, ..self }
    }

    /// Returns the longest time to wait; zero means not at all.
    pub fn limit(self) -> Duration {
        self.limit
    }
}

impl Default for LockWait {
    /// 30 seconds.
    fn default() -> LockWait {
        LockWait::up_to(Duration::from_secs(30))
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

/// Locks the file at `path` as it is *now*: after the lock is granted, what the path means is
/// compared with what was locked, and when a writer has renamed another file into place meanwhile,
/// all begins again.
///
/// Who finds it locked, or others waiting, queues: the first of the queue is the only one who
/// tries. So the lock goes round in the order in which it was asked for, however often somebody
/// comes back.
pub fn lock_path(
    path: &Path,
    mode: LockMode,
    wait: LockWait,
    note: &LockFiles,
) -> Result<Locked, StoreError> {
    let begun = Instant::now();
    let mut turn: Option<Turn> = None;
    let told = Cell::new(false);
    let tell = |file: &File| {
        if let Some(tell) = wait.tell.filter(|_| !told.replace(true)) {
            tell(&format!(
                "waiting for {}, which writes {}",
                note.holder(posix_holder(file)),
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
                tell(&file);
                lock_with_timeout(&file, mode, left - NOTICE_DELAY)
            }),
            None if left.is_zero() || note.nobody_queues() => try_lock(&file, mode),
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
            turn = note.queue(left, &|| tell(&file));
            if turn.is_some() {
                continue;
            }
        }
        let holder = note.holder(posix_holder(&file));
        return Err(StoreError::Busy {
            path: path.into(),
            holder,
            waited: wait.limit(),
        });
    }
}

/// Being the first of those who wait; the next one's turn comes when this is dropped.
struct Turn {
    /// None where there can be no queue: then everybody tries.
    _locked: Option<Locked>,
}

/// Opens an existing regular file without ever waiting for it (a FIFO would make us), but for the
/// moment in which a program that has a lease on it gives that back.
pub(crate) fn open(path: &Path, mode: LockMode) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(mode == LockMode::Exclusive)
        .custom_flags(libc::O_NONBLOCK);
    let file = retry_leased(|| options.open(path)).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => StoreError::missing(path),
        io::ErrorKind::IsADirectory => StoreError::NotAFile { path: path.into() },
        // A socket, or a device that nothing is behind.
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

/// Whether `path` still means the open file.
pub(crate) fn is_still_at(file: &File, path: &Path) -> Result<bool, StoreError> {
    let ours = retry_interrupted(|| file.metadata()).map_err(StoreError::io("read", path))?;
    match retry_interrupted(|| fs::metadata(path)) {
        Ok(there) => Ok(there.dev() == ours.dev() && there.ino() == ours.ino()),
        // Gone: opening it again says so.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::io("read", path)(error)),
    }
}

/// What is beside the lock: the file in which a writer says who it is, `RUN/lock/database.holder`,
/// which only helps messages, and the queue of those who wait, `RUN/lock/database.queue`. Nothing
/// fails over them.
#[derive(Debug, Clone)]
pub struct LockFiles {
    run_dir: RunDirectory,
    group: Option<Gid>,
}

const HOLDER: &str = "lock/database.holder";
const QUEUE: &str = "lock/database.queue";

impl LockFiles {
    pub fn in_run_dir(run_dir: &RunDirectory, group: Option<Gid>) -> LockFiles {
        LockFiles {
            run_dir: run_dir.clone(),
            group,
        }
    }

    /// Leaves this process's number and command.
    pub fn leave(&self) {
        let _no_matter = self.try_leave();
    }

    /// Whether nobody waits for the lock.
    pub fn nobody_queues(&self) -> bool {
        let queue = self
            .run_dir
            .open()
            .and_then(|run| run.open_file(Path::new(QUEUE), OpenMode::Read));
        queue.map_or(true, |queue| !is_locked(&queue))
    }

    /// Waits until nobody waits longer; `None` when the time is over.
    fn queue(&self, wait: Duration, tell: &dyn Fn()) -> Option<Turn> {
        let run = self.run_dir.create(&["lock"], self.group);
        let file = run
            .and_then(|run| run.open_or_create(Path::new(QUEUE), self.run_dir.access(self.group)));
        match file.and_then(|file| lock_fairly(file, wait, tell)) {
            Ok(locked) => Some(Turn {
                _locked: Some(Locked(locked?)),
            }),
            // It is about who comes first, not about who is alone.
            Err(_) => Some(Turn { _locked: None }),
        }
    }

    fn try_leave(&self) -> io::Result<()> {
        let run = self.run_dir.create(&["lock"], self.group)?;
        let mut file = match run.open_or_create(Path::new(HOLDER), self.run_dir.access(self.group))
        {
            Ok(file) => file,
            // A link or the like in its place says nothing to anybody: it goes, and is not
            // followed.
            Err(_not_a_note) => {
                run.remove_file(Path::new(HOLDER))?;
                run.open_or_create(Path::new(HOLDER), self.run_dir.access(self.group))?
            }
        };
        file.set_len(0)?;
        let pid = std::process::id();
        file.write_all(format!("{pid} {}\n", describe_process(pid as i32)).as_bytes())
    }

    /// Empties the note, before the lock is given back.
    pub fn withdraw(&self) {
        let run = self.run_dir.open();
        let note = run.and_then(|run| run.open_file(Path::new(HOLDER), OpenMode::Write));
        // One with a second name is somebody's file.
        let _no_matter = note.and_then(|note| match note.metadata()?.nlink() {
            1 => note.set_len(0),
            _ => Ok(()),
        });
    }

    /// Who holds the lock, in words: the process that the kernel named, else the living one that
    /// left the note.
    fn holder(&self, posix: Option<i32>) -> String {
        let read = || self.run_dir.read(Path::new(HOLDER)).ok().flatten();
        let noted = || read()?.split_whitespace().next()?.parse().ok();
        match posix.or_else(noted) {
            Some(pid) if Path::new("/proc").join(pid.to_string()).exists() => describe_process(pid),
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
        let note = LockFiles::in_run_dir(&dir.path().into(), None);
        let take = || lock_path(&path, LockMode::Exclusive, LockWait::NONE, &note);
        let held = take().unwrap();
        // A duplicate shares the lock, as a forked child would.
        let _inherited = held.file().try_clone().unwrap();
        assert!(take().is_err());
        drop(held);
        take().unwrap();
    }
}
