//! A pool without any room left: each tool that needs some says so in one line, and everything is as it was.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{FileExt, symlink};
use std::path::PathBuf;

use crate::loop_mount::{FileSystem, LoopMount};
use crate::running::Live;
use crate::skip::skip;
use crate::system::{MIB, random_bytes};

/// What private images have.
const OLD: u64 = 24 * MIB;

/// A pool on a small file system of its own, whose files share no blocks: so that everything needs room for a whole image.
struct SmallPool {
    live: Live,
    mount: LoopMount,
}

impl SmallPool {
    fn new() -> Option<SmallPool> {
        let mount = match LoopMount::new(FileSystem::Ext4) {
            Ok(mount) => mount,
            Err(reason) => {
                skip(format_args!("ext4: {reason}"));
                return None;
            }
        };
        let live = Live::new()?;
        symlink(mount.path(), live.system.path("/small")).unwrap();
        live.ok("qvm-pool add small file-reflink -o dir_path=/small -o setup_check=no");
        live.ok("qvm-create -C TemplateVM -l black -P small base");
        let data = live.system.file("data", &random_bytes(8 * MIB, 1));
        live.ok(&format!("qvm-volume import base:root {}", data.display()));
        // Larger than the root image, whose room a stop gives back first.
        let data = live.system.file("data", &random_bytes(OLD, 1));
        for qube in ["busy", "idle"] {
            live.ok(&format!("qvm-create -l red -t base -P small {qube}"));
            live.ok(&format!("qvm-volume import {qube}:private {}", data.display()));
            live.needs_no_system(qube);
        }
        Some(SmallPool { live, mount })
    }

    fn image(&self, image: &str) -> PathBuf {
        self.mount.path().join("appvms").join(image)
    }

    fn bytes(&self, image: &str) -> Vec<u8> {
        fs::read(self.image(image)).unwrap()
    }

    /// The names of all that is in the pool, without the times of revisions.
    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for kind in ["appvms", "vm-templates"] {
            for qube in fs::read_dir(self.mount.path().join(kind)).unwrap() {
                let qube = qube.unwrap();
                for image in fs::read_dir(qube.path()).unwrap() {
                    let image = image.unwrap().file_name().into_string().unwrap();
                    let image = image.split('@').next().unwrap_or_default();
                    names.push(format!("{}/{image}", qube.file_name().into_string().unwrap()));
                }
            }
        }
        names.sort();
        names
    }

    /// Fills the file system to the last byte.
    fn fill(&self) {
        let mut random = fastrand::Rng::with_seed(3);
        for (number, size) in [MIB as usize, 4096, 1].into_iter().enumerate() {
            let Ok(mut file) = File::create(self.mount.path().join(format!("filler-{number}"))) else { break };
            let mut piece = vec![0; size];
            random.fill(&mut piece);
            while file.write_all(&piece).is_ok() {}
            let _full = file.sync_all();
        }
    }

    fn make_room(&self) {
        for number in 0..3 {
            let _may_not_be_there = fs::remove_file(self.mount.path().join(format!("filler-{number}")));
        }
    }

    /// A command that fails for want of room with one line of its own, in which these words are.
    fn fails(&self, line: &str, words: &[&str]) {
        let ran = self.live.run(line);
        let told: Vec<&str> = ran.stderr.lines().filter(|told| !told.contains("is nearly full")).collect();
        assert!(ran.code != 0 && told.len() == 1, "{line}: {ran:?}");
        for word in words.iter().chain(&["No space left on device"]) {
            assert!(told[0].contains(word), "{line}: no '{word}': {ran:?}");
        }
    }
}

#[test]
fn start_commit_clone_and_import_fail_with_a_line_and_leave_the_old_data() {
    let Some(pool) = SmallPool::new() else { return };
    let live = &pool.live;
    let (old, new) = (random_bytes(OLD, 1), live.system.file("new", &random_bytes(OLD, 2)));
    live.ok("qvm-start busy");
    let disk = File::options().write(true).open(pool.image("busy/private-dirty.img")).unwrap();
    disk.write_all_at(b"synced by the guest", 0).unwrap();
    disk.sync_all().unwrap();

    let before = live.run("qvm-pool");
    assert_eq!((before.code, &*before.stderr), (0, ""), "there is room");
    pool.fill();
    for line in ["qvm-pool", "qvm-pool info small", "qvm-ls"] {
        let warned = live.run(line);
        assert!(warned.code == 0 && warned.stderr.contains("pool small is nearly full: 9"), "{line}: {warned:?}");
    }
    let names = pool.names();
    pool.fails("qvm-start idle", &["idle"]);
    pool.fails("qvm-clone -q -P small idle copy", &["copy"]);
    pool.fails(&format!("qvm-volume import idle:private {}", new.display()), &["idle:private"]);
    pool.fails("qvm-volume clone -f busy:private idle:private", &["idle:private"]);
    assert_eq!(pool.names(), names, "nothing is left of what failed");
    assert!(!live.run("qvm-ls --raw-list").stdout.contains("copy"), "there is no half a qube");
    assert!(pool.bytes("idle/private.img") == old);

    // The guest ends, and what it wrote cannot be committed: it stays where it is, and nothing else changes.
    live.run("qvm-kill busy");
    pool.fails("qubes-recover", &["busy"]);
    assert!(pool.bytes("busy/private.img") == old);
    assert!(pool.bytes("busy/private-dirty.img").starts_with(b"synced by the guest"));

    pool.make_room();
    live.ok("qubes-recover");
    assert!(pool.bytes("busy/private.img").starts_with(b"synced by the guest"));
    live.ok("qvm-clone -q -P small busy copy");
    live.ok(&format!("qvm-volume import idle:private {}", new.display()));
    live.ok("qvm-start idle");
    for qube in ["idle", "busy", "copy"] {
        live.run(&format!("qvm-kill {qube}"));
        live.ok(&format!("qvm-remove -f {qube}"));
    }
    assert!(pool.names().iter().all(|name| name.starts_with("base/")), "{:?}", pool.names());
}
