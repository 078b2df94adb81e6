//! Where a store is, and what lies beside it.

use std::path::PathBuf;

use nix::unistd::Gid;

use super::error::StoreError;
use super::lock::{LockFiles, LockWait};
use super::qubesd;
use crate::fs::run_directory::RunDirectory;

/// The paths of a store and of the files beside it, and how to open them.
#[derive(Debug, Clone)]
pub struct StoreLocation {
    /// The path of qubes.xml.
    pub file: PathBuf,
    /// RUN: the directory of lock and cache files.
    pub run_dir: RunDirectory,
    /// The directory of the copies of the store.
    pub backup_dir: PathBuf,
    /// The socket of a running qubesd; only the system's own store has one.
    pub qubesd_socket: Option<PathBuf>,
    /// The group that shares the files: qubes.
    pub group: Option<Gid>,
    /// How long to wait for the lock.
    pub wait: LockWait,
    /// Whether to write although a running qubesd owns the file.
    pub force: bool,
}

impl StoreLocation {
    /// Returns the files beside the lock.
    pub(super) fn lock_files(&self) -> LockFiles {
        LockFiles::in_run_dir(&self.run_dir, self.group)
    }

    /// Returns an error if a running qubesd would overwrite what is written.
    pub(super) fn refuse_beside_qubesd(&self) -> Result<(), StoreError> {
        let Some(socket) = self.qubesd_socket.as_ref().filter(|_| !self.force) else {
            return Ok(());
        };
        match qubesd::is_listening(socket)
            .map_err(StoreError::io("ask whether qubesd runs at", socket))?
        {
            true => Err(StoreError::QubesdRunning {
                path: self.file.clone(),
                socket: socket.clone(),
            }),
            false => Ok(()),
        }
    }
}
