//! A process that dies at any of its system calls leaves a pool that the next one can go on with, nothing lost.
//!
//! Each step of a volume's life runs in a process of its own (this test binary again) under strace, which kills it
//! on entering its Nth call that changes something on disk, for N from 1 until it gets through. Between two such calls
//! the disk does not change, so these are all the states that a crash can leave.

use std::env;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::dying::{calls_of, run_dying};
use crate::loop_mount::FileSystem;
use crate::pool::{MIB, Pool, locks_beside, origin, pool_on, snapshot, text_in};
use qubes::storage::{Driver, Reflink, StorageError, Volume};

#[test]
fn a_stop_that_dies_anywhere_keeps_what_the_guest_synced() {
    for kind in [FileSystem::Btrfs, FileSystem::Ext4] {
        for recover in [Step::Stop, Step::Start] {
            at_every_call(kind, Step::Stop, &origin("work", "private"), |pool, volume, when| {
                recover.run(&pool.driver, volume).unwrap();
                pool.driver.stop(volume).unwrap();
                assert_eq!(text_in(&pool.path("appvms/work/private.img")), "synced", "{when}");
                let revisions = pool.driver.revisions(volume).unwrap();
                assert_eq!(revisions.len(), 1, "{when}");
                assert_tidy(pool, volume, when);
            });
        }
    }
}

#[test]
fn a_stop_without_snapshots_that_dies_anywhere_keeps_what_the_guest_synced() {
    let live = Volume { revisions_to_keep: -1, ..origin("work", "private") };
    at_every_call(FileSystem::Btrfs, Step::Stop, &live, |pool, volume, when| {
        pool.driver.start(volume).unwrap();
        assert_eq!(text_in(&pool.path("appvms/work/private-dirty.img")), "synced", "{when}");
        pool.driver.stop(volume).unwrap();
        assert_eq!(pool.names("appvms/work"), ["private.img"], "{when}");
    });
}

#[test]
fn a_start_that_dies_anywhere_can_be_repeated() {
    let private = origin("work", "private");
    let live = Volume { revisions_to_keep: -1, ..private.clone() };
    for volume in [&private, &live, &snapshot("work", &origin("debian", "root"))] {
        at_every_call(FileSystem::Btrfs, Step::Start, volume, |pool, volume, when| {
            pool.driver.start(volume).unwrap();
            let image = pool.path(&format!("{}-dirty.img", volume.vid));
            assert_eq!(text_in(&image), "committed", "{when}");
            pool.driver.stop(volume).unwrap();
            assert_tidy(pool, volume, when);
        });
    }
}

#[test]
fn a_revert_that_dies_anywhere_loses_neither_state() {
    at_every_call(FileSystem::Btrfs, Step::Revert, &origin("work", "private"), |pool, volume, when| {
        let mut states: Vec<String> =
            pool.driver.revisions(volume).unwrap().iter().map(|r| state(pool, &r.id)).collect();
        states.push(text_in(&pool.path("appvms/work/private.img")));
        for kept in ["first", "committed"] {
            assert!(states.iter().any(|s| s == kept), "{when}: {states:?}");
        }
        assert_tidy(pool, volume, when);
    });
}

#[test]
fn an_import_that_dies_anywhere_leaves_the_old_image_or_the_new_one() {
    for kind in [FileSystem::Btrfs, FileSystem::Ext4] {
        at_every_call(kind, Step::Import, &origin("work", "private"), |pool, volume, when| {
            let text = text_in(&pool.path("appvms/work/private.img"));
            assert!(["committed", "imported"].contains(&text.as_str()), "{when}: {text}");
            assert_tidy(pool, volume, when);
            pool.driver.import(volume, &pool.path(IMPORTED)).unwrap();
            assert_eq!(text_in(&pool.path("appvms/work/private.img")), "imported", "{when}");
        });
    }
}

#[test]
fn a_resize_that_dies_anywhere_leaves_the_old_size_or_the_new_one() {
    at_every_call(FileSystem::Btrfs, Step::Resize, &origin("work", "private"), |pool, volume, when| {
        assert!([64 * MIB, 96 * MIB].contains(&pool.driver.size(volume).unwrap()), "{when}");
        assert_eq!(text_in(&pool.path("appvms/work/private.img")), "committed", "{when}");
        assert_tidy(pool, volume, when);
    });
}

#[test]
fn a_creation_or_a_removal_that_dies_anywhere_can_be_repeated() {
    for step in [Step::Create, Step::Remove] {
        at_every_call(FileSystem::Btrfs, step, &origin("work", "private"), |pool, volume, when| {
            pool.driver.create(volume).unwrap();
            assert_eq!(pool.names("appvms/work"), ["private-precache.img", "private.img"], "{when}");
            assert_eq!(text_in(&pool.path("appvms/work/private.img")), "", "{when}");
            pool.driver.remove(volume).unwrap();
            assert!(!pool.path("appvms/work").exists(), "{when}");
        });
    }
}

