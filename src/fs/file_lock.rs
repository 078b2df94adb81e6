//! OFD record locks over whole files: the primitive under the store's lock and under the locks of
//! qubes and volumes.
//!
//! They belong to the open file description, so a second descriptor of the same process that closes
//! does not drop them (POSIX record locks would go), and they exclude POSIX record locks of others
//! (`flock` would not). Where the system has no OFD locks at all, crate fs2 locks portably.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::mpsc::{self, SendError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use crate::fs::errno_text;

/// How long a command waits for somebody else's lock without a word.
pub const NOTICE_DELAY: Duration = Duration::from_secs(2);

/// Who else may hold a lock of the same file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// Other holders of the same kind.
    Shared,
    /// Nobody.
    Exclusive,
}

/// Why a lock was not granted.
#[derive(Debug, thiserror::Error)]
pub enum FileLockError {
    #[error("cannot lock {file}: {}", errno_text(source))]
    Io { file: PathBuf, source: io::Error },
    #[error("locked by {holder}")]
    Held { holder: String },
}

/// A lock file of our own making, never unlinked: `RUN/lock/…`. Released, explicitly, when dropped;
/// a forked child that inherits the descriptor (all are close-on-exec) would keep it otherwise.
#[derive(Debug)]
pub struct FileLock {
    file: File,
}

impl FileLock {
    /// Takes the lock of an open file, waiting at most `wait`. An exclusive holder writes its pid
    /// into the file, so the file must be one that is only a lock.
    ///
    /// # Errors
    /// [`FileLockError::Held`] names the pid and the command that hold it.
    pub fn acquire(
        file: File,
        exclusivity: LockMode,
        wait: Duration,
    ) -> Result<FileLock, FileLockError> {
        FileLock::acquire_with_notice(file, exclusivity, wait, &|_| ())
    }

    /// As [`FileLock::acquire`]; `tell` is called with the holder, once, when the wait takes longer
    /// than [`NOTICE_DELAY`].
    pub fn acquire_with_notice(
        mut file: File,
        exclusivity: LockMode,
        wait: Duration,
        tell: &dyn Fn(&str),
    ) -> Result<FileLock, FileLockError> {
        let failed = |source: io::Error| FileLockError::Io {
            file: PathBuf::new(),
            source,
        };
        let mut granted =
            lock_with_timeout(&file, exclusivity, wait.min(NOTICE_DELAY)).map_err(failed)?;
        if !granted && wait > NOTICE_DELAY {
            tell(&read_holder(&mut file));
            granted = lock_with_timeout(&file, exclusivity, wait - NOTICE_DELAY).map_err(failed)?;
        }
        if !granted {
            return Err(FileLockError::Held {
                holder: read_holder(&mut file),
            });
        }
        if exclusivity == LockMode::Exclusive {
            // Only messages need it: on a full disk a lock is as good without.
            let _unnamed = write_holder(&mut file);
        }
        Ok(FileLock { file })
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Closing the descriptor would do; a child that inherited it makes the difference.
        let _closed_next = unlock(&self.file);
    }
}

/// Tries until the lock is granted or the time is over. False when the time is over.
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

/// How long to wait for the next try: short at first, for most locks are held shortly, and random
/// so that waiters do not march in step.
fn pause(waited: Duration) -> Duration {
    let longest = (waited.as_micros() / 8).clamp(200, 5_000);
    Duration::from_micros(fastrand::u64(50..=u64::try_from(longest).unwrap_or(5_000)))
}

/// Waits for the exclusive lock in the order in which processes came to wait for it; `None` when
/// the time is over. Only the system keeps such an order, and its way to wait knows no end: so a
/// thread waits, and gives back what it gets too late. `tell` is called, once, when it takes longer
/// than [`NOTICE_DELAY`].
pub fn lock_fairly(file: File, wait: Duration, tell: &dyn Fn()) -> io::Result<Option<File>> {
    if try_lock(&file, LockMode::Exclusive)? {
        return Ok(Some(file));
    }
    let (give, get) = mpsc::channel();
    thread::Builder::new().spawn(move || {
        let locked = wait_for_lock(&file).map(|()| file);
        if let Err(SendError(Ok(too_late))) = give.send(locked) {
            let _closed_next = unlock(&too_late);
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
    tell();
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

/// Whether somebody holds a lock.
pub fn is_locked(file: &File) -> bool {
    let mut wanted = whole_file(nix::libc::F_WRLCK);
    let asked = fcntl(file, FcntlArg::F_OFD_GETLK(&mut wanted));
    asked.is_ok() && i32::from(wanted.l_type) != nix::libc::F_UNLCK
}

/// One try. False when somebody else holds it.
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

/// Gives the lock back.
pub fn unlock(file: &File) -> io::Result<()> {
    loop {
        match fcntl(file, FcntlArg::F_OFD_SETLK(&whole_file(nix::libc::F_UNLCK))) {
            Ok(_) => return Ok(()),
            // Network file systems ask a server, and a signal may come meanwhile.
            Err(Errno::EINTR) => {}
            Err(Errno::EINVAL | Errno::ENOSYS) => return fs2::FileExt::unlock(file),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// The process whose POSIX record lock stands in the way; `None` when nobody's does or the holder's
/// is an OFD lock (the kernel says −1 for those).
pub fn posix_holder(file: &File) -> Option<i32> {
    let mut wanted = whole_file(nix::libc::F_WRLCK);
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut wanted)).ok()?;
    (i32::from(wanted.l_type) != nix::libc::F_UNLCK && wanted.l_pid > 0).then_some(wanted.l_pid)
}

/// `pid N (command line)` of a living process; the bare number of one that cannot be looked at.
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
    fn a_lock_excludes_names_its_holder_and_is_given_back() {
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
