//! Pieces of a store, fetched one after the other.

use std::io;
use std::ops::Range;

use super::scan::Span;
use super::stored::ByteSource;
use super::tree::TreeBuffers;
use crate::model::SharedText;

/// Bytes that are fetched at once where one domain after the other is looked at.
const ROOM: usize = 32 << 10;

/// What was fetched last, and memory that one look after the other uses.
#[derive(Default)]
pub(super) struct Fetched {
    /// Whole domains, with their place in the file; none where there is no text to share.
    pub piece: Option<(Range<usize>, SharedText)>,
    /// What was there before something out of turn was looked at.
    aside: Option<(Range<usize>, SharedText)>,
    pub buffer: Vec<u8>,
    /// The one behind the last that was looked at.
    next: usize,
    pub parts: TreeBuffers,
}

impl Fetched {
    /// Fetches the one of `domains` at `position` if it is not there; those behind it as well,
    /// where one after the other is looked at: as many as have [`ROOM`].
    pub fn fetch(
        &mut self,
        stored: &dyn ByteSource,
        domains: &[Span],
        position: usize,
    ) -> io::Result<()> {
        let span = domains[position];
        let in_turn = position == self.next;
        self.next = position + 1;
        let has = |piece: &(Range<usize>, _)| {
            piece.0.start <= span.range().start && span.range().end <= piece.0.end
        };
        if self.piece.as_ref().is_some_and(has) {
            return Ok(());
        }
        let fits =
            |end: &Span| end.end as usize <= span.start as usize + ROOM && end.start >= span.start;
        let further = domains[position..]
            .iter()
            .take_while(|s| in_turn && fits(s))
            .last();
        let range = span.range().start..further.unwrap_or(&span).range().end;
        // Who goes through all of them and looks aside does not have to begin again.
        self.aside = if in_turn { None } else { self.piece.take() };
        if !self.fetch_text(stored, range)? {
            // What is not UTF-8 may be another domain of the piece.
            self.fetch_text(stored, span.range())?;
        }
        Ok(())
    }

    /// After a look aside, what was there before.
    pub fn back_in_turn(&mut self) {
        if let Some(piece) = self.aside.take() {
            self.piece = Some(piece);
        }
    }

    /// Whether it is text, and so to be shared.
    fn fetch_text(&mut self, stored: &dyn ByteSource, range: Range<usize>) -> io::Result<bool> {
        if self.buffer.len() < range.len() {
            self.buffer.resize(range.len(), 0);
        }
        let buffer = &mut self.buffer[..range.len()];
        let mut filled = 0;
        while filled < range.len() {
            match stored.read_at(&mut buffer[filled..], range.start + filled)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => filled += read,
            }
        }
        self.piece = std::str::from_utf8(buffer)
            .ok()
            .map(|text| (range, text.into()));
        Ok(self.piece.is_some())
    }
}
