//! The owners of the images on disk, looked up before anything is created, overwritten or deleted.
//!
//! [`owners`] reads them from every domain of the store, also from those that cannot be loaded.
//! [`existing`] decides what a creation does with images in its way, [`data_source`] with a file
//! that it reads data from. [`creation_note`] is how a creation recognises what a killed one left.
//! [`findings`] reports conflicts to `qubes-db check`. `crate::lifecycle::qube::directory` does
//! the same for the files beside the images.

pub mod creation_note;
pub mod data_source;
pub mod existing;
pub mod findings;
pub mod owners;

pub use data_source::DataSource;
pub use existing::ExistingImages;
