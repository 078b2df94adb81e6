//! The operation lock of a qube: held while its storage or its domain changes, never while waiting for a guest.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use super::{LifecycleError, Session};
use crate::model::VmName;
use crate::store::file_lock::{Exclusivity, FileLock};
use crate::system::System;

/// How long a command waits for another one that works on the same qube. A start on a busy machine takes a while.
const WAIT: Duration = Duration::from_secs(120);

/// Proof that nobody else changes this qube's storage or domain. Released when dropped.
///
/// One at a time: a command that needs a second qube (its netvm) finishes with that one first.
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
        let wait = if self.system.lock_wait().is_zero() { Duration::ZERO } else { WAIT };
        self.lock_qube_within(name, wait)
    }

    /// The same with a bound of the caller's own.
    pub fn lock_qube_within(&self, name: &VmName, wait: Duration) -> Result<QubeLock, LifecycleError> {
        let failed = |reason: String| LifecycleError::Locked { qube: name.clone(), reason };
        make_run_directories(&self.system).map_err(|e| failed(e.to_string()))?;
        let file = self.system.run_dir().join("lock").join(format!("vm-{name}"));
        let lock = FileLock::acquire(&file, Exclusivity::Exclusive, wait, self.system.qubes_group())
            .map_err(|e| failed(e.to_string()))?;
        Ok(QubeLock { name: name.clone(), _lock: lock })
    }
}

/// Makes `RUN`, `RUN/lock`, `RUN/vm` and `RUN/console`, 2770 and group qubes where that exists.
pub fn make_run_directories(system: &System) -> io::Result<()> {
    for part in ["", "lock", "vm", "console", "log"] {
        let directory = system.run_dir().join(part);
        if !directory.is_dir() {
            make_shared_directory(&directory, system)?;
        }
    }
    Ok(())
}

/// Makes a directory, with those above it, for members of group qubes.
pub(super) fn make_shared_directory(directory: &Path, system: &System) -> io::Result<()> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", directory.display()));
    fs::DirBuilder::new().recursive(true).mode(0o770).create(directory).map_err(named)?;
    if let Some(group) = system.qubes_group() {
        // Who may not give it to the group keeps it; then it is nobody else's store either.
        let _refused = nix::unistd::chown(directory, None, Some(group));
    }
    fs::set_permissions(directory, fs::Permissions::from_mode(0o2770)).map_err(named)
}
