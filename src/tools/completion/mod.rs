//! The completion of command lines in shells. What completes an argument is stored with its
//! definition: `arg.add(completion::LABELS)`. The program `qubes-complete` finds the argument at
//! the cursor and asks for its words.

mod candidate;
pub mod complete;
mod completers;
mod cursor;
mod find_candidates;
mod names;
mod offer;
mod properties;
mod settings;

pub(crate) use completers::*;
pub(crate) use cursor::Cursor;
pub(crate) use offer::{Offer, QubeSubset};
pub(crate) use properties::value_words;
pub(crate) use settings::KNOWN_FEATURES;
