//! Driver `lvm_thin` itself: the output of `lvs` after each step, and what a guest reads.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use qubes::storage::driver::*;
use qubes::storage::{CommittedData, Volume};
use qubes_test_support::volumes::import_file;

use super::{
    committed, device, existing_pool, length, lvs, names, origin, pool, refusal, run_once,
    snapshot, text, volatile, write,
};
use crate::place::MIB;

#[test]
fn logical_volumes_have_the_names_of_upstream() {
    let Some(pool) = pool() else { return };
    let template = origin("debian", "root");
    pool.create(&template).unwrap();
    assert_eq!(names("debian"), ["root"]);
    run_once(&pool, &template, "installed");
    assert_eq!(names("debian"), ["root", "root-T-back"]);
    let (root, private, scratch) = (
        snapshot("work", "debian"),
        origin("work", "private"),
        volatile("work"),
    );
    let all = [&root, &private, &scratch];
    all.iter().for_each(|v| pool.create(v).unwrap());
    assert_eq!(names("work"), ["private"]);
    all.iter().for_each(|v| pool.verify(v).unwrap());

    all.iter().for_each(|v| pool.start(v).unwrap());
    assert_eq!(
        names("work"),
        ["private", "private-snap", "root-snap", "volatile"]
    );
    assert_eq!(
        device(&pool, &root),
        Path::new("/dev/mapper/qubes_dom0-vm--work--root--snap")
    );
    assert_eq!(
        (text(&device(&pool, &root)), text(&device(&pool, &private))),
        ("installed".into(), String::new())
    );
    assert!(pool.is_dirty(&private).unwrap() && !pool.is_dirty(&root).unwrap());
    all.iter().for_each(|v| write(&device(&pool, v), "written"));
    assert_eq!(
        committed(&pool, &private),
        "",
        "what is exported is what was committed"
    );

    all.iter().for_each(|v| pool.stop(v).unwrap());
    assert_eq!(names("work"), ["private", "private-T-back"]);
    assert_eq!(committed(&pool, &private), "written");
    assert_eq!(committed(&pool, &template), "installed");
    assert!(!pool.is_dirty(&private).unwrap());
    all.iter().for_each(|v| pool.start(v).unwrap());
    assert_eq!(text(&device(&pool, &root)), "installed");
    assert_eq!(text(&device(&pool, &private)), "written");
    assert_eq!(text(&device(&pool, &scratch)), "");
    all.iter().for_each(|v| pool.stop(v).unwrap());

    // Only volumes of qubes are listed, without their other logical volumes.
    assert_eq!(
        pool.volume_ids().unwrap(),
        ["qubes_dom0/vm-debian-root", "qubes_dom0/vm-work-private"]
    );
    all.iter().for_each(|v| pool.remove(v).unwrap());
    pool.remove(&template).unwrap();
    assert_eq!(pool.volume_ids().unwrap(), Vec::<String>::new());
}

#[test]
fn revisions_are_kept_pruned_and_restored() {
    let Some(pool) = pool() else { return };
    let private = Volume {
        revisions_to_keep: 2,
        ..origin("keeps", "private")
    };
    pool.create(&private).unwrap();
    assert_eq!(
        refusal(pool.revert(&private, None)),
        "volume keeps:private: it has no revision to revert to"
    );
    for words in ["one", "two", "three", "four"] {
        run_once(&pool, &private, words);
    }
    let kept = pool.revisions(&private).unwrap();
    let times: Vec<i64> = kept
        .iter()
        .map(|r| r.id.strip_suffix("-back").unwrap().parse().unwrap())
        .collect();
    assert!(times.len() == 2 && times[0] < times[1], "{times:?}");
    assert!(
        kept[1].time.starts_with("20") && kept[1].time.len() == "2026-01-01T00:00:00".len(),
        "{kept:?}"
    );

    let unknown = refusal(pool.revert(&private, Some("7-back")));
    assert_eq!(
        unknown,
        format!(
            "volume keeps:private: it has no revision '7-back'; it has {}, {}",
            kept[0].id, kept[1].id
        )
    );
    pool.start(&private).unwrap();
    assert!(refusal(pool.revert(&private, None)).contains("shut the qube down before reverting"));
    pool.stop(&private).unwrap();
    // That stop has committed, too: the newest revision is now "four", the one before is "three".
    let before = pool.revisions(&private).unwrap();
    pool.revert(&private, Some(&before[0].id)).unwrap();
    assert_eq!(committed(&pool, &private), "three");
    pool.revert(&private, None).unwrap();
    assert_eq!(
        committed(&pool, &private),
        "four",
        "what was current before the revert is a revision"
    );

    let forgetful = Volume {
        revisions_to_keep: 0,
        ..private.clone()
    };
    run_once(&pool, &forgetful, "five");
    assert_eq!(names("keeps"), ["private"]);
    pool.remove(&private).unwrap();
    assert_eq!(names("keeps"), Vec::<String>::new());
}

