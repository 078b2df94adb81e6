//! OFD record locks on whole files, on which the locks of the store, of qubes and of volumes are
//! built.
//!
//! An OFD lock belongs to the open file description: unlike a POSIX record lock, it is not released
//! when the process closes another descriptor of the file, and unlike `flock` it excludes POSIX
//! record locks of other programs. On a system without OFD locks, crate fs2 is used.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::mpsc::{self, SendError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use crate::fs::errno_text;

/// The time for which a command waits for a lock before it says so.
pub const NOTICE_DELAY: Duration = Duration::from_secs(2);

/// Whether others may hold a lock on the same file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// Others may hold the lock in shared mode.
    Shared,
    /// Nobody else may hold the lock.
    Exclusive,
}

/// The reason why a lock was not granted.
#[derive(Debug, thiserror::Error)]
pub enum FileLockError {
    /// A system call failed.
    #[error("cannot lock {file}: {}", errno_text(source))]
    Io {
        /// Path of the lock file; empty where only the open file is known.
        file: PathBuf,
        /// The error of the system call.
        source: io::Error,
    },
    /// Another process held the lock for the whole wait.
    #[error("locked by {holder}")]
    Held {
        /// The process that holds the lock, as far as it is known.
        holder: String,
    },
}

/// A held lock on a lock file of ours (`RUN/lock/…`), which is never unlinked. Dropping it releases
/// the lock explicitly, because a forked child that inherited the descriptor would keep it.
#[derive(Debug)]
pub struct FileLock {
    file: File,
}

impl FileLock {
    /// Takes the lock of an open file, waiting at most `wait`. An exclusive holder writes its pid
    /// into the file, so the file must serve only as a lock.
    ///
    /// # Errors
    /// [`FileLockError::Held`] names the pid and the command of the holder.
    pub fn acquire(
        file: File,
        exclusivity: LockMode,
        wait: Duration,
    ) -> Result<FileLock, FileLockError> {
        FileLock::acquire_with_notice(file, exclusivity, wait, &|_| ())
    }

    /// Takes the lock as [`FileLock::acquire`] does, and calls `notify` once with the holder if the
    /// wait takes longer than [`NOTICE_DELAY`].
    pub fn acquire_with_notice(
        mut file: File,
        exclusivity: LockMode,
        wait: Duration,
        notify: &dyn Fn(&str),
    ) -> Result<FileLock, FileLockError> {
        let failed = |source: io::Error| FileLockError::Io {
            file: PathBuf::new(),
            source,
        };
        let mut granted =
            lock_with_timeout(&file, exclusivity, wait.min(NOTICE_DELAY)).map_err(failed)?;
        if !granted && wait > NOTICE_DELAY {
            notify(&read_holder(&mut file));
            granted = lock_with_timeout(&file, exclusivity, wait - NOTICE_DELAY).map_err(failed)?;
        }
        if !granted {
            return Err(FileLockError::Held {
                holder: read_holder(&mut file),
            });
        }
        if exclusivity == LockMode::Exclusive {
            // The holder is needed only in messages, so a full disk is not an error here.
            let _unnamed = write_holder(&mut file);
        }
        Ok(FileLock { file })
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Closing the descriptor is not enough if a child inherited it.
        let _closed_next = unlock(&self.file);
    }
}

/// Tries to take the lock for at most `wait`. Returns whether it was granted.
pub fn lock_with_timeout(file: &File, exclusivity: LockMode, wait: Duration) -> io::Result<bool> {
    let begun = Instant::now();
    loop {
        if try_lock(file, exclusivity)? {
            return Ok(true);
        }
        let waited = begun.elapsed();
        let left = wait.saturating_sub(waited);
        if left.is_zero() {
            return Ok(false);
        }
        thread::sleep(left.min(pause(waited)));
    }
}

/// Returns the pause before the next try: short at first, because most locks are held briefly, and
/// random, so that waiters do not try in step.
fn pause(waited: Duration) -> Duration {
    let longest = (waited.as_micros() / 8).clamp(200, 5_000);
    Duration::from_micros(fastrand::u64(50..=u64::try_from(longest).unwrap_or(5_000)))
}

/// Waits for the exclusive lock in the order in which processes asked for it; returns `None` on a
/// timeout. Calls `notify` once if the wait takes longer than [`NOTICE_DELAY`].
///
/// Only the kernel keeps that order, and its blocking call has no timeout. So a thread waits, and
/// releases a lock that is granted too late.
pub fn lock_fairly(file: File, wait: Duration, notify: &dyn Fn()) -> io::Result<Option<File>> {
    if try_lock(&file, LockMode::Exclusive)? {
        return Ok(Some(file));
    }
    let (give, get) = mpsc::channel();
    thread::Builder::new().spawn(move || {
        let locked = wait_for_lock(&file).map(|()| file);
        if let Err(SendError(Ok(late_lock))) = give.send(locked) {
            let _closed_next = unlock(&late_lock);
        }
    })?;
    if let Ok(locked) = get.recv_timeout(wait.min(NOTICE_DELAY)) {
        return locked.map(Some);
    }
    let Some(left) = wait
        .checked_sub(NOTICE_DELAY)
        .filter(|left| !left.is_zero())
    else {
        return Ok(None);
    };
    notify();
    get.recv_timeout(left).ok().transpose()
}

