//! A store in its file, for who reads it piece by piece.

use std::fs::File;
use std::io;

use super::{StorePlace, Version, content, lock_path, read_all};
use crate::format::{Bytes, Stored};
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
