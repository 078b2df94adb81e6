//! Reading and changing the store: [`Read`] never waits, [`Write`] holds the lock from load to the
//! last save.

mod convert;
mod new_file;
mod read;
mod restore;

use std::fs::{self, File};
use std::io;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::Gid;

use super::cache::{self, Digest};
use super::error::StoreError;
use super::history;
use super::lock::{LockFiles, LockWait, Locked, is_still_at, lock_path};
use super::qubesd;
use super::version::{FileVersion, read_version};
use crate::clock;
use crate::format::{self, Bytes, FormatError, MAX_BYTES, OriginalStore, StoreChanges};
use crate::fs::file_lock::LockMode;
use crate::fs::replace::{Access, retry_interrupted};
use crate::fs::run_directory::RunDirectory;
use crate::model::Qubes;

pub use convert::Companions;
use new_file::{begin, clear_stale_files, fill, keep_owner};
use read::{Content, read_once, read_stable};
pub use read::{Read, read_bytes};
pub use restore::RestoreOutcome;

/// Where a store and what belongs to it lie, and how to treat them.
#[derive(Debug, Clone)]
pub struct StoreLocation {
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
    pub wait: LockWait,
    /// Write although a live qubesd owns the file.
    pub force: bool,
}

impl StoreLocation {
    fn note(&self) -> LockFiles {
        LockFiles::in_run_dir(&self.run_dir, self.group)
    }

    /// Refuses while a qubesd would overwrite what is written.
    fn refuse_beside_qubesd(&self) -> Result<(), StoreError> {
        let Some(socket) = self.qubesd_socket.as_ref().filter(|_| !self.force) else {
            return Ok(());
        };
        match qubesd::is_listening(socket)
            .map_err(StoreError::io("ask whether qubesd runs at", socket))?
        {
            true => Err(StoreError::QubesdRunning {
                path: self.file.clone(),
                socket: socket.clone(),
            }),
            false => Ok(()),
        }
    }
}

fn refuse_too_large(file: &File, path: &Path) -> Result<u64, StoreError> {
    match retry_interrupted(|| file.metadata())
        .map_err(StoreError::io("read", path))?
        .len()
    {
        bytes if bytes > MAX_BYTES as u64 => Err(StoreError::TooLarge {
            path: path.into(),
            bytes,
        }),
        bytes => Ok(bytes),
    }
}

/// A store that is to be changed; of one of R1 to R3, which is only read, there is no original.
fn opened(bytes: &Bytes) -> Result<(Qubes, Option<OriginalStore>), FormatError> {
    match OriginalStore::open(Arc::new(bytes.clone())) {
        Err(FormatError::OldFormat) => Ok((format::open(Arc::new(bytes.clone()))?, None)),
        opened => opened.map(|(qubes, original)| (qubes, Some(original))),
    }
}

/// What a save did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaveOutcome {
    /// The new content is in the file.
    Written,
    /// Nothing differed, so nothing was written.
    Unchanged,
}

/// The store under the exclusive lock, to be changed and saved, more than once if need be. The lock
/// is given back when this is dropped; what was not saved is forgotten.
pub struct Write {
    qubes: Qubes,
    place: StoreLocation,
    /// What the collection was read from. None of a store of R1 to R3.
    original: Option<OriginalStore>,
    /// The bytes that it was read from, and what was said about them.
    content: Content,
    /// How what stands in the file differs from that.
    saved: StoreChanges,
    /// The store as it lies there, locked.
    lock: Locked,
    version: FileVersion,
    /// Of a store of R1 to R3: what is to be converted beside it.
    companions: Option<Box<dyn Companions>>,
    then: Option<AfterSave>,
    check: Option<BeforeSave>,
    /// Of the content that was saved last.
    digest: Option<Digest>,
}

/// What is to be done once, after the first save that wrote something.
type AfterSave = Box<dyn FnOnce(&Write)>;

/// Decides whether what was changed may be saved: the collection as it is, and how it was read,
/// fetched when it is asked for. An error is why not.
type BeforeSave = Box<dyn Fn(&Qubes, &dyn Fn() -> Result<Qubes, StoreError>) -> Result<(), String>>;

impl Write {
    /// Takes the exclusive lock, waiting at most [`StoreLocation::wait`], and reads the store. One of
    /// R1 to R3 can be saved only after [`Write::convert_with`].
    pub fn open(place: &StoreLocation) -> Result<Write, StoreError> {
        let (place, lock, version) = Write::take(place)?;
        Write::over(place, lock, version)
    }

