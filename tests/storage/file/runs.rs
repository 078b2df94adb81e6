//! Which files the stop of a non-persistent volume removes, and which foreign ones stay.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};

use qubes::storage::Volume;
use qubes::storage::driver::*;

use super::pool::{Pool, origin, refusal, snapshot};

fn volatile(name: &str) -> Volume {
    Volume {
        save_on_stop: false,
        ..origin("work", name)
    }
}

#[test]
fn images_of_a_persistent_volume_stay_and_block_the_start() {
    for revisions_to_keep in [1, -1] {
        let pool = Pool::new();
        let driver = &pool.driver;
        let (template, kept) = (
            origin("debian", "root"),
            Volume {
                revisions_to_keep,
                ..origin("work", "root")
            },
        );
        driver.create(&template).unwrap();
        driver.create(&kept).unwrap();
        if revisions_to_keep == 1 {
            pool.run_once(&kept, "committed");
            pool.guest_writes(&kept, "wanted", &[4096]);
        } else {
            let image = File::options().write(true).open(pool.image(&kept)).unwrap();
            image.write_all_at(b"wanted", 4096).unwrap();
        }
        let names = pool.names("appvms/work");
        for other in [snapshot("work", &template), volatile("root")] {
            assert!(!driver.has_run_images(&other).unwrap());
            let refused = refusal(driver.start(&other));
            assert!(
                refused.contains(" was not made by a run of it and may be wanted"),
                "{refused}"
            );
            driver.stop(&other).unwrap();
            driver.discard(&other).unwrap();
            driver.remove_spare_images(&other).unwrap();
            driver.remove(&other).unwrap();
            let images = pool.names("appvms/work");
            assert!(
                names.iter().all(|name| images.contains(name)),
                "{revisions_to_keep}: {images:?}"
            );
            assert_eq!(pool.text(&kept), "wanted");
        }
        driver.stop(&kept).unwrap();
        assert_eq!(pool.text(&kept), "wanted");
    }
}

#[test]
fn leftovers_of_a_run_of_an_earlier_version_are_removed() {
    let pool = Pool::new();
    let driver = &pool.driver;
    let (template, private) = (origin("debian", "root"), origin("work", "private"));
    driver.create(&template).unwrap();
    driver.create(&private).unwrap();
    let (root, scratch) = (snapshot("work", &template), volatile("volatile"));
    for mode in [0o660, 0o1660] {
        let cow = pool.path("appvms/work/root-cow.img");
        // The header as dm-snapshot writes it: magic, valid, version, sectors per chunk.
        let header = [0x7041_6e53_u32, 1, 1, 256].map(u32::to_le_bytes).concat();
        fs::write(&cow, [header, vec![0; 256 << 10]].concat()).unwrap();
        fs::write(pool.image(&scratch), "not kept").unwrap();
        for (image, volume) in [(&cow, &root), (&pool.image(&scratch), &scratch)] {
            fs::set_permissions(image, Permissions::from_mode(mode)).unwrap();
            assert!(driver.has_run_images(volume).unwrap(), "{mode:o}");
            driver.stop(volume).unwrap();
            assert!(!image.exists(), "{mode:o}");
        }
    }
    // A file of another name needs the mark, which each start sets.
    let other = volatile("other");
    driver.start(&other).unwrap();
    assert_eq!(
        fs::metadata(pool.image(&other)).unwrap().mode() & 0o7777,
        0o1660
    );
    fs::write(pool.image(&other), "not kept").unwrap();
    assert!(driver.has_run_images(&other).unwrap());
    driver.start(&other).unwrap();
    driver.stop(&other).unwrap();
    assert_eq!(
        pool.names("appvms/work"),
        ["private-cow.img", "private.img"]
    );
}
