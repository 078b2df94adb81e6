//! From the form of R1 to R3 to that of R4: a copy, what lies beside the store, then the store itself, last. Whatever
//! stops it, the store is the old one, and the next save does it again, or the new one, and everything is done.

use std::path::Path;

use super::{Saved, StoreError, Write, parse};
use crate::format::{self, Bytes};
use crate::model::Qubes;

/// What is converted with a store.
pub trait Companions {
    /// Converts it, durably. What is converted already is left alone: this is done again after a crash.
    ///
    /// # Errors
    /// It cannot be done; the store is left as it is.
    fn convert(&self) -> Result<(), StoreError>;

    /// The store is converted and was kept as `copy`: for telling the person.
    fn converted(&self, copy: &Path);
}

impl Write {
    /// The bytes that were read under the lock.
    pub fn bytes(&self) -> &[u8] {
        &self.source
    }

    /// Makes `qubes` what a store of R1 to R3 becomes when it is saved, and `companions` what is converted with it.
    /// Nothing is written yet. Of no effect on a store of R4.
    pub fn convert_with(&mut self, mut qubes: Qubes, companions: Box<dyn Companions>) {
        if self.qubes.needs_conversion {
            qubes.needs_conversion = true;
            self.qubes = qubes;
            self.companions = Some(companions);
        }
    }

    pub(super) fn save_converted(&mut self) -> Result<Saved, StoreError> {
        let path = self.place.file.clone();
        let wrong = |source| StoreError::Format { path: path.clone(), source };
        let Some(companions) = self.companions.take() else {
            return Err(wrong(format::FormatError::OldFormat));
        };
        let converted = self.convert(&*companions);
        if converted.is_err() {
            self.companions = Some(companions);
        }
        converted
    }

    fn convert(&mut self, companions: &dyn Companions) -> Result<Saved, StoreError> {
        let path = self.place.file.clone();
        let new = format::new_store(&self.qubes).map_err(|source| StoreError::Format { path: path.clone(), source })?;
        let new = Bytes::from(new);
        let qubes = parse(new.clone(), &path)?;
        self.place.refuse_beside_qubesd()?;
        self.refuse_changed_behind()?;
        let copy = self.keep_copy()?;
        companions.convert()?;
        // Other files may have taken their time.
        self.refuse_changed_behind()?;
        self.replace(new.clone())?;
        (self.source, self.saved, self.qubes) = (new, None, qubes);
        companions.converted(&copy);
        Ok(Saved::Written)
    }
}
