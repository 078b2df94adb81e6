//! The life cycle of a volume: its files after each step, and what a guest reads.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::sys::statvfs::statvfs;
use nix::unistd::Pid;
use qubes::exec::{ExecError, Program};
use qubes::storage::driver::*;
use qubes::storage::{PoolDirectory, Reflink, StorageError, Volume};
use qubes_test_support::FileSystem;
use qubes_test_support::volumes::import_file;
use qubes_test_support::volumes::revision_ids;

use super::pool::{
    MIB, Pool, all_pools, locks_beside, origin, pool_on, snapshot, text_in, volatile,
};

#[test]
fn files_have_the_names_of_upstream() {
    for pool in all_pools() {
        let driver = &pool.driver;
        let template = origin("debian", "root");
        driver.create(&template).unwrap();
        pool.run_once(&template, "installed");
        let (root, private, scratch) = (
            snapshot("work", &template),
            origin("work", "private"),
            volatile("work"),
        );
        let all = [&root, &private, &scratch];

        all.iter().for_each(|v| driver.create(v).unwrap());
        assert_eq!(
            pool.names("appvms/work"),
            ["private-precache.img", "private.img"]
        );
        assert_eq!(driver.size(&private).unwrap(), 64 * MIB);
        assert_eq!(
            fs::metadata(pool.path("appvms/work/private.img"))
                .unwrap()
                .mode()
                & 0o7777,
            0o660
        );
        assert_eq!(
            fs::metadata(pool.path("appvms/work")).unwrap().mode() & 0o7777,
            0o2770
        );

        all.iter().for_each(|v| driver.start(v).unwrap());
        let running = [
            "private-dirty.img",
            "private.img",
            "root-dirty.img",
            "root.img x2",
            "volatile-dirty.img",
        ];
        assert_eq!(pool.names("appvms/work"), running);
        assert_eq!(
            text_in(&pool.path("appvms/work/root-dirty.img")),
            "installed"
        );
        assert!(driver.is_dirty(&private).unwrap() && !driver.is_dirty(&root).unwrap());
        all.iter().for_each(|v| pool.guest_writes(v, "written"));

        all.iter().for_each(|v| driver.stop(v).unwrap());
        assert_eq!(
            pool.shapes("appvms/work"),
            ["private-precache.img", "private.img", "private.img.1"]
        );
        assert_eq!(text_in(&pool.path("appvms/work/private.img")), "written");
        assert_eq!(
            text_in(&pool.path("vm-templates/debian/root.img")),
            "installed"
        );

        all.iter().for_each(|v| driver.start(v).unwrap());
        assert_eq!(
            text_in(&pool.path("appvms/work/private-dirty.img")),
            "written"
        );
        assert_eq!(
            text_in(&pool.path("appvms/work/root-dirty.img")),
            "installed"
        );
        assert_eq!(text_in(&pool.path("appvms/work/volatile-dirty.img")), "");
        all.iter().for_each(|v| driver.stop(v).unwrap());

        assert_eq!(
            driver.volume_ids().unwrap(),
            ["appvms/work/private", "vm-templates/debian/root"]
        );
        all.iter().for_each(|v| driver.remove(v).unwrap());
        assert!(!pool.path("appvms/work").exists());
        assert_eq!(driver.volume_ids().unwrap(), ["vm-templates/debian/root"]);
    }
}

