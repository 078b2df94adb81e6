//! Lines of a text and of offsets in it.

/// Returns the line of an offset, counted from 1.
pub(crate) fn line_of(bytes: &[u8], offset: usize) -> usize {
    1 + count_line_ends(&bytes[..offset.min(bytes.len())])
}

/// Returns the number of line ends in a text.
pub(crate) fn count_line_ends(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', bytes).count()
}

/// Where each line of a text begins.
pub(crate) struct LineStarts(Vec<usize>);

impl LineStarts {
    pub fn new(bytes: &[u8]) -> LineStarts {
        LineStarts(
            std::iter::once(0)
                .chain(memchr::memchr_iter(b'\n', bytes).map(|n| n + 1))
                .collect(),
        )
    }

    /// Returns the line of an offset, counted from 1.
    pub fn line(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset)
    }
}
