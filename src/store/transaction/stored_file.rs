//! A store in its file, for who reads it piece by piece.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{StoreError, StorePlace, Version, content, lock_path, read_all, refuse_too_large};
use crate::format::{self, Bytes, FormatError, Original, Stored};
use crate::model::Qubes;
use crate::store::file_lock::Exclusivity;

/// An open file with a store. What one descriptor gives is one whole version, because all writers of ours rename.
pub(super) struct StoredFile {
    pub file: File,
    /// Where to read again what a foreign program writes in place, and what the file was before; nothing where nobody
    /// can, because the file is locked.
    pub unlocked: Option<(StorePlace, Option<Version>)>,
}

impl Stored for StoredFile {
    fn read_at(&self, piece: &mut [u8], at: usize) -> io::Result<usize> {
        content::read_piece(&self.file, piece, at)
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
pub(super) fn original(stored: StoredFile, path: &Path) -> Result<(Qubes, Option<Original>), StoreError> {
    refuse_too_large(&stored.file, path)?;
    opened(Arc::new(stored)).map_err(|source| StoreError::Format { path: path.into(), source })
}

/// A store that is to be changed, or one of R1 to R3, which is read only.
pub(super) fn opened(stored: Arc<dyn Stored>) -> Result<(Qubes, Option<Original>), FormatError> {
    match Original::open(stored.clone()) {
        Err(FormatError::OldFormat) => Ok((format::open(stored)?, None)),
        opened => opened.map(|(qubes, original)| (qubes, Some(original))),
    }
}
