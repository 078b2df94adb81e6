//! The stop mark of a qube, `RUN/stop/NAME`: ends the starts that are under way.
//!
//! A command that wants a qube stopped replaces the mark before it does anything else. A start
//! remembers the mark from before its first step and gives up as soon as it finds another one.
//! Marks are only compared, and never removed: a start that begins later remembers the new one and
//! is not affected.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::LifecycleError;
use crate::fs::run_directory::RunDirectory;
use crate::model::VmName;
use crate::system::System;
use crate::watcher::{CopyWatcher, SharedWatcher};

/// The stop mark of a qube as a start found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopMark {
    run: RunDirectory,
    qube: VmName,
    /// `None`: nobody has stopped the qube yet.
    content: Option<String>,
}

impl StopMark {
    /// Reads the mark as it is now.
    ///
    /// # Errors
    /// A mark that is there and cannot be read: a start could not be told to give up.
    pub fn read(system: &System, qube: &VmName) -> Result<StopMark, LifecycleError> {
        let run = system.run_dir().clone();
        let content = run.read(&place(qube)).map_err(failed("read", &run, qube))?;
        Ok(StopMark {
            run,
            qube: qube.clone(),
            content,
        })
    }

    /// Puts a new mark in place: every start of the qube that has begun gives up.
    pub fn renew(system: &System, qube: &VmName) -> Result<(), LifecycleError> {
        super::qube_lock::create_run_directories(system)?;
        let run = system.run_dir();
        // Not synced: after a power loss no start is under way.
        let written = run.write_note(
            &place(qube),
            system.qubes_group(),
            &format!("{}\n", Uuid::new_v4()),
        );
        written.map(drop).map_err(failed("write", run, qube))
    }

    /// The qube whose mark this is.
    pub fn qube(&self) -> &VmName {
        &self.qube
    }

    /// Fails once somebody has renewed the mark.
    ///
    /// # Errors
    /// [`LifecycleError::StartCancelled`]; also when the mark cannot be read any more.
    pub fn check(&self) -> Result<(), LifecycleError> {
        match self.run.read(&place(&self.qube)) {
            Ok(now) if now == self.content => Ok(()),
            Ok(_) => Err(LifecycleError::StartCancelled {
                qube: self.qube.clone(),
            }),
            Err(source) => Err(failed("read", &self.run, &self.qube)(source)),
        }
    }

    /// The system with copies of data that end when the mark is renewed.
    pub fn with_cancellable_copies(&self, system: &System) -> System {
        let watcher = CancellableCopies {
            mark: self.clone(),
            watcher: system.watcher(),
        };
        system.clone().watched_by(Arc::new(watcher))
    }
}

struct CancellableCopies {
    mark: StopMark,
    watcher: SharedWatcher,
}

impl CopyWatcher for CancellableCopies {
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

fn place(qube: &VmName) -> PathBuf {
    Path::new("stop").join(qube.as_str())
}

fn failed(
    verb: &str,
    run: &RunDirectory,
    qube: &VmName,
) -> impl FnOnce(io::Error) -> LifecycleError {
    let what = format!("cannot {verb} {}", run.path().join(place(qube)).display());
    |source| LifecycleError::Io { what, source }
}
