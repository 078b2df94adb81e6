//! Converts a store of R1 to R3 to the format of R4: first a copy of the store, then the files
//! beside it, and last the store itself. If this is interrupted, either the store is still the old
//! one and the next save converts again, or it is the new one and the conversion is complete.

use std::path::{Path, PathBuf};

use super::{Content, SaveOutcome, StoreError, Write, open_original};
use crate::format::{self, Bytes, FormatError};
use crate::model::{Draft, Qubes};

/// The files that are converted together with a store.
pub trait Companions {
    /// Converts the files, durably. After a crash this is called again, so files that are converted
    /// already must be left alone.
    ///
    /// # Errors
    /// The files cannot be converted; then the store is not converted either.
    fn convert(&self) -> Result<(), StoreError>;

    /// Called after the store was converted, to tell the user; the old store is kept at `copy`.
    fn converted(&self, copy: &Path);
}

impl Write {
    /// Reads the bytes in the file.
    pub fn bytes(&self) -> Result<Bytes, StoreError> {
        self.read_file()
    }

    /// Sets the collection that a store of R1 to R3 becomes when it is saved, and the files to be
    /// converted with it. Nothing is written yet. Has no effect on a store of R4.
    pub fn convert_with(&mut self, mut qubes: Qubes, companions: Box<dyn Companions>) {
        if self.original.is_none() {
            qubes.needs_conversion = true;
            self.draft = Draft::new(qubes);
            self.companions = Some(companions);
        }
    }

    /// Saves a store of R1 to R3 in the format of R4, if [`Write::convert_with`] was called.
    pub(super) fn save_converted(&mut self) -> Result<SaveOutcome, StoreError> {
        let Some(companions) = self.companions.take() else {
            return Err(StoreError::format(&self.place.file)(FormatError::OldFormat));
        };
        let (copy, durable) = match self.convert(&*companions) {
            Ok(converted) => converted,
            Err(error) => {
                self.companions = Some(companions);
                return Err(error);
            }
        };
        durable?;
        companions.converted(&copy);
        Ok(SaveOutcome::Written)
    }

    /// Converts the store and its companions. Returns the path of the copy, and
    /// [`StoreError::NotDurable`] if the new store could not be synced.
    fn convert(
        &mut self,
        companions: &dyn Companions,
    ) -> Result<(PathBuf, Result<(), StoreError>), StoreError> {
        let path = self.place.file.clone();
        let wrong = StoreError::format(&path);
        let new = Bytes::from(format::write_new(&self.draft).map_err(wrong)?);
        format::check(&new).map_err(wrong)?;
        let (qubes, original) = open_original(&new).map_err(wrong)?;
        self.place.refuse_beside_qubesd()?;
        self.refuse_unlocked_change()?;
        let copy = self.back_up()?;
        companions.convert()?;
        // Converting the other files may have taken long.
        self.refuse_unlocked_change()?;
        let durable = self.replace(&new)?;
        (self.draft, self.original) = (Draft::new(qubes), original);
        self.content = Content::new(new, &self.place);
        Ok((copy, durable))
    }
}