fn wait_for_lock(file: &File) -> io::Result<()> {
    loop {
        match fcntl(
            file,
            FcntlArg::F_OFD_SETLKW(&whole_file(nix::libc::F_WRLCK)),
        ) {
            Err(Errno::EINTR) => {}
            waited => return Ok(waited.map(drop)?),
        }
    }
}

/// Returns whether somebody holds a lock on the file.
pub fn is_locked(file: &File) -> bool {
    let mut lock = whole_file(nix::libc::F_WRLCK);
    let result = fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock));
    result.is_ok() && i32::from(lock.l_type) != nix::libc::F_UNLCK
}

/// Tries once to take the lock. Returns false if somebody else holds it.
pub fn try_lock(file: &File, exclusivity: LockMode) -> io::Result<bool> {
    let kind = match exclusivity {
        LockMode::Shared => nix::libc::F_RDLCK,
        LockMode::Exclusive => nix::libc::F_WRLCK,
    };
    loop {
        match fcntl(file, FcntlArg::F_OFD_SETLK(&whole_file(kind))) {
            Ok(_) => return Ok(true),
            Err(Errno::EAGAIN | Errno::EACCES) => return Ok(false),
            Err(Errno::EINTR) => {}
            Err(Errno::EINVAL | Errno::ENOSYS) => return try_lock_portable(file, exclusivity),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Releases the lock.
pub fn unlock(file: &File) -> io::Result<()> {
    loop {
        match fcntl(file, FcntlArg::F_OFD_SETLK(&whole_file(nix::libc::F_UNLCK))) {
            Ok(_) => return Ok(()),
            // A network file system asks its server, so a signal can interrupt the call.
            Err(Errno::EINTR) => {}
            Err(Errno::EINVAL | Errno::ENOSYS) => return fs2::FileExt::unlock(file),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Returns the pid of the process whose POSIX record lock conflicts with ours. `None` if there is
/// no conflict, or if it is with an OFD lock, for which the kernel reports −1.
pub fn posix_holder(file: &File) -> Option<i32> {
    let mut lock = whole_file(nix::libc::F_WRLCK);
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock)).ok()?;
    (i32::from(lock.l_type) != nix::libc::F_UNLCK && lock.l_pid > 0).then_some(lock.l_pid)
}

/// Describes a process as `pid N (COMMAND LINE)`, or as `pid N` if its command line cannot be read.
pub fn describe_process(pid: i32) -> String {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<_> = line
        .split(|b| *b == 0)
        .filter(|w| !w.is_empty())
        .map(String::from_utf8_lossy)
        .collect();
    let command: String = words
        .join(" ")
        .chars()
        .filter(|c| !c.is_control())
        .take(120)
        .collect();
    if command.is_empty() {
        format!("pid {pid}")
    } else {
        format!("pid {pid} ({command})")
    }
}

fn whole_file(kind: i32) -> nix::libc::flock {
    nix::libc::flock {
        l_type: kind as i16,
        l_whence: nix::libc::SEEK_SET as i16,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

fn try_lock_portable(file: &File, exclusivity: LockMode) -> io::Result<bool> {
    let tried = match exclusivity {
        LockMode::Shared => fs2::FileExt::try_lock_shared(file),
        LockMode::Exclusive => fs2::FileExt::try_lock_exclusive(file),
    };
    match tried {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(e) => Err(e),
    }
}

fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(std::process::id().to_string().as_bytes())
}

fn read_holder(file: &mut File) -> String {
    if let Some(pid) = posix_holder(file) {
        return describe_process(pid);
    }
    let mut text = String::new();
    let read = file
        .seek(SeekFrom::Start(0))
        .and_then(|_| file.take(32).read_to_string(&mut text));
    match (read, text.trim().parse()) {
        (Ok(_), Ok(pid)) => describe_process(pid),
        _ => "another process".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_excludes_others_and_names_its_holder_until_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vm-work");
        let open = || {
            File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .unwrap()
        };
        let take = |exclusivity| FileLock::acquire(open(), exclusivity, Duration::ZERO);
        let held = take(LockMode::Exclusive).unwrap();
        let error = take(LockMode::Exclusive).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("locked by pid {} (", std::process::id())),
            "{error}"
        );
        assert!(take(LockMode::Shared).is_err());
        drop(held);
        let first = take(LockMode::Shared).unwrap();
        let second = take(LockMode::Shared).unwrap();
        assert!(take(LockMode::Exclusive).is_err());
        drop((first, second));
        take(LockMode::Exclusive).unwrap();
    }
}
