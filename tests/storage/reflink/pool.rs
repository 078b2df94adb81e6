//! A pool of driver `file-reflink` on a file system of its own, and the actions of guests on its
//! volumes.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use qubes::storage::driver::*;
use qubes::storage::{Attachment, PoolDirectory, Reflink, Volume, VolumeLocks};
pub use qubes_test_support::volumes::{MIB, snapshot};
use qubes_test_support::{FileSystem, LoopMount, volumes};

/// A pool with its file system.
pub struct Pool {
    pub kind: FileSystem,
    pub driver: Reflink,
    pub directory: PathBuf,
    pub mount: LoopMount,
}

/// Creates the pool. If it cannot, prints why and returns `None`.
pub fn pool_on(kind: FileSystem) -> Option<Pool> {
    let mount = match LoopMount::new(kind) {
        Ok(mount) => mount,
        Err(reason) => {
            qubes_test_support::skip(format_args!("{kind:?}: {reason}"));
            return None;
        }
    };
    let directory = mount.path().join("pool");
    let locks = locks_beside(&directory);
    let driver = Reflink::new(
        PoolDirectory::new("vm-pool", directory.clone(), None, locks),
        kind != FileSystem::Ext4,
    );
    driver.setup().unwrap();
    Some(Pool {
        kind,
        driver,
        directory,
        mount,
    })
}

/// Creates locks that no other process uses, without a waiting time.
pub fn locks_beside(directory: &Path) -> VolumeLocks {
    VolumeLocks::new(directory.with_file_name("run"), None, Duration::ZERO)
}

/// Creates one pool on each file system.
pub fn all_pools() -> impl Iterator<Item = Pool> {
    [FileSystem::Btrfs, FileSystem::Xfs, FileSystem::Ext4]
        .into_iter()
        .filter_map(pool_on)
}

pub fn origin(qube: &str, name: &str) -> Volume {
    volumes::origin("vm-pool", qube, name, 64 * MIB)
}

pub fn volatile(qube: &str) -> Volume {
    Volume {
        save_on_stop: false,
        ..origin(qube, "volatile")
    }
}

impl Pool {
    /// Returns the names in a qube's directory, each with its number of links if that is not 1.
    pub fn names(&self, qube_dir: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.directory.join(qube_dir))
            .into_iter()
            .flatten()
            .map(|entry| {
                let entry = entry.unwrap();
                let (name, links) = (
                    entry.file_name().into_string().unwrap(),
                    entry.metadata().unwrap().nlink(),
                );
                if links > 1 {
                    format!("{name} x{links}")
                } else {
                    name
                }
            })
            .collect();
        names.sort();
        names
    }

    /// Returns the names without the times of revisions.
    pub fn shapes(&self, qube_dir: &str) -> Vec<String> {
        let shape = |name: String| {
            name.split_once('@')
                .map(|(n, _)| n.to_string())
                .unwrap_or(name)
        };
        self.names(qube_dir).into_iter().map(shape).collect()
    }

    pub fn path(&self, inside: &str) -> PathBuf {
        self.directory.join(inside)
    }

    /// Writes to a volume as a running qube does, and syncs it.
    pub fn guest_writes(&self, volume: &Volume, text: &str) {
        let image = self.image(volume);
        image
            .write_all_at(format!("{text:\0<16}").as_bytes(), 4096)
            .unwrap();
        image.sync_all().unwrap();
    }

    /// Writes that many incompressible bytes to a volume as a guest does.
    pub fn guest_fills(&self, volume: &Volume, bytes: u64) {
        let image = self.image(volume);
        let mut random = fastrand::Rng::with_seed(7);
        let mut block = vec![0; MIB as usize];
        for at in 0..bytes / MIB {
            random.fill(&mut block);
            image.write_all_at(&block, (at + 1) * MIB).unwrap();
        }
        image.sync_all().unwrap();
    }

    pub fn run_once(&self, volume: &Volume, text: &str) {
        self.driver.start(volume).unwrap();
        self.guest_writes(volume, text);
        self.driver.stop(volume).unwrap();
    }

    fn image(&self, volume: &Volume) -> File {
        let Attachment::File(image) = self.driver.attachment(volume).unwrap() else {
            panic!("no image")
        };
        File::options().write(true).open(image).unwrap()
    }
}

/// Returns the text that a guest wrote.
pub fn text_in(image: &Path) -> String {
    volumes::text_in(image, 4096)
}
