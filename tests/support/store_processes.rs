//! Copies of the test binary that work on one store.

use std::path::{Path, PathBuf};
use std::process::Command;

use qubes::store::{LockWait, StoreLocation};

/// A store in a directory, with all that belongs to it.
pub fn store_location(dir: &Path, wait: LockWait) -> StoreLocation {
    StoreLocation {
        file: dir.join("qubes.xml"),
        run_dir: dir.join("run").into(),
        backup_dir: dir.join("backup"),
        qubesd_socket: None,
        group: None,
        wait,
        force: false,
    }
}

const JOB: &str = "STORE_TEST_JOB";
const DIR: &str = "STORE_TEST_DIR";

/// The test binary again, as another process with one job. The job is done by the test called
/// `helper_process`.
pub fn helper_command(job: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "helper_process",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(JOB, job)
        .env(DIR, dir);
    command
}

/// The job this process was started for.
pub fn job() -> Option<(String, PathBuf)> {
    Some((std::env::var(JOB).ok()?, std::env::var_os(DIR)?.into()))
}
