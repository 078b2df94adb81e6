//! The transactions of the store: [`Read`] does not wait for writers, [`Write`] holds the lock from
//! loading to the last save.

mod convert;
mod new_file;
mod read;
mod restore;

use std::fs;
use std::io;
use std::mem;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cache::{self, Digest};
use super::error::StoreError;
use super::history;
use super::location::StoreLocation;
use super::lock::{Locked, is_still_at, lock_path};
use super::version::{FileVersion, read_version};
use crate::clock;
use crate::format::{self, Bytes, FormatError, OriginalStore, StoreChanges};
use crate::fs::file_lock::LockMode;
use crate::fs::replace::{Access, retry_interrupted};
use crate::model::{Draft, Qubes};

pub use convert::Companions;
use new_file::{begin, clear_stale_files, fill, keep_owner};
use read::{Content, read_once, read_stable};
pub use read::{Read, read_bytes};
pub use restore::RestoreOutcome;

/// Loads a store that is to be changed. There is no original for a store of R1 to R3, which is only
/// read.
fn open_original(bytes: &Bytes) -> Result<(Qubes, Option<OriginalStore>), FormatError> {
    match OriginalStore::open(bytes) {
        Err(FormatError::OldFormat) => Ok((format::read(bytes.clone())?, None)),
        opened => opened.map(|(qubes, original)| (qubes, Some(original))),
    }
}

/// Whether a save wrote the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaveOutcome {
    /// The changes were written.
    Written,
    /// Nothing had changed, so nothing was written.
    Unchanged,
}

/// The store under the exclusive lock, to be changed and saved any number of times. Dropping this
/// releases the lock and discards unsaved changes.
pub struct Write {
    draft: Draft,
    place: StoreLocation,
    /// The document that the collection was read from; `None` for a store of R1 to R3.
    original: Option<OriginalStore>,
    /// The bytes that the collection was read from.
    content: Content,
    /// The changes that were saved since then.
    saved: StoreChanges,
    /// The file that is the store now, locked.
    lock: Locked,
    version: FileVersion,
    /// The files to be converted together with a store of R1 to R3.
    companions: Option<Box<dyn Companions>>,
    after_save: Option<AfterSave>,
    check: Option<SaveCheck>,
    /// The digest of the content that was saved last.
    digest: Option<Digest>,
}

/// An action to run once, after the first save that wrote something.
type AfterSave = Box<dyn FnOnce(&Write)>;

/// Decides whether the changes may be saved. Its arguments are the changed collection and a
/// function that loads the original one. An error is the reason for the refusal.
type SaveCheck = Box<dyn Fn(&Qubes, &dyn Fn() -> Result<Qubes, StoreError>) -> Result<(), String>>;

impl Write {
    /// Takes the exclusive lock, waiting at most [`StoreLocation::wait`], and reads the store. A
    /// store of R1 to R3 can be saved only after [`Write::convert_with`].
    pub fn open(place: &StoreLocation) -> Result<Write, StoreError> {
        let (place, lock, version) = Write::lock(place)?;
        Write::read_locked(place, lock, version)
    }

    /// Reads the store from the file that is locked.
    fn read_locked(
        place: StoreLocation,
        lock: Locked,
        version: FileVersion,
    ) -> Result<Write, StoreError> {
        let bytes = read_stable(lock.file(), &place.file)?;
        Write::from_bytes(place, lock, version, bytes)
    }

    /// Loads the store from bytes that are in the locked file, or will replace it.
    fn from_bytes(
        place: StoreLocation,
        lock: Locked,
        version: FileVersion,
        bytes: Bytes,
    ) -> Result<Write, StoreError> {
        let wrong = StoreError::format(&place.file);
        let (qubes, original) = open_original(&bytes).map_err(wrong)?;
        let content = Content::new(bytes, &place);
        let (saved, companions, digest) = (StoreChanges::default(), None, None);
        let (after_save, check) = (None, None);
        Ok(Write {
            draft: Draft::new(qubes),
            place,
            original,
            content,
            saved,
            lock,
            version,
            companions,
            after_save,
            check,
            digest,
        })
    }

