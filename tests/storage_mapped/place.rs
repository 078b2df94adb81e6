//! A pool of driver `file` in the machine with a device mapper, and the actions of guests on mapped
//! devices.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use qubes::exec::Program;
use qubes::storage::driver::*;
use qubes::storage::{Attachment, DmFile, PoolDirectory, Volume, VolumeLocks};
use qubes_test_support::tree::list_names;
use qubes_test_support::volumes;
pub use qubes_test_support::volumes::{MIB, refusal, snapshot, text_in};
use tempfile::TempDir;

/// Whether this is the machine of the tests.
pub fn is_the_machine() -> bool {
    std::env::var_os("MAPPED_DEVICES").is_some()
}

pub struct Pool {
    pub driver: DmFile,
    pub place: TempDir,
}

/// Creates a pool; `None` without a device mapper. Checks that the previous test has left no
/// devices.
pub fn pool() -> Option<Pool> {
    if !is_the_machine() {
        return None;
    }
    Some(pool_in(tempfile::tempdir().unwrap()))
}

/// Creates a pool in a directory.
pub fn pool_in(place: TempDir) -> Pool {
    assert_eq!(mapped(), [""; 0], "left by the test before");
    let locks = VolumeLocks::new(place.path().join("run"), None, Duration::from_secs(300));
    let driver = DmFile::new(PoolDirectory::new(
        "files",
        place.path().join("pool"),
        None,
        locks,
    ));
    driver.setup().unwrap();
    Pool { driver, place }
}

pub fn origin(qube: &str, name: &str) -> Volume {
    volumes::origin("files", qube, name, 8 * MIB)
}

/// Returns the names of the mapped devices.
pub fn mapped() -> Vec<String> {
    let names = fs::read_dir("/dev/mapper")
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| name != "control")
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// Waits for a condition: the kernel removes devices a moment after they are closed.
pub fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: {:?}", mapped());
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub fn text(image: &Path) -> String {
    text_in(image, 4096)
}

/// Writes to a disk as a guest does, and syncs it.
pub fn write_at(disk: &Path, text: &str, at: u64) {
    let file = File::options().write(true).open(disk).unwrap();
    file.write_all_at(format!("{text:\0<16}").as_bytes(), at)
        .unwrap();
    file.sync_all().unwrap();
}

pub fn write(disk: &Path, text: &str) {
    write_at(disk, text, 4096);
}

impl Pool {
    pub fn path(&self, inside: &str) -> PathBuf {
        self.place.path().join("pool").join(inside)
    }

    pub fn image(&self, volume: &Volume) -> PathBuf {
        self.path(&format!("{}.img", volume.vid))
    }

    pub fn names(&self, qube_dir: &str) -> Vec<String> {
        list_names(self.path(qube_dir))
    }

    /// Returns the id of a file in device names: its device in hexadecimal and its inode.
    pub fn id(&self, inside: &str) -> String {
        let file = fs::metadata(self.path(inside)).unwrap();
        format!("{:x}:{}", file.dev(), file.ino())
    }

    pub fn disk(&self, volume: &Volume) -> PathBuf {
        match self.driver.attachment(volume).unwrap() {
            Attachment::Device(path) | Attachment::File(path) => path,
            Attachment::None => panic!("{}: nothing to attach", volume.label()),
        }
    }

    pub fn start(&self, volume: &Volume) -> PathBuf {
        self.driver.start(volume).unwrap();
        self.disk(volume)
    }

    pub fn run_once(&self, volume: &Volume, text: &str) {
        write(&self.start(volume), text);
        self.driver.stop(volume).unwrap();
    }

    /// Returns the loop devices over files of this pool.
    pub fn loops(&self) -> String {
        let output = Program::new("losetup")
            .args(["-n", "-O", "BACK-FILE"])
            .output()
            .unwrap();
        let pool = self.place.path().display().to_string();
        String::from_utf8_lossy(&output)
            .lines()
            .filter(|line| line.contains(&pool))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Checks that no devices of a run are left.
    pub fn assert_at_rest(&self) {
        eventually("mapped devices are left", || mapped().is_empty());
        eventually("loop devices are left", || self.loops().is_empty());
    }
}

/// Simulates a power loss: removes every device and leaves the files. Devices over others are
/// removed first.
pub fn lose_power() {
    for _ in 0..3 {
        for name in mapped() {
            let _stands_below_another = Program::new("dmsetup").args(["remove", &name]).output();
        }
    }
    assert_eq!(mapped(), [""; 0]);
}