/// What is done in a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Create,
    Start,
    Stop,
    Revert,
    Import,
    Resize,
    Remove,
}

/// The file that is imported, in the pool's directory.
const IMPORTED: &str = "to-import";

impl Step {
    const ALL: [Step; 7] =
        [Step::Create, Step::Start, Step::Stop, Step::Revert, Step::Import, Step::Resize, Step::Remove];

    fn run(self, driver: &Reflink, volume: &Volume) -> Result<(), StorageError> {
        match self {
            Step::Create => driver.create(volume),
            Step::Start => driver.start(volume),
            Step::Stop => driver.stop(volume),
            Step::Revert => driver.revert(volume, None),
            Step::Import => driver.import(volume, &imported()),
            Step::Resize => driver.resize(volume, 96 * MIB),
            Step::Remove => driver.remove(volume),
        }
    }
}

fn imported() -> PathBuf {
    PathBuf::from(env::var_os(DIRECTORY).unwrap()).join(IMPORTED)
}

/// Has `check` look at what a `step` leaves that dies at its first, second, … changing call, and at what a whole one
/// leaves. Each begins with the same pool.
fn at_every_call(kind: FileSystem, step: Step, volume: &Volume, check: impl Fn(&Pool, &Volume, &str)) {
    const TEST: &str = "crash::one_step_in_a_process_of_its_own";
    let Some(pool) = pool_on(kind) else { return };
    let environment = [
        (DIRECTORY, pool.directory.clone().into_os_string()),
        (STEP, format!("{step:?}").into()),
        (VOLUME, format!("{} {}", volume.vid, volume.revisions_to_keep).into()),
    ];
    let what = format!("{kind:?}, {step:?} of {}", volume.name);
    prepare(&pool, step, volume);
    let calls = calls_of(TEST, &environment);
    check(&pool, volume, &format!("{what} that nobody kills"));
    for call in calls {
        prepare(&pool, step, volume);
        run_dying(TEST, &environment, &call);
        check(&pool, volume, &format!("{what} killed at {call:?}"));
    }
}

/// A template and a qube with two committed states, running with a third when the step is its stop.
fn prepare(pool: &Pool, step: Step, volume: &Volume) {
    let (template, private) = (origin("debian", "root"), origin("work", "private"));
    for other in [&template, &private] {
        pool.driver.remove(other).unwrap();
        pool.driver.create(other).unwrap();
        pool.run_once(other, "first");
        pool.run_once(other, "committed");
    }
    match step {
        Step::Stop => {
            pool.driver.start(volume).unwrap();
            pool.guest_writes(volume, "synced");
        }
        Step::Import => {
            let image = File::create(pool.path(IMPORTED)).unwrap();
            image.set_len(32 * MIB).unwrap();
            image.write_all_at(b"imported", 4096).unwrap();
        }
        _ => {}
    }
}

/// After a start and a stop no temporary file is left, and no import.
fn assert_tidy(pool: &Pool, volume: &Volume, when: &str) {
    pool.driver.start(volume).unwrap();
    pool.driver.stop(volume).unwrap();
    let litter: Vec<String> =
        pool.names("appvms/work").into_iter().filter(|n| n.contains('~') || n.contains("import")).collect();
    assert!(litter.is_empty(), "{when}: {litter:?}");
}

/// The text in the revision `id`.
fn state(pool: &Pool, id: &str) -> String {
    let start = format!("private.img.{id}@");
    let name = pool.names("appvms/work").into_iter().find(|n| n.starts_with(&start)).unwrap();
    text_in(&pool.path("appvms/work").join(name))
}

const DIRECTORY: &str = "STORAGE_CRASH_DIRECTORY";
const STEP: &str = "STORAGE_CRASH_STEP";
const VOLUME: &str = "STORAGE_CRASH_VOLUME";

/// Not a test by itself: what [`at_every_call`] runs.
#[test]
fn one_step_in_a_process_of_its_own() {
    let (Ok(step), Ok(volume)) = (env::var(STEP), env::var(VOLUME)) else { return };
    let directory = env::var_os(DIRECTORY).unwrap();
    let directory = Path::new(&directory);
    let driver = Reflink::new("vm-pool", directory.into(), false, None, locks_beside(directory));
    let (vid, revisions_to_keep) = volume.split_once(' ').unwrap();
    let mut parts = vid.split('/').skip(1);
    let (qube, name) = (parts.next().unwrap(), parts.next().unwrap());
    let volume = match name {
        "root" => snapshot(qube, &origin("debian", name)),
        _ => Volume { revisions_to_keep: revisions_to_keep.parse().unwrap(), ..origin(qube, name) },
    };
    let step = Step::ALL.into_iter().find(|s| format!("{s:?}") == step).unwrap();
    step.run(&driver, &volume).unwrap();
}
