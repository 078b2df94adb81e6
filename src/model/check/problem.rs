//! A problem of a part of the store whose place the caller knows.

use super::{Finding, FindingKind, Harm, Location, Remedy};

/// A finding without its place.
#[derive(Debug)]
pub(super) struct Problem {
    kind: FindingKind,
    harm: Harm,
    text: String,
    remedy: Remedy,
}

impl Problem {
    pub fn new(kind: FindingKind, harm: Harm, text: impl Into<String>, remedy: Remedy) -> Problem {
        let text = text.into();
        Problem {
            kind,
            harm,
            text,
            remedy,
        }
    }

    /// Creates a problem for which upstream refuses the whole file.
    pub fn refused(kind: FindingKind, text: impl Into<String>, remedy: Remedy) -> Problem {
        Problem::new(kind, Harm::Refused, text, remedy)
    }

    /// Creates a problem that upstream loads, but understands differently or loses.
    pub fn misread(kind: FindingKind, text: impl Into<String>, remedy: Remedy) -> Problem {
        Problem::new(kind, Harm::Misread, text, remedy)
    }

    /// Puts the name of the part before the text.
    pub fn about(mut self, part: &str) -> Problem {
        self.text.insert(0, ' ');
        self.text.insert_str(0, part);
        self
    }

    /// Returns the finding at this place.
    pub fn at(self, at: Location) -> Finding {
        let Problem {
            kind,
            harm,
            text,
            remedy,
        } = self;
        Finding {
            at,
            kind,
            harm,
            text,
            remedy,
        }
    }
}