#[test]
fn revisions_are_numbered_pruned_and_restored() {
    for pool in all_pools() {
        let driver = &pool.driver;
        let private = origin("work", "private");
        driver.create(&private).unwrap();
        assert_eq!(
            refusal(driver.revert(&private, None)),
            "volume work:private: it has no revision to revert to"
        );
        for text in ["one", "two", "three"] {
            pool.run_once(&private, text);
        }
        assert_eq!(
            pool.shapes("appvms/work"),
            ["private-precache.img", "private.img", "private.img.3"]
        );

        let revisions = driver.revisions(&private).unwrap();
        let written = fs::metadata(
            pool.path("appvms/work/private.img.3")
                .with_file_name(revision_name(&pool)),
        );
        let expected = Program::new("date")
            .args(["-u", "+%Y-%m-%dT%H:%M:%S", "-d"])
            .arg(format!("@{}", written.unwrap().mtime()))
            .output()
            .unwrap();
        assert_eq!((revisions[0].id.as_str(), revisions.len()), ("3", 1));
        assert_eq!(
            revisions[0].time,
            String::from_utf8(expected).unwrap().trim()
        );

        let unknown = refusal(driver.revert(&private, Some("7")));
        assert_eq!(
            unknown,
            "volume work:private: it has no revision '7'; it has 3"
        );
        driver.start(&private).unwrap();
        assert!(refusal(driver.revert(&private, None)).contains("shut the qube down"));
        driver.stop(&private).unwrap();
        driver.revert(&private, None).unwrap();
        assert_eq!(
            pool.shapes("appvms/work"),
            ["private-precache.img", "private.img", "private.img.5"]
        );
        assert_eq!(text_in(&pool.path("appvms/work/private.img")), "three");
        driver.revert(&private, Some("5")).unwrap();
        assert_eq!(
            pool.shapes("appvms/work"),
            ["private-precache.img", "private.img", "private.img.6"]
        );

        let unsaved = Volume {
            revisions_to_keep: 0,
            ..private.clone()
        };
        pool.run_once(&unsaved, "four");
        assert_eq!(
            pool.shapes("appvms/work"),
            ["private-precache.img", "private.img"]
        );

        let three = Volume {
            revisions_to_keep: 3,
            ..private.clone()
        };
        for text in ["a", "b", "c", "d"] {
            pool.run_once(&three, text);
        }
        let ids = revision_ids(driver, &three);
        assert_eq!(ids, ["2", "3", "4"]);
        driver.revert(&three, None).unwrap();
        assert_eq!(
            text_in(&pool.path("appvms/work/private.img")),
            "c",
            "the newest"
        );
        driver.revert(&three, Some("2")).unwrap();
        assert_eq!(text_in(&pool.path("appvms/work/private.img")), "a");
    }
}

#[test]
fn a_precache_is_used_while_it_equals_the_image() {
    for pool in all_pools() {
        let driver = &pool.driver;
        let private = origin("work", "private");
        let inode = |name: &str| {
            fs::metadata(pool.path("appvms/work").join(name))
                .unwrap()
                .ino()
        };
        driver.create(&private).unwrap();
        pool.run_once(&private, "committed");
        let made_in_advance = inode("private-precache.img");
        driver.start(&private).unwrap();
        assert_eq!(
            inode("private-dirty.img"),
            made_in_advance,
            "a start is one rename"
        );
        driver.stop(&private).unwrap();

        // Another image is put there by hand.
        write_text(&pool.path("appvms/work/private.img"), "by hand");
        driver.start(&private).unwrap();
        assert_eq!(
            text_in(&pool.path("appvms/work/private-dirty.img")),
            "by hand"
        );
        driver.stop(&private).unwrap();

        // Or a longer one with the same modification time.
        let clean = File::options()
            .write(true)
            .open(pool.path("appvms/work/private.img"))
            .unwrap();
        let time = clean.metadata().unwrap().modified().unwrap();
        clean.set_len(80 * MIB).unwrap();
        clean
            .set_times(FileTimes::new().set_modified(time))
            .unwrap();
        driver.start(&private).unwrap();
        assert_eq!(
            fs::metadata(pool.path("appvms/work/private-dirty.img"))
                .unwrap()
                .len(),
            80 * MIB
        );
        driver.stop(&private).unwrap();
    }
}

#[test]
fn a_volume_grows_without_a_copy_where_blocks_are_not_shared() {
    let Some(pool) = pool_on(FileSystem::Ext4) else {
        return;
    };
    let driver = &pool.driver;
    let root = origin("debian", "root");
    let inode = |name: &str| {
        fs::metadata(pool.path("vm-templates/debian").join(name))
            .unwrap()
            .ino()
    };
    driver.create(&root).unwrap();
    driver.start(&root).unwrap();
    // The precache and the dirty image take more than half of the file system: there is no space
    // for another copy.
    pool.guest_fills(&root, 100 * MIB);
    pool.guest_writes(&root, "committed");
    driver.stop(&root).unwrap();
    let snapshot = snapshot("work", &root);
    driver.start(&snapshot).unwrap();
    let (clean, precache) = (inode("root.img"), inode("root-precache.img"));
    let reader = driver.open_committed_data(&root).unwrap();

    driver.resize(&root, 150 * MIB).unwrap();
    assert_eq!(
        (driver.size(&root).unwrap(), inode("root.img")),
        (150 * MIB, clean)
    );
    assert_eq!(
        (driver.size(&snapshot).unwrap(), reader.size),
        (101 * MIB, 101 * MIB),
        "who runs or reads notices nothing"
    );
    let image = |name: &str| fs::metadata(pool.path("vm-templates/debian").join(name)).unwrap();
    let in_advance = image("root-precache.img");
    assert_eq!(
        (
            in_advance.ino(),
            in_advance.len(),
            in_advance.modified().unwrap()
        ),
        (precache, 150 * MIB, image("root.img").modified().unwrap()),
        "the next start is one rename as before"
    );
    driver.start(&root).unwrap();
    let dirty = pool.path("vm-templates/debian/root-dirty.img");
    assert_eq!(
        (fs::metadata(&dirty).unwrap().len(), &*text_in(&dirty)),
        (150 * MIB, "committed")
    );
}

