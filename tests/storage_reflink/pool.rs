//! A pool of driver file-reflink on a file system of its own, and what a guest does to its volumes.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use qubes::storage::{Attachment, Driver, Reflink, Volume, VolumeKind, VolumeLocks};

use crate::loop_mount::{FileSystem, LoopMount};

pub const MIB: u64 = 1 << 20;

/// A pool that is set up, with the file system it lies on.
pub struct Pool {
    pub kind: FileSystem,
    pub driver: Reflink,
    pub directory: PathBuf,
    pub mount: LoopMount,
}

/// The pool, or none with the reason printed.
pub fn pool_on(kind: FileSystem) -> Option<Pool> {
    let mount = match LoopMount::new(kind) {
        Ok(mount) => mount,
        Err(reason) => {
            crate::skip::skip(format_args!("{kind:?}: {reason}"));
            return None;
        }
    };
    let directory = mount.path().join("pool");
    let locks = locks_beside(&directory);
    let driver = Reflink::new(
        "vm-pool",
        directory.clone(),
        kind != FileSystem::Ext4,
        None,
        locks,
    );
    driver.setup().unwrap();
    Some(Pool {
        kind,
        driver,
        directory,
        mount,
    })
}

/// Locks of nobody else, for which nobody waits.
pub fn locks_beside(directory: &Path) -> VolumeLocks {
    VolumeLocks::new(directory.with_file_name("run"), None, Duration::ZERO)
}

/// One pool on each file system.
pub fn all_pools() -> impl Iterator<Item = Pool> {
    [FileSystem::Btrfs, FileSystem::Xfs, FileSystem::Ext4]
        .into_iter()
        .filter_map(pool_on)
}

pub fn origin(qube: &str, name: &str) -> Volume {
    let prefix = if qube == "debian" {
        "vm-templates"
    } else {
        "appvms"
    };
    Volume {
        owner: qube.into(),
        name: name.into(),
        pool: "vm-pool".into(),
        vid: format!("{prefix}/{qube}/{name}"),
        kind: VolumeKind::Origin,
        rw: true,
        size: 64 * MIB,
        revisions_to_keep: 1,
        source: None,
        ephemeral: false,
    }
}

pub fn snapshot(qube: &str, of: &Volume) -> Volume {
    Volume {
        kind: VolumeKind::Snapshot,
        source: Some(of.vid.clone()),
        ..origin(qube, &of.name)
    }
}

pub fn volatile(qube: &str) -> Volume {
    Volume {
        kind: VolumeKind::Volatile,
        ..origin(qube, "volatile")
    }
}

impl Pool {
    /// The names in a qube's directory, each with its number of links when there is more than one.
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

    /// The same with the time of revisions left out.
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

    /// What a running qube does to its volume, synced as a database would.
    pub fn guest_writes(&self, volume: &Volume, text: &str) {
        let image = self.image(volume);
        image
            .write_all_at(format!("{text:\0<16}").as_bytes(), 4096)
            .unwrap();
        image.sync_all().unwrap();
    }

    /// A guest that fills its disk with that many bytes that no file system can make smaller.
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

/// The text that a guest wrote.
pub fn text_in(image: &Path) -> String {
    let mut bytes = [0; 16];
    File::open(image)
        .unwrap()
        .read_exact_at(&mut bytes, 4096)
        .unwrap();
    String::from_utf8_lossy(&bytes)
        .trim_end_matches('\0')
        .to_string()
}
