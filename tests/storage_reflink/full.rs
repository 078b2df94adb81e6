//! A full pool: what cannot be done says so in a line that names the qube's image, and everything that was committed stays.

use std::fs::{self, File};
use std::io::Write;

use qubes::storage::{Driver, StorageError};

use crate::pool::{MIB, Pool, all_pools, origin, text_in};

/// What somebody else fills the file system with, to the last byte.
struct Filler<'p>(&'p Pool);

impl<'p> Filler<'p> {
    fn over(pool: &'p Pool) -> Filler<'p> {
        let mut random = fastrand::Rng::with_seed(11);
        // Large pieces first; what is left between them is filled by smaller ones.
        for (number, size) in [MIB as usize, 4096, 4096].into_iter().enumerate() {
            let Ok(mut file) = File::create(pool.mount.path().join(format!("filler-{number}"))) else { break };
            let mut piece = vec![0; size];
            random.fill(&mut piece);
            while file.write_all(&piece).is_ok() {}
            let _full = file.sync_all();
        }
        Filler(pool)
    }
}

impl Drop for Filler<'_> {
    fn drop(&mut self) {
        for number in 0..3 {
            let _gone = fs::remove_file(self.0.mount.path().join(format!("filler-{number}")));
        }
    }
}

/// The line that it fails with, if it does: a file system that shares blocks may have room for the little it takes.
fn says_why(what: &str, done: Result<(), StorageError>) {
    let Err(error) = done else { return };
    let line = error.to_string();
    let names_the_qube = ["work", "other", "copy"].iter().any(|qube| line.contains(qube));
    assert!(line.contains("No space left on device") && names_the_qube, "{what}: {line}");
    assert!(!line.contains('\n'), "{what}: {line}");
}

#[test]
fn a_full_pool_refuses_and_keeps_what_it_has() {
    for pool in all_pools() {
        let driver = &pool.driver;
        let (private, other, copy) = (origin("work", "private"), origin("other", "private"), origin("copy", "private"));
        for volume in [&private, &other] {
            driver.create(volume).unwrap();
            driver.start(volume).unwrap();
            pool.guest_fills(volume, 20 * MIB);
            pool.guest_writes(volume, "committed");
            driver.stop(volume).unwrap();
        }
        // Something that runs when the pool becomes full, and something to import.
        driver.start(&other).unwrap();
        pool.guest_writes(&other, "synced");
        let elsewhere = tempfile::NamedTempFile::new().unwrap();
        fs::write(elsewhere.path(), vec![7; 40 * MIB as usize]).unwrap();

        let filler = Filler::over(&pool);
        let import = driver.import(&private, elsewhere.path());
        assert!(import.is_err(), "there is no room for it");
        says_why("import", import);
        let data = File::open(elsewhere.path()).unwrap();
        let clone = driver.import_written(&copy, &mut |to| std::io::copy(&mut &data, &mut &*to).map(drop));
        assert!(clone.is_err(), "there is no room for it");
        says_why("clone", clone);
        says_why("create", driver.create(&copy));
        says_why("start", driver.start(&private));
        says_why("stop", driver.stop(&private));
        says_why("commit", driver.stop(&other));
        assert_eq!(text_in(&pool.path("appvms/work/private.img")), "committed");

        drop(filler);
        driver.stop(&private).unwrap();
        driver.stop(&other).unwrap();
        assert_eq!(text_in(&pool.path("appvms/work/private.img")), "committed");
        assert_eq!(text_in(&pool.path("appvms/other/private.img")), "synced");
        driver.import(&private, elsewhere.path()).unwrap();
        driver.start(&private).unwrap();
        driver.stop(&private).unwrap();
        for qube in ["work", "other"] {
            let names = pool.names(&format!("appvms/{qube}"));
            assert!(names.iter().all(|name| !name.contains('~') && !name.contains("import")), "{names:?}");
        }
    }
}
