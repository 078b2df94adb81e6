//! Which files the stop of a non-persistent volume removes, and which foreign ones stay.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;

use qubes::storage::driver::*;
use qubes::storage::{StorageError, Volume};
use qubes_test_support::FileSystem;

use super::pool::{Pool, all_pools, origin, pool_on, snapshot, text_in, volatile};

/// Creates the root volume of a template.
fn with_template(pool: &Pool) -> Volume {
    let template = origin("debian", "root");
    pool.driver.create(&template).unwrap();
    pool.run_once(&template, "installed");
    template
}

fn refusal<T: std::fmt::Debug>(result: Result<T, StorageError>) -> String {
    let text = result.unwrap_err().to_string();
    assert!(!text.contains('\n'), "{text}");
    text
}

/// Removes the mark, as in images of versions without it.
fn without_mark(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o660)).unwrap();
}

#[test]
fn images_of_a_persistent_volume_stay_and_block_the_start() {
    for pool in all_pools() {
        let template = with_template(&pool);
        let kept = origin("work", "root");
        pool.driver.create(&kept).unwrap();
        pool.run_once(&kept, "before");
        pool.run_once(&kept, "wanted");
        let names = pool.names("appvms/work");
        for other in [
            snapshot("work", &template),
            Volume {
                save_on_stop: false,
                ..kept.clone()
            },
        ] {
            let (driver, kind) = (&pool.driver, other.kind());
            assert!(!driver.has_run_images(&other).unwrap(), "{kind:?}");
            let refused = refusal(driver.start(&other));
            assert!(
                refused.contains("appvms/work/root.img was not made by a run of it"),
                "{refused}"
            );
            driver.stop(&other).unwrap();
            driver.discard(&other).unwrap();
            driver.remove_spare_images(&other).unwrap();
            driver.resize(&other, 4096).unwrap();
            driver.remove(&other).unwrap();
            assert!(
                names
                    .iter()
                    .filter(|name| !name.contains("precache"))
                    .all(|name| { pool.names("appvms/work").contains(name) })
            );
            assert_eq!(
                text_in(&pool.path("appvms/work/root.img")),
                "wanted",
                "{kind:?}"
            );
        }
        // The volume is unchanged once the store has it again.
        pool.driver.start(&kept).unwrap();
        assert_eq!(text_in(&pool.path("appvms/work/root-dirty.img")), "wanted");
    }
}

#[test]
fn uncommitted_data_of_a_persistent_volume_stay() {
    for revisions_to_keep in [1, -1] {
        let Some(pool) = pool_on(FileSystem::Btrfs) else {
            return;
        };
        let template = with_template(&pool);
        let kept = Volume {
            revisions_to_keep,
            ..origin("work", "root")
        };
        pool.driver.create(&kept).unwrap();
        pool.driver.start(&kept).unwrap();
        pool.guest_writes(&kept, "wanted");
        let dirty = pool.path("appvms/work/root-dirty.img");
        // Without snapshots it is the only file, like a snapshot's leftover (docs/storage.md).
        let as_snapshot = (revisions_to_keep == 1).then(|| snapshot("work", &template));
        for other in as_snapshot.into_iter().chain([Volume {
            save_on_stop: false,
            ..kept.clone()
        }]) {
            assert!(!pool.driver.has_run_images(&other).unwrap());
            let refused = refusal(pool.driver.start(&other));
            assert!(
                refused.contains(".img was not made by a run of it"),
                "{refused}"
            );
            pool.driver.stop(&other).unwrap();
            pool.driver.remove_spare_images(&other).unwrap();
            pool.driver.resize(&other, 4096).unwrap();
            pool.driver.remove(&other).unwrap();
            assert_eq!(text_in(&dirty), "wanted");
        }
        pool.driver.stop(&kept).unwrap();
        assert_eq!(text_in(&pool.path("appvms/work/root.img")), "wanted");
    }
}

#[test]
fn a_run_is_cleaned_up_whatever_happened_to_its_source() {
    for pool in all_pools() {
        let template = with_template(&pool);
        let (root, scratch) = (snapshot("work", &template), volatile("work"));
        let changes: [&dyn Fn(); 4] = [
            &|| {},
            &|| pool.run_once(&template, "once"),
            // The source of the run is not a revision any more.
            &|| {
                ["a", "b", "c"]
                    .iter()
                    .for_each(|text| pool.run_once(&template, text))
            },
            &|| pool.driver.remove(&template).unwrap(),
        ];
        for change in changes {
            for volume in [&root, &scratch] {
                pool.driver.start(volume).unwrap();
                pool.guest_writes(volume, "not kept");
            }
            change();
            for volume in [&root, &scratch] {
                assert!(pool.driver.has_run_images(volume).unwrap());
                pool.driver.stop(volume).unwrap();
                assert!(!pool.driver.has_run_images(volume).unwrap());
            }
            assert_eq!(pool.names("appvms/work"), [""; 0]);
        }
    }
}

