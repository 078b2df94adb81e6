//! The numbers of qubes in the store.

/// The number of a qube, 0 to 10000; dom0 has 0 (`docs/spec/r4-properties.md` §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Qid(u16);

impl Qid {
    /// The highest number.
    pub const MAX: u16 = 10_000;
    /// The number of dom0.
    pub const DOM0: Qid = Qid(0);

    /// Returns the number, or `None` if it is too high.
    pub fn new(number: u16) -> Option<Qid> {
        (number <= Qid::MAX).then_some(Qid(number))
    }

    /// Returns the number as an integer.
    pub fn number(self) -> u16 {
        self.0
    }
}
