//! The difference between a store and the file it was read from: ranges of the file that are kept,
//! and new text between them.
//!
//! The writer does not go through all domains to change one. It works on a skeleton of the file in
//! which every untouched domain is an empty element; its edits are translated back to positions of
//! the file.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::byte_source::{ByteSource, read_exact_at};
use super::frame::{DomainCheck, Frame};
use super::patch_store;
use super::{OpenedStore, open_with_frame, read_all, unreadable};
use crate::format::error::FormatError;
use crate::format::xml::document;
use crate::format::xml::tree::TreeBuffers;
use crate::model::{Qubes, SavedDomain};

/// A store that was read in order to change it.
pub struct OriginalStore {
    stored: Arc<dyn ByteSource>,
    frame: Frame,
    /// Whether every domain is well-formed.
    is_well_formed: bool,
}

/// A piece of the new content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentPiece<'a> {
    /// A range of the original; [`usize::MAX`] stands for its end.
    Kept(Range<usize>),
    /// Text that replaces the bytes between two kept ranges.
    New(&'a str),
}

/// The changes to a store in the order of the file: each range, and the text that replaces it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreChanges(Vec<(Range<usize>, String)>);

impl OriginalStore {
    /// Opens a store of R4 in order to change it, and checks every domain on the way.
    ///
    /// # Errors
    /// The source cannot be read or is not a store of R4.
    pub fn open(stored: Arc<dyn ByteSource>) -> Result<(Qubes, OriginalStore), FormatError> {
        let mut is_well_formed = true;
        let check = DomainCheck {
            is_passed: &mut is_well_formed,
            buffers: TreeBuffers::default(),
        };
        let OpenedStore { qubes, frame } = open_with_frame(&stored, Some(check))?;
        Ok((
            qubes,
            OriginalStore {
                stored,
                frame,
                is_well_formed,
            },
        ))
    }

    /// Compares `qubes`, which was read from this store, with the store.
    ///
    /// # Errors
    /// The original is not well-formed (such a file is never overwritten), or a value cannot be
    /// written in XML.
    pub fn changes(&self, qubes: &Qubes) -> Result<StoreChanges, FormatError> {
        if !self.is_well_formed {
            document::parse_outline(&read_all(&*self.stored)?)?;
        }
        let skeleton = self.skeleton(qubes)?;
        match patch_store::collect_edits(&skeleton.bytes, qubes) {
            Ok(edits) => Ok(skeleton.translate(edits.in_order())),
            // The position is one in the skeleton; report that of the file.
            Err(error @ FormatError::NotWellFormed { .. }) => {
                document::parse_outline(&read_all(&*self.stored)?)?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    fn skeleton(&self, qubes: &Qubes) -> Result<Skeleton, FormatError> {
        let mut touched = vec![false; self.frame.domains.len()];
        for written in qubes.saved_domains() {
            if let SavedDomain::Changed { position, .. } = written
                && let Some(touched) = touched.get_mut(position)
            {
                *touched = true;
            }
        }
        let frame = &self.frame;
        let mut skeleton = Skeleton {
            bytes: frame.head.clone(),
            runs: vec![(0, 0)],
        };
        let (mut gaps, mut end) = (&*frame.gaps, frame.head.len());
        for (span, touched) in frame.domains.iter().zip(touched) {
            let (gap, others) =
                gaps.split_at(span.range().start.saturating_sub(end).min(gaps.len()));
            skeleton.push(gap, end);
            match touched {
                false => skeleton.push(b"<domain/>", span.range().start),
                true => skeleton.push(&self.read_range(span.range())?, span.range().start),
            }
            (gaps, end) = (others, span.range().end);
        }
        skeleton.push(&frame.tail, end);
        Ok(skeleton)
    }

    fn read_range(&self, range: Range<usize>) -> Result<Vec<u8>, FormatError> {
        let mut piece = vec![0; range.len()];
        read_exact_at(&*self.stored, &mut piece, range.start).map_err(|error| {
            match error.kind() {
                io::ErrorKind::UnexpectedEof => FormatError::SourceMismatch,
                _ => unreadable(error),
            }
        })?;
        Ok(piece)
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
    /// Returns the new content, piece by piece.
    pub fn pieces(&self) -> impl Iterator<Item = ContentPiece<'_>> {
        let mut done = 0;
        let changes = self.0.iter().flat_map(move |(range, text)| {
            // Changes do not overlap; if they did, the earlier one would win and no byte would be
            // written twice.
            let kept = done..range.start.max(done);
            done = range.end.max(done);
            [ContentPiece::Kept(kept), ContentPiece::New(text)]
        });
        let end = self
            .0
            .iter()
            .map(|(range, _)| range.end)
            .max()
            .unwrap_or_default();
        changes.chain([ContentPiece::Kept(end..usize::MAX)])
    }

    /// Returns the largest number of bytes that the changes add.
    pub fn growth(&self) -> usize {
        self.0.iter().map(|(_, text)| text.len()).sum()
    }

    /// Returns the new content, given the original.
    pub fn apply(&self, source: &[u8]) -> Vec<u8> {
        let mut new = Vec::with_capacity(source.len() + self.growth());
        for part in self.pieces() {
            match part {
                ContentPiece::Kept(range) => {
                    new.extend_from_slice(&source[range.start..range.end.min(source.len())])
                }
                ContentPiece::New(text) => new.extend_from_slice(text.as_bytes()),
            }
        }
        new
    }
}
