//! A scratch store, and copies of the test binary that work on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use qubes::store::{StorePlace, Wait, Write};

/// A directory with a copy of the small sample as its store.
pub struct Scratch {
    pub dir: tempfile::TempDir,
    pub place: StorePlace,
}

impl Scratch {
    pub fn new() -> Scratch {
        let dir = tempfile::tempdir().unwrap();
        let place = place_in(dir.path(), Wait::NO);
        fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/r4/small.xml"), &place.file).unwrap();
        Scratch { dir, place }
    }
}

pub fn place_in(dir: &Path, wait: Wait) -> StorePlace {
    StorePlace {
        file: dir.join("qubes.xml"),
        run_dir: dir.join("run"),
        backup_dir: dir.join("backup"),
        qubesd_socket: None,
        group: None,
        wait,
        force: false,
    }
}

pub fn set_memory(write: &mut Write, text: &str) {
    write.edit("work").unwrap().properties.set("memory", text);
}

pub fn memory_in(file: &Path) -> String {
    let qubes = qubes::format::read(fs::read(file).unwrap()).unwrap();
    qubes.get("work").unwrap().properties.get("memory").unwrap().to_string()
}

const JOB: &str = "STORE_TEST_JOB";
const DIR: &str = "STORE_TEST_DIR";

/// The test binary again, as another process with one job. The job is done by the test called `helper_process`.
pub fn this_binary(job: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "helper_process", "--nocapture", "--test-threads=1"]).env(JOB, job).env(DIR, dir);
    command
}

/// The job this process was started for.
pub fn job() -> Option<(String, PathBuf)> {
    Some((std::env::var(JOB).ok()?, std::env::var_os(DIR)?.into()))
}