#[test]
fn a_volume_grows_running_or_halted_and_never_shrinks() {
    let Some(pool) = pool() else { return };
    let private = origin("grows", "private");
    pool.create(&private).unwrap();
    run_once(&pool, &private, "kept");
    pool.resize(&private, 96 * MIB).unwrap();
    assert_eq!(
        (
            pool.size(&private).unwrap(),
            length(&pool.export(&private).unwrap())
        ),
        (96 * MIB, 96 * MIB)
    );
    pool.resize(&private, 96 * MIB).unwrap();
    pool.start(&private).unwrap();
    let guest = File::open(device(&pool, &private)).unwrap();
    pool.resize(&private, 128 * MIB).unwrap();
    drop(guest);
    assert_eq!(length(&device(&pool, &private)), 128 * MIB);
    assert_eq!(
        length(&pool.export(&private).unwrap()),
        96 * MIB,
        "what was committed is as it was"
    );
    pool.stop(&private).unwrap();
    assert_eq!(length(&pool.export(&private).unwrap()), 128 * MIB);
    assert_eq!(committed(&pool, &private), "kept");
    let smaller = refusal(pool.resize(&private, 64 * MIB));
    assert!(
        smaller
            .starts_with("volume grows:private: 67108864 bytes are less than the 134217728 it has"),
        "{smaller}"
    );
    let read_only = Volume {
        rw: false,
        ..private.clone()
    };
    assert!(refusal(pool.resize(&read_only, 256 * MIB)).contains("read-only"));
    pool.remove(&private).unwrap();
}

#[test]
fn a_snapshot_is_outdated_once_its_source_is_committed() {
    let Some(pool) = pool() else { return };
    let (template, root) = (origin("tpl", "root"), snapshot("uses", "tpl"));
    pool.create(&template).unwrap();
    pool.start(&root).unwrap();
    assert!(!pool.is_outdated(&root).unwrap());
    run_once(&pool, &template, "newer");
    assert!(pool.is_outdated(&root).unwrap());
    assert_eq!(
        text(&device(&pool, &root)),
        "",
        "a running snapshot stays what it is"
    );
    // Also when its origin, a revision, is removed.
    run_once(&pool, &template, "newest");
    assert!(pool.is_outdated(&root).unwrap());
    pool.stop(&root).unwrap();
    assert!(!pool.is_outdated(&root).unwrap());
    pool.start(&root).unwrap();
    assert!(!pool.is_outdated(&root).unwrap());
    assert_eq!(text(&device(&pool, &root)), "newest");
    pool.stop(&root).unwrap();
    pool.remove(&template).unwrap();
}

