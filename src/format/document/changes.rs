//! The difference between a store and the file it was read from: ranges of the file that are kept,
//! and new text between them.
//!
//! The writer does not go through all domains to change one. It works on a skeleton of the file in
//! which every untouched domain is an empty element; its edits are translated back to positions of
//! the file.

use std::cell::Cell;
use std::ops::Range;

use super::edit::apply_in_order;
use super::patch_store;
use crate::format::error::FormatError;
use crate::format::xml::token::Span;
use crate::format::{Bytes, check};
use crate::model::{Qubes, SavedDomain};

/// A store that was read in order to change it.
pub struct OriginalStore {
    bytes: Bytes,
    domains: Vec<Span>,
    /// Whether every byte was checked.
    is_checked: Cell<bool>,
}

/// The changes to a store in the order of the file: each range, and the text that replaces it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreChanges(Vec<(Range<usize>, String)>);

impl OriginalStore {
    /// Opens a store of R4 in order to change it.
    ///
    /// # Errors
    /// The bytes are not a store of R4.
    pub fn open(bytes: &Bytes) -> Result<(Qubes, OriginalStore), FormatError> {
        let (qubes, domains) = super::open(bytes)?;
        let original = OriginalStore {
            bytes: bytes.clone(),
            domains,
            is_checked: Cell::new(false),
        };
        Ok((qubes, original))
    }

    /// Spares the next save the check of every byte: the caller knows that these bytes passed it.
    pub fn assume_checked(&self) {
        self.is_checked.set(true);
    }

    /// Compares `qubes`, which was read from this store, with the store.
    ///
    /// # Errors
    /// The original is not well-formed (such a file is never overwritten), or a value cannot be
    /// written in XML.
    pub fn changes(&self, qubes: &Qubes) -> Result<StoreChanges, FormatError> {
        if !self.is_checked.get() {
            check(&self.bytes)?;
            self.is_checked.set(true);
        }
        let skeleton = self.skeleton(qubes);
        patch_store::collect_edits(&skeleton.bytes, qubes)
            .map(|edits| skeleton.translate(edits.in_order()))
    }

    fn skeleton(&self, qubes: &Qubes) -> Skeleton {
        let mut touched = vec![false; self.domains.len()];
        for written in qubes.saved_domains() {
            if let SavedDomain::Changed { position, .. } = written
                && let Some(touched) = touched.get_mut(position)
            {
                *touched = true;
            }
        }
        let mut skeleton = Skeleton {
            bytes: Vec::new(),
            runs: vec![(0, 0)],
        };
        let mut done = 0;
        for (span, _) in self
            .domains
            .iter()
            .zip(touched)
            .filter(|(_, touched)| !touched)
        {
            let domain = span.range();
            skeleton.push(&self.bytes[done..domain.start], done);
            skeleton.push(b"<domain/>", domain.start);
            done = domain.end;
        }
        skeleton.push(&self.bytes[done..], done);
        skeleton
    }
}

/// The file with every untouched domain replaced by an empty element.
struct Skeleton {
    bytes: Vec<u8>,
    /// Where each run of bytes begins: in the skeleton and in the file.
    runs: Vec<(usize, usize)>,
}

impl Skeleton {
    fn push(&mut self, bytes: &[u8], at: usize) {
        self.runs.push((self.bytes.len(), at));
        self.bytes.extend_from_slice(bytes);
    }

    /// Returns the position in the file. The inside of an empty element has none, and nothing is
    /// changed there.
    fn file_offset(&self, at: usize) -> usize {
        let run = self
            .runs
            .partition_point(|(here, _)| *here <= at)
            .saturating_sub(1);
        self.runs
            .get(run)
            .map_or(at, |(here, there)| there + (at - here))
    }

    fn translate(&self, edits: Vec<(Range<usize>, String)>) -> StoreChanges {
        let differs =
            |(range, text): &(Range<usize>, String)| self.bytes[range.clone()] != *text.as_bytes();
        let there = |(range, text): (Range<usize>, String)| {
            (
                self.file_offset(range.start)..self.file_offset(range.end),
                text,
            )
        };
        StoreChanges(edits.into_iter().filter(differs).map(there).collect())
    }
}

impl StoreChanges {
    /// Returns the new content, given the original.
    pub fn apply(&self, source: &[u8]) -> Vec<u8> {
        apply_in_order(&self.0, source)
    }
}
