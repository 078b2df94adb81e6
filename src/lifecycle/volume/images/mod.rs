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

pub use data_source::{DataSource, remove_source};
pub use existing::ExistingImages;
pub(in crate::lifecycle) use existing::{adoptable_names, adoptable_volumes, check, prepare};
pub use findings::find_damage;
pub(in crate::lifecycle) use owners::{
    find_owners, find_owners_except, find_owners_in, find_owners_in_text, refuse_shared_image,
    remove, remove_foreign, remove_unowned, require_own_image, require_own_images,
    without_shared_images,
};
