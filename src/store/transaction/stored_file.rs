//! A store in its file, for who reads it piece by piece.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::{StoreError, StorePlace, Version, content, lock_path, read_all, refuse_too_large};
use crate::error::words_of;
use crate::format::{self, Bytes, FormatError, Original, Stored};
use crate::model::Qubes;
use crate::store::file_lock::Exclusivity;
use crate::store::remark;

/// An open file with a store. What one descriptor gives is one whole version, because all writers of ours rename.
pub(super) struct StoredFile {
    pub file: File,
    /// Where to read again what a foreign program writes in place, and what the file was before; nothing where nobody
    /// can, because the file is locked.
    pub unlocked: Option<(StorePlace, Option<Version>)>,
    /// Why a piece of it could not be read. Its qube is then a diagnosis, which must never be saved.
    failed: OnceLock<String>,
}

impl StoredFile {
    pub fn new(file: File, unlocked: Option<(StorePlace, Option<Version>)>) -> StoredFile {
        StoredFile { file, unlocked, failed: OnceLock::new() }
    }

    /// Why a piece could not be read, if that happened.
    pub fn unread(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }

    /// What an earlier reader has left under `name` about this state of the store.
    pub fn remark(&self, name: &str) -> Option<String> {
        let (place, version) = self.unlocked.as_ref()?;
        remark::about(&place.run_dir, (*version)?, name)
    }

    /// Leaves a remark about what was read for the next reader.
    pub fn leave_remark(&self, name: &str, text: &str) {
        if let Some((place, Some(version))) = &self.unlocked
            && Version::of(&self.file) == Some(*version)
        {
            remark::leave(&place.run_dir, place.group, *version, name, text);
        }
    }
}

impl Stored for StoredFile {
    fn read_at(&self, piece: &mut [u8], at: usize) -> io::Result<usize> {
        let read = content::read_piece(&self.file, piece, at);
        if let Err(error) = &read {
            self.failed.get_or_init(|| words_of(error));
        }
        read
    }

    fn contents(&self) -> Option<String> {
        self.remark("contents")
    }

    fn keep_contents(&self, table: &str) {
        self.leave_remark("contents", table);
    }

    fn renewed(&self) -> Option<Bytes> {
        let (place, before) = self.unlocked.as_ref()?;
        let is_same = Version::of(&self.file).zip(*before).is_some_and(|(now, before)| !now.has_other_content(before));
        if is_same {
            return None;
        }
        let locked = lock_path(&place.file, Exclusivity::Shared, place.wait, &place.note()).ok()?;
        read_all(locked.file(), &place.file).ok()
    }
}

/// A store that is to be changed, with what it was read from.
pub(super) fn original(stored: Arc<StoredFile>, path: &Path) -> Result<(Qubes, Option<Original>), StoreError> {
    refuse_too_large(&stored.file, path)?;
    opened(stored).map_err(|source| StoreError::Format { path: path.into(), source })
}

/// A store that is to be changed, or one of R1 to R3, which is read only.
pub(super) fn opened(stored: Arc<dyn Stored>) -> Result<(Qubes, Option<Original>), FormatError> {
    match Original::open(stored.clone()) {
        Err(FormatError::OldFormat) => Ok((format::open(stored)?, None)),
        opened => opened.map(|(qubes, original)| (qubes, Some(original))),
    }
}

/// Where the pieces that stay the same are copied from.
pub(super) struct ReadFrom {
    pub file: File,
    /// As it was when it was read.
    pub version: Version,
    /// What knows whether all of it could be read when somebody looked; none where it was read from memory.
    pub stored: Option<Arc<StoredFile>>,
}

impl ReadFrom {
    /// Refuses when a qube was looked at and could not be read: it would be saved as what it is not.
    pub fn refuse_unread(&self, path: &Path) -> Result<(), StoreError> {
        match self.stored.as_ref().and_then(|stored| stored.failed.get()) {
            Some(reason) => Err(StoreError::Unread { path: path.into(), reason: reason.clone() }),
            None => Ok(()),
        }
    }
}
