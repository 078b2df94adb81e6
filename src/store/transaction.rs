//! Reading and changing the store: [`Read`] never waits, [`Write`] holds the lock from load to the last save.

mod restore;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::ops::{Deref, DerefMut};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nix::unistd::{Gid, Uid, fchown, geteuid};

use super::content;
use super::error::StoreError;
use super::file_lock::{Exclusivity, try_lock, unlock};
use super::history;
use super::lock::{HolderNote, Locked, Wait, is_still_at, lock_path, open};
use super::replace::{Access, Replacement};
use crate::format::{self, Bytes, FormatError, MAX_BYTES};
use crate::model::Qubes;

pub use restore::Restored;

/// Where a store and what belongs to it lie, and how to treat them.
#[derive(Debug, Clone)]
pub struct StorePlace {
    /// qubes.xml.
    pub file: PathBuf,
    /// Where lock notes go: RUN.
    pub run_dir: PathBuf,
    /// Copies of the store.
    pub backup_dir: PathBuf,
    /// Where a live qubesd answers; only the system's own store has one.
    pub qubesd_socket: Option<PathBuf>,
    /// The group that shares the files: qubes.
    pub group: Option<Gid>,
    /// How long a writer waits for another.
    pub wait: Wait,
    /// Write although a live qubesd owns the file.
    pub force: bool,
}

impl StorePlace {
    fn note(&self) -> HolderNote {
        HolderNote::in_run_dir(&self.run_dir, self.group)
    }

    /// Refuses while a qubesd would overwrite what is written.
    fn refuse_beside_qubesd(&self) -> Result<(), StoreError> {
        match &self.qubesd_socket {
            Some(socket) if !self.force && accepts(socket) => {
                Err(StoreError::QubesdLives { path: self.file.clone(), socket: socket.clone() })
            }
            _ => Ok(()),
        }
    }
}

/// Whether somebody listens at a socket. Asked without waiting: a queue that is full has an owner too.
fn accepts(path: &Path) -> bool {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let (Ok(socket), Ok(address)) = (socket(AddressFamily::Unix, SockType::Stream, flags, None), UnixAddr::new(path))
    else {
        return false;
    };
    let nobody = [Errno::ENOENT, Errno::ECONNREFUSED, Errno::ENOTDIR, Errno::ENOTSOCK];
    connect(socket.as_raw_fd(), &address).map_or_else(|errno| !nobody.contains(&errno), |()| true)
}

/// The store as it was when it was read.
pub struct Read {
    qubes: Qubes,
    _held: Option<Locked>,
}

impl Read {
    /// Reads the store without waiting for anybody. Writers rename, so what one descriptor gives is one whole
    /// version even where a writer holds the lock.
    pub fn open(place: &StorePlace) -> Result<Read, StoreError> {
        let file = open(&place.file, Exclusivity::Shared)?;
        let locked = try_lock(&file, Exclusivity::Shared).map_err(StoreError::io("lock", &place.file))?;
        let before = Version::of(&file);
        let bytes = read_all(&file, &place.file);
        let after = Version::of(&file);
        if locked {
            let _closed_next = unlock(&file);
            return Ok(Read { qubes: parse(bytes?, &place.file)?, _held: None });
        }
        // A foreign program may write in place under its lock: then what was read is nothing whole. That a writer of ours
        // renamed meanwhile shows in the change time alone, and is no reason to wait.
        if let (Some(before), Some(after)) = (before, after)
            && !before.has_other_content(after)
            && let Ok(qubes) = parse(bytes?, &place.file)
        {
            return Ok(Read { qubes, _held: None });
        }
        Read::under_lock(place).map(|(qubes, _)| Read { qubes, _held: None })
    }

    /// Reads the store and keeps writers out until this is dropped. Waits for a writer as a writer would.
    pub fn hold(place: &StorePlace) -> Result<Read, StoreError> {
        Read::under_lock(place).map(|(qubes, locked)| Read { qubes, _held: Some(locked) })
    }

    fn under_lock(place: &StorePlace) -> Result<(Qubes, Locked), StoreError> {
        let locked = lock_path(&place.file, Exclusivity::Shared, place.wait, &place.note())?;
        let qubes = parse(read_all(locked.file(), &place.file)?, &place.file)?;
        Ok((qubes, locked))
    }

    /// The collection without the transaction.
    pub fn into_qubes(self) -> Qubes {
        self.qubes
    }
}

impl Deref for Read {
    type Target = Qubes;

    fn deref(&self) -> &Qubes {
        &self.qubes
    }
}

/// The bytes of a store or of a copy, whatever they mean; waits for nobody.
pub fn read_bytes(path: &Path) -> Result<Bytes, StoreError> {
    read_all(&open(path, Exclusivity::Shared)?, path)
}

