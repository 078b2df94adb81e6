//! Changes the driver of a pool between `file` and `file-reflink` in qubes.xml.

use qubes::storage::driver::*;
use qubes::storage::{PoolDirectory, Reflink};
use qubes_test_support::volumes::revision_ids;

use super::pool::{Pool, locks_in, origin, refusal, text_in};

fn reflink(pool: &Pool) -> Reflink {
    Reflink::new(
        PoolDirectory::new(
            "files",
            pool.place.path().join("pool"),
            None,
            locks_in(pool.place.path()),
        ),
        false,
    )
}

#[test]
fn file_reflink_continues_with_images_of_file() {
    let pool = Pool::new();
    let private = origin("work", "private");
    pool.driver.create(&private).unwrap();
    pool.run_once(&private, "one");
    let reflink = reflink(&pool);
    reflink.verify(&private).unwrap();
    reflink.start(&private).unwrap();
    assert_eq!(
        text_in(&pool.path("appvms/work/private-dirty.img"), 4096),
        "one"
    );
    // The COW file of driver `file` belongs to an image that is about to be replaced.
    assert_eq!(
        pool.names("appvms/work"),
        ["private-dirty.img", "private.img"]
    );
    reflink.stop(&private).unwrap();
    assert_eq!(reflink.revisions(&private).unwrap().len(), 1);
    assert_eq!(reflink.volume_ids().unwrap(), ["appvms/work/private"]);
    reflink.remove(&private).unwrap();
    assert!(!pool.path("appvms/work").exists());
}

#[test]
fn file_reflink_removes_all_files_of_file() {
    let pool = Pool::new();
    let private = origin("work", "private");
    pool.driver.create(&private).unwrap();
    pool.run_once(&private, "one");
    reflink(&pool).remove(&private).unwrap();
    assert!(!pool.path("appvms/work").exists());
}

#[test]
fn file_refuses_uncommitted_data_of_file_reflink() {
    let pool = Pool::new();
    let (reflink, private) = (reflink(&pool), origin("work", "private"));
    reflink.create(&private).unwrap();
    reflink.start(&private).unwrap();
    let refused = refusal(pool.driver.start(&private));
    assert!(
        refused.ends_with("has data that driver 'file-reflink' has not committed"),
        "{refused}"
    );
    assert!(refusal(pool.driver.export(&private)).contains("private-dirty.img has data"));
    reflink.stop(&private).unwrap();
    assert_eq!(pool.driver.export(&private).unwrap(), pool.image(&private));
    // A start does this too.
    pool.driver.adopt(&private).unwrap();
    pool.run_once(&private, "two");
    assert_eq!(pool.text(&private), "two");
    let ids = revision_ids(&pool.driver, &private);
    assert_eq!(ids, ["old"]);
    pool.driver.remove(&private).unwrap();
    assert!(!pool.path("appvms/work").exists());
}
