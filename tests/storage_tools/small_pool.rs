//! A pool on a small file system of its own, with qubes that can be started.

use std::fs;
use std::path::PathBuf;

use qubes::exec::Program;
use qubes_test_support::{FileSystem, LoopMount, skip};

use qubes_test_support::tree::{list_images, list_names};
use qubes_test_support::volumes::fill_disk;

use crate::running::Live;
use crate::system::{MIB, random_bytes};

/// The size of the data in private images.
pub const OLD: u64 = 24 * MIB;

/// A pool on a small file system of its own that shares no blocks, so that every copy needs the
/// space of a whole image.
pub struct SmallPool {
    pub live: Live,
    mount: LoopMount,
}

impl SmallPool {
    pub fn new() -> Option<SmallPool> {
        let mount = match LoopMount::new(FileSystem::Ext4) {
            Ok(mount) => mount,
            Err(reason) => {
                skip(format_args!("ext4: {reason}"));
                return None;
            }
        };
        let live = Live::new()?;
        // A link would leave the root, and is not followed there.
        let place = live.system.path("/small");
        fs::create_dir(&place).unwrap();
        let bound = Program::new("mount")
            .arg("--bind")
            .arg(mount.path())
            .arg(&place)
            .output();
        bound.unwrap();
        live.ok("qvm-pool add small file-reflink -o dir_path=/small -o setup_check=no");
        live.ok("qvm-create -C TemplateVM -l black -P small base");
        let data = live.system.file("data", &random_bytes(8 * MIB, 1));
        live.ok(&format!("qvm-volume import base:root {}", data.display()));
        // Larger than the root image, whose space a stop frees first.
        let data = live.system.file("data", &random_bytes(OLD, 1));
        for qube in ["busy", "idle"] {
            live.ok(&format!("qvm-create -l red -t base -P small {qube}"));
            live.ok(&format!(
                "qvm-volume import {qube}:private {}",
                data.display()
            ));
            live.allow_start_without_system(qube);
        }
        Some(SmallPool { live, mount })
    }

    pub fn image(&self, image: &str) -> PathBuf {
        self.mount.path().join("appvms").join(image)
    }

    pub fn bytes(&self, image: &str) -> Vec<u8> {
        fs::read(self.image(image)).unwrap()
    }

    /// Returns the names of everything in the pool, without the times of revisions.
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for kind in ["appvms", "vm-templates"] {
            let directory = self.mount.path().join(kind);
            for qube in list_names(&directory) {
                let images = list_images(directory.join(&qube)).into_iter();
                names.extend(images.map(|image| format!("{qube}/{image}")));
            }
        }
        names.sort();
        names
    }

    /// Fills the file system to the last byte.
    pub fn fill(&self) {
        fill_disk(&self.mount.path(), &[MIB as usize, 4096, 1], 3);
    }

    pub fn free_space(&self) {
        for number in 0..3 {
            let _may_not_be_there =
                fs::remove_file(self.mount.path().join(format!("filler-{number}")));
        }
    }

    /// Runs a command that must fail for lack of space, with one line that contains these words.
    pub fn fails(&self, line: &str, words: &[&str]) {
        let ran = self.live.run(line);
        let told: Vec<&str> = ran
            .stderr
            .lines()
            .filter(|told| !told.contains("is nearly full"))
            .collect();
        assert!(ran.code != 0 && told.len() == 1, "{line}: {ran:?}");
        for word in words.iter().chain(&["No space left on device"]) {
            assert!(told[0].contains(word), "{line}: no '{word}': {ran:?}");
        }
    }
}

impl Drop for SmallPool {
    fn drop(&mut self) {
        self.free_space();
        for qube in ["busy", "idle"] {
            self.live.run(&format!("qvm-kill {qube}"));
            self.live.run(&format!("qvm-remove -f {qube}"));
        }
        let unmounted = Program::new("umount")
            .arg("--lazy")
            .arg(self.live.system.path("/small"))
            .output();
        if let Err(error) = unmounted {
            eprintln!("the small pool stays mounted: {error}");
        }
    }
}
