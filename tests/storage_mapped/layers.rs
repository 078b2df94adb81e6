//! The mapped devices of running qubes, and the data that each of them shows.

use qubes::storage::driver::*;
use qubes::storage::{Attachment, LoopDevice, Volume};
use qubes_test_support::volumes::import_file;

use crate::place::{
    MIB, eventually, mapped, origin, pool, refusal, snapshot, text, text_in, write, write_at,
};

#[test]
fn a_qube_uses_the_committed_state_of_its_template() {
    let Some(pool) = pool() else { return };
    let (driver, template) = (&pool.driver, origin("debian", "root"));
    driver.create(&template).unwrap();
    pool.run_once(&template, "installed");
    let root = snapshot("work", &template);
    driver.create(&root).unwrap();

    let disk = pool.start(&root);
    let below = format!(
        "snapshot-{}-{}",
        pool.id("vm-templates/debian/root.img"),
        pool.id("vm-templates/debian/root-cow.img")
    );
    let own = format!("{below}-{}", pool.id("appvms/work/root-cow.img"));
    assert_eq!(mapped(), [below.clone(), own.clone()]);
    assert_eq!(disk.file_name().unwrap().to_str().unwrap(), own);
    assert_eq!(text(&disk), "installed");
    write(&disk, "my own");
    assert_eq!(
        (text(&disk), text(&pool.image(&template))),
        ("my own".into(), "installed".into())
    );

    // The template runs at the same time. It writes in place, and only it sees that.
    let origin_disk = pool.start(&template);
    let name = format!("origin-{}", pool.id("vm-templates/debian/root.img"));
    assert_eq!(mapped(), [name, below.clone(), own.clone()]);
    for at in [4096, 3 * MIB, 7 * MIB] {
        write_at(&origin_disk, "updated", at);
    }
    assert!(driver.is_dirty(&template).unwrap());
    assert_eq!(text_in(&disk, 3 * MIB), "");
    let late = snapshot("late", &template);
    assert_eq!(text(&pool.start(&late)), "installed");
    driver.stop(&late).unwrap();
    assert_eq!(mapped().len(), 3, "what others stand on stays");

    // It commits. Running qubes keep the former state, and new ones get the new.
    assert!(!driver.is_outdated(&root).unwrap(), "nothing is committed");
    let old_cow = pool.id("vm-templates/debian/root-cow.img");
    driver.stop(&template).unwrap();
    assert_eq!(
        pool.names("vm-templates/debian"),
        ["root-cow.img", "root-cow.img.old", "root.img"]
    );
    assert_eq!(pool.id("vm-templates/debian/root-cow.img.old"), old_cow);
    assert_eq!(
        (text(&disk), text_in(&disk, 3 * MIB)),
        ("my own".into(), String::new())
    );
    assert!(driver.is_outdated(&root).unwrap());
    let new = pool.start(&late);
    assert!(!driver.is_outdated(&late).unwrap());
    assert_eq!(
        (text(&new), text_in(&new, 3 * MIB)),
        ("updated".into(), "updated".into())
    );
    write(&pool.start(&template), "again");
    assert_eq!(
        (text_in(&disk, 3 * MIB), text(&new)),
        (String::new(), "updated".into())
    );
    for volume in [&template, &root, &late] {
        driver.stop(volume).unwrap();
    }
    pool.assert_at_rest();
    assert_eq!(pool.names("appvms/work"), [""; 0]);
    driver.revert(&template, None).unwrap();
    assert_eq!(text(&pool.image(&template)), "updated");
}

#[test]
fn a_template_without_snapshots_has_one_layer_and_excludes_its_qubes() {
    let Some(pool) = pool() else { return };
    let driver = &pool.driver;
    let template = Volume {
        revisions_to_keep: -1,
        ..origin("debian", "root")
    };
    driver.create(&template).unwrap();
    driver.start(&template).unwrap();
    assert_eq!(pool.disk(&template), pool.image(&template));
    write(&pool.image(&template), "installed");
    // Xen opens an image through a loop device.
    let running = LoopDevice::attach(&pool.image(&template), true).unwrap();
    let refused = refusal(driver.start(&snapshot("one", &template)));
    assert!(
        refused.contains(&format!(
            "in use without snapshots in {}",
            running.path().display()
        )),
        "{refused}"
    );
    drop(running);
    pool.assert_at_rest();
    driver.stop(&template).unwrap();

    let (one, two) = (snapshot("one", &template), snapshot("two", &template));
    let disk = pool.start(&one);
    let layer = format!(
        "snapshot-{}-{}",
        pool.id("vm-templates/debian/root.img"),
        pool.id("appvms/one/root-cow.img")
    );
    assert_eq!(mapped(), [layer]);
    write(&disk, "my own");
    assert_eq!(text(&pool.start(&two)), "installed");
    let refused = refusal(driver.start(&template));
    assert!(
        refused.contains("qubes run on snapshots of") && refused.contains("shut them down first"),
        "{refused}"
    );
    driver.stop(&one).unwrap();
    driver.stop(&two).unwrap();
    pool.assert_at_rest();
    driver.start(&template).unwrap();
    assert_eq!(text(&pool.image(&template)), "installed");
}

