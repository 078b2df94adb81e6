//! XML texts: the tokens, the tree of elements with the positions of all their parts, and the
//! characters.

pub(crate) mod document;
pub(super) mod lines;
pub(super) mod scanner;
pub(super) mod text;
pub(crate) mod tree;

pub(crate) use document::parse_document;
pub(crate) use tree::{ElementId, Tree};