    /// Resolves links and locks the file, without reading it.
    fn lock(place: &StoreLocation) -> Result<(StoreLocation, Locked, FileVersion), StoreError> {
        let mut place = place.clone();
        // The save must replace the file, not a link to it.
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
        let lock = lock_path(
            &place.file,
            LockMode::Exclusive,
            place.wait,
            &place.lock_files(),
        )?;
        place.lock_files().write_holder();
        let version = read_version(lock.file(), &place.file)?;
        Ok((place, lock, version))
    }

    /// Creates a new store and saves it. The directory must exist.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if there is a file already; a running qubesd owns the file, or it
    /// cannot be written.
    pub fn create(place: &StoreLocation, qubes: &Qubes) -> Result<Write, StoreError> {
        place.refuse_beside_qubesd()?;
        if fs::symlink_metadata(&place.file).is_ok() {
            return Err(StoreError::Exists {
                path: place.file.clone(),
            });
        }
        let format = StoreError::format(&place.file);
        let bytes = format::write_new(qubes).map_err(format)?;
        format::check(&bytes).map_err(format)?;
        Write::write_new(place, bytes)
    }

    /// Writes a new store.
    fn write_new(place: &StoreLocation, bytes: Vec<u8>) -> Result<Write, StoreError> {
        clear_stale_files(&place.file);
        let mut replacement = begin(place)?;
        let lock = fill(&mut replacement, &bytes, &place.file)?;
        let version = read_version(lock.file(), &place.file)?;
        let store = Write::read_locked(place.clone(), lock, version)?;
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
        place.lock_files().write_holder();
        published.make_durable().map_err(not_durable(&place.file))?;
        Ok(store)
    }

    /// Returns the collection as the next save writes it, for the decisions of [`crate::model`].
    pub fn draft(&mut self) -> &mut Draft {
        &mut self.draft
    }

    /// Releases the lock and returns the collection: as it was saved, after a save.
    pub fn into_qubes(mut self) -> Qubes {
        mem::take(&mut self.draft).into_qubes()
    }

    /// Saves the changes durably. Writes nothing if nothing has changed. A store of R1 to R3 is
    /// converted, changed or not.
    ///
    /// # Errors
    /// The file is unchanged after an error, except [`StoreError::NotDurable`]: then the change is
    /// in place, but a power loss may undo it.
    pub fn save(&mut self) -> Result<SaveOutcome, StoreError> {
        let Some(original) = &self.original else {
            return self.save_converted();
        };
        let path = &self.place.file;
        let wrong = StoreError::format(path);
        let changed = original.changes(&self.draft).map_err(wrong)?;
        if changed == self.saved {
            return Ok(SaveOutcome::Unchanged);
        }
        if let Some(check) = &self.check {
            let refused = |reason| StoreError::Refused {
                path: path.clone(),
                reason,
            };
            check(&self.draft, &|| self.load_original()).map_err(refused)?;
        }
        let new =
            format::apply_changes(&self.content.bytes, &changed, &self.draft).map_err(wrong)?;
        self.place.refuse_beside_qubesd()?;
        self.refuse_unlocked_change()?;
        history::write_daily_copy(
            &self.place.backup_dir,
            self.access(),
            || self.bytes_before_save().map(Arc::unwrap_or_clone),
            clock::now().datetime(),
        )
        .map_err(StoreError::io("copy the store to", &self.place.backup_dir))?;
        let durable = self.replace(&new)?;
        self.saved = changed;
        durable?;
        if let Some(after_save) = self.after_save.take() {
            after_save(self);
        }
        Ok(SaveOutcome::Written)
    }

    /// Returns what is cached in RUN under `name` about the store as it was opened.
    pub fn read_cache(&self, name: &str) -> Option<String> {
        self.content.read_cache(name)
    }

    /// Spares the next save the check that the original is well-formed, for a caller that has a
    /// cache entry of a store that passed it.
    pub fn assume_checked(&self) {
        if let Some(original) = &self.original {
            original.assume_checked();
        }
    }

    /// Caches in RUN under `name` what is known about the store as it was saved. An error is
    /// ignored: the next command then finds out by itself.
    pub fn write_cache(&self, name: &str, text: &str) {
        if let Some(digest) = self.digest {
            cache::write(&self.place, digest, name, text);
        }
    }

    /// Sets the check that runs before each save that would write something. It gets the changed
    /// collection and a function that loads the original one; its error refuses the save.
    pub fn check_before_save<C>(&mut self, check: C)
    where
        C: Fn(&Qubes, &dyn Fn() -> Result<Qubes, StoreError>) -> Result<(), String> + 'static,
    {
        self.check = Some(Box::new(check));
    }

