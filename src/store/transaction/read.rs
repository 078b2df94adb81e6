//! Reading the store without waiting for anybody.

use std::ops::Deref;
use std::sync::Arc;

use super::stored_file::StoredFile;
use super::{StorePlace, index, same_file};
use crate::format;
use crate::fs::file_lock::{Exclusivity, try_lock, unlock};
use crate::model::Qubes;
use crate::store::error::StoreError;
use crate::store::lock::{Locked, lock_path, open};
use crate::store::version::Version;

/// The store as it was when it was read.
pub struct Read {
    qubes: Qubes,
    stored: Arc<StoredFile>,
    _held: Option<Locked>,
}

impl Read {
    /// Reads the store without waiting for anybody. Writers rename, so what one descriptor gives is one whole
    /// version even where a writer holds the lock.
    pub fn open(place: &StorePlace) -> Result<Read, StoreError> {
        let file = open(&place.file, Exclusivity::Shared)?;
        // Where writers wait, readers that overlap would keep them out for long.
        let locked = place.note().nobody_queues()
            && try_lock(&file, Exclusivity::Shared).map_err(StoreError::io("lock", &place.file))?;
        let stored = Arc::new(StoredFile::unlocked(file, place));
        let read = index(stored.clone(), &place.file);
        if locked {
            let _closed_at_the_end = unlock(&stored.file);
            return Ok(Read { qubes: read?, stored, _held: None });
        }
        // A foreign program may write in place under its lock: then what was read is nothing whole. That a writer of ours
        // renamed meanwhile shows in the change time alone, and is no reason to wait.
        if let (Some(before), Some(after)) = (stored.version(), Version::of(&stored.file))
            && !before.has_other_content(after)
            && let Ok(qubes) = read
        {
            return Ok(Read { qubes, stored, _held: None });
        }
        let locked = lock_path(&place.file, Exclusivity::Shared, place.wait, &place.note())?;
        let stored = Arc::new(StoredFile::unlocked(same_file(&locked, place)?, place));
        Ok(Read { qubes: index(stored.clone(), &place.file)?, stored, _held: None })
    }

    /// Reads the store and keeps writers out until this is dropped. Waits for a writer as a writer would.
    pub fn hold(place: &StorePlace) -> Result<Read, StoreError> {
        let locked = lock_path(&place.file, Exclusivity::Shared, place.wait, &place.note())?;
        let stored = Arc::new(StoredFile::locked(same_file(&locked, place)?));
        Ok(Read { qubes: index(stored.clone(), &place.file)?, stored, _held: Some(locked) })
    }

    /// What an earlier reader has left in RUN under `name` about this very state of the store.
    pub fn remark(&self, name: &str) -> Option<String> {
        self.stored.remark(name)
    }

    /// Leaves in RUN under `name` what was found out about this state of the store, for the next reader. Where that is not
    /// possible, he finds it out for himself.
    pub fn leave_remark(&self, name: &str, text: &str) {
        self.stored.leave_remark(name, text);
    }

    /// Fetches the whole text that the collection was read from.
    ///
    /// # Errors
    /// A piece of it cannot be read.
    pub fn bytes(&self, path: &std::path::Path) -> Result<format::Bytes, StoreError> {
        let fetched = format::fetch_all(&*self.stored);
        fetched.map_err(|source| StoreError::Format { path: path.into(), source })
    }

    /// Why a piece of the file could not be read, if one was looked at that could not. Its qube is then a diagnosis, and
    /// its values are not what is stored.
    pub fn unread(&self) -> Option<&str> {
        self.stored.unread()
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
