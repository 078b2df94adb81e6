//! The location of a store in a temporary directory, for tests that call the library.
//! Included with `#[path = "support/store_location.rs"] mod store_location;`.

use std::path::Path;

use qubes::store::{LockWait, StoreLocation};

/// Returns the location of `qubes.xml` in `directory`, with RUN and copies beside it. Locks are not
/// waited for, and no qubesd owns the store.
pub fn store_location(directory: &Path) -> StoreLocation {
    StoreLocation {
        file: directory.join("qubes.xml"),
        run_dir: directory.join("run").into(),
        backup_dir: directory.join("backup"),
        qubesd_socket: None,
        group: None,
        wait: LockWait::NONE,
        force: false,
    }
}
