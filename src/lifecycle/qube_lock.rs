//! The operation lock of a qube: held while its storage or its domain changes, never while waiting
//! for a guest.

use std::path::Path;
use std::time::Duration;

use super::{LifecycleError, Session};
use crate::fs::file_lock::{Exclusivity, FileLock, FileLockError};
use crate::fs::replace;
use crate::model::VmName;
use crate::system::System;

/// How long a command waits for another one that works on the same qube. A start on a busy machine
/// takes a while.
const WAIT: Duration = Duration::from_secs(120);

/// Proof that nobody else changes this qube's storage or domain. Released when dropped.
///
/// One at a time: a command that needs a second qube (its netvm) finishes with that one first. Only
/// a change that is for several qubes or for none holds the locks of all, taken in the order of
/// their names.
#[derive(Debug)]
pub struct QubeLock {
    name: VmName,
    _lock: FileLock,
}

impl QubeLock {
    /// The qube that is locked.
    pub fn name(&self) -> &VmName {
        &self.name
    }
}

impl Session {
    /// Takes the operation lock of `name`, whether the qube exists (yet) or not.
    pub fn lock_qube(&self, name: &VmName) -> Result<QubeLock, LifecycleError> {
        let wait = if self.system.lock_wait().is_zero() {
            Duration::ZERO
        } else {
            WAIT
        };
        self.system.step(|| format!("{name}: taking its lock"));
        self.lock_with_notice(name, wait, &|holder| {
            self.system
                .tell(&format!("waiting for {holder}, which works on {name}"));
        })
    }

    /// The same with a bound of the caller's own, and without a word.
    pub fn lock_qube_within(
        &self,
        name: &VmName,
        wait: Duration,
    ) -> Result<QubeLock, LifecycleError> {
        self.lock_with_notice(name, wait, &|_| ())
    }

    fn lock_with_notice(
        &self,
        name: &VmName,
        wait: Duration,
        tell: &dyn Fn(&str),
    ) -> Result<QubeLock, LifecycleError> {
        let (run, group) = (self.system.run_dir(), self.system.qubes_group());
        let lock = run.lock_telling(
            &format!("vm-{name}"),
            Exclusivity::Exclusive,
            wait,
            group,
            tell,
        );
        let lock = lock.map_err(|error| refused(name, error))?;
        Ok(QubeLock {
            name: name.clone(),
            _lock: lock,
        })
    }
}

/// Why a lock of a qube was not granted: somebody works on it, or the lock cannot even be tried.
pub(super) fn refused(name: &VmName, error: FileLockError) -> LifecycleError {
    match error {
        FileLockError::Held { .. } => LifecycleError::Locked {
            qube: name.clone(),
            reason: error.to_string(),
        },
        FileLockError::Io { file, source } => LifecycleError::Io {
            what: format!("cannot lock {name}: {}", file.display()),
            source,
        },
    }
}

/// Makes `RUN` and its parts, 2770 and group qubes where that exists.
pub fn create_run_directories(system: &System) -> Result<(), LifecycleError> {
    let run = system.run_dir();
    run.make(
        &["lock", "vm", "stop", "console", "log"],
        system.qubes_group(),
    )
    .map(drop)
    .map_err(|source| {
        let what = format!("cannot make directory {}", run.path().display());
        LifecycleError::Io { what, source }
    })
}

/// Makes a directory, with those above it, for members of group qubes.
pub(super) fn make_shared_directory(
    directory: &Path,
    system: &System,
) -> Result<(), LifecycleError> {
    replace::make_shared_directory(directory, system.qubes_group()).map_err(|source| {
        let what = format!("cannot make directory {}", directory.display());
        LifecycleError::Io { what, source }
    })
}
