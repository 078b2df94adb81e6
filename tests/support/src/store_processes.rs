//! Helper processes that work on one store: the test binary, run again.

use std::path::{Path, PathBuf};
use std::process::Command;

const JOB: &str = "STORE_TEST_JOB";
const DIR: &str = "STORE_TEST_DIR";

/// Returns the command that runs this test binary in another process for one job, which `test`
/// does.
pub fn prepare_helper(test: &str, job: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(JOB, job)
        .env(DIR, dir);
    command
}

/// Returns the job that this process was started for, and its directory.
pub fn job() -> Option<(String, PathBuf)> {
    Some((std::env::var(JOB).ok()?, std::env::var_os(DIR)?.into()))
}
