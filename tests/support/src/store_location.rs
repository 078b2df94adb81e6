//! The location of a store in a temporary directory, for tests that call the library.

use std::path::Path;

use qubes::store::{LockWait, StoreLocation};

/// Returns the location of `qubes.xml` in `directory`, with RUN and copies beside it. Locks are not
/// waited for, and no qubesd owns the store.
pub fn store_location(directory: &Path) -> StoreLocation {
    store_location_with_wait(directory, LockWait::NONE)
}

/// Returns the location of `qubes.xml` in `directory`, whose lock is waited for.
pub fn store_location_with_wait(directory: &Path, wait: LockWait) -> StoreLocation {
    StoreLocation {
        file: directory.join("qubes.xml"),
        run_dir: directory.join("run").into(),
        backup_dir: directory.join("backup"),
        qubesd_socket: None,
        group: None,
        wait,
        force: false,
    }
}