    /// Loads the collection again as it was when the store was opened.
    fn load_original(&self) -> Result<Qubes, StoreError> {
        let wrong = StoreError::format(&self.place.file);
        open_original(&self.content.bytes)
            .map(|(qubes, _)| qubes)
            .map_err(wrong)
    }

    /// Sets an action to run once, after the first save that writes something.
    pub fn after_first_save(&mut self, action: impl FnOnce(&Write) + 'static) {
        self.after_save = Some(Box::new(action));
    }

    /// Copies the store as it is in the file to `backup/`, for callers that convert or repair it.
    /// Returns the path of the copy.
    pub fn back_up(&self) -> Result<PathBuf, StoreError> {
        let (directory, bytes) = (&self.place.backup_dir, self.read_file()?);
        history::write_copy(directory, self.access(), &bytes, clock::now().datetime())
            .map_err(StoreError::io("copy the store to", directory))
    }

    /// Returns the content of the file, without reading it again if nothing was saved yet.
    fn bytes_before_save(&self) -> io::Result<Bytes> {
        match self.saved == StoreChanges::default() {
            true => Ok(self.content.bytes.clone()),
            false => self.read_file().map_err(io::Error::other),
        }
    }

    /// Reads the bytes in the file. They need not be a valid store: a damaged one is worth a copy.
    ///
    /// # Errors
    /// The file is longer than a store can be. A sparse file may have any length, so it is neither
    /// read nor copied.
    fn read_file(&self) -> Result<Bytes, StoreError> {
        read_once(self.lock.file(), &self.place.file)
    }

    fn access(&self) -> Access {
        Access::shared(self.place.group)
    }

    /// Returns an error if the file is not the one that was locked and read: an editor, or another
    /// program that does not lock it, has changed it.
    fn refuse_unlocked_change(&self) -> Result<(), StoreError> {
        let path = &self.place.file;
        let is_in_place = is_still_at(self.lock.file(), path)?;
        // If the path is now a link to the file, the rename would replace the link.
        let became_link = fs::symlink_metadata(path).is_ok_and(|m| m.is_symlink());
        let was_edited = read_version(self.lock.file(), path)?.has_other_content(self.version);
        if !is_in_place || became_link || was_edited {
            return Err(StoreError::ChangedWithoutLock { path: path.clone() });
        }
        Ok(())
    }

    /// Replaces the file by one with content `new`. The new file is locked before it is visible, so
    /// no other process can take the lock in between. The inner result is
    /// [`StoreError::NotDurable`] if the file is in place but could not be synced.
    fn replace(&mut self, new: &[u8]) -> Result<Result<(), StoreError>, StoreError> {
        let path = self.place.file.clone();
        // Stale temporary files may be what fills the disk, so they are removed first.
        clear_stale_files(&path);
        cache::clear_stale_files(&self.place.run_dir);
        let mut replacement = begin(&self.place)?;
        keep_owner(self.lock.file(), replacement.file(), self.place.group)
            .map_err(StoreError::io("keep the owner of", &path))?;
        let lock = fill(&mut replacement, new, &path)?;
        replacement.sync().map_err(StoreError::io("write", &path))?;
        let version = read_version(lock.file(), &path)?;
        // Writing and syncing may take long, and an editor may have changed the old file meanwhile.
        self.refuse_unlocked_change()?;
        let durable = match replacement.publish() {
            Ok(published) => published.make_durable().map(drop),
            // Some file systems report an error after they have renamed.
            Err(error) if is_still_at(lock.file(), &path).unwrap_or(false) => Err(error),
            Err(error) => return Err(StoreError::io("write", &path)(error)),
        };
        self.version = read_version(lock.file(), &path).unwrap_or(version);
        self.lock = lock;
        self.digest = Some(Digest::new(new));
        Ok(durable.map_err(not_durable(&path)))
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        self.place.lock_files().clear_holder();
    }
}

impl Deref for Write {
    type Target = Qubes;

    fn deref(&self) -> &Qubes {
        &self.draft
    }
}

/// Returns a function that wraps an error of syncing into [`StoreError::NotDurable`].
fn not_durable(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::NotDurable {
        path: path.to_path_buf(),
        source,
    }
}
