//! Every room's errors under one roof: one type each, joined in [`LifecycleError`], which is what a
//! verb returns; a message is one line.

pub use crate::exec::ExecError;
pub use crate::format::FormatError;
pub use crate::hypervisor::HypervisorError;
pub use crate::lifecycle::LifecycleError;
pub use crate::model::{
    CreationError, FeatureError, NameError, PropertyError, RemovalError, TagError, VolumeError,
};
pub use crate::storage::StorageError;
pub use crate::store::StoreError;
pub use crate::system::SystemError;
