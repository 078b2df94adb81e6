//! Operations on volumes and their images.

mod change;
mod details;
mod disk_space;
pub mod images;
mod import;
mod import_commit;
mod import_content;
mod root_image;

pub use change::{ResizeOutcome, Shrinking, resize, revert, set_option};
pub(in crate::lifecycle) use change::{
    not_durable, refused, restore_saved_size, save_size, save_volume_sizes, with_volume,
};
pub use details::{VolumeDetails, VolumeListEntry, details, list};
pub(in crate::lifecycle) use disk_space::{
    free_volume_space, is_on_store_disk, save_or_free_space,
};
pub(in crate::lifecycle) use import::replace_data;
pub use import::{clear, clone, import};
pub(in crate::lifecycle) use import_commit::{PreparedImport, clear_locked, finish_import};
pub use import_content::{ImportLength, NO_DATA};
pub(in crate::lifecycle) use import_content::{VolumeContent, not_imported};
pub use root_image::RootImage;
pub(in crate::lifecycle) use root_image::{ROOT_VOLUME, create_volumes};
