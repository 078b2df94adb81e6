//! Reading and changing the store: [`Read`] never waits, [`Write`] holds the lock from load to the last save.

mod convert;
mod new_file;
mod read;
mod restore;
mod stored_file;

use std::fs::{self, File};
use std::io::{self, Seek as _, Write as _};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::Gid;

use super::content;
use super::error::StoreError;
use super::history;
use super::lock::{HolderNote, Locked, Wait, is_still_at, lock_path, open};
use super::qubesd;
use super::remark;
use super::version::{Version, set_apart, version_of};
use crate::format::{self, Bytes, Changed, FormatError, MAX_BYTES, Original};
use crate::fs::file_lock::Exclusivity;
use crate::fs::replace::{Access, uninterrupted};
use crate::fs::run_directory::RunDirectory;
use crate::model::Qubes;

pub use convert::Companions;
use new_file::{begin, clear_stale_files, fill, keep_owner};
pub use read::Read;
pub use restore::Restored;
use stored_file::{CONTENTS, ReadFrom, StoredFile, original};

/// Where a store and what belongs to it lie, and how to treat them.
#[derive(Debug, Clone)]
pub struct StorePlace {
    /// qubes.xml.
    pub file: PathBuf,
    /// Where lock notes go: RUN.
    pub run_dir: RunDirectory,
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
        let Some(socket) = self.qubesd_socket.as_ref().filter(|_| !self.force) else { return Ok(()) };
        match qubesd::answers_at(socket).map_err(StoreError::io("ask whether qubesd runs at", socket))? {
            true => Err(StoreError::QubesdLives { path: self.file.clone(), socket: socket.clone() }),
            false => Ok(()),
        }
    }
}

/// The bytes of a store or of a copy, whatever they mean; waits for nobody.
pub fn read_bytes(path: &Path) -> Result<Bytes, StoreError> {
    read_all(&open(path, Exclusivity::Shared)?, path)
}

/// Finds the domains; they are fetched when somebody looks at them.
fn index(stored: Arc<StoredFile>, path: &Path) -> Result<Qubes, StoreError> {
    refuse_too_large(&stored.file, path)?;
    format::open(stored).map_err(|source| StoreError::Format { path: path.into(), source })
}

/// A descriptor of its own for the file that is locked.
fn same_file(locked: &Locked, place: &StorePlace) -> Result<File, StoreError> {
    uninterrupted(|| locked.file().try_clone()).map_err(StoreError::io("read", &place.file))
}

fn refuse_too_large(file: &File, path: &Path) -> Result<u64, StoreError> {
    match uninterrupted(|| file.metadata()).map_err(StoreError::io("read", path))?.len() {
        bytes if bytes > MAX_BYTES as u64 => {
            Err(StoreError::Format { path: path.into(), source: FormatError::TooLarge { bytes } })
        }
        bytes => Ok(bytes),
    }
}

fn read_all(file: &File, path: &Path) -> Result<Bytes, StoreError> {
    let size = refuse_too_large(file, path)?;
    content::read_whole(file, size as usize).map_err(StoreError::io("read", path))
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
    /// What the collection was read from, and the file that it still lies in. None of a store of R1 to R3.
    original: Option<Original>,
    read_from: ReadFrom,
    /// How what stands in the file differs from that.
    saved: Changed,
    /// The store as it lies there, locked.
    lock: Locked,
    version: Version,
    /// Of a store of R1 to R3: what is to be converted beside it.
    companions: Option<Box<dyn Companions>>,
    then: Option<AfterSave>,
    /// Whether the file, as it was saved, is known by its time from any content that comes after.
    is_apart: bool,
}

/// What is to be done once, after the first save that wrote something.
type AfterSave = Box<dyn FnOnce(&Write)>;

impl Write {
    /// Takes the exclusive lock, waiting at most [`StorePlace::wait`], and reads the store. One of R1 to R3 can be saved
    /// only after [`Write::convert_with`].
    pub fn open(place: &StorePlace) -> Result<Write, StoreError> {
        let (place, lock, version) = Write::take(place)?;
        Write::over(place, lock, version)
    }

