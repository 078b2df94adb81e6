//! The stop mark of a qube, `RUN/stop/NAME`: ends the starts that are under way.
//!
//! A command that wants a qube stopped replaces the mark before it does anything else. A start remembers the mark from
//! before its first step and gives up as soon as it finds another one. Marks are only compared, and never removed: a
//! start that begins later remembers the new one and is not affected.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use uuid::Uuid;

use super::LifecycleError;
use crate::fs::replace::{Access, Replacement};
use crate::model::VmName;
use crate::system::System;
use crate::watcher::{CopyWatcher, SharedWatcher};

/// The stop mark of a qube as a start found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopMark {
    file: PathBuf,
    qube: VmName,
    /// `None`: nobody has stopped the qube yet.
    content: Option<Vec<u8>>,
}

impl StopMark {
    /// Reads the mark as it is now.
    ///
    /// # Errors
    /// A mark that is there and cannot be read: a start could not be told to give up.
    pub fn read(system: &System, qube: &VmName) -> Result<StopMark, LifecycleError> {
        let file = path(system, qube);
        let failed = |source| LifecycleError::Io { what: format!("cannot read {}", file.display()), source };
        let content = content(&file).map_err(failed)?;
        Ok(StopMark { file, qube: qube.clone(), content })
    }

    /// Puts a new mark in place: every start of the qube that has begun gives up.
    pub fn renew(system: &System, qube: &VmName) -> Result<(), LifecycleError> {
        super::qube_lock::make_run_directories(system)?;
        let file = path(system, qube);
        let write = || {
            let mut replacement = Replacement::begin(&file, Access::shared(system.qubes_group()))?;
            writeln!(replacement.file(), "{}", Uuid::new_v4())?;
            // After a power loss no start is under way.
            replacement.commit_unsynced().map(drop)
        };
        write().map_err(|source| LifecycleError::Io { what: format!("cannot write {}", file.display()), source })
    }

    /// The qube whose mark this is.
    pub fn qube(&self) -> &VmName {
        &self.qube
    }

    /// Fails once somebody has renewed the mark.
    ///
    /// # Errors
    /// [`LifecycleError::StartEnded`]; also when the mark cannot be read any more.
    pub fn check(&self) -> Result<(), LifecycleError> {
        match content(&self.file) {
            Ok(now) if now == self.content => Ok(()),
            Ok(_) => Err(LifecycleError::StartEnded { qube: self.qube.clone() }),
            Err(source) => Err(LifecycleError::Io { what: format!("cannot read {}", self.file.display()), source }),
        }
    }

    /// The system with copies of data that end when the mark is renewed.
    pub fn ending_copies(&self, system: &System) -> System {
        let watcher = EndingCopies { mark: self.clone(), watcher: system.watcher() };
        system.clone().watched_by(Arc::new(watcher))
    }
}

struct EndingCopies {
    mark: StopMark,
    watcher: SharedWatcher,
}

impl CopyWatcher for EndingCopies {
    fn begins(&self, what: &str, bytes: Option<u64>) {
        self.watcher.begins(what, bytes);
    }

    fn reached(&self, bytes: u64) {
        self.watcher.reached(bytes);
    }

    fn ends(&self) {
        self.watcher.ends();
    }

    fn check(&self) -> io::Result<()> {
        self.watcher.check()?;
        self.mark.check().map_err(io::Error::other)
    }
}

fn content(file: &std::path::Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn path(system: &System, qube: &VmName) -> PathBuf {
    system.run_dir().join("stop").join(qube.as_str())
}
