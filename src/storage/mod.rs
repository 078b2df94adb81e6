//! Pools and volumes on disk, with one driver per kind of pool behind the traits of [`driver`].
//!
//! [`pools`] opens the driver of a pool of the store. The modules beside the drivers hold what
//! several of them need: a pool that is a directory (`pool_directory`, `volume_files`), file
//! operations that survive a power loss (`durable`), and the detection of open images
//! (`open_images`, `loop_device`).

pub mod aliases;
mod cow;
mod device_mapper;
mod dm_file;
pub mod driver;
mod durable;
mod encryption;
mod error;
mod example;
pub mod fullness;
mod grace;
pub mod image;
mod linux_kernel;
mod locks;
mod logical_names;
mod loop_device;
mod lvm_thin;
mod open_images;
pub mod overlap;
mod owners;
mod pool_directory;
pub(crate) mod pool_files;
pub mod pools;
mod reflink;
mod revision;
mod run_images;
mod thin_pool;
mod vm_storage;
mod volume;
mod volume_files;

pub use crate::fs::sparse_copy::copy_file_data;
pub use crate::progress::{NoProgress, Progress, ProgressGuard, SharedProgress};
pub use device_mapper::is_available as has_device_mapper;
pub use dm_file::DmFile;
pub use driver::{
    CommittedData, Driver, ImageWriter, PoolSpace, VolumeData, VolumeLife, VolumeRevisions,
};
pub use durable::{DirectoryRemoval, remove_directory, remove_real_directory};
pub use error::{Remedy, StorageError};
pub use image::Image;
pub use linux_kernel::LinuxKernel;
pub use locks::VolumeLocks;
pub use loop_device::LoopDevice;
pub use lvm_thin::LvmThin;
pub use owners::{ImageOwner, ImageOwners};
pub use pool_directory::PoolDirectory;
pub use pool_files::list_names;
pub use pools::{PoolDrivers, open_driver};
pub use reflink::Reflink;
pub use revision::Revision;
pub use run_images::ForeignImage;
pub use thin_pool::{ThinPool, find_thin_pool};
pub use vm_storage::{StartedVolumes, VmStorage};
pub use volume::{Attachment, Volume, VolumeKind};