#[test]
fn an_image_has_the_mark_of_a_run_until_it_is_committed() {
    let Some(pool) = pool_on(FileSystem::Btrfs) else {
        return;
    };
    let template = with_template(&pool);
    let root = snapshot("work", &template);
    let mode = |name: &str| {
        fs::metadata(pool.path("appvms/work").join(name))
            .unwrap()
            .mode()
            & 0o7777
    };
    pool.driver.start(&root).unwrap();
    assert_eq!((mode("root-dirty.img"), mode("root.img")), (0o1660, 0o660));
    let kept = origin("work", "root");
    pool.guest_writes(&kept, "kept from now on");
    pool.driver.stop(&kept).unwrap();
    assert_eq!(mode("root.img"), 0o660);
    assert_eq!(
        text_in(&pool.path("appvms/work/root.img")),
        "kept from now on"
    );
}

#[test]
fn leftovers_of_earlier_versions_are_removed_if_certain() {
    let Some(pool) = pool_on(FileSystem::Btrfs) else {
        return;
    };
    let template = with_template(&pool);
    let (root, scratch) = (snapshot("work", &template), volatile("work"));
    let dirty = pool.path("appvms/work/root-dirty.img");
    for commits in [0, 1] {
        pool.driver.start(&root).unwrap();
        without_mark(&dirty);
        for _ in 0..commits {
            pool.run_once(&template, "newer");
        }
        assert!(pool.driver.has_run_images(&root).unwrap(), "{commits}");
        pool.driver.stop(&root).unwrap();
        assert_eq!(pool.names("appvms/work"), [""; 0], "{commits}");
    }
    // Only the second name exists.
    fs::hard_link(
        pool.path("vm-templates/debian/root.img"),
        pool.path("appvms/work/root.img"),
    )
    .unwrap();
    assert!(pool.driver.has_run_images(&root).unwrap());
    pool.driver.start(&root).unwrap();
    pool.driver.stop(&root).unwrap();
    assert_eq!(pool.names("appvms/work"), [""; 0]);

    for file in ["volatile.img", "volatile-dirty.img"] {
        let image = File::create(pool.path("appvms/work").join(file)).unwrap();
        image.write_all_at(b"not kept", 4096).unwrap();
        pool.driver.start(&scratch).unwrap();
        pool.driver.stop(&scratch).unwrap();
        assert_eq!(pool.names("appvms/work"), [""; 0], "{file}");
    }

    // Nothing identifies this file any more.
    pool.driver.start(&root).unwrap();
    without_mark(&dirty);
    ["a", "b", "c"]
        .iter()
        .for_each(|text| pool.run_once(&template, text));
    assert!(!pool.driver.has_run_images(&root).unwrap());
    pool.driver.stop(&root).unwrap();
    let images = ["root-dirty.img", "root.img"];
    assert_eq!(pool.names("appvms/work"), images);
    assert!(refusal(pool.driver.start(&root)).contains("or delete it; then start again"));
    images
        .iter()
        .for_each(|image| fs::remove_file(pool.path("appvms/work").join(image)).unwrap());
    pool.driver.start(&root).unwrap();
}

#[test]
fn a_directory_of_a_qube_may_be_on_another_disk() {
    for pool in all_pools() {
        let template = with_template(&pool);
        let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), pool.path("appvms/work")).unwrap();
        let root = snapshot("work", &template);
        pool.driver.start(&root).unwrap();
        assert_eq!(
            text_in(&pool.path("appvms/work/root-dirty.img")),
            "installed"
        );
        assert!(
            pool.driver.has_run_images(&root).unwrap() && !pool.driver.is_outdated(&root).unwrap()
        );
        pool.driver.stop(&root).unwrap();
        assert!(fs::read_dir(elsewhere.path()).unwrap().next().is_none());
    }
}

#[test]
fn a_precache_that_is_a_hard_link_of_its_image_is_not_written_to() {
    for pool in all_pools() {
        let root = with_template(&pool);
        let (image, precache) = (
            pool.path("vm-templates/debian/root.img"),
            pool.path("vm-templates/debian/root-precache.img"),
        );
        fs::remove_file(&precache).unwrap();
        fs::hard_link(&image, &precache).unwrap();
        pool.driver.start(&root).unwrap();
        let dirty = File::options()
            .write(true)
            .open(pool.path("vm-templates/debian/root-dirty.img"))
            .unwrap();
        dirty.write_all_at(b"by the guest", 4096).unwrap();
        assert_eq!(text_in(&image), "installed");
    }
}
