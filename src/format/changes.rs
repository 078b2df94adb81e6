//! What a store that was changed is to hold: pieces of the file it was read from, and what is new
//! between them.
//!
//! The writer does not go through all domains to change one. It works on a skeleton of the file in
//! which each domain that nobody touched is an empty element, and what it changes there is carried
//! over to the file.

use std::ops::Range;
use std::sync::Arc;

use super::byte_source::ByteSource;
use super::error::FormatError;
use super::frame::{DomainCheck, Frame};
use super::tree::TreeBuffers;
use super::{OpenedStore, document, open_with_frame, read_all, unreadable, writer};
use crate::model::{Qubes, Written};

/// A store that was read to be changed.
pub struct OriginalStore {
    stored: Arc<dyn ByteSource>,
    frame: Frame,
    /// Whether every domain is.
    is_well_formed: bool,
}

/// A piece of what is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentPiece<'a> {
    /// These bytes of the original; [`usize::MAX`] stands for its end.
    Kept(Range<usize>),
    New(&'a str),
}

/// What differs from the original: in its order, each with the bytes that it replaces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreChanges(Vec<(Range<usize>, String)>);

impl OriginalStore {
    /// Reads a store that is to be changed: only those of R4. All of it is checked on the way.
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

    /// How `qubes`, which was read from this, differs from it. Fails where the original is not
    /// well-formed: nothing is written over that; and where a value cannot be written in XML.
    pub fn changes(&self, qubes: &Qubes) -> Result<StoreChanges, FormatError> {
        if !self.is_well_formed {
            document::parse_outline(&read_all(&*self.stored)?)?;
        }
        let skeleton = self.skeleton(qubes)?;
        match writer::collect_edits(&skeleton.bytes, qubes) {
            Ok(edits) => Ok(skeleton.translate(edits.in_order())),
            // The place is one of the skeleton; the file has its own.
            Err(error @ FormatError::NotWellFormed { .. }) => {
                document::parse_outline(&read_all(&*self.stored)?)?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    fn skeleton(&self, qubes: &Qubes) -> Result<Skeleton, FormatError> {
        let mut touched = vec![false; self.frame.domains.len()];
        for written in qubes.written() {
            if let Written::Changed { position, .. } = written
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
        let mut filled = 0;
        while filled < piece.len() {
            match self
                .stored
                .read_at(&mut piece[filled..], range.start + filled)
                .map_err(unreadable)?
            {
                0 => return Err(FormatError::SourceMismatch),
                read => filled += read,
            }
        }
        Ok(piece)
    }
}

struct Skeleton {
    bytes: Vec<u8>,
    /// Where each run of bytes begins, here and in the file.
    runs: Vec<(usize, usize)>,
}

impl Skeleton {
    fn push(&mut self, bytes: &[u8], at: usize) {
        self.runs.push((self.bytes.len(), at));
        self.bytes.extend_from_slice(bytes);
    }

    /// The place in the file. Inside an empty element there is none, and nothing is changed there.
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
    /// The new content, piece by piece.
    pub fn pieces(&self) -> impl Iterator<Item = ContentPiece<'_>> {
        let mut done = 0;
        let changes = self.0.iter().flat_map(move |(range, text)| {
            // Two changes never overlap; were they to, the earlier would win and no byte be written
            // twice.
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

    /// How many bytes are added at most.
    pub fn growth(&self) -> usize {
        self.0.iter().map(|(_, text)| text.len()).sum()
    }

    /// The new content.
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
