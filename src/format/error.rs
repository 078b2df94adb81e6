//! Why bytes cannot be read as a store, or a store cannot be written.

/// What is wrong with a text that wants to be XML, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Offset in the file, bytes.
    pub at: usize,
    pub reason: &'static str,
}

/// Why the store cannot be read or written. One line each; the caller puts the file's name in
/// front.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Lines and columns count from 1, columns in characters.
    #[error("not well-formed XML: line {line}, column {column}: {reason}")]
    NotWellFormed {
        line: usize,
        column: usize,
        reason: &'static str,
    },
    #[error("the file is empty")]
    Empty,
    #[error("{bytes} bytes are more than a store can have ({limit})", limit = super::MAX_BYTES)]
    TooLarge { bytes: u64 },
    #[error("it cannot be read: {reason}")]
    Unreadable { reason: String },
    /// A store of R1 to R3 is read as it is; what changes it converts it first.
    #[error(
        "written by Qubes R3 or older: it has to be converted first, which qubes-db convert does"
    )]
    OldFormat,
    #[error("not a store of Qubes: the root element is <{root}>, not <qubes>")]
    NotQubes { root: String },
    /// XML has no way to write some characters (most control characters).
    #[error("{place}: the value contains the character U+{character:04X}, which XML cannot hold")]
    Unwritable { place: String, character: u32 },
    /// An attribute or element would need a name that XML does not allow.
    #[error("{place}: '{name}' cannot be the name of an XML attribute")]
    InvalidAttribute { place: String, name: String },
    /// What would be written is well-formed, but would not be read as what was meant.
    #[error("what would be written could not be read back: {what}; nothing was written")]
    ReadBackMismatch { what: String },
    /// The collection does not belong to the bytes it is written over.
    #[error("the collection was read from other bytes than those it is written over")]
    SourceMismatch,
}

impl Fault {
    /// The fault in a file of which the bytes looked at begin at `start`.
    pub(crate) fn shifted(self, start: u32) -> Fault {
        Fault {
            at: self.at + start as usize,
            ..self
        }
    }

    /// The fault as a person can find it in `bytes`.
    pub(crate) fn locate(self, bytes: &[u8]) -> FormatError {
        let before = &bytes[..self.at.min(bytes.len())];
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |n| n + 1);
        let line = 1 + memchr::memchr_iter(b'\n', before).count();
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
