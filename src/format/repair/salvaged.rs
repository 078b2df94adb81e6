//! What a salvage yields: the new store, the repairs, and the parts that are lost.

use crate::format::document::edit::LineShift;

/// A repair of the text that loses nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SalvageStep {
    /// The line in the damaged file, from 1.
    pub line: Option<usize>,
    /// What was wrong.
    pub problem: String,
    /// What was done about it.
    pub action: String,
}

/// A part of the file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostPiece {
    /// The line in the damaged file, from 1.
    pub line: usize,
    /// The qube that it seems to describe.
    pub name: Option<String>,
    /// The reason, for a person.
    pub text: String,
}

/// A well-formed store made from a damaged one.
#[derive(Debug)]
pub struct SalvagedStore {
    /// The content of the new store.
    pub bytes: Vec<u8>,
    /// The repairs that lost nothing.
    pub steps: Vec<SalvageStep>,
    /// The parts that are lost.
    pub lost: Vec<LostPiece>,
    /// The number of domains in it.
    pub domains: usize,
    pub(super) lines: LineShift,
}

impl SalvagedStore {
    /// Returns the line of the damaged file that became `line`.
    pub fn original_line(&self, line: usize) -> usize {
        self.lines.original(line)
    }
}
