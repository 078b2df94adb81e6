//! Whose the images on disk are, asked before anything is made, overwritten or deleted.
//!
//! [`owners`] answers for every domain of the store file, also for those that cannot be used;
//! [`existing`] decides what a creation does with images that lie in its way, [`data_source`] with
//! a file that it takes its data from; [`leftovers`] is the note by which a creation knows what a
//! killed one has left; [`findings`] tells `qubes-db check` what is wrong.
//! [`crate::lifecycle::qube_directory`] answers for the files beside the images.

pub mod data_source;
pub mod existing;
pub mod findings;
pub mod leftovers;
pub mod owners;

pub use data_source::DataSource;
pub use existing::ExistingImages;
