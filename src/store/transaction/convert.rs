//! From the form of R1 to R3 to that of R4: a copy, what lies beside the store, then the store
//! itself, last. Whatever stops it, the store is the old one, and the next save does it again, or
//! the new one, and everything is done.

use std::path::{Path, PathBuf};

use super::{Content, SaveOutcome, StoreError, Write, opened};
use crate::format::{self, Bytes, FormatError};
use crate::model::Qubes;

/// What is converted with a store.
pub trait Companions {
    /// Converts it, durably. What is converted already is left alone: this is done again after a
    /// crash.
    ///
    /// # Errors
    /// It cannot be done; the store is left as it is.
    fn convert(&self) -> Result<(), StoreError>;

    /// The store is converted and was kept as `copy`: for telling the person.
    fn converted(&self, copy: &Path);
}

impl Write {
    /// The bytes in the file.
    pub fn bytes(&self) -> Result<Bytes, StoreError> {
        self.current()
    }

    /// Makes `qubes` what a store of R1 to R3 becomes when it is saved, and `companions` what is
    /// converted with it. Nothing is written yet. Of no effect on a store of R4.
    pub fn convert_with(&mut self, mut qubes: Qubes, companions: Box<dyn Companions>) {
        if self.original.is_none() {
            qubes.needs_conversion = true;
            self.qubes = qubes;
            self.companions = Some(companions);
        }
    }

    pub(super) fn save_converted(&mut self) -> Result<SaveOutcome, StoreError> {
        let wrong = |path: &Path, source| StoreError::Format {
            path: path.to_path_buf(),
            source,
        };
        let Some(companions) = self.companions.take() else {
            return Err(wrong(&self.place.file, FormatError::OldFormat));
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

    /// Returns the copy, and whether the new store is proven to be durable.
    fn convert(
        &mut self,
        companions: &dyn Companions,
    ) -> Result<(PathBuf, Result<(), StoreError>), StoreError> {
        let path = self.place.file.clone();
        let wrong = |source| StoreError::Format {
            path: path.clone(),
            source,
        };
        let new = Bytes::from(format::write_new(&self.qubes).map_err(wrong)?);
        format::check(&new).map_err(wrong)?;
        let (qubes, original) = opened(&new).map_err(wrong)?;
        self.place.refuse_beside_qubesd()?;
        self.refuse_changed_behind()?;
        let copy = self.back_up()?;
        companions.convert()?;
        // Other files may have taken their time.
        self.refuse_changed_behind()?;
        let durable = self.replace(&new)?;
        (self.qubes, self.original) = (qubes, original);
        self.content = Content::new(new, &self.place);
        Ok((copy, durable))
    }
}
