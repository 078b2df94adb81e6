//! Interruptions: power losses, killed processes, and open devices.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;

use qubes::exec::Program;
use qubes::storage::driver::*;

use crate::place::{
    MIB, is_the_machine, lose_power, mapped, origin, pool, pool_in, refusal, snapshot, text, write,
    write_at,
};

#[test]
fn after_a_power_loss_the_guest_continues_or_its_data_are_committed() {
    let Some(pool) = pool() else { return };
    let (driver, private) = (&pool.driver, origin("work", "private"));
    for goes_on in [true, false] {
        driver.create(&private).unwrap();
        pool.run_once(&private, "committed");
        write(&pool.start(&private), "synced");
        lose_power();
        assert!(driver.is_dirty(&private).unwrap());
        if goes_on {
            let disk = pool.start(&private);
            assert_eq!(text(&disk), "synced");
            // The committed state is still known.
            let committed = driver.open_committed_data(&private).unwrap();
            let mut bytes = [0; 16];
            committed.file.read_exact_at(&mut bytes, 4096).unwrap();
            assert_eq!(&bytes[..9], b"committed");
        }
        driver.stop(&private).unwrap();
        assert_eq!(text(&pool.image(&private)), "synced");
        driver.revert(&private, None).unwrap();
        assert_eq!(text(&pool.image(&private)), "committed");
        pool.assert_at_rest();
    }
}

#[test]
fn an_interrupted_start_can_be_repeated() {
    let Some(pool) = pool() else { return };
    let (driver, template) = (&pool.driver, origin("debian", "root"));
    driver.create(&template).unwrap();
    pool.run_once(&template, "installed");
    let root = snapshot("work", &template);
    // Whichever devices exist when the start is repeated, all of them do afterwards.
    for lost in 0..3 {
        driver.start(&template).unwrap();
        driver.start(&root).unwrap();
        let there = mapped();
        assert_eq!(there.len(), 3);
        let _stands_below_another = Program::new("dmsetup")
            .args(["remove", &there[lost]])
            .output();
        write(&pool.start(&template), "installed");
        assert_eq!(
            text(&pool.start(&root)),
            "installed",
            "without {}",
            there[lost]
        );
        driver.stop(&root).unwrap();
        driver.stop(&template).unwrap();
        pool.assert_at_rest();
    }
}

#[test]
fn an_open_disk_is_not_removed() {
    let Some(pool) = pool() else { return };
    let (driver, template) = (&pool.driver, origin("debian", "root"));
    driver.create(&template).unwrap();
    let root = snapshot("work", &template);
    for volume in [&template, &root] {
        let disk = pool.start(volume);
        let guest = File::options().read(true).write(true).open(&disk).unwrap();
        let before = mapped();
        let refused = refusal(driver.stop(volume));
        assert!(
            refused.contains("is still open; stop what uses it first"),
            "{refused}"
        );
        assert_eq!(mapped(), before);
        guest.write_all_at(b"still there", 4096).unwrap();
        guest.sync_all().unwrap();
        drop(guest);
        driver.stop(volume).unwrap();
        pool.assert_at_rest();
    }
    assert_eq!(text(&pool.image(&template)), "still there");
}

#[test]
fn a_removal_leaves_no_devices() {
    let Some(pool) = pool() else { return };
    let (driver, template) = (&pool.driver, origin("debian", "root"));
    let root = snapshot("work", &template);
    driver.create(&template).unwrap();
    driver.start(&template).unwrap();
    driver.start(&root).unwrap();
    driver.remove(&root).unwrap();
    driver.remove(&template).unwrap();
    pool.assert_at_rest();
    assert!(driver.volume_ids().unwrap().is_empty());
}

/// Many qubes of one template start and stop at once. They share the devices below, and none
/// removes those of another.
#[test]
fn qubes_of_one_template_start_and_stop_at_once() {
    let Some(pool) = pool() else { return };
    let (driver, template) = (&pool.driver, origin("debian", "root"));
    driver.create(&template).unwrap();
    pool.run_once(&template, "installed");
    std::thread::scope(|scope| {
        for number in 0..3 {
            let root = snapshot(&format!("qube-{number}"), &template);
            let pool = &pool;
            scope.spawn(move || {
                for _ in 0..2 {
                    let disk = pool.start(&root);
                    assert_eq!(text(&disk), "installed");
                    write(&disk, "my own");
                    pool.driver.stop(&root).unwrap();
                }
            });
        }
    });
    pool.assert_at_rest();
}

#[test]
fn in_a_full_pool_data_are_kept_and_the_revision_is_lost() {
    if !is_the_machine() {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    let (disk, mount) = (outside.path().join("disk"), outside.path().join("mounted"));
    File::create(&disk).unwrap().set_len(60 * MIB).unwrap();
    fs::create_dir(&mount).unwrap();
    Program::new("mkfs.ext4")
        .args(["-q", "-F"])
        .arg(&disk)
        .output()
        .unwrap();
    Program::new("mount")
        .args(["-o", "loop"])
        .arg(&disk)
        .arg(&mount)
        .output()
        .unwrap();
    let pool = pool_in(tempfile::tempdir_in(&mount).unwrap());
    let (driver, private) = (&pool.driver, origin("work", "private"));
    driver.create(&private).unwrap();
    // An image without holes, and a revision.
    let disk = pool.start(&private);
    for at in 0..64 {
        write_at(&disk, "committed", at * MIB / 8 + 4096);
    }
    driver.stop(&private).unwrap();
    pool.run_once(&private, "committed");

    let disk = pool.start(&private);
    let filler = mount.join("filler");
    for size in [MIB as usize, 4096] {
        let mut file = File::options()
            .append(true)
            .create(true)
            .open(&filler)
            .unwrap();
        while file.write_all(&vec![7; size]).is_ok() {}
        let _full = file.sync_all();
    }
    for at in 0..64 {
        write_at(&disk, "goes on", at * MIB / 8 + 4096);
    }
    assert_eq!(text(&disk), "goes on");
    driver.stop(&private).unwrap();
    fs::remove_file(&filler).unwrap();
    assert_eq!(text(&pool.image(&private)), "goes on");
    assert_eq!(
        refusal(driver.revert(&private, None)),
        "volume work:private: it has no revision to revert to"
    );
    pool.run_once(&private, "again");
    driver.revert(&private, None).unwrap();
    assert_eq!(text(&pool.image(&private)), "goes on");
    pool.assert_at_rest();
    drop(pool);
    Program::new("umount").arg(&mount).output().unwrap();
}
