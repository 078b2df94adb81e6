//! A pool of driver `file`, and a guest that also plays the part of dm-snapshot.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use qubes::storage::driver::*;
use qubes::storage::{DmFile, PoolDirectory, Volume, VolumeLocks};
use qubes_test_support::tree::list_names;
use qubes_test_support::volumes;
pub use qubes_test_support::volumes::{MIB, refusal, snapshot, text_in};
use tempfile::TempDir;

const CHUNK: u64 = 128 << 10;

pub struct Pool {
    pub driver: DmFile,
    pub place: TempDir,
}

pub fn locks_in(place: &Path) -> VolumeLocks {
    VolumeLocks::new(place.join("run"), None, Duration::ZERO)
}

pub fn driver_in(place: &Path) -> DmFile {
    DmFile::new(PoolDirectory::new(
        "files",
        place.join("pool"),
        None,
        locks_in(place),
    ))
}

pub fn origin(qube: &str, name: &str) -> Volume {
    volumes::origin("files", qube, name, 8 * MIB)
}

impl Pool {
    pub fn new() -> Pool {
        let place = tempfile::tempdir().unwrap();
        let driver = driver_in(place.path());
        driver.setup().unwrap();
        Pool { driver, place }
    }

    pub fn path(&self, inside: &str) -> PathBuf {
        self.place.path().join("pool").join(inside)
    }

    pub fn names(&self, qube_dir: &str) -> Vec<String> {
        list_names(self.path(qube_dir))
    }

    pub fn text(&self, volume: &Volume) -> String {
        text_in(&self.image(volume), 4096)
    }

    pub fn image(&self, volume: &Volume) -> PathBuf {
        self.path(&format!("{}.img", volume.vid))
    }

    /// Simulates a guest that writes `text` at each of `places`. Before a chunk is overwritten for
    /// the first time, its content is copied to the COW file, as dm-snapshot does it.
    pub fn guest_writes(&self, volume: &Volume, text: &str, places: &[u64]) {
        let open = |path: &Path| File::options().read(true).write(true).open(path).unwrap();
        let image = open(&self.image(volume));
        let cow = open(&self.path(&format!("{}-cow.img", volume.vid)));
        for (at, number) in [(0, 0x7041_6e53_u32), (4, 1), (8, 1), (12, 256)] {
            cow.write_all_at(&number.to_le_bytes(), at).unwrap();
        }
        let mut kept: Vec<u64> = Vec::new();
        for at in places {
            let chunk = at / CHUNK;
            if !kept.contains(&chunk) {
                let mut old = vec![0; CHUNK as usize];
                image.read_exact_at(&mut old, chunk * CHUNK).unwrap();
                let (pair, place) = (CHUNK + kept.len() as u64 * 16, 2 + kept.len() as u64);
                cow.write_all_at(&old, place * CHUNK).unwrap();
                cow.write_all_at(&chunk.to_le_bytes(), pair).unwrap();
                cow.write_all_at(&place.to_le_bytes(), pair + 8).unwrap();
                kept.push(chunk);
            }
            image
                .write_all_at(format!("{text:\0<16}").as_bytes(), *at)
                .unwrap();
        }
        image.sync_all().unwrap();
        cow.sync_all().unwrap();
    }

    /// Simulates a guest that writes at 4096, and stops it.
    pub fn run_once(&self, volume: &Volume, text: &str) {
        self.guest_writes(volume, text, &[4096]);
        self.driver.stop(volume).unwrap();
    }
}
