//! The errors of reading and writing the store. Each message is one line.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::format::FormatError;
use crate::fs::errno_text;

/// The error of opening, locking or saving the store: one line, which names the file.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no file at the path of the store.
    #[error("there is no store at {path}")]
    Missing {
        /// Path of the store.
        path: PathBuf,
    },
    /// The store is a symbolic link whose target does not exist.
    #[error("{path} is a symbolic link to {target}, which does not exist")]
    DanglingLink {
        /// Path of the link.
        path: PathBuf,
        /// Target of the link, as it is written in it.
        target: PathBuf,
    },
    /// A new store was to be created where one exists.
    #[error("{path} exists already; nothing was changed")]
    Exists {
        /// Path of the existing store.
        path: PathBuf,
    },
    /// The store is a directory, a device, a pipe or a socket.
    #[error("{path} is not a regular file")]
    NotAFile {
        /// Path of the store.
        path: PathBuf,
    },
    /// The file is longer than a store can be. It was not read.
    #[error("{path}: {}", FormatError::TooLarge { bytes: *bytes })]
    TooLarge {
        /// Path of the file.
        path: PathBuf,
        /// Size of the file in bytes.
        bytes: u64,
    },
    /// The content is not a valid store, or the new content cannot be written as XML.
    #[error("{path}: {source}")]
    Format {
        /// Path of the store.
        path: PathBuf,
        /// What is wrong with the content.
        source: FormatError,
    },
    /// Another process held the lock for the whole time that was waited.
    #[error("{path} is locked by {holder}; {}", describe_wait(*waited))]
    Busy {
        /// Path of the store.
        path: PathBuf,
        /// The process that holds the lock, as far as it is known.
        holder: String,
        /// How long the lock was waited for; zero with `--no-wait`.
        waited: Duration,
    },
    /// qubesd runs on this store, and would overwrite a change with its own state.
    #[error(
        "qubesd is running (it answers at {socket}) and would overwrite what is written to {path}: \
         stop it, or give --force-write and restart it at once"
    )]
    QubesdRunning {
        /// Path of the store.
        path: PathBuf,
        /// Path of the socket at which qubesd answers.
        socket: PathBuf,
    },
    /// The file was changed, while it was locked, by a program that ignores the lock.
    #[error(
        "{path} was changed by a program that does not lock it; nothing was written: \
         run the command again"
    )]
    ChangedWithoutLock {
        /// Path of the store.
        path: PathBuf,
    },
    /// The check set by [`super::Write::check_before_save`] refused the save.
    #[error("cannot save {path}: {reason}")]
    Refused {
        /// Path of the store.
        path: PathBuf,
        /// Why the check refused the new content.
        reason: String,
    },
    /// The new content is in place and readers see it, but syncing it failed.
    #[error(
        "{path} was saved, but a power loss may take the change back: {}",
        errno_text(source)
    )]
    NotDurable {
        /// Path of the store.
        path: PathBuf,
        /// The error of syncing the file or its directory.
        source: io::Error,
    },
    /// A system call failed.
    #[error("cannot {action} {path}: {}", errno_text(source))]
    Io {
        /// The failed action, as written between "cannot" and the path.
        action: &'static str,
        /// The file or directory of the action.
        path: PathBuf,
        /// The error of the system call.
        source: io::Error,
    },
}

impl StoreError {
    /// Returns whether the file has the new content although saving failed.
    pub fn was_saved(&self) -> bool {
        matches!(self, StoreError::NotDurable { .. })
    }

    /// Returns the error for a missing file, or for a link at `path` whose target is missing.
    pub(crate) fn missing(path: &Path) -> StoreError {
        match std::fs::read_link(path) {
            Ok(target) => StoreError::DanglingLink {
                path: path.into(),
                target,
            },
            Err(_no_link) => StoreError::Missing { path: path.into() },
        }
    }

    /// Returns a function that wraps an I/O error: cannot `action` `path`.
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

    /// Returns a function that says in which file a format error is.
    pub(crate) fn format(path: &Path) -> impl Fn(FormatError) -> StoreError + Copy + '_ {
        move |source| StoreError::Format {
            path: path.into(),
            source,
        }
    }
}

fn describe_wait(waited: Duration) -> String {
    if waited.is_zero() {
        "not waiting".into()
    } else {
        format!("gave up after {} s", waited.as_secs_f32().round())
    }
}