    /// The store in the file that is locked.
    fn over(place: StoreLocation, lock: Locked, version: FileVersion) -> Result<Write, StoreError> {
        let bytes = read_stable(lock.file(), &place.file)?;
        Write::with(place, lock, version, bytes)
    }

    /// The locked file with the content that stands in it, or is about to.
    fn with(
        place: StoreLocation,
        lock: Locked,
        version: FileVersion,
        bytes: Bytes,
    ) -> Result<Write, StoreError> {
        let wrong = |source| StoreError::Format {
            path: place.file.clone(),
            source,
        };
        let (qubes, original) = opened(&bytes).map_err(wrong)?;
        let content = Content::new(bytes, &place);
        let (saved, companions, digest) = (StoreChanges::default(), None, None);
        let (then, check) = (None, None);
        Ok(Write {
            qubes,
            place,
            original,
            content,
            saved,
            lock,
            version,
            companions,
            then,
            check,
            digest,
        })
    }

    /// The store with its links resolved, locked, whatever it holds.
    fn take(place: &StoreLocation) -> Result<(StoreLocation, Locked, FileVersion), StoreError> {
        let mut place = place.clone();
        // A rename must not replace a link.
        place.file = retry_interrupted(|| fs::canonicalize(&place.file)).map_err(|source| {
            match source.kind() {
                io::ErrorKind::NotFound => StoreError::missing(&place.file),
                _ => StoreError::Io {
                    action: "find",
                    path: place.file.clone(),
                    source,
                },
            }
        })?;
        place.refuse_beside_qubesd()?;
        let lock = lock_path(&place.file, LockMode::Exclusive, place.wait, &place.note())?;
        place.note().leave();
        let version = read_version(lock.file(), &place.file)?;
        Ok((place, lock, version))
    }

    /// Makes a store that does not exist yet and saves it. The directory must exist.
    pub fn create(place: &StoreLocation, qubes: &Qubes) -> Result<Write, StoreError> {
        place.refuse_beside_qubesd()?;
        if fs::symlink_metadata(&place.file).is_ok() {
            return Err(StoreError::Exists {
                path: place.file.clone(),
            });
        }
        let format = |source| StoreError::Format {
            path: place.file.clone(),
            source,
        };
        let bytes = format::write_new(qubes).map_err(format)?;
        format::check(&bytes).map_err(format)?;
        Write::put_new(place, bytes)
    }

