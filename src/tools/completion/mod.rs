//! The completion of command lines in shells.

pub(crate) mod candidates;
pub mod complete;
