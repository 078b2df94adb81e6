//! Restores an earlier state of the store.

use std::path::PathBuf;

use super::Write;
use crate::format::Bytes;
use crate::store::error::StoreError;
use crate::store::location::StoreLocation;

/// What restoring the store did.
pub enum RestoreOutcome {
    /// The store had these bytes already; nothing was written.
    Unchanged,
    /// The store was written.
    Written {
        /// The restored store, still locked.
        store: Box<Write>,
        /// The copy of the previous file, if there was one.
        kept: Option<PathBuf>,
    },
}

impl Write {
    /// Replaces the store by `bytes`. The old store need not be readable, nor exist; it is copied
    /// to `backup/` first. The new file is locked before it is visible and stays locked.
    ///
    /// # Errors
    /// `bytes` are not a store, a running qubesd owns the file, or the file cannot be locked,
    /// copied or written, or is longer than a store can be. The file is then unchanged.
    pub fn restore(place: &StoreLocation, bytes: Vec<u8>) -> Result<RestoreOutcome, StoreError> {
        Write::replace_store(place, None, bytes)
    }

    /// Replaces the store by `bytes` if its content is still `expected`, from which `bytes` were
    /// made.
    ///
    /// # Errors
    /// The errors of [`Write::restore`]; also if the store has changed or was removed.
    pub fn restore_if_unchanged(
        place: &StoreLocation,
        expected: &[u8],
        bytes: Vec<u8>,
    ) -> Result<RestoreOutcome, StoreError> {
        Write::replace_store(place, Some(expected), bytes)
    }

    /// Replaces the store by `bytes`, only if its content is `expected` where that is given.
    fn replace_store(
        place: &StoreLocation,
        expected: Option<&[u8]>,
        bytes: Vec<u8>,
    ) -> Result<RestoreOutcome, StoreError> {
        crate::format::check_any_release(&bytes).map_err(StoreError::format(&place.file))?;
        let (place, lock, version) = match Write::lock(place) {
            Ok(locked) => locked,
            Err(StoreError::Missing { .. }) if expected.is_none() => {
                place.refuse_beside_qubesd()?;
                let store = Box::new(Write::write_new(place, bytes)?);
                return Ok(RestoreOutcome::Written { store, kept: None });
            }
            Err(error) => return Err(error),
        };
        let new = Bytes::from(bytes);
        let mut store = Write::from_bytes(place, lock, version, new.clone())?;
        let old = store.read_file()?;
        if expected.is_some_and(|expected| expected != *old) {
            return Err(StoreError::ChangedWithoutLock {
                path: store.place.file.clone(),
            });
        }
        if *old == *new {
            return Ok(RestoreOutcome::Unchanged);
        }
        let kept = store.back_up()?;
        // Waiting for the lock may have taken long.
        store.place.refuse_beside_qubesd()?;
        store.refuse_unlocked_change()?;
        store.replace(&new)??;
        Ok(RestoreOutcome::Written {
            store: Box::new(store),
            kept: Some(kept),
        })
    }
}
