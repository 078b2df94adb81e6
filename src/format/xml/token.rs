//! The tokens of an XML text, with the positions of their parts.

/// A range of the file: offsets of its first byte and of the byte after its last. A store has at
/// most [`crate::format::MAX_BYTES`], so 32 bits are enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset of the byte after the last one.
    pub end: u32,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Span {
        Span {
            start: start as u32,
            end: end as u32,
        }
    }

    /// Returns the range as `usize`.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Returns these bytes of `bytes`.
    pub fn slice(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.range()]
    }

    /// Returns the number of bytes.
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether there are no bytes.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// One attribute of a start tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attribute {
    pub name: Span,
    /// The value, without quotation marks.
    pub value: Span,
    /// Whether the raw value needs no decoding: no references, nothing to normalise.
    pub is_plain: bool,
}

/// One token of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// A start tag; its attributes are in [`Scanner::attributes`] from `first` on.
    Open {
        tag: Span,
        name: Span,
        empty: bool,
        first: usize,
    },
    Close {
        tag: Span,
        name: Span,
    },
    Text {
        span: Span,
        /// Whether the text is only blanks.
        blank: bool,
    },
    /// A CDATA section; `inner` is the text between `<![CDATA[` and `]]>`.
    CData {
        span: Span,
        inner: Span,
    },
    Comment {
        span: Span,
    },
    /// A processing instruction; `target` is its name.
    Instruction {
        span: Span,
        target: Span,
    },
    End,
}
