//! Why a storage operation failed.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use crate::model::volume::VolumeError;

/// An error of a storage operation. Every message names the volume or the pool, the reason and what
/// to do.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The operation is not possible or not allowed.
    #[error("{0}")]
    Refused(String),
    /// The operation is not possible before something else is done.
    #[error("{reason}")]
    NotReady {
        /// Why the operation is not possible.
        reason: String,
        /// What makes it possible.
        remedy: Remedy,
    },
    /// An operation failed, and so did what followed from that.
    #[error("{first}; then {second}")]
    Both {
        /// The error of the operation.
        first: Box<StorageError>,
        /// The error of what followed.
        second: Box<StorageError>,
    },
    /// The store does not describe the volume correctly.
    #[error(transparent)]
    Volumes(#[from] VolumeError),
    /// A system call failed.
    #[error("{what}: {}", crate::fs::errno_text(source))]
    Io {
        /// The failed action, as in "cannot read PATH".
        what: String,
        /// The error of the system call.
        source: io::Error,
    },
    /// The new image is in place, but may not survive a power loss.
    #[error(
        "a power loss may take the change of {image} back: {}",
        crate::fs::errno_text(source),
        image = image.display()
    )]
    NotDurable {
        /// Path of the new image.
        image: PathBuf,
        /// The error of syncing the image or its directory.
        source: io::Error,
    },
}

/// What makes a refused operation possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// The qube has to be recovered, which commits its data.
    Recover,
    /// The qube with the source of a snapshot has to be shut down or recovered.
    StopSource,
    /// Driver `file-reflink` has to get the pool and the qube has to be recovered.
    RecoverByReflink {
        /// The name of the pool.
        pool: String,
    },
    /// The store has to be converted to that of R4.
    ConvertStore,
}

impl StorageError {
    /// Whether the operation failed because the disk is full.
    pub fn is_disk_full(&self) -> bool {
        !self.has_taken_effect() && crate::fs::is_disk_full(self)
    }

    /// Whether the change was made although an error is returned.
    pub fn has_taken_effect(&self) -> bool {
        matches!(self, StorageError::NotDurable { .. })
    }

    /// Returns a function that turns an [`io::Error`] into a [`StorageError::Io`] with this text.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> StorageError {
        let what = what.into();
        move |source| StorageError::Io { what, source }
    }

    /// Returns a function that turns an [`io::Error`] into the error "cannot VERB PATH".
    pub(crate) fn on(verb: &str, path: &Path) -> impl FnOnce(io::Error) -> StorageError {
        StorageError::io(format!("cannot {verb} {}", path.display()))
    }

    /// Returns the refusal of an operation on the pool `name`.
    pub(crate) fn pool(name: &str, why: impl Display) -> StorageError {
        StorageError::Refused(format!("pool {name}: {why}"))
    }
}