    /// The store in the file that is locked.
    fn over(place: StorePlace, lock: Locked, version: Version) -> Result<Write, StoreError> {
        let stored = Arc::new(StoredFile::to_change(same_file(&lock, &place)?, &place, version));
        let content = original(stored.clone(), &place.file)?;
        Write::with(place, lock, version, content, Some(stored))
    }

    /// The locked file with the content that stands in it, or is about to.
    fn with(
        place: StorePlace,
        lock: Locked,
        version: Version,
        (qubes, original): (Qubes, Option<Original>),
        stored: Option<Arc<StoredFile>>,
    ) -> Result<Write, StoreError> {
        let read_from = ReadFrom { file: same_file(&lock, &place)?, version, stored };
        let (saved, companions, then, is_apart) = (Changed::default(), None, None, false);
        Ok(Write { qubes, place, original, read_from, saved, lock, version, companions, then, is_apart })
    }

    /// The store with its links resolved, locked, whatever it holds.
    fn take(place: &StorePlace) -> Result<(StorePlace, Locked, Version), StoreError> {
        let mut place = place.clone();
        // A rename must not replace a link.
        place.file = uninterrupted(|| fs::canonicalize(&place.file)).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => StoreError::missing(&place.file),
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
        clear_stale_files(&place.file);
        let mut replacement = begin(place)?;
        let lock = fill(&mut replacement, |file| file.write_all(&bytes), &place.file)?;
        let version = version_of(lock.file(), &place.file)?;
        let store = Write::over(place.clone(), lock, version)?;
        let published = replacement.sync().and_then(|()| replacement.publish_new());
        let published = published.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => StoreError::Exists { path: place.file.clone() },
            _ => StoreError::Io { action: "write", path: place.file.clone(), source },
        })?;
        place.note().leave();
        published.make_durable().map_err(not_proven(&place.file))?;
        Ok(store)
    }

    /// Makes what was changed durable. Nothing is written where nothing differs. On an error the file is as it was,
    /// but for [`StoreError::NotProvenDurable`]: then the change is in place and a power loss may take it back. A store
    /// of R1 to R3 is converted, with or without a change.
    pub fn save(&mut self) -> Result<Saved, StoreError> {
        let Some(original) = &self.original else {
            return self.save_converted();
        };
        let path = &self.place.file;
        self.read_from.refuse_unread(path)?;
        let changed =
            original.changed(&self.qubes).map_err(|source| StoreError::Format { path: path.clone(), source })?;
        if changed == self.saved {
            return Ok(Saved::Unchanged);
        }
        self.place.refuse_beside_qubesd()?;
        self.refuse_changed_behind()?;
        history::keep_daily(&self.place.backup_dir, self.access(), || self.current(), now())
            .map_err(StoreError::io("copy the store to", &self.place.backup_dir))?;
        let old = uninterrupted(|| self.read_from.file.try_clone()).map_err(StoreError::io("read", path))?;
        let replaced = self.replace(|new| content::write_changed(&changed, &old, new))?;
        self.leave_contents(&changed, replaced.file);
        self.saved = changed;
        replaced.durable?;
        if let Some(then) = self.then.take() {
            then(self);
        }
        Ok(Saved::Written)
    }

    /// Tells who comes next where the domains lie now, so that nobody looks who need not.
    fn leave_contents(&self, changed: &Changed, file: File) {
        if let Some(original) = self.original.as_ref().filter(|_| self.is_apart && self.place.run_dir.open().is_ok())
            && let Some(table) = original.contents_of(&StoredFile::locked(file), changed)
        {
            self.leave_remark(CONTENTS, &table);
        }
    }

    /// What somebody has left in RUN under `name` about the store as it was opened.
    pub fn remark(&self, name: &str) -> Option<String> {
        self.read_from.stored.as_ref()?.remark(name)
    }

    /// Leaves in RUN under `name` what is known of the store as it was saved. Where that is not possible, who wants to
    /// know finds it out for himself.
    pub fn leave_remark(&self, name: &str, text: &str) {
        if self.is_apart {
            remark::leave_at_once(&self.place.run_dir, self.place.group, self.version, name, text);
        }
    }

    /// By what this state of the file can be known again, by another process as well.
    pub fn stamp(&self) -> String {
        self.version.of_content()
    }

    /// Has something done after the first save that writes.
    pub fn once_saved(&mut self, then: impl FnOnce(&Write) + 'static) {
        self.then = Some(Box::new(then));
    }

    /// Copies the store as it stands to `backup/`, for what is about to convert or repair it. Returns the copy.
    pub fn keep_copy(&self) -> Result<PathBuf, StoreError> {
        let directory = &self.place.backup_dir;
        self.current()
            .and_then(|bytes| history::keep(directory, self.access(), &bytes, now()))
            .map_err(StoreError::io("copy the store to", directory))
    }

    /// The bytes in the file, however many: what is no store may still hold what somebody needs.
    fn current(&self) -> io::Result<Bytes> {
        let mut file = self.lock.file();
        uninterrupted(|| file.rewind())?;
        content::read_whole(file, 0)
    }

    fn access(&self) -> Access {
        Access::shared(self.place.group)
    }

    /// Refuses when the file is not the one that was locked and read: an editor, or whatever does not lock.
    fn refuse_changed_behind(&self) -> Result<(), StoreError> {
        let path = &self.place.file;
        let there = is_still_at(self.lock.file(), path)?;
        // A link to the same file would be replaced, and the file behind it not.
        let became_link = fs::symlink_metadata(path).is_ok_and(|m| m.is_symlink());
        let was_edited = version_of(self.lock.file(), path)?.has_other_content(self.version)
            || version_of(&self.read_from.file, path)?.has_other_content(self.read_from.version);
        if !there || became_link || was_edited {
            return Err(StoreError::ChangedBehind { path: path.clone() });
        }
        Ok(())
    }

    /// Puts what `put` writes into place. The new file is locked before it is visible, so that the lock is
    /// never open.
    fn replace(&mut self, put: impl FnOnce(&mut File) -> io::Result<()>) -> Result<Replaced, StoreError> {
        let path = self.place.file.clone();
        // What a kill left behind may be what fills the disk, so it goes first.
        clear_stale_files(&path);
        remark::clear_stale_files(&self.place.run_dir);
        let mut replacement = begin(&self.place)?;
        keep_owner(self.lock.file(), replacement.file(), self.place.group)
            .map_err(StoreError::io("keep the owner of", &path))?;
        let lock = fill(&mut replacement, put, &path)?;
        let file = same_file(&lock, &self.place)?;
        replacement.sync().map_err(StoreError::io("write", &path))?;
        self.is_apart = set_apart(lock.file());
        let version = version_of(lock.file(), &path)?;
        // Copying and syncing took their time, and who edits in place may have changed what was copied.
        self.refuse_changed_behind()?;
        let durable = match replacement.publish() {
            Ok(published) => published.make_durable().map(drop),
            // There are file systems that fail after they have renamed.
            Err(error) if is_still_at(lock.file(), &path).unwrap_or(false) => Err(error),
            Err(error) => return Err(StoreError::io("write", &path)(error)),
        };
        self.version = version_of(lock.file(), &path).unwrap_or(version);
        self.lock = lock;
        Ok(Replaced { file, durable: durable.map_err(not_proven(&path)) })
    }
}

/// The store after it was replaced.
struct Replaced {
    file: File,
    /// [`StoreError::NotProvenDurable`]
    durable: Result<(), StoreError>,
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

fn not_proven(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::NotProvenDurable { path: path.to_path_buf(), source }
}

/// Local time, for the names of copies.
fn now() -> jiff::civil::DateTime {
    jiff::Zoned::now().datetime()
}
