//! A store in its file, for who reads it piece by piece.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::{StoreError, StorePlace, Version, content, lock_path, read_all, refuse_too_large};
use crate::format::{self, Bytes, FormatError, Original, Stored};
use crate::fs::errno_text;
use crate::fs::file_lock::Exclusivity;
use crate::model::Qubes;
use crate::store::remark::{self, Remark};

/// The remark that says where the domains lie.
pub(super) const CONTENTS: &str = "contents";

/// An open file with a store. What one descriptor gives is one whole version, because all writers of ours rename.
pub(super) struct StoredFile {
    pub file: File,
    /// Where it lies, and what it was when it was opened; nothing of one that is not to be remarked upon.
    place: Option<(StorePlace, Option<Version>)>,
    /// Whether a foreign program may write in place meanwhile: then it is read again.
    unlocked: bool,
    /// Whether a remark says that the file was set apart.
    is_apart: AtomicBool,
    /// Why a piece of it could not be read. Its qube is then a diagnosis, which must never be saved.
    failed: OnceLock<String>,
}

impl StoredFile {
    /// One that nobody can change.
    pub fn locked(file: File) -> StoredFile {
        StoredFile { file, place: None, unlocked: false, is_apart: AtomicBool::new(false), failed: OnceLock::new() }
    }

    /// One that is to be changed, in this state.
    pub fn to_change(file: File, place: &StorePlace, version: Version) -> StoredFile {
        StoredFile { place: Some((place.clone(), Some(version))), ..StoredFile::locked(file) }
    }

    /// One that a foreign program may change.
    pub fn unlocked(file: File, place: &StorePlace) -> StoredFile {
        let version = Version::of(&file);
        StoredFile { place: Some((place.clone(), version)), unlocked: true, ..StoredFile::locked(file) }
    }

    /// What the file was when it was opened.
    pub fn version(&self) -> Option<Version> {
        self.place.as_ref()?.1
    }

    /// Why a piece could not be read, if that happened.
    pub fn unread(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }

    /// What an earlier reader has left under `name` about this state of the store.
    pub fn remark(&self, name: &str) -> Option<String> {
        let (place, version) = self.place.as_ref()?;
        let Remark { text, is_apart } = remark::about(&place.run_dir, (*version)?, name)?;
        if is_apart {
            self.is_apart.store(true, Ordering::Relaxed);
        }
        Some(text)
    }

    /// Leaves a remark about what was read for the next reader.
    pub fn leave_remark(&self, name: &str, text: &str) {
        if let Some((place, Some(version))) = &self.place
            && Version::of(&self.file) == Some(*version)
        {
            let leave = if self.is_apart.load(Ordering::Relaxed) { remark::leave_at_once } else { remark::leave };
            leave(&place.run_dir, place.group, *version, name, text);
        }
    }
}

impl Stored for StoredFile {
    fn read_at(&self, piece: &mut [u8], at: usize) -> io::Result<usize> {
        let read = content::read_piece(&self.file, piece, at);
        if let Err(error) = &read {
            self.failed.get_or_init(|| errno_text(error));
        }
        read
    }

    fn contents(&self) -> Option<String> {
        self.remark(CONTENTS)
    }

    fn keep_contents(&self, table: &str) {
        self.leave_remark(CONTENTS, table);
    }

    fn renewed(&self) -> Option<Bytes> {
        let (place, before) = self.place.as_ref().filter(|_| self.unlocked)?;
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