#[test]
fn without_snapshots_the_guest_writes_to_the_image_itself() {
    for pool in all_pools() {
        let driver = &pool.driver;
        let root = origin("debian", "root");
        driver.create(&root).unwrap();
        pool.run_once(&root, "before");
        let inode = fs::metadata(pool.path("vm-templates/debian/root.img"))
            .unwrap()
            .ino();
        let live = Volume {
            revisions_to_keep: -1,
            ..root.clone()
        };

        driver.start(&live).unwrap();
        assert_eq!(pool.names("vm-templates/debian"), ["root-dirty.img"]);
        assert_eq!(
            fs::metadata(pool.path("vm-templates/debian/root-dirty.img"))
                .unwrap()
                .ino(),
            inode
        );
        assert!(refusal(driver.export(&live)).contains("without snapshots"));
        let snapshot = snapshot("work", &live);
        assert!(refusal(driver.start(&snapshot)).contains("in use without snapshots"));
        pool.guest_writes(&live, "after");
        driver.stop(&live).unwrap();
        assert_eq!(pool.names("vm-templates/debian"), ["root.img"]);
        assert_eq!(text_in(&pool.path("vm-templates/debian/root.img")), "after");

        driver.start(&snapshot).unwrap();
        assert_eq!(text_in(&pool.path("appvms/work/root-dirty.img")), "after");
        let fill = driver.export(&live).unwrap();
        import_file(driver, &live, &fill).unwrap();
        driver.resize(&live, 72 * MIB).unwrap();
        assert_eq!(
            pool.names("vm-templates/debian"),
            ["root.img"],
            "nothing is kept of what it was"
        );
        assert_eq!(
            (driver.size(&live).unwrap(), driver.is_dirty(&live).unwrap()),
            (72 * MIB, false)
        );
        assert!(driver.is_outdated(&snapshot).unwrap());
        pool.run_once(&root, "again");
        assert_eq!(
            pool.shapes("vm-templates/debian"),
            ["root-precache.img", "root.img", "root.img.1"]
        );
    }
}

#[test]
fn a_start_without_snapshots_keeps_revisions_if_the_image_is_missing() {
    let Some(pool) = pool_on(FileSystem::Btrfs) else {
        return;
    };
    let private = origin("work", "private");
    pool.driver.create(&private).unwrap();
    pool.run_once(&private, "one");
    pool.run_once(&private, "two");
    fs::remove_file(pool.path("appvms/work/private.img")).unwrap();
    let live = Volume {
        revisions_to_keep: -1,
        ..private.clone()
    };
    assert!(refusal(pool.driver.start(&live)).ends_with("private.img is missing"));
    pool.driver.revert(&private, None).unwrap();
    assert_eq!(text_in(&pool.path("appvms/work/private.img")), "one");
}

#[test]
fn a_snapshot_is_outdated_once_its_source_has_been_committed() {
    for pool in all_pools() {
        let driver = &pool.driver;
        let template = origin("debian", "root");
        let root = snapshot("work", &template);
        driver.create(&template).unwrap();
        assert!(!driver.is_outdated(&root).unwrap(), "it has not started");
        driver.start(&root).unwrap();
        driver.start(&template).unwrap();
        assert!(
            !driver.is_outdated(&root).unwrap(),
            "the template runs, nothing is committed"
        );
        pool.guest_writes(&template, "updated");
        driver.stop(&template).unwrap();
        assert!(driver.is_outdated(&root).unwrap());
        assert_eq!(text_in(&pool.path("appvms/work/root-dirty.img")), "");
        driver.start(&root).unwrap();
        assert!(!driver.is_outdated(&root).unwrap());
        assert_eq!(text_in(&pool.path("appvms/work/root-dirty.img")), "updated");
    }
}

