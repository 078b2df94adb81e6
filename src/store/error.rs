//! Why the store cannot be read or written: one line each, with the way on.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::format::FormatError;
use crate::fs::errno_text;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("there is no store at {path}; qubes-create makes one")]
    Missing { path: PathBuf },
    #[error("{path} is a symbolic link to {target}, which does not exist")]
    DanglingLink { path: PathBuf, target: PathBuf },
    #[error("{path} exists already; nothing was changed")]
    Exists { path: PathBuf },
    #[error("{path} is not a regular file")]
    NotAFile { path: PathBuf },
    /// What lies there is longer than any store; nobody has read it.
    #[error("{path}: {}", FormatError::TooLarge { bytes: *bytes })]
    TooLarge { path: PathBuf, bytes: u64 },
    #[error("{path}: {source}")]
    Format { path: PathBuf, source: FormatError },
    /// Somebody else holds the lock and did not let go in time.
    #[error("{path} is locked by {holder}; {}", patience(*waited))]
    Busy {
        path: PathBuf,
        holder: String,
        waited: Duration,
    },
    #[error(
        "qubesd is running (it answers at {socket}) and would overwrite what is written to {path}: stop it, or give \
         --force-write and restart it at once"
    )]
    QubesdRunning { path: PathBuf, socket: PathBuf },
    #[error(
        "{path} was changed by a program that does not lock it; nothing was written: run the command again"
    )]
    ChangedWithoutLock { path: PathBuf },
    /// Who opened the store does not let it be saved so ([`super::Write::check_before_save`]).
    #[error("cannot save {path}: {reason}")]
    Refused { path: PathBuf, reason: String },
    /// The new content is in place: whoever reads finds it.
    #[error(
        "{path} was saved, but a power loss may take the change back: {}",
        errno_text(source)
    )]
    NotDurable { path: PathBuf, source: io::Error },
    #[error("cannot read {path}: {reason}")]
    Unreadable { path: PathBuf, reason: String },
    #[error("cannot {action} {path}: {}", errno_text(source))]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

impl StoreError {
    /// Whether what was to be saved stands in the file all the same.
    pub fn was_saved(&self) -> bool {
        matches!(self, StoreError::NotDurable { .. })
    }

    /// There is nothing at `path`, or nothing where the link leads that is there.
    pub(crate) fn missing(path: &Path) -> StoreError {
        match std::fs::read_link(path) {
            Ok(target) => StoreError::DanglingLink {
                path: path.into(),
                target,
            },
            Err(_no_link) => StoreError::Missing { path: path.into() },
        }
    }

    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.into();
        move |source| StoreError::Io {
            action,
            path,
            source,
        }
    }
}

fn patience(waited: Duration) -> String {
    if waited.is_zero() {
        "not waiting".into()
    } else {
        format!("gave up after {} s", waited.as_secs_f32().round())
    }
}