fn parse(bytes: Bytes, path: &Path) -> Result<Qubes, StoreError> {
    format::read(bytes).map_err(|source| StoreError::Format { path: path.into(), source })
}

fn read_all(file: &File, path: &Path) -> Result<Bytes, StoreError> {
    let size = file.metadata().map_err(StoreError::io("read", path))?.len();
    if size > MAX_BYTES as u64 {
        return Err(StoreError::Format { path: path.into(), source: FormatError::TooLarge { bytes: size } });
    }
    content::read_whole(file, size as usize).map_err(StoreError::io("read", path))
}

/// By what a file can be told from a later state of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Version {
    fn of(file: &File) -> Option<Version> {
        file.metadata().ok().map(|m| Version::from(&m))
    }

    fn from(m: &fs::Metadata) -> Version {
        Version {
            device: m.dev(),
            inode: m.ino(),
            size: m.size(),
            modified: (m.mtime(), m.mtime_nsec()),
            changed: (m.ctime(), m.ctime_nsec()),
        }
    }

    /// Whether the content can have changed; a mere chmod does not count.
    fn has_other_content(self, other: Version) -> bool {
        (self.device, self.inode, self.size, self.modified) != (other.device, other.inode, other.size, other.modified)
    }
}

/// What a save did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    Written,
    /// Nothing differed, so nothing was written.
    Unchanged,
}

/// The store under the exclusive lock, to be changed and saved, more than once if need be. The lock is given back
/// when this is dropped; what was not saved is forgotten.
pub struct Write {
    qubes: Qubes,
    place: StorePlace,
    /// What the collection was read from.
    source: Bytes,
    /// What stands in the file, where it differs from `source`.
    saved: Option<Bytes>,
    /// The store as it lies there, locked.
    lock: Locked,
    version: Version,
    then: Option<AfterSave>,
}

/// What is to be done once, after the first save that wrote something; it is given [`Write::stamp`].
type AfterSave = Box<dyn FnOnce(&str)>;

impl Write {
    /// Takes the exclusive lock, waiting at most [`StorePlace::wait`], and reads the store. One of R1 to R3 is refused:
    /// nothing is to be decided, and no image made, for what cannot be saved.
    pub fn open(place: &StorePlace) -> Result<Write, StoreError> {
        let (place, lock, version) = Write::take(place)?;
        let source = read_all(lock.file(), &place.file)?;
        let qubes = format::read_to_write(source.clone())
            .map_err(|source| StoreError::Format { path: place.file.clone(), source })?;
        Ok(Write { qubes, place, source, saved: None, lock, version, then: None })
    }

