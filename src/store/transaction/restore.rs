//! Going back to an earlier state of the store.

use std::path::PathBuf;

use super::{StoreError, StoreLocation, Write};
use crate::format::Bytes;

/// What became of restoring.
pub enum RestoreOutcome {
    /// The bytes stood there already; nothing was written.
    Unchanged,
    /// The store, still locked, and the copy of what was there before; none when nothing was.
    Written {
        /// The restored store, open for changes under the lock.
        store: Box<Write>,
        /// Path of the copy of the previous content; `None` if there was no file.
        kept: Option<PathBuf>,
    },
}

impl Write {
    /// Puts `bytes` in place of the store, whatever stands there: it need not be readable, nor
    /// exist. What is there is copied to `backup/` first. The new file is locked before it is
    /// visible and is the lock from then on.
    ///
    /// # Errors
    /// `bytes` are no store, a live qubesd owns the file, or it cannot be locked, copied or
    /// written, or is longer than any store; it is as it was.
    pub fn restore(place: &StoreLocation, bytes: Vec<u8>) -> Result<RestoreOutcome, StoreError> {
        Write::put_over(place, None, bytes)
    }

    /// The same, if what stands there is still `expected`, from which `bytes` were made.
    ///
    /// # Errors
    /// As [`Write::restore`]; also when the store changed meanwhile, or is gone.
    pub fn restore_if_unchanged(
        place: &StoreLocation,
        expected: &[u8],
        bytes: Vec<u8>,
    ) -> Result<RestoreOutcome, StoreError> {
        Write::put_over(place, Some(expected), bytes)
    }

    fn put_over(
        place: &StoreLocation,
        expected: Option<&[u8]>,
        bytes: Vec<u8>,
    ) -> Result<RestoreOutcome, StoreError> {
        crate::format::check_any_release(&bytes).map_err(|source| StoreError::Format {
            path: place.file.clone(),
            source,
        })?;
        let (place, lock, version) = match Write::take(place) {
            Ok(taken) => taken,
            Err(StoreError::Missing { .. }) if expected.is_none() => {
                place.refuse_beside_qubesd()?;
                let store = Box::new(Write::put_new(place, bytes)?);
                return Ok(RestoreOutcome::Written { store, kept: None });
            }
            Err(error) => return Err(error),
        };
        let new = Bytes::from(bytes);
        let mut store = Write::with(place, lock, version, new.clone())?;
        let old = store.current()?;
        if expected.is_some_and(|expected| expected != &*old) {
            return Err(StoreError::ChangedWithoutLock {
                path: store.place.file.clone(),
            });
        }
        if *old == *new {
            return Ok(RestoreOutcome::Unchanged);
        }
        let kept = store.back_up()?;
        // The lock may have been waited for.
        store.place.refuse_beside_qubesd()?;
        store.refuse_changed_behind()?;
        store.replace(&new)??;
        Ok(RestoreOutcome::Written {
            store: Box::new(store),
            kept: Some(kept),
        })
    }
}
