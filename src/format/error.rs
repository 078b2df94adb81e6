//! Reasons why bytes cannot be read as a store, or a store cannot be written.

/// A violation of well-formedness, with its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Offset in the file, in bytes.
    pub at: usize,
    pub reason: &'static str,
}

/// The reason why a store cannot be read or written. One line each; the caller adds the name of the
/// file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The text is not well-formed XML. Lines and columns count from 1, columns in characters.
    #[error("not well-formed XML: line {line}, column {column}: {reason}")]
    NotWellFormed {
        /// Line of the violation, from 1.
        line: usize,
        /// Column of the violation in characters, from 1.
        column: usize,
        /// The rule of XML that is violated.
        reason: &'static str,
    },
    /// The file has no content.
    #[error("the file is empty")]
    Empty,
    /// The file exceeds [`super::MAX_BYTES`].
    #[error("{bytes} bytes are more than a store can have ({limit})", limit = super::MAX_BYTES)]
    TooLarge {
        /// Size of the file in bytes.
        bytes: u64,
    },
    /// The store was written by R1 to R3. Such a store can be read; a change converts it first.
    #[error("written by Qubes R3 or older")]
    OldFormat,
    /// The root element is not that of a store.
    #[error("not a store of Qubes: the root element is <{root}>, not <qubes>")]
    NotQubes {
        /// Name of the root element.
        root: String,
    },
    /// A value contains a character that XML cannot represent (most control characters).
    #[error("{place}: the value contains the character U+{character:04X}, which XML cannot hold")]
    Unwritable {
        /// Where the value is: the qube or "the store", then the element or attribute.
        place: String,
        /// Code point of the character.
        character: u32,
    },
    /// An attribute or element would have a name that XML does not allow.
    #[error("{place}: '{name}' cannot be the name of an XML attribute")]
    InvalidAttribute {
        /// The qube or part of the store with the name.
        place: String,
        /// The invalid name.
        name: String,
    },
    /// The new content is well-formed, but would not be read as what was meant.
    #[error("the new content could not be read back: {what}; nothing was written")]
    ReadBackMismatch {
        /// What differs.
        what: String,
    },
    /// The collection was not read from these bytes.
    #[error("the qubes were not read from the file that they are written to")]
    SourceMismatch,
}

impl Fault {
    /// Converts the fault to line and column in `bytes`.
    pub(crate) fn locate(self, bytes: &[u8]) -> FormatError {
        let before = &bytes[..self.at.min(bytes.len())];
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |n| n + 1);
        let line = crate::format::xml::lines::line_of(bytes, self.at);
        // Continuation bytes of UTF-8 do not start a character.
        let column = 1 + before[line_start..]
            .iter()
            .filter(|b| *b & 0xC0 != 0x80)
            .count();
        FormatError::NotWellFormed {
            line,
            column,
            reason: self.reason,
        }
    }
}