    /// The store with its links resolved, locked, whatever it holds.
    fn take(place: &StorePlace) -> Result<(StorePlace, Locked, Version), StoreError> {
        let mut place = place.clone();
        // A rename must not replace a link.
        place.file = fs::canonicalize(&place.file).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => StoreError::Missing { path: place.file.clone() },
            _ => StoreError::Io { action: "find", path: place.file.clone(), source },
        })?;
        place.refuse_beside_qubesd()?;
        let lock = lock_path(&place.file, Exclusivity::Exclusive, place.wait, &place.note())?;
        place.note().leave();
        let version = version_of(lock.file(), &place.file)?;
        Ok((place, lock, version))
    }

    /// Makes a store that does not exist yet and saves it. The directory must exist.
    pub fn create(place: &StorePlace, qubes: &Qubes) -> Result<Write, StoreError> {
        place.refuse_beside_qubesd()?;
        if fs::symlink_metadata(&place.file).is_ok() {
            return Err(StoreError::Exists { path: place.file.clone() });
        }
        let format = |source| StoreError::Format { path: place.file.clone(), source };
        let bytes = format::new_store(qubes).map_err(format)?;
        Write::put_new(place, bytes)
    }

    /// Writes a store that does not exist yet.
    fn put_new(place: &StorePlace, bytes: Vec<u8>) -> Result<Write, StoreError> {
        let mut replacement = begin(place)?;
        let lock = fill(&mut replacement, &bytes, &place.file)?;
        replacement.commit_new().map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => StoreError::Exists { path: place.file.clone() },
            _ => StoreError::Io { action: "write", path: place.file.clone(), source },
        })?;
        place.note().leave();
        let version = version_of(lock.file(), &place.file)?;
        let source = Bytes::from(bytes);
        let qubes = parse(source.clone(), &place.file)?;
        Ok(Write { qubes, place: place.clone(), source, saved: None, lock, version, then: None })
    }

    /// Makes what was changed durable. Nothing is written where nothing differs. On an error the file is as it was,
    /// unless the error says that it could only not be proven durable.
    pub fn save(&mut self) -> Result<Saved, StoreError> {
        let path = &self.place.file;
        let changed = format::changed(&self.source, &self.qubes)
            .map_err(|source| StoreError::Format { path: path.clone(), source })?;
        let bytes = content::put_together(changed);
        if *bytes == *self.current() {
            return Ok(Saved::Unchanged);
        }
        self.place.refuse_beside_qubesd()?;
        self.refuse_changed_behind()?;
        history::keep_daily(&self.place.backup_dir, self.access(), self.current(), now())
            .map_err(StoreError::io("copy the store to", &self.place.backup_dir))?;
        self.replace(bytes)?;
        if let Some(then) = self.then.take() {
            then(&self.stamp());
        }
        Ok(Saved::Written)
    }

    /// By what this state of the file can be known again, by another process as well.
    pub fn stamp(&self) -> String {
        let Version { device, inode, size, modified, .. } = self.version;
        format!("{device} {inode} {size} {}.{:09}", modified.0, modified.1)
    }

    /// Has something done after the first save that writes.
    pub fn once_saved(&mut self, then: impl FnOnce(&str) + 'static) {
        self.then = Some(Box::new(then));
    }

    /// Copies the store as it stands to `backup/`, for what is about to convert or repair it. Returns the copy.
    pub fn keep_copy(&self) -> Result<PathBuf, StoreError> {
        let directory = &self.place.backup_dir;
        history::keep(directory, self.access(), self.current(), now())
            .map_err(StoreError::io("copy the store to", directory))
    }

    /// The bytes in the file.
    fn current(&self) -> &[u8] {
        self.saved.as_deref().unwrap_or(&self.source)
    }

    fn access(&self) -> Access {
        Access::shared(self.place.group)
    }

    /// Refuses when the file is not the one that was locked and read: an editor, or whatever does not lock.
    fn refuse_changed_behind(&self) -> Result<(), StoreError> {
        let path = &self.place.file;
        let there = is_still_at(self.lock.file(), path)?;
        if !there || version_of(self.lock.file(), path)?.has_other_content(self.version) {
            return Err(StoreError::ChangedBehind { path: path.clone() });
        }
        Ok(())
    }

    /// Puts `bytes` into place. The new file is locked before it is visible, so that the lock is never open.
    fn replace(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        let path = self.place.file.clone();
        let mut replacement = begin(&self.place)?;
        keep_owner(self.lock.file(), replacement.file()).map_err(StoreError::io("keep the owner of", &path))?;
        let lock = fill(&mut replacement, &bytes, &path)?;
        let committed = replacement.commit();
        // The rename may have happened although what came after it failed.
        if committed.is_ok() || is_still_at(lock.file(), &path)? {
            self.version = version_of(lock.file(), &path)?;
            self.saved = Some(bytes);
            self.lock = lock;
        }
        committed.map(drop).map_err(StoreError::io("write", &path))
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        self.place.note().withdraw();
    }
}

impl Deref for Write {
    type Target = Qubes;

    fn deref(&self) -> &Qubes {
        &self.qubes
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut Qubes {
        &mut self.qubes
    }
}

fn version_of(file: &File, path: &Path) -> Result<Version, StoreError> {
    file.metadata().map(|m| Version::from(&m)).map_err(StoreError::io("read", path))
}

fn begin(place: &StorePlace) -> Result<Replacement, StoreError> {
    Replacement::begin(&place.file, Access::shared(place.group))
        .map_err(StoreError::io("make a temporary file beside", &place.file))
}

/// Writes the content of a replacement and locks it. The lock lives in a duplicate of the descriptor: it outlasts
/// what committing does with the original.
fn fill(replacement: &mut Replacement, bytes: &[u8], path: &Path) -> Result<Locked, StoreError> {
    let write = |replacement: &mut Replacement| {
        replacement.file().write_all(bytes)?;
        let lock = replacement.file().try_clone()?;
        match try_lock(&lock, Exclusivity::Exclusive)? {
            true => Ok(Locked::adopt(lock)),
            false => Err(io::Error::other("somebody has locked the temporary file")),
        }
    };
    write(replacement).map_err(StoreError::io("write", path))
}

/// Root leaves a store that belongs to somebody else to its owner.
fn keep_owner(old: &File, new: &File) -> io::Result<()> {
    let owner = old.metadata()?.uid();
    if geteuid().is_root() && owner != 0 {
        fchown(new, Some(Uid::from_raw(owner)), None)?;
    }
    Ok(())
}

/// Local time, for the names of copies.
fn now() -> jiff::civil::DateTime {
    jiff::Zoned::now().datetime()
}
