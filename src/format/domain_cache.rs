//! Pieces of a store, fetched one after the other.

use std::io;
use std::ops::Range;

use super::byte_source::ByteSource;
use super::scanner::Span;
use super::tree::TreeBuffers;
use crate::model::SharedText;

/// Bytes that are fetched at once where one domain after the other is looked at.
const BATCH_BYTES: usize = 32 << 10;

/// What was fetched last, and memory that one look after the other uses.
#[derive(Default)]
pub(super) struct DomainCache {
    /// Whole domains, with their place in the file; none where there is no text to share.
    pub batch: Option<(Range<usize>, SharedText)>,
    /// What was there before something out of turn was looked at.
    set_aside: Option<(Range<usize>, SharedText)>,
    pub buffer: Vec<u8>,
    /// The one behind the last that was looked at.
    next_position: usize,
    pub buffers: TreeBuffers,
}

impl DomainCache {
    /// Fetches the one of `domains` at `position` if it is not there; those behind it as well,
    /// where one after the other is looked at: as many as have [`BATCH_BYTES`].
    pub fn fetch(
        &mut self,
        stored: &dyn ByteSource,
        domains: &[Span],
        position: usize,
    ) -> io::Result<()> {
        let span = domains[position];
        let is_sequential = position == self.next_position;
        self.next_position = position + 1;
        let has = |batch: &(Range<usize>, _)| {
            batch.0.start <= span.range().start && span.range().end <= batch.0.end
        };
        if self.batch.as_ref().is_some_and(has) {
            return Ok(());
        }
        let fits = |end: &Span| {
            end.end as usize <= span.start as usize + BATCH_BYTES && end.start >= span.start
        };
        let further = domains[position..]
            .iter()
            .take_while(|s| is_sequential && fits(s))
            .last();
        let range = span.range().start..further.unwrap_or(&span).range().end;
        // Who goes through all of them and looks set_aside does not have to begin again.
        self.set_aside = if is_sequential {
            None
        } else {
            self.batch.take()
        };
        if !self.fetch_text(stored, range)? {
            // What is not UTF-8 may be another domain of the batch.
            self.fetch_text(stored, span.range())?;
        }
        Ok(())
    }

    /// After a look set_aside, what was there before.
    pub fn restore_batch(&mut self) {
        if let Some(batch) = self.set_aside.take() {
            self.batch = Some(batch);
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
        self.batch = std::str::from_utf8(buffer)
            .ok()
            .map(|text| (range, text.into()));
        Ok(self.batch.is_some())
    }
}
