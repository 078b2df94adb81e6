//! The collection as it is going to be saved, which only decisions change.

use std::ops::Deref;

use super::qubes::Qubes;

/// A collection of qubes that is going to be saved. Everybody can read it: it derefs to [`Qubes`].
/// Only the decisions of [`crate::model`] change it: functions that take a `&mut Draft`, check the
/// rules first and return a [`Change`](super::Change).
#[derive(Default)]
pub struct Draft {
    pub(in crate::model) qubes: Qubes,
}

impl Draft {
    /// Creates a draft from a collection, to save it or to see what decisions would do to it.
    pub fn new(qubes: Qubes) -> Draft {
        Draft { qubes }
    }

    /// Returns the collection as the decisions have left it.
    pub fn into_qubes(self) -> Qubes {
        self.qubes
    }

    /// Returns the collection for changes past every rule. This is the only way around the
    /// decisions: for tests, and for programs that mend what no decision can. Nothing here uses it.
    pub fn unchecked(&mut self) -> &mut Qubes {
        &mut self.qubes
    }
}

impl Deref for Draft {
    type Target = Qubes;

    fn deref(&self) -> &Qubes {
        &self.qubes
    }
}