#[test]
fn a_read_only_root_is_the_committed_state_of_its_template() {
    let Some(pool) = pool() else { return };
    let (driver, template) = (&pool.driver, origin("debian", "root"));
    driver.create(&template).unwrap();
    pool.run_once(&template, "installed");
    let root = Volume {
        rw: false,
        ..snapshot("work", &template)
    };
    let disk = pool.start(&root);
    let committed = format!(
        "snapshot-{}-{}",
        pool.id("vm-templates/debian/root.img"),
        pool.id("vm-templates/debian/root-cow.img")
    );
    assert_eq!(mapped(), [committed]);
    write(&pool.start(&template), "updated");
    assert_eq!(text(&disk), "installed");
    driver.stop(&root).unwrap();
    assert_eq!(mapped().len(), 2, "the template still runs");
    driver.stop(&template).unwrap();
    pool.assert_at_rest();
    assert_eq!(text(&pool.start(&root)), "updated");
    driver.stop(&root).unwrap();
    pool.assert_at_rest();
}

#[test]
fn committed_data_can_be_read_while_the_qube_writes_and_commits() {
    let Some(pool) = pool() else { return };
    let (driver, private) = (&pool.driver, origin("work", "private"));
    driver.create(&private).unwrap();
    pool.run_once(&private, "committed");
    let copy = origin("copy", "private");
    driver.create(&copy).unwrap();

    // The image of a halted qube is read directly, and a start waits.
    let halted = driver.open_committed_data(&private).unwrap();
    assert!(halted.start_lock.is_some());
    drop(halted);
    let disk = pool.start(&private);
    write(&disk, "unfinished");
    let running = driver.open_committed_data(&private).unwrap();
    assert!(
        running.start_lock.is_none(),
        "nobody has to wait for the reader"
    );
    import_file(driver, &copy, &driver.export(&private).unwrap()).unwrap();
    assert_eq!(text(&pool.image(&copy)), "committed");
    driver.stop(&private).unwrap();
    pool.run_once(&private, "later");
    assert_eq!(running.size, 8 * MIB);
    driver
        .import_with(&copy, &mut |to| {
            std::io::copy(&mut &running.file, &mut &*to).map(drop)
        })
        .unwrap();
    assert_eq!(text(&pool.image(&copy)), "committed");
    drop(running);
    pool.assert_at_rest();
    assert_eq!(text(&pool.image(&private)), "later");
}

#[test]
fn a_running_volume_grows() {
    let Some(pool) = pool() else { return };
    let (driver, template) = (&pool.driver, origin("debian", "root"));
    driver.create(&template).unwrap();
    pool.run_once(&template, "installed");
    let (disk, child) = (pool.start(&template), snapshot("work", &template));
    let child_disk = pool.start(&child);
    driver.resize(&template, 12 * MIB).unwrap();
    write_at(&disk, "beyond", 10 * MIB);
    write_at(&disk, "inside", 2 * MIB);
    assert_eq!(
        (text_in(&disk, 10 * MIB), text_in(&child_disk, 2 * MIB)),
        ("beyond".into(), String::new())
    );
    driver.stop(&template).unwrap();
    driver.stop(&child).unwrap();
    assert_eq!(text_in(&pool.start(&child), 10 * MIB), "beyond");
    driver.stop(&child).unwrap();
    // All of it can be overwritten.
    let disk = pool.start(&template);
    for at in 0..12 * 8 {
        write_at(&disk, "all", at * (MIB / 8));
    }
    driver.stop(&template).unwrap();
    driver.revert(&template, None).unwrap();
    assert_eq!(text_in(&pool.image(&template), 10 * MIB), "beyond");
    pool.assert_at_rest();
}

#[test]
fn a_file_is_attached_without_snapshots_and_a_device_with_them() {
    let Some(pool) = pool() else { return };
    let private = origin("work", "private");
    pool.driver.create(&private).unwrap();
    pool.driver.start(&private).unwrap();
    assert!(matches!(
        pool.driver.attachment(&private).unwrap(),
        Attachment::Device(_)
    ));
    pool.driver.discard(&private).unwrap();
    eventually("a start that is taken back leaves nothing", || {
        mapped().is_empty()
    });
    assert_eq!(
        pool.names("appvms/work"),
        ["private-cow.img", "private.img"]
    );
    let live = Volume {
        revisions_to_keep: -1,
        ..private
    };
    pool.driver.start(&live).unwrap();
    assert!(matches!(
        pool.driver.attachment(&live).unwrap(),
        Attachment::File(_)
    ));
    pool.driver.stop(&live).unwrap();
}
