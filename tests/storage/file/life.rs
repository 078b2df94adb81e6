//! The life cycle of a volume: its files, its persistent data and its revision.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};

use qubes::storage::driver::*;
use qubes::storage::{Attachment, LoopDevice, Volume};
use qubes_test_support::volumes::import_file;
use qubes_test_support::volumes::revision_ids;

use super::pool::{MIB, Pool, origin, refusal, snapshot, text_in};

#[test]
fn files_have_the_names_of_upstream() {
    let pool = Pool::new();
    let driver = &pool.driver;
    let private = origin("work", "private");
    assert!(
        refusal(driver.create(&Volume {
            size: 0,
            ..private.clone()
        }))
        .contains("must not be 0")
    );
    driver.create(&private).unwrap();
    assert_eq!(
        pool.names("appvms/work"),
        ["private-cow.img", "private.img"]
    );
    for name in pool.names("appvms/work") {
        let file = fs::metadata(pool.path("appvms/work").join(name)).unwrap();
        assert_eq!((file.mode() & 0o7777, file.blocks()), (0o660, 0));
    }
    // The COW file suffices for overwriting the whole image.
    assert!(
        fs::metadata(pool.path("appvms/work/private-cow.img"))
            .unwrap()
            .len()
            > 8 * MIB
    );
    assert!(!driver.is_dirty(&private).unwrap() && driver.revisions(&private).unwrap().is_empty());

    pool.guest_writes(&private, "one", &[4096]);
    assert!(driver.is_dirty(&private).unwrap());
    driver.stop(&private).unwrap();
    assert!(!driver.is_dirty(&private).unwrap());
    assert_eq!(
        pool.names("appvms/work"),
        ["private-cow.img", "private-cow.img.old", "private.img"]
    );
    let ids = revision_ids(driver, &private);
    assert_eq!(
        (ids, pool.text(&private)),
        (vec!["old".to_string()], "one".to_string())
    );

    let before = fs::metadata(pool.path("appvms/work/private-cow.img.old"))
        .unwrap()
        .ino();
    driver.stop(&private).unwrap();
    assert_eq!(
        fs::metadata(pool.path("appvms/work/private-cow.img.old"))
            .unwrap()
            .ino(),
        before,
        "nothing was written"
    );
    assert_eq!(driver.volume_ids().unwrap(), ["appvms/work/private"]);
    driver.remove(&private).unwrap();
    assert!(!pool.path("appvms/work").exists());
}

#[test]
fn a_revert_can_be_reverted() {
    let pool = Pool::new();
    let driver = &pool.driver;
    let private = origin("work", "private");
    driver.create(&private).unwrap();
    assert_eq!(
        refusal(driver.revert(&private, None)),
        "volume work:private: it has no revision to revert to"
    );
    pool.run_once(&private, "one");
    pool.guest_writes(&private, "two", &[4096, 3 * MIB, 5 * MIB, 8 * MIB - 16]);
    assert!(refusal(driver.revert(&private, None)).contains("shut the qube down before reverting"));
    driver.stop(&private).unwrap();
    assert_eq!(
        refusal(driver.revert(&private, Some("1"))),
        "volume work:private: it has no revision '1'; it has old"
    );
    let texts = |at: &[u64]| -> Vec<String> {
        at.iter()
            .map(|at| text_in(&pool.image(&private), *at))
            .collect()
    };
    driver.revert(&private, Some("old")).unwrap();
    assert_eq!(
        texts(&[4096, 3 * MIB, 5 * MIB, 8 * MIB - 16]),
        ["one", "", "", ""]
    );
    driver.revert(&private, None).unwrap();
    assert_eq!(texts(&[4096, 3 * MIB, 5 * MIB, 8 * MIB - 16]), ["two"; 4]);
    // A volume that has been enlarged since keeps its size.
    driver.resize(&private, 16 * MIB).unwrap();
    driver.revert(&private, None).unwrap();
    assert_eq!(
        (texts(&[4096]), driver.size(&private).unwrap()),
        (vec!["one".to_string()], 16 * MIB)
    );
}

#[test]
fn no_revision_is_kept_if_revisions_to_keep_is_0() {
    let pool = Pool::new();
    let private = origin("work", "private");
    pool.driver.create(&private).unwrap();
    pool.run_once(&private, "one");
    pool.run_once(
        &Volume {
            revisions_to_keep: 0,
            ..private.clone()
        },
        "two",
    );
    assert_eq!(
        pool.names("appvms/work"),
        ["private-cow.img", "private.img"]
    );
    // A COW file that the kernel has invalidated, because the pool was full, is not a revision.
    pool.run_once(&private, "three");
    pool.guest_writes(&private, "four", &[4096]);
    let cow = File::options()
        .write(true)
        .open(pool.path("appvms/work/private-cow.img"))
        .unwrap();
    cow.write_all_at(&0_u32.to_le_bytes(), 4).unwrap();
    pool.driver.stop(&private).unwrap();
    assert_eq!(
        pool.names("appvms/work"),
        ["private-cow.img", "private.img"]
    );
    assert_eq!(pool.text(&private), "four");
}

