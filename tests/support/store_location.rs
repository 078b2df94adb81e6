//! A store in a directory of its own, for tests that call the library.
//! For each test file to include by itself: `#[path = "support/store_location.rs"] mod store_location;`.

use std::path::Path;

use qubes::store::{LockWait, StoreLocation};

/// `qubes.xml` in `directory`, its RUN and its copies beside it; nobody waits, no qubesd owns it.
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
