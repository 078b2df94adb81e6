//! The lock on the store, and record locks in general.
//!
//! An open-file-description record lock over the whole file: it excludes the POSIX record locks that Qubes' own
//! Python takes (`spec/r4-xml.md` §4), which flock does not, and it is not lost when some other descriptor of this
//! process closes. Nobody waits inside the kernel: a refused lock is asked for again after a short random pause, so
//! that waiting has an end and the holder can be named.
//!
//! A descriptor that a forked child inherits keeps the lock; so all descriptors are close-on-exec (the standard
//! library's default) and are unlocked explicitly.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::error::{Holder, StoreError};

/// How a lock excludes others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Keeps writers out; needs a descriptor open for reading.
    Shared,
    /// Keeps everybody out; needs a descriptor open for writing.
    Exclusive,
}

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

/// A record over the whole file, whatever its length.
fn record(kind: i32) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

fn kind_of(mode: Mode) -> i32 {
    match mode {
        Mode::Shared => libc::F_RDLCK,
        Mode::Exclusive => libc::F_WRLCK,
    }
}

/// Takes the lock if it is free. False when somebody else holds one that excludes it.
pub fn try_lock(file: &File, mode: Mode) -> io::Result<bool> {
    match fcntl(file, FcntlArg::F_OFD_SETLK(&record(kind_of(mode)))) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        // A system without such locks: the portable one, which excludes at least ourselves.
        Err(Errno::EINVAL) => try_portable_lock(file, mode),
        Err(errno) => Err(errno.into()),
    }
}

fn try_portable_lock(file: &File, mode: Mode) -> io::Result<bool> {
    let taken = match mode {
        Mode::Shared => fs2::FileExt::try_lock_shared(file),
        Mode::Exclusive => fs2::FileExt::try_lock_exclusive(file),
    };
    match taken {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == fs2::lock_contended_error().raw_os_error() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Gives the lock back, also where a child process has inherited the descriptor.
pub fn unlock(file: &File) {
    // Neither can fail on an open file in a way that leaves something to do: closing it comes next.
    if fcntl(file, FcntlArg::F_OFD_SETLK(&record(libc::F_UNLCK))) == Err(Errno::EINVAL) {
        let _closing = fs2::FileExt::unlock(file);
    }
}

/// The process whose POSIX lock stands in the way; the kernel knows none for other kinds.
fn posix_holder(file: &File, mode: Mode) -> Option<i32> {
    let mut record = record(kind_of(mode));
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut record)).ok()?;
    (record.l_type != libc::F_UNLCK as libc::c_short && record.l_pid > 0).then_some(record.l_pid)
}

/// A file with a lock on it, which is given back when this is dropped.
#[derive(Debug)]
pub struct Locked(File);

impl Locked {
    /// Takes over a file whose lock was taken with [`try_lock`].
    pub(crate) fn adopt(file: File) -> Locked {
        Locked(file)
    }

    pub fn file(&self) -> &File {
        &self.0
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        unlock(&self.0);
    }
}

/// Locks the file at `path` as it is *now*: after the lock is granted, what the path means is compared with what was
/// locked, and when a writer has renamed another file into place meanwhile, all begins again.
pub fn lock_path(path: &Path, mode: Mode, wait: Wait, note: &HolderNote) -> Result<Locked, StoreError> {
    let deadline = Instant::now() + wait.limit();
    loop {
        let file = open(path, mode)?;
        while !try_lock(&file, mode).map_err(StoreError::io("lock", path))? {
            if Instant::now() >= deadline {
                let holder = note.holder(posix_holder(&file, mode));
                return Err(StoreError::Busy { path: path.into(), holder, waited: wait.limit() });
            }
            pause(deadline);
        }
        let locked = Locked(file);
        if is_still_at(locked.file(), path)? {
            return Ok(locked);
        }
    }
}

/// Short enough for a file that is held for milliseconds, random so that waiters do not march in step.
fn pause(deadline: Instant) {
    let pause = Duration::from_micros(fastrand::u64(300..4000));
    thread::sleep(pause.min(deadline.saturating_duration_since(Instant::now())));
}

/// Opens an existing regular file without ever waiting for it (a FIFO would make us).
pub(crate) fn open(path: &Path, mode: Mode) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(mode == Mode::Exclusive).custom_flags(libc::O_NONBLOCK);
    let file = options.open(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => StoreError::Missing { path: path.into() },
        io::ErrorKind::IsADirectory => StoreError::NotAFile { path: path.into() },
        _ => StoreError::Io { action: if mode == Mode::Shared { "read" } else { "write" }, path: path.into(), source },
    })?;
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(file),
        Ok(_) => Err(StoreError::NotAFile { path: path.into() }),
        Err(source) => Err(StoreError::Io { action: "read", path: path.into(), source }),
    }
}

/// Whether `path` still means the open file.
pub(crate) fn is_still_at(file: &File, path: &Path) -> Result<bool, StoreError> {
    let ours = file.metadata().map_err(StoreError::io("read", path))?;
    match fs::metadata(path) {
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
    path: PathBuf,
}

impl HolderNote {
    pub fn in_run_dir(run_dir: &Path) -> HolderNote {
        HolderNote { path: run_dir.join("lock/database.holder") }
    }

    /// Leaves this process's number and command.
    pub fn leave(&self) {
        let _no_matter = self.try_leave();
    }

    fn try_leave(&self) -> io::Result<()> {
        if let Some(directory) = self.path.parent().filter(|d| !d.exists()) {
            DirBuilder::new().recursive(true).mode(0o2770).create(directory)?;
        }
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o660).open(&self.path)?;
        let pid = std::process::id() as i32;
        file.write_all(format!("{pid} {}\n", command_of(pid)).as_bytes())
    }

    /// Empties the note, before the lock is given back.
    pub fn withdraw(&self) {
        let _no_matter = OpenOptions::new().write(true).truncate(true).open(&self.path);
    }

    /// Who holds the lock: the process that the kernel named, else the one that left the note and is alive.
    fn holder(&self, posix: Option<i32>) -> Holder {
        if let Some(pid) = posix {
            return Holder::Process { pid, command: command_of(pid) };
        }
        let note = fs::read_to_string(&self.path).unwrap_or_default();
        let (pid, command) = note.trim_end().split_once(' ').unwrap_or((note.trim_end(), ""));
        match pid.parse::<i32>() {
            Ok(pid) if pid > 0 && Path::new("/proc").join(pid.to_string()).exists() => {
                Holder::Process { pid, command: printable(command) }
            }
            _ => Holder::Unknown,
        }
    }
}

/// The command line of a process, for a message.
fn command_of(pid: i32) -> String {
    let raw = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<_> = raw.split(|b| *b == 0).filter(|w| !w.is_empty()).map(String::from_utf8_lossy).collect();
    printable(&words.join(" "))
}

fn printable(command: &str) -> String {
    command.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}