#[test]
fn an_import_is_atomic() {
    let pool = Pool::new();
    let driver = &pool.driver;
    let (private, elsewhere) = (
        origin("work", "private"),
        pool.place.path().join("elsewhere"),
    );
    fs::write(&elsewhere, format!("{:\0<4096}{:\0<1000}", "", "imported")).unwrap();
    driver.create(&private).unwrap();
    pool.run_once(&private, "one");
    let failing = refusal(driver.import_with(&private, &mut |_| {
        Err(std::io::ErrorKind::StorageFull.into())
    }));
    assert!(failing.starts_with("cannot write "), "{failing}");
    assert_eq!(
        pool.names("appvms/work"),
        ["private-cow.img", "private-cow.img.old", "private.img"]
    );
    pool.guest_writes(&private, "two", &[4096]);
    assert!(
        refusal(import_file(driver, &private, &elsewhere))
            .contains("shut the qube down before importing")
    );
    driver.stop(&private).unwrap();

    import_file(driver, &private, &elsewhere).unwrap();
    // The blocks of the COW file belong to another image. A disk ends with a whole sector.
    assert_eq!(
        pool.names("appvms/work"),
        ["private-cow.img", "private.img"]
    );
    assert_eq!(
        (pool.text(&private), driver.size(&private).unwrap()),
        ("imported".to_string(), 5120)
    );
    let committed = driver.open_committed_data(&private).unwrap();
    assert_eq!(
        (committed.size, driver.export(&private).unwrap()),
        (5120, pool.image(&private))
    );
}

#[test]
fn committed_data_can_be_read() {
    let pool = Pool::new();
    let driver = &pool.driver;
    let private = origin("work", "private");
    driver.create(&private).unwrap();
    pool.run_once(&private, "one");
    // The image itself is read, so it must not be written to meanwhile.
    let reader = driver.open_committed_data(&private).unwrap();
    assert!(refusal(driver.start(&private)).contains(" is locked by "));
    drop(reader);
    pool.guest_writes(&private, "two", &[4096]);
    assert!(refusal(driver.export(&private)).contains("it was not stopped cleanly"));
    assert!(
        refusal(driver.export(&snapshot("work", &private)))
            .contains("not kept from start to start")
    );
}

#[test]
fn without_snapshots_the_guest_writes_to_the_image_itself() {
    let pool = Pool::new();
    let driver = &pool.driver;
    let private = origin("work", "private");
    driver.create(&private).unwrap();
    pool.run_once(&private, "one");
    let live = Volume {
        revisions_to_keep: -1,
        ..private.clone()
    };
    let reader = driver.open_committed_data(&live).unwrap();
    assert!(refusal(driver.start(&live)).contains(" is locked by "));
    drop(reader);
    driver.start(&live).unwrap();
    assert_eq!(
        driver.attachment(&live).unwrap(),
        Attachment::File(pool.image(&private))
    );
    assert_eq!(pool.names("appvms/work"), ["private.img"]);
    if let Ok(device) = LoopDevice::attach(&pool.image(&private), true) {
        let refused = refusal(driver.export(&live));
        assert!(
            refused.contains(&format!(
                "in use without snapshots in {}",
                device.path().display()
            )),
            "{refused}"
        );
    } else {
        qubes_test_support::skip("loop devices need root");
    }
    driver.stop(&live).unwrap();
    assert!(!driver.is_dirty(&live).unwrap());
    assert_eq!(
        (pool.names("appvms/work"), pool.text(&private)),
        (vec!["private.img".to_string()], "one".to_string())
    );
}

#[test]
fn a_volatile_volume_is_empty_at_each_start() {
    let pool = Pool::new();
    let driver = &pool.driver;
    let scratch = Volume {
        save_on_stop: false,
        ..origin("work", "volatile")
    };
    driver.create(&scratch).unwrap();
    assert!(!pool.path("appvms/work").exists());
    for _ in 0..2 {
        driver.start(&scratch).unwrap();
        assert_eq!(
            driver.attachment(&scratch).unwrap(),
            Attachment::File(pool.image(&scratch))
        );
        assert_eq!(
            (pool.text(&scratch), driver.size(&scratch).unwrap()),
            (String::new(), 8 * MIB)
        );
        File::options()
            .write(true)
            .open(pool.image(&scratch))
            .unwrap()
            .write_all_at(b"scratch", 4096)
            .unwrap();
    }
    driver.stop(&scratch).unwrap();
    assert!(pool.names("appvms/work").is_empty());
}

#[test]
fn a_volume_grows_and_never_shrinks() {
    let pool = Pool::new();
    let driver = &pool.driver;
    let private = origin("work", "private");
    driver.create(&private).unwrap();
    driver.resize(&private, 80 * MIB).unwrap();
    assert_eq!(driver.size(&private).unwrap(), 80 * MIB);
    assert!(
        fs::metadata(pool.path("appvms/work/private-cow.img"))
            .unwrap()
            .len()
            > 80 * MIB
    );
    assert!(refusal(driver.resize(&private, 79 * MIB)).contains("cannot shrink"));
    assert!(refusal(driver.resize(&private, 80 * MIB + 1)).contains("sector size"));
    assert!(
        refusal(driver.resize(
            &Volume {
                rw: false,
                ..private.clone()
            },
            90 * MIB
        ))
        .contains("read-only")
    );
    assert!(
        refusal(driver.resize(&snapshot("dependent", &private), 90 * MIB))
            .contains("a snapshot has the size")
    );
}

#[test]
fn a_missing_device_mapper_is_reported() {
    if qubes::storage::has_device_mapper() {
        // Where there is one, qubes start: tests/storage_mapped.
        return;
    }
    let pool = Pool::new();
    let private = origin("work", "private");
    pool.driver.create(&private).unwrap();
    pool.run_once(&private, "one");
    let before = pool.names("appvms/work");
    for refused in [
        refusal(pool.driver.start(&private)),
        refusal(pool.driver.start(&snapshot("dependent", &private))),
    ] {
        assert!(
            refused.ends_with("; a pool of driver 'file' cannot run qubes here"),
            "{refused}"
        );
    }
    assert_eq!(
        (pool.names("appvms/work"), pool.text(&private)),
        (before, "one".to_string())
    );
}
