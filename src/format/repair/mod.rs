//! Finds damage, salvages what can be read of a damaged text, and repairs a store.

mod damage;
mod element_damage;
mod fragments;
mod rounds;
pub(super) mod salvage;
pub(super) mod source_lines;
mod text_repair;

pub use damage::{Damage, find_damage};
pub use rounds::{RepairedStore, repair};
pub use salvage::{LostPiece, SalvageStep, SalvagedStore, complete_from_copy, salvage};
pub use source_lines::SourceLines;
