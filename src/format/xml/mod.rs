//! XML texts: the tokens, the tree of elements with the positions of all their parts, and the
//! characters.

pub(super) mod characters;
pub(crate) mod document;
pub(super) mod lines;
pub(super) mod scanner;
pub(super) mod text;
pub(super) mod token;
pub(crate) mod tree;
pub(super) mod tree_builder;

pub(crate) use characters::character_reference;
pub(crate) use document::parse_document;
pub(crate) use tree::{ElementId, Tree};
