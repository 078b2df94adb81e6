//! Every room's errors under one roof: one type each, joined in [`LifecycleError`], which is what a verb returns; a
//! message is one line.

use std::io;

use nix::errno::Errno;

pub use crate::exec::ExecError;
pub use crate::format::FormatError;
pub use crate::hypervisor::HypervisorError;
pub use crate::lifecycle::LifecycleError;
pub use crate::model::{CreationError, FeatureError, NameError, PropertyError, RemovalError, TagError, VolumeError};
pub use crate::storage::StorageError;
pub use crate::store::StoreError;
pub use crate::system::SystemError;

/// The system's words for an error, without its number and what a library adds behind it.
pub fn words_of(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => Errno::from_raw(code).desc().to_string(),
        None => error.to_string().split(" (os error").next().unwrap_or_default().to_string(),
    }
}
