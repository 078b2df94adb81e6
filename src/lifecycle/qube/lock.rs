//! The operation lock of a qube: held while its storage or its domain changes, never while waiting
//! for a guest.

use std::path::Path;
use std::time::Duration;

use crate::fs::file_lock::{FileLock, FileLockError, LockMode};
use crate::fs::owned_paths;
use crate::lifecycle::{Context, LifecycleError};
use crate::model::VmName;
use crate::system::System;

/// How long a command waits for the lock of a qube. A start on a busy machine takes a while.
const LOCK_TIMEOUT: Duration = Duration::from_secs(120);

/// Proof that no other command changes the storage or the domain of this qube. Released when
/// dropped.
///
/// A command holds one at a time: it finishes with its netvm before it locks the client. Only a
/// change of several qubes at once holds several locks, taken in the order of their names.
#[derive(Debug)]
pub struct QubeLock {
    name: VmName,
    _lock: FileLock,
}

impl QubeLock {
    /// Returns the locked qube.
    pub fn name(&self) -> &VmName {
        &self.name
    }
}

/// Takes the operation lock of `name`, whether or not the qube exists (yet). A long wait is
/// reported.
///
/// # Errors
/// [`LifecycleError::Locked`] after the timeout; the lock file cannot be used.
pub fn lock(context: &Context, name: &VmName) -> Result<QubeLock, LifecycleError> {
    let wait = if context.system.lock_wait().is_zero() {
        Duration::ZERO
    } else {
        LOCK_TIMEOUT
    };
    context
        .system
        .report_step(|| format!("{name}: taking its lock"));
    lock_with_notice(context, name, wait, &|holder| {
        context
            .system
            .notify(&format!("waiting for {holder}, which works on {name}"));
    })
}

/// Takes the operation lock of `name`, waits at most `wait` for it, and reports nothing.
///
/// # Errors
/// [`LifecycleError::Locked`] after `wait`; the lock file cannot be used.
pub fn lock_within(
    context: &Context,
    name: &VmName,
    wait: Duration,
) -> Result<QubeLock, LifecycleError> {
    lock_with_notice(context, name, wait, &|_| ())
}

/// Takes the lock, and calls `tell` with its holder if it has to wait for long.
fn lock_with_notice(
    context: &Context,
    name: &VmName,
    wait: Duration,
    tell: &dyn Fn(&str),
) -> Result<QubeLock, LifecycleError> {
    let (run, group) = (context.system.run_dir(), context.system.qubes_group());
    let lock = run.lock_with_notice(
        &format!("vm-{name}"),
        LockMode::Exclusive,
        wait,
        group,
        tell,
    );
    let lock = lock.map_err(|error| lock_error(name, error))?;
    Ok(QubeLock {
        name: name.clone(),
        _lock: lock,
    })
}

/// Converts the error of a qube's lock: it is held by another command, or it cannot be tried.
pub(in crate::lifecycle) fn lock_error(name: &VmName, error: FileLockError) -> LifecycleError {
    match error {
        FileLockError::Held { .. } => LifecycleError::Locked {
            qube: name.clone(),
            reason: error.to_string(),
        },
        FileLockError::Io { file, source } => {
            LifecycleError::cannot("lock", &format_args!("{name}: {}", file.display()))(source)
        }
    }
}

/// Creates RUN and its subdirectories, with mode 2770 and group qubes if that exists.
///
/// # Errors
/// A directory cannot be created.
pub fn create_run_directories(system: &System) -> Result<(), LifecycleError> {
    let run = system.run_dir();
    run.create(
        &["lock", "vm", "stop", "console", "log"],
        system.qubes_group(),
    )
    .map(drop)
    .map_err(LifecycleError::cannot(
        "create directory",
        &run.path().display(),
    ))
}

/// Creates a directory and its parents, accessible to members of group qubes.
///
/// # Errors
/// A directory cannot be created.
pub(in crate::lifecycle) fn create_shared_directory(
    directory: &Path,
    system: &System,
) -> Result<(), LifecycleError> {
    owned_paths::create_shared_directory(directory, system.qubes_group()).map_err(
        LifecycleError::cannot("create directory", &directory.display()),
    )
}