#[test]
fn snapshots_and_commits_of_a_source_exclude_each_other() {
    let Some(pool) = pool_on(FileSystem::Btrfs) else {
        return;
    };
    let driver = &pool.driver;
    let (template, locks) = (origin("debian", "root"), locks_beside(&pool.directory));
    let root = snapshot("work", &template);
    driver.create(&template).unwrap();
    driver.start(&template).unwrap();
    let somebody_commits = locks.lock_exclusive("vm-pool", &template.vid).unwrap();
    let refused = refusal(driver.start(&root));
    assert!(
        refused.starts_with("volume vm-templates/debian/root of pool vm-pool is locked by pid "),
        "{refused}"
    );
    drop(somebody_commits);
    let somebody_snapshots = locks.lock_shared("vm-pool", &template.vid).unwrap();
    driver.start(&root).unwrap();
    assert!(refusal(driver.stop(&template)).contains("is locked by "));
    assert!(refusal(driver.remove(&template)).contains("is locked by "));
    drop(somebody_snapshots);
    driver.stop(&template).unwrap();
    let somebody_snapshots = locks.lock_shared("vm-pool", &template.vid).unwrap();
    assert!(refusal(driver.revert(&template, None)).contains("is locked by "));
    drop(somebody_snapshots);
    driver.revert(&template, None).unwrap();
}

#[test]
fn imports_are_atomic_and_exports_work_while_the_qube_runs() {
    for pool in all_pools() {
        let driver = &pool.driver;
        let (private, copy) = (origin("work", "private"), origin("copy", "private"));
        driver.create(&private).unwrap();
        pool.run_once(&private, "mine");
        driver.start(&private).unwrap();
        pool.guest_writes(&private, "unfinished");

        driver.create(&copy).unwrap();
        import_file(driver, &copy, &driver.export(&private).unwrap()).unwrap();
        assert_eq!(
            pool.shapes("appvms/copy"),
            ["private-precache.img", "private.img", "private.img.1"]
        );
        assert_eq!(text_in(&pool.path("appvms/copy/private.img")), "mine");

        let elsewhere = tempfile::NamedTempFile::new().unwrap();
        fs::write(elsewhere.path(), "x".repeat(8192)).unwrap();
        import_file(driver, &copy, elsewhere.path()).unwrap();
        assert_eq!(driver.size(&copy).unwrap(), 8192);
        assert!(
            refusal(import_file(driver, &private, elsewhere.path())).contains("shut the qube down")
        );
        assert_eq!(driver.size(&copy).unwrap(), 8192);
        assert_eq!(
            pool.shapes("appvms/copy"),
            ["private-precache.img", "private.img", "private.img.2"]
        );
    }
}

#[test]
fn a_volume_can_be_resized_running_and_halted() {
    for pool in all_pools() {
        let driver = &pool.driver;
        let private = origin("work", "private");
        driver.create(&private).unwrap();
        driver.resize(&private, 80 * MIB).unwrap();
        assert_eq!(
            fs::metadata(pool.path("appvms/work/private.img"))
                .unwrap()
                .len(),
            80 * MIB
        );
        assert_eq!(
            fs::metadata(pool.path("appvms/work/private-precache.img"))
                .unwrap()
                .len(),
            80 * MIB
        );
        driver.start(&private).unwrap();
        let device = Program::new("losetup")
            .args(["--find", "--show"])
            .arg(pool.path("appvms/work/private-dirty.img"));
        let device = String::from_utf8(device.output().unwrap())
            .unwrap()
            .trim()
            .to_string();
        driver.resize(&private, 96 * MIB).unwrap();
        let seen = Program::new("blockdev")
            .args(["--getsize64", &device])
            .output()
            .unwrap();
        // While the device exists, the image is in use and is not committed.
        let refused = refusal(driver.stop(&private));
        Program::new("losetup")
            .args(["--detach", &device])
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8(seen).unwrap().trim(),
            (96 * MIB).to_string()
        );
        assert!(
            refused.contains(&format!("still open in {device}")),
            "{refused}"
        );
        driver.stop(&private).unwrap();
        assert_eq!(driver.size(&private).unwrap(), 96 * MIB);
        let fixed = Volume {
            rw: false,
            ..private
        };
        assert!(refusal(driver.resize(&fixed, 0)).contains("read-only"));
    }
}

