//! Finds the line of an offset.

/// Returns the line of an offset, counted from 1.
pub(crate) fn line_of(bytes: &[u8], offset: usize) -> usize {
    1 + memchr::memchr_iter(b'\n', &bytes[..offset.min(bytes.len())]).count()
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