    /// Writes a store that does not exist yet.
    fn put_new(place: &StoreLocation, bytes: Vec<u8>) -> Result<Write, StoreError> {
        clear_stale_files(&place.file);
        let mut replacement = begin(place)?;
        let lock = fill(&mut replacement, &bytes, &place.file)?;
        let version = read_version(lock.file(), &place.file)?;
        let store = Write::over(place.clone(), lock, version)?;
        let published = replacement.sync().and_then(|()| replacement.publish_new());
        let published = published.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => StoreError::Exists {
                path: place.file.clone(),
            },
            _ => StoreError::Io {
                action: "write",
                path: place.file.clone(),
                source,
            },
        })?;
        place.note().leave();
        published.make_durable().map_err(not_proven(&place.file))?;
        Ok(store)
    }

    /// Makes what was changed durable. Nothing is written where nothing differs. On an error the
    /// file is as it was, but for [`StoreError::NotDurable`]: then the change is in place and
    /// a power loss may take it back. A store of R1 to R3 is converted, with or without a change.
    pub fn save(&mut self) -> Result<SaveOutcome, StoreError> {
        let Some(original) = &self.original else {
            return self.save_converted();
        };
        let path = &self.place.file;
        let wrong = |source| StoreError::Format {
            path: path.clone(),
            source,
        };
        let changed = original.changes(&self.qubes).map_err(wrong)?;
        if changed == self.saved {
            return Ok(SaveOutcome::Unchanged);
        }
        if let Some(check) = &self.check {
            let refused = |reason| StoreError::Refused {
                path: path.clone(),
                reason,
            };
            check(&self.qubes, &|| self.as_read()).map_err(refused)?;
        }
        let new =
            format::apply_changes(&self.content.bytes, &changed, &self.qubes).map_err(wrong)?;
        self.place.refuse_beside_qubesd()?;
        self.refuse_changed_behind()?;
        history::write_daily_copy(
            &self.place.backup_dir,
            self.access(),
            || self.before_save(),
            clock::now().datetime(),
        )
        .map_err(StoreError::io("copy the store to", &self.place.backup_dir))?;
        let durable = self.replace(&new)?;
        self.saved = changed;
        durable?;
        if let Some(then) = self.then.take() {
            then(self);
        }
        Ok(SaveOutcome::Written)
    }

    /// What somebody has left in RUN under `name` about the store as it was opened.
    pub fn read_cache(&self, name: &str) -> Option<String> {
        self.content.read_cache(name)
    }

    /// Leaves in RUN under `name` what is known of the store as it was saved. Where that is not
    /// possible, the next command finds out by itself.
    pub fn write_cache(&self, name: &str, text: &str) {
        if let Some(digest) = self.digest {
            cache::write(&self.place, digest, name, text);
        }
    }

    /// Has each save asked for first, when it would write something.
    pub fn check_before_save(
        &mut self,
        check: impl Fn(&Qubes, &dyn Fn() -> Result<Qubes, StoreError>) -> Result<(), String> + 'static,
    ) {
        self.check = Some(Box::new(check));
    }

    /// The collection as it was read.
    fn as_read(&self) -> Result<Qubes, StoreError> {
        let wrong = |source| StoreError::Format {
            path: self.place.file.clone(),
            source,
        };
        opened(&self.content.bytes)
            .map(|(qubes, _)| qubes)
            .map_err(wrong)
    }

    /// Has something done after the first save that writes.
    pub fn after_first_save(&mut self, then: impl FnOnce(&Write) + 'static) {
        self.then = Some(Box::new(then));
    }

    /// Copies the store as it stands to `backup/`, for what is about to convert or repair it.
    /// Returns the copy.
    pub fn back_up(&self) -> Result<PathBuf, StoreError> {
        let (directory, bytes) = (&self.place.backup_dir, self.current()?);
        history::write_copy(directory, self.access(), &bytes, clock::now().datetime())
            .map_err(StoreError::io("copy the store to", directory))
    }

    /// What stands in the file when nothing has changed it behind our back.
    fn before_save(&self) -> io::Result<Bytes> {
        match self.saved == StoreChanges::default() {
            true => Ok(self.content.bytes.clone()),
            false => self.current().map_err(io::Error::other),
        }
    }

    /// The bytes in the file, whatever they mean: what is no store may still hold what somebody
    /// needs.
    ///
    /// # Errors
    /// It is longer than any store. A file without content may have any length, so it is neither
    /// read nor copied.
    fn current(&self) -> Result<Bytes, StoreError> {
        read_once(self.lock.file(), &self.place.file)
    }

    fn access(&self) -> Access {
        Access::shared(self.place.group)
    }

    /// Refuses when the file is not the one that was locked and read: an editor, or whatever does
    /// not lock.
    fn refuse_changed_behind(&self) -> Result<(), StoreError> {
        let path = &self.place.file;
        let there = is_still_at(self.lock.file(), path)?;
        // A link to the same file would be replaced, and the file behind it not.
        let became_link = fs::symlink_metadata(path).is_ok_and(|m| m.is_symlink());
        let was_edited = read_version(self.lock.file(), path)?.has_other_content(self.version);
        if !there || became_link || was_edited {
            return Err(StoreError::ChangedWithoutLock { path: path.clone() });
        }
        Ok(())
    }

    /// Puts `new` into place. The new file is locked before it is visible, so that the lock is
    /// never open. Returns whether it is proven to be durable ([`StoreError::NotDurable`]).
    fn replace(&mut self, new: &[u8]) -> Result<Result<(), StoreError>, StoreError> {
        let path = self.place.file.clone();
        // What a kill left behind may be what fills the disk, so it goes first.
        clear_stale_files(&path);
        cache::clear_stale_files(&self.place.run_dir);
        let mut replacement = begin(&self.place)?;
        keep_owner(self.lock.file(), replacement.file(), self.place.group)
            .map_err(StoreError::io("keep the owner of", &path))?;
        let lock = fill(&mut replacement, new, &path)?;
        replacement.sync().map_err(StoreError::io("write", &path))?;
        let version = read_version(lock.file(), &path)?;
        // Writing and syncing took their time, and who edits in place may have changed what this
        // was made of.
        self.refuse_changed_behind()?;
        let durable = match replacement.publish() {
            Ok(published) => published.make_durable().map(drop),
            // There are file systems that fail after they have renamed.
            Err(error) if is_still_at(lock.file(), &path).unwrap_or(false) => Err(error),
            Err(error) => return Err(StoreError::io("write", &path)(error)),
        };
        self.version = read_version(lock.file(), &path).unwrap_or(version);
        self.lock = lock;
        self.digest = Some(Digest::new(new));
        Ok(durable.map_err(not_proven(&path)))
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

fn not_proven(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::NotDurable {
        path: path.to_path_buf(),
        source,
    }
}