#[test]
fn an_image_that_qemu_has_open_is_left_alone() {
    let Some(pool) = pool_on(FileSystem::Btrfs) else {
        return;
    };
    let driver = &pool.driver;
    let private = origin("work", "private");
    driver.create(&private).unwrap();
    driver.start(&private).unwrap();
    // A QEMU server opens the image with the same locks as a virtual machine. It is ready once it
    // has forked.
    let (socket, pid) = (
        pool.mount.path().join("socket"),
        pool.mount.path().join("pid"),
    );
    let server = Program::new("qemu-nbd")
        .args(["--fork", "-f", "raw", "--socket"])
        .arg(&socket)
        .arg("--pid-file");
    let server = server
        .arg(&pid)
        .arg(pool.path("appvms/work/private-dirty.img"));
    if let Err(missing @ ExecError::Start { .. }) = server.output() {
        qubes_test_support::skip(format_args!("{missing}"));
        return;
    }
    let pid = Pid::from_raw(fs::read_to_string(&pid).unwrap().trim().parse().unwrap());
    let before = pool.names("appvms/work");
    let refused = [
        driver.stop(&private),
        driver.start(&private),
        driver.remove(&private),
    ];
    let after = pool.names("appvms/work");
    kill(pid, Signal::SIGTERM).unwrap();
    assert_eq!(after, before);
    for refused in refused {
        let text = refusal(refused);
        assert!(
            text.ends_with("private-dirty.img is still open in a virtual machine; stop that first"),
            "{text}"
        );
    }
    // A stop waits for the moment that it takes to end.
    driver.stop(&private).unwrap();
    driver
        .remove(&Volume::orphan("vm-pool", "appvms/work/private"))
        .unwrap();
    assert!(!pool.path("appvms/work").exists());
}

#[test]
fn a_dirty_image_after_a_crash_is_continued_or_committed() {
    for pool in all_pools() {
        let driver = &pool.driver;
        let private = origin("work", "private");
        driver.create(&private).unwrap();
        let scratch = volatile("work");
        driver.create(&scratch).unwrap();
        driver.start(&scratch).unwrap();
        pool.guest_writes(&scratch, "before the crash");
        driver.start(&private).unwrap();
        pool.guest_writes(&private, "before the crash");
        fs::write(pool.path("appvms/work/private-dirty.img~x1"), "half").unwrap();
        fs::write(pool.path("appvms/work/private-import.img"), "half").unwrap();
        driver.start(&private).unwrap();
        driver.start(&scratch).unwrap();
        assert_eq!(
            pool.names("appvms/work"),
            ["private-dirty.img", "private.img", "volatile-dirty.img"]
        );
        assert_eq!(
            text_in(&pool.path("appvms/work/private-dirty.img")),
            "before the crash"
        );
        assert_eq!(
            text_in(&pool.path("appvms/work/volatile-dirty.img")),
            "",
            "a volatile volume begins anew"
        );
        driver.stop(&scratch).unwrap();
        driver.stop(&private).unwrap();
        driver.stop(&private).unwrap();
        assert_eq!(
            text_in(&pool.path("appvms/work/private.img")),
            "before the crash"
        );
        assert_eq!(
            pool.shapes("appvms/work"),
            ["private-precache.img", "private.img", "private.img.1"]
        );
    }
}