#[test]
fn an_import_replaces_the_data_or_changes_nothing() {
    let Some(pool) = pool() else { return };
    let private = origin("imports", "private");
    pool.create(&private).unwrap();
    run_once(&pool, &private, "old");
    let image = PathBuf::from("/tmp/import.img");
    fs::write(&image, "from a file").unwrap();
    File::options()
        .write(true)
        .open(&image)
        .unwrap()
        .set_len(80 * MIB)
        .unwrap();
    import_file(&pool, &private, &image).unwrap();
    assert_eq!(committed(&pool, &private), "from a file");
    assert_eq!(pool.size(&private).unwrap(), 80 * MIB);
    assert!(pool.usage(&private).unwrap() < MIB, "holes stay holes");

    let failed = pool.import_with(&private, &mut |mut image| {
        image.write_all(b"half of it")?;
        assert!(
            refusal(existing_pool().start(&private)).ends_with("start the qube when that is done")
        );
        Err(std::io::Error::other("the pipe broke"))
    });
    assert!(refusal(failed).ends_with("the pipe broke"));
    assert_eq!(committed(&pool, &private), "from a file");
    pool.start(&private).unwrap();
    assert!(
        refusal(import_file(&pool, &private, &image))
            .contains("shut the qube down before importing")
    );
    pool.stop(&private).unwrap();
    assert!(
        refusal(import_file(&pool, &volatile("imports"), &image))
            .contains("not kept from start to start")
    );
    assert_eq!(names("imports"), ["private", "private-T-back"]);
    pool.remove(&private).unwrap();
}

#[test]
fn a_clone_in_the_pool_is_a_snapshot() {
    let Some(pool) = pool() else { return };
    let (source, clone) = (origin("source", "private"), origin("clone", "private"));
    pool.create(&source).unwrap();
    run_once(&pool, &source, "original");
    let opened = pool.open_committed_data(&source).unwrap();
    // The source continues meanwhile: the opened data are a revision now.
    run_once(&pool, &source, "later");
    pool.import_committed_data(&clone, &opened, &|_| ())
        .unwrap();
    assert_eq!(committed(&pool, &clone), "original");
    assert!(
        lvs("origin", "vm-clone-private").ends_with("-back"),
        "it shares its blocks with what was opened"
    );
    drop(opened);

    // The data of another pool are copied.
    let image = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open("/tmp/clone.img")
        .unwrap();
    (&image).write_all(b"elsewhere").unwrap();
    image.set_len(64 * MIB).unwrap();
    let other = CommittedData {
        name: "private".into(),
        file: image,
        size: 64 * MIB,
        start_lock: None,
    };
    pool.import_committed_data(&clone, &other, &|_| ()).unwrap();
    assert_eq!(
        (committed(&pool, &clone), lvs("origin", "vm-clone-private")),
        ("elsewhere".into(), String::new())
    );
    for volume in [&source, &clone] {
        pool.remove(volume).unwrap();
    }
}

#[test]
fn without_snapshots_the_guest_writes_to_the_volume_itself() {
    let Some(pool) = pool() else { return };
    let kept = origin("direct", "private");
    let direct = Volume {
        revisions_to_keep: -1,
        ..kept.clone()
    };
    pool.create(&kept).unwrap();
    run_once(&pool, &kept, "before");
    assert_eq!(names("direct"), ["private", "private-T-back"]);
    pool.start(&direct).unwrap();
    assert_eq!(names("direct"), ["private"]);
    assert_eq!(
        device(&pool, &direct),
        Path::new("/dev/mapper/qubes_dom0-vm--direct--private")
    );
    let guest = File::open(device(&pool, &direct)).unwrap();
    assert!(refusal(pool.export(&direct)).contains("in use without snapshots"));
    drop(guest);
    write(&device(&pool, &direct), "at once");
    pool.stop(&direct).unwrap();
    assert_eq!(names("direct"), ["private"]);
    assert_eq!(committed(&pool, &direct), "at once");
    run_once(&pool, &kept, "with snapshots again");
    assert_eq!(names("direct"), ["private", "private-T-back"]);
    pool.remove(&kept).unwrap();
}

#[test]
fn an_open_volume_is_not_removed() {
    let Some(pool) = pool() else { return };
    let private = origin("open", "private");
    pool.create(&private).unwrap();
    pool.start(&private).unwrap();
    let guest = File::open(device(&pool, &private)).unwrap();
    let open = refusal(pool.stop(&private));
    assert_eq!(
        open,
        "volume open:private: /dev/mapper/qubes_dom0-vm--open--private--snap is still open; \
         stop what uses it first"
    );
    assert!(refusal(pool.remove(&private)).contains("still open"));
    drop(guest);
    pool.stop(&private).unwrap();
    pool.remove(&private).unwrap();
}
