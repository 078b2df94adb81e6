//! The stop mark of a qube, `RUN/stop/NAME`, which cancels the starts that are under way.
//!
//! A command that stops a qube replaces the mark before anything else. A start reads the mark
//! before its first step and gives up as soon as it finds a different one. Marks are only compared
//! and never removed: a start that begins later reads the new mark and is not affected.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use crate::fs::run_directory::RunDirectory;
use crate::lifecycle::qube::StartError;
use crate::lifecycle::{LifecycleError, qube};
use crate::model::VmName;
use crate::progress::{Progress, SharedProgress};
use crate::system::System;

/// The stop mark of a qube, as a start read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopMark {
    run: RunDirectory,
    qube: VmName,
    /// `None` if the qube was never stopped.
    content: Option<String>,
}

impl StopMark {
    /// Reads the current mark.
    ///
    /// # Errors
    /// The mark exists and cannot be read: the start could not be cancelled then.
    pub fn read(system: &System, qube: &VmName) -> Result<StopMark, LifecycleError> {
        let run = system.run_dir().clone();
        let content = run
            .read(&mark_path(qube))
            .map_err(io_error("read", &run, qube))?;
        Ok(StopMark {
            run,
            qube: qube.clone(),
            content,
        })
    }

    /// Writes a new mark: every start of the qube that is under way gives up.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn renew(system: &System, qube: &VmName) -> Result<(), LifecycleError> {
        qube::create_run_directories(system)?;
        let run = system.run_dir();
        // Not synced: after a power loss no start is under way.
        let written = run.write_unsynced(
            &mark_path(qube),
            system.qubes_group(),
            &format!("{}\n", Uuid::new_v4()),
        );
        written.map(drop).map_err(io_error("write", run, qube))
    }

    /// Returns the qube of the mark.
    pub fn qube(&self) -> &VmName {
        &self.qube
    }

    /// Fails once the mark was renewed.
    ///
    /// # Errors
    /// [`StartError::Cancelled`]; the mark cannot be read any more.
    pub fn check(&self) -> Result<(), LifecycleError> {
        match self.run.read(&mark_path(&self.qube)) {
            Ok(now) if now == self.content => Ok(()),
            Ok(_) => Err(StartError::Cancelled(self.qube.clone()).into()),
            Err(source) => Err(io_error("read", &self.run, &self.qube)(source)),
        }
    }

    /// Returns the system with data copies that fail once the mark is renewed.
    pub fn with_cancellable_copies(&self, system: &System) -> System {
        let cancellable = CancellableCopies {
            mark: self.clone(),
            progress: system.progress(),
        };
        system.clone().with_progress(Arc::new(cancellable))
    }
}

/// Passes progress on, and ends a copy once the mark is renewed.
struct CancellableCopies {
    mark: StopMark,
    progress: SharedProgress,
}

impl Progress for CancellableCopies {
    fn start(&self, what: &str, bytes: Option<u64>) {
        self.progress.start(what, bytes);
    }

    fn update(&self, bytes: u64) {
        self.progress.update(bytes);
    }

    fn finish(&self) {
        self.progress.finish();
    }

    fn check_cancelled(&self) -> io::Result<()> {
        self.progress.check_cancelled()?;
        self.mark.check().map_err(io::Error::other)
    }
}

/// Returns the path of the mark of a qube, below RUN.
fn mark_path(qube: &VmName) -> PathBuf {
    Path::new("stop").join(qube.as_str())
}

/// Returns a function that adds the file to an I/O error.
fn io_error(
    verb: &str,
    run: &RunDirectory,
    qube: &VmName,
) -> impl FnOnce(io::Error) -> LifecycleError {
    LifecycleError::cannot(verb, &run.path().join(mark_path(qube)).display())
}