/// The work must not depend on the size: none of 220 MiB of data is written again.
#[test]
fn a_large_image_is_not_copied_where_blocks_are_shared() {
    for kind in [FileSystem::Btrfs, FileSystem::Xfs] {
        let Some(pool) = pool_on(kind) else { continue };
        let driver = &pool.driver;
        let root = Volume {
            size: 10 << 30,
            ..origin("debian", "root")
        };
        driver.create(&root).unwrap();
        driver.start(&root).unwrap();
        // More than half of the file system: a real copy would not fit.
        pool.guest_fills(&root, 220 * MIB);
        driver.stop(&root).unwrap();
        let before = used(&pool);

        let (snapshot, copy) = (
            snapshot("work", &root),
            Volume {
                size: 10 << 30,
                ..origin("copy", "root")
            },
        );
        driver.start(&root).unwrap();
        pool.guest_writes(&root, "a little");
        driver.stop(&root).unwrap();
        driver.start(&snapshot).unwrap();
        driver.create(&copy).unwrap();
        import_file(driver, &copy, &driver.export(&root).unwrap()).unwrap();
        assert_eq!(driver.size(&copy).unwrap(), 10 << 30);
        let usage = driver.usage(&copy).unwrap();
        assert!(
            (220 * MIB..300 * MIB).contains(&usage),
            "what it takes, shared or not: {usage}"
        );
        let grown = used(&pool).saturating_sub(before);
        assert!(grown < 16 * MIB, "{kind:?}: {grown} bytes more");
    }
}

#[test]
fn a_directory_without_shared_blocks_is_refused_unless_setup_check_is_off() {
    let Some(pool) = pool_on(FileSystem::Ext4) else {
        return;
    };
    let directory = pool.mount.path().join("new");
    let picky = Reflink::new(
        PoolDirectory::new("fast", directory.clone(), None, locks_beside(&directory)),
        true,
    );
    let refused = refusal(picky.setup());
    assert!(refused.starts_with("pool fast: files in "), "{refused}");
    for way in ["btrfs or XFS", "driver 'file'", "setup_check=no"] {
        assert!(refused.contains(way), "{refused}");
    }
    assert!(!directory.exists());

    let root = Volume {
        size: 10 << 30,
        ..origin("debian", "root")
    };
    pool.driver.create(&root).unwrap();
    pool.driver.start(&root).unwrap();
    pool.guest_fills(&root, 8 * MIB);
    pool.driver.stop(&root).unwrap();
    let image = fs::metadata(pool.path("vm-templates/debian/root.img")).unwrap();
    let precache = fs::metadata(pool.path("vm-templates/debian/root-precache.img")).unwrap();
    assert_eq!(precache.len(), 10 << 30);
    assert!(
        precache.blocks() * 512 < 9 * MIB,
        "{} blocks",
        precache.blocks()
    );
    assert_ne!(image.ino(), precache.ino());
}

#[test]
fn a_full_disk_loses_nothing() {
    let Some(pool) = pool_on(FileSystem::Ext4) else {
        return;
    };
    let driver = &pool.driver;
    let private = Volume {
        size: 400 * MIB,
        ..origin("work", "private")
    };
    driver.create(&private).unwrap();
    driver.start(&private).unwrap();
    pool.guest_fills(&private, 200 * MIB);
    pool.guest_writes(&private, "precious");
    // The image is committed, only the precache does not fit any more.
    driver.stop(&private).unwrap();
    assert_eq!(text_in(&pool.path("appvms/work/private.img")), "precious");
    assert_eq!(pool.shapes("appvms/work"), ["private.img", "private.img.1"]);
    let error = driver.start(&private).unwrap_err().to_string();
    assert!(
        error.contains("private-dirty.img: No space left on device"),
        "{error}"
    );
    assert_eq!(pool.shapes("appvms/work"), ["private.img", "private.img.1"]);
    assert_eq!(text_in(&pool.path("appvms/work/private.img")), "precious");
}

/// Writes to an image by hand.
fn write_text(image: &Path, text: &str) {
    let image = File::options().write(true).open(image).unwrap();
    image
        .write_all_at(format!("{text:\0<16}").as_bytes(), 4096)
        .unwrap();
}

fn refusal<T: std::fmt::Debug>(result: Result<T, StorageError>) -> String {
    match result.unwrap_err() {
        StorageError::Refused(text) | StorageError::NotReady { reason: text, .. } => text,
        other => panic!("not a refusal: {other}"),
    }
}

fn revision_name(pool: &Pool) -> String {
    pool.names("appvms/work")
        .into_iter()
        .find(|n| n.contains('@'))
        .unwrap()
}

/// Returns the bytes in use, after everything pending has been written.
fn used(pool: &Pool) -> u64 {
    Program::new("sync")
        .arg("--file-system")
        .arg(pool.mount.path())
        .output()
        .unwrap();
    let place = statvfs(&pool.mount.path()).unwrap();
    (place.blocks() - place.blocks_free()) * place.fragment_size()
}
