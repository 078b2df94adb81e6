//! Whose the images on disk are, asked before anything is made, overwritten or deleted.
//!
//! [`owners`] answers for every domain of the store file, also for those that cannot be used;
//! [`existing`] decides what a creation does with images that lie in its way; [`leftovers`] is
//! the note by which a creation knows what a killed one has left; [`findings`] tells
//! `qubes-db check` what is wrong.

pub mod existing;
pub mod findings;
pub mod leftovers;
pub mod owners;

pub use existing::ExistingImages;
