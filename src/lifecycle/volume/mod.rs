//! Operations on volumes and their images.

mod change;
mod details;
mod disk_space;
pub mod images;
mod import;
mod import_commit;
mod root_image;

pub use change::{ResizeOutcome, Shrinking};
pub(in crate::lifecycle) use change::{not_durable, refused};
pub use details::{VolumeDetails, VolumeListEntry};
pub use import::ImportLength;
pub(in crate::lifecycle) use import::{VolumeContent, not_imported};
pub(in crate::lifecycle) use import_commit::{PreparedImport, cannot_look_at_image};
pub use root_image::RootImage;
pub(in crate::lifecycle) use root_image::{ROOT_VOLUME, create_volumes};
