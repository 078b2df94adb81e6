//! A full thin pool: operations that need space are refused with one line, and all committed data
//! stay.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use qubes::storage::LvmThin;
use qubes::storage::driver::*;

use super::{GROUP, committed, device, locks, lvm, names, origin, pool, refusal, run_once, write};
use crate::place::MIB;

/// Writes more than the pool can hold.
pub fn too_much(mut image: &File) -> io::Result<()> {
    let filling = vec![b'x'; MIB as usize];
    (0..40)
        .try_for_each(|_| image.write_all(&filling))
        .and_then(|()| image.sync_all())
}

/// A thin pool of 32 MiB, which is removed when this is dropped.
pub struct SmallPool;

impl SmallPool {
    pub const FULL: &str = "thin pool qubes_dom0/small is full: remove volumes or revisions, \
        or enlarge it with lvextend qubes_dom0/small";

    pub fn new() -> SmallPool {
        // Without this option, writes wait for a minute before they fail.
        lvm(&[
            "lvcreate",
            "-qq",
            "-L",
            "32M",
            "--errorwhenfull",
            "y",
            "-T",
            "qubes_dom0/small",
        ]);
        SmallPool
    }
}

impl Drop for SmallPool {
    fn drop(&mut self) {
        lvm(&["lvremove", "-qq", "-f", "qubes_dom0/small"]);
    }
}

#[test]
fn a_full_pool_is_reported_and_old_data_stay() {
    if pool().is_none() {
        return;
    }
    let _small = SmallPool::new();
    let pool = LvmThin::new("little", GROUP, "small", locks());
    let (kept, clone) = (origin("kept", "private"), origin("second", "private"));
    pool.create(&kept).unwrap();
    run_once(&pool, &kept, "old");
    let import = refusal(pool.import_with(&kept, &mut |image| too_much(image)));
    assert!(import.contains(SmallPool::FULL), "{import}");
    assert_eq!(names("kept"), ["private", "private-T-back"]);
    assert_eq!(committed(&pool, &kept), "old");
    // The guest fills it. It gets errors for what it can no longer write, and what it has written
    // before is committed.
    pool.start(&kept).unwrap();
    write(&device(&pool, &kept), "newer");
    let guest = File::options()
        .write(true)
        .open(device(&pool, &kept))
        .unwrap();
    assert!((&guest).seek(SeekFrom::Start(MIB)).is_ok() && too_much(&guest).is_err());
    drop(guest);
    let opened = pool.open_committed_data(&kept).unwrap();
    let cloned = refusal(pool.import_committed_data(&clone, &opened, &|_| ()));
    assert!(cloned.contains(SmallPool::FULL), "{cloned}");
    let created = refusal(pool.create(&origin("third", "private")));
    assert!(created.contains(SmallPool::FULL), "{created}");
    drop(opened);
    // A commit needs no space.
    pool.stop(&kept).unwrap();
    assert_eq!(committed(&pool, &kept), "newer");
    let started = refusal(pool.start(&kept));
    assert!(started.contains(SmallPool::FULL), "{started}");
    assert_eq!(committed(&pool, &kept), "newer");
    // After it is enlarged, everything works again.
    lvm(&["lvextend", "-qq", "-L", "96M", "qubes_dom0/small"]);
    run_once(&pool, &kept, "newest");
    assert_eq!(committed(&pool, &kept), "newest");
    pool.remove(&kept).unwrap();
    assert_eq!(pool.volume_ids().unwrap(), Vec::<String>::new());
}
