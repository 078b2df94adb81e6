//! Finds damage, salvages what can be read of a damaged text, and repairs a store.

mod damage;
mod element_damage;
mod find_damage;
mod fragments;
mod rounds;
pub(super) mod salvage;
mod salvaged;
pub(super) mod source_lines;
mod text_repair;

pub use damage::Damage;
pub use find_damage::find_damage;
pub use rounds::{RepairedStore, repair};
pub use salvage::{complete_from_copy, salvage};
pub use salvaged::{LostPiece, SalvageStep, SalvagedStore};
pub use source_lines::SourceLines;
