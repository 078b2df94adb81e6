//! A full pool: operations that fail name the qube's image in one line, and all committed data
//! stay.

use std::fs::{self, File};

use qubes::storage::StorageError;
use qubes::storage::driver::*;
use qubes_test_support::FileSystem;
use qubes_test_support::volumes::{fill_disk, import_file};

use super::pool::{MIB, Pool, all_pools, origin, snapshot, text_in};

/// A file of another program that fills the file system to the last byte.
struct Filler<'p>(&'p Pool);

impl<'p> Filler<'p> {
    fn over(pool: &'p Pool) -> Filler<'p> {
        fill_disk(&pool.mount.path(), &[MIB as usize, 4096, 4096], 11);
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

/// Checks that the error is one line that names the qube and the reason.
fn assert_explained(what: &str, done: &Result<(), StorageError>) {
    let Err(error) = done else { return };
    let line = error.to_string();
    let names_the_qube = ["work", "other", "copy", "app"]
        .iter()
        .any(|qube| line.contains(qube));
    assert!(
        line.contains("No space left on device") && names_the_qube && !line.contains('\n'),
        "{what}: {line}"
    );
}

/// Where blocks are shared, there may be space for the little that a start or a commit needs; then
/// it has to be complete. Where they are not, a start needs space for a whole image and has to
/// fail. A commit makes its revision without any.
#[test]
fn a_full_pool_refuses_new_data_and_keeps_old_data() {
    for pool in all_pools() {
        let driver = &pool.driver;
        let (private, other) = (origin("work", "private"), origin("other", "private"));
        let root = origin("debian", "root");
        for volume in [&private, &other, &root] {
            driver.create(volume).unwrap();
            driver.start(volume).unwrap();
            pool.guest_fills(volume, 20 * MIB);
            pool.guest_writes(volume, "committed");
            driver.stop(volume).unwrap();
        }
        // A qube that runs when the pool becomes full, and a file to import.
        driver.start(&other).unwrap();
        pool.guest_writes(&other, "synced");
        let elsewhere = tempfile::NamedTempFile::new().unwrap();
        fs::write(elsewhere.path(), vec![7; 40 * MIB as usize]).unwrap();

        let filler = Filler::over(&pool);
        let (app, copy) = (snapshot("app", &root), origin("copy", "private"));
        let import = import_file(driver, &private, elsewhere.path());
        let from_elsewhere = File::open(elsewhere.path()).unwrap();
        let from_elsewhere = driver.import_with(&copy, &mut |to| {
            std::io::copy(&mut &from_elsewhere, &mut &*to).map(drop)
        });
        assert!(
            import.is_err() && from_elsewhere.is_err(),
            "{:?}: nowhere is room for new data",
            pool.kind
        );
        let clone = driver.import_committed_data(
            &copy,
            &driver.open_committed_data(&private).unwrap(),
            &|_| (),
        );
        let (start, commit) = (driver.start(&app), driver.stop(&other));
        for (what, done) in [
            ("import", &import),
            ("clone from elsewhere", &from_elsewhere),
            ("clone", &clone),
            ("start", &start),
            ("commit", &commit),
            ("create", &driver.create(&origin("copy", "root"))),
            (
                "start of what has a copy in advance",
                &driver.start(&private),
            ),
            ("stop", &driver.stop(&private)),
        ] {
            assert_explained(&format!("{:?}: {what}", pool.kind), done);
        }
        if pool.kind == FileSystem::Ext4 {
            assert!(
                clone.is_err() && start.is_err() && commit.is_ok(),
                "{clone:?}, {start:?}, {commit:?}"
            );
        }
        // Failed operations have left the old data, and successful ones are complete.
        let text = |file: &str| text_in(&pool.path(file));
        assert_eq!(
            (
                text("appvms/work/private.img"),
                text("vm-templates/debian/root.img")
            ),
            ("committed".into(), "committed".into())
        );
        let is_committed = commit.is_ok();
        assert_eq!(
            text("appvms/other/private.img"),
            if is_committed { "synced" } else { "committed" }
        );
        assert_eq!(driver.is_dirty(&other).unwrap(), !is_committed);
        if !is_committed {
            assert_eq!(
                text("appvms/other/private-dirty.img"),
                "synced",
                "what the guest had synced waits"
            );
        }
        if clone.is_ok() {
            assert_eq!(text("appvms/copy/private.img"), "committed");
        }

        drop(filler);
        driver.stop(&private).unwrap();
        driver.stop(&other).unwrap();
        assert_eq!(
            (
                text("appvms/work/private.img"),
                text("appvms/other/private.img")
            ),
            ("committed".into(), "synced".into())
        );
        import_file(driver, &private, elsewhere.path()).unwrap();
        for volume in [&private, &app] {
            driver.start(volume).unwrap();
            driver.stop(volume).unwrap();
        }
        for qube in ["work", "other", "app"] {
            let names = pool.names(&format!("appvms/{qube}"));
            assert!(
                names
                    .iter()
                    .all(|name| !name.contains('~') && !name.contains("import")),
                "{names:?}"
            );
        }
    }
}
