//! Fetches domains of a store in batches.

use std::io;
use std::ops::Range;

use super::byte_source::{ByteSource, read_exact_at};
use crate::format::xml::scanner::Span;
use crate::format::xml::tree::TreeBuffers;
use crate::model::SharedText;

/// How many bytes are fetched at once while domains are read in order.
const BATCH_BYTES: usize = 32 << 10;

/// The batch of domains fetched last, and buffers that the next read reuses.
#[derive(Default)]
pub(super) struct DomainCache {
    /// Whole domains, with their range in the file; `None` if they are not UTF-8.
    pub batch: Option<(Range<usize>, SharedText)>,
    /// The batch in use before a domain out of order was read.
    set_aside: Option<(Range<usize>, SharedText)>,
    pub buffer: Vec<u8>,
    /// The position after the last domain that was read.
    next_position: usize,
    pub buffers: TreeBuffers,
}

impl DomainCache {
    /// Fetches the domain at `position` unless it is in the batch. While domains are read in order,
    /// the following ones are fetched with it, up to [`BATCH_BYTES`].
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
        // A caller that reads all domains in order and looks up another one in between does not
        // have to fetch the batch again.
        self.set_aside = if is_sequential {
            None
        } else {
            self.batch.take()
        };
        if !self.fetch_text(stored, range)? {
            // The invalid UTF-8 may be in another domain of the batch.
            self.fetch_text(stored, span.range())?;
        }
        Ok(())
    }

    /// Restores the batch that was set aside for a domain out of order.
    pub fn restore_batch(&mut self) {
        if let Some(batch) = self.set_aside.take() {
            self.batch = Some(batch);
        }
    }

    /// Fetches `range`; returns whether it is UTF-8.
    fn fetch_text(&mut self, stored: &dyn ByteSource, range: Range<usize>) -> io::Result<bool> {
        if self.buffer.len() < range.len() {
            self.buffer.resize(range.len(), 0);
        }
        let buffer = &mut self.buffer[..range.len()];
        read_exact_at(stored, buffer, range.start)?;
        self.batch = std::str::from_utf8(buffer)
            .ok()
            .map(|text| (range, text.into()));
        Ok(self.batch.is_some())
    }
}
