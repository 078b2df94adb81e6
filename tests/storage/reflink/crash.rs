//! Kills a process at each of its system calls: the next one can continue with the pool, and no
//! data are lost.
//!
//! Each step of a volume's life cycle runs in a process of its own (this test binary again) under
//! strace, which kills it on entering its Nth call that changes something on disk, for N from 1
//! until the step completes. Between two such calls the disk does not change, so these are all the
//! states that a crash can leave.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use qubes::storage::driver::*;
use qubes::storage::{PoolDirectory, Reflink, StorageError, Volume};
use qubes_test_support::FileSystem;
use qubes_test_support::killed_steps::{list_calls, run_killed_at, trace_calls};
use qubes_test_support::volumes::import_file;

use super::pool::{MIB, Pool, locks_beside, origin, pool_on, snapshot, text_in};

#[test]
fn a_stop_killed_at_any_call_keeps_what_the_guest_synced() {
    for kind in [FileSystem::Btrfs, FileSystem::Ext4] {
        for recover in [Step::Stop, Step::Start] {
            at_every_call(
                kind,
                Step::Stop,
                &origin("work", "private"),
                |pool, volume, when| {
                    // Before the recovery, the volume may be cloned or started.
                    let clean = text_in(&pool.path("appvms/work/private.img"));
                    assert!(
                        ["committed", "synced"].contains(&clean.as_str()),
                        "{when}: {clean}"
                    );
                    recover.run(&pool.driver, volume).unwrap();
                    pool.driver.stop(volume).unwrap();
                    assert_eq!(
                        text_in(&pool.path("appvms/work/private.img")),
                        "synced",
                        "{when}"
                    );
                    let revisions = pool.driver.revisions(volume).unwrap();
                    assert_eq!(revisions.len(), 1, "{when}");
                    assert_tidy(pool, volume, when);
                },
            );
        }
    }
}

#[test]
fn a_stop_without_snapshots_killed_at_any_call_keeps_what_the_guest_synced() {
    let live = Volume {
        revisions_to_keep: -1,
        ..origin("work", "private")
    };
    at_every_call(
        FileSystem::Btrfs,
        Step::Stop,
        &live,
        |pool, volume, when| {
            pool.driver.start(volume).unwrap();
            assert_eq!(
                text_in(&pool.path("appvms/work/private-dirty.img")),
                "synced",
                "{when}"
            );
            pool.driver.stop(volume).unwrap();
            assert_eq!(pool.names("appvms/work"), ["private.img"], "{when}");
        },
    );
}

#[test]
fn a_start_killed_at_any_call_can_be_repeated() {
    let private = origin("work", "private");
    let live = Volume {
        revisions_to_keep: -1,
        ..private.clone()
    };
    for kind in [FileSystem::Btrfs, FileSystem::Ext4] {
        for volume in [
            &private,
            &live,
            &snapshot("work", &origin("debian", "root")),
        ] {
            at_every_call(kind, Step::Start, volume, |pool, volume, when| {
                pool.driver.start(volume).unwrap();
                let image = pool.path(&format!("{}-dirty.img", volume.vid));
                assert_eq!(text_in(&image), "committed", "{when}");
                pool.driver.stop(volume).unwrap();
                assert_tidy(pool, volume, when);
            });
        }
    }
}

#[test]
fn a_snapshot_start_or_stop_killed_at_any_call_is_cleaned_up_after_source_commits() {
    let (template, root) = (
        origin("debian", "root"),
        snapshot("work", &origin("debian", "root")),
    );
    for (kind, step) in [
        (FileSystem::Btrfs, Step::Start),
        (FileSystem::Ext4, Step::Start),
        (FileSystem::Btrfs, Step::Stop),
    ] {
        at_every_call(kind, step, &root, |pool, volume, when| {
            // The source of the run is not among the revisions any more.
            ["a", "b", "c"]
                .iter()
                .for_each(|text| pool.run_once(&template, text));
            pool.driver.stop(volume).unwrap();
            assert!(!pool.driver.has_run_images(volume).unwrap(), "{when}");
            let images: Vec<String> = pool
                .names("appvms/work")
                .into_iter()
                .filter(|n| n.starts_with("root"))
                .collect();
            // The next start removes a temporary file.
            assert!(
                images.iter().all(|name| name.contains('~')),
                "{when}: {images:?}"
            );
            pool.driver.start(volume).unwrap();
            assert_eq!(
                text_in(&pool.path("appvms/work/root-dirty.img")),
                "c",
                "{when}"
            );
            pool.driver.stop(volume).unwrap();
            assert_tidy(pool, volume, when);
        });
    }
}

#[test]
fn a_rollback_of_a_start_killed_at_any_call_loses_nothing() {
    let private = origin("work", "private");
    for volume in [
        &private,
        &Volume {
            revisions_to_keep: -1,
            ..private.clone()
        },
    ] {
        at_every_call(
            FileSystem::Btrfs,
            Step::Discard,
            volume,
            |pool, volume, when| {
                pool.driver.stop(volume).unwrap();
                assert_eq!(
                    text_in(&pool.path("appvms/work/private.img")),
                    "committed",
                    "{when}"
                );
                assert_tidy(pool, volume, when);
            },
        );
    }
}

#[test]
fn a_revert_killed_at_any_call_loses_neither_state() {
    for kind in [FileSystem::Btrfs, FileSystem::Ext4] {
        at_every_call(
            kind,
            Step::Revert,
            &origin("work", "private"),
            |pool, volume, when| {
                let mut states: Vec<String> = pool
                    .driver
                    .revisions(volume)
                    .unwrap()
                    .iter()
                    .map(|r| state(pool, &r.id))
                    .collect();
                states.push(text_in(&pool.path("appvms/work/private.img")));
                for kept in ["first", "committed"] {
                    assert!(states.iter().any(|s| s == kept), "{when}: {states:?}");
                }
                let image = pool.path("appvms/work/private.img");
                if text_in(&image) == "committed" {
                    pool.driver.revert(volume, None).unwrap();
                    assert_eq!(text_in(&image), "first", "{when}: the same again");
                }
                assert_tidy(pool, volume, when);
            },
        );
    }
}

#[test]
fn an_import_killed_at_any_call_leaves_the_old_or_the_new_image() {
    for kind in [FileSystem::Btrfs, FileSystem::Ext4] {
        at_every_call(
            kind,
            Step::Import,
            &origin("work", "private"),
            |pool, volume, when| {
                let text = text_in(&pool.path("appvms/work/private.img"));
                assert!(
                    ["committed", "imported"].contains(&text.as_str()),
                    "{when}: {text}"
                );
                assert_tidy(pool, volume, when);
                import_file(&pool.driver, volume, &pool.path(IMPORTED)).unwrap();
                assert_eq!(
                    text_in(&pool.path("appvms/work/private.img")),
                    "imported",
                    "{when}"
                );
            },
        );
    }
}

#[test]
fn a_resize_killed_at_any_call_leaves_the_old_or_the_new_size() {
    for (kind, step, size) in [
        (FileSystem::Btrfs, Step::Resize, 96 * MIB),
        (FileSystem::Ext4, Step::Resize, 96 * MIB),
        (FileSystem::Ext4, Step::Shrink, 32 * MIB),
    ] {
        at_every_call(
            kind,
            step,
            &origin("work", "private"),
            |pool, volume, when| {
                let now = pool.driver.size(volume).unwrap();
                assert!([64 * MIB, size].contains(&now), "{when}");
                assert_eq!(
                    text_in(&pool.path("appvms/work/private.img")),
                    "committed",
                    "{when}"
                );
                pool.driver.start(volume).unwrap();
                let dirty = pool.path("appvms/work/private-dirty.img");
                assert_eq!(
                    (text_in(&dirty).as_str(), pool.driver.size(volume).unwrap()),
                    ("committed", now),
                    "{when}"
                );
                assert_tidy(pool, volume, when);
            },
        );
    }
}

/// Checks what killing a process cannot show: that a power loss after a step finds it on the disk.
#[test]
fn a_new_image_is_synced_before_its_rename_and_the_directory_after() {
    for (step, from, to) in [
        (Step::Stop, "private-dirty.img", "private.img"),
        (Step::Import, "private-import.img", "private.img"),
        (Step::Import, "private-import.img~", "private-import.img"),
        (Step::Stop, "private.img.3@", "private.img.3@"),
    ] {
        let Some(pool) = pool_on(FileSystem::Btrfs) else {
            return;
        };
        let volume = origin("work", "private");
        prepare(&pool, step, &volume);
        let calls = trace_calls(TEST, &environment(&pool, step, &volume));
        let renames = |call: &&String| {
            let names: Vec<&str> = call
                .split('"')
                .skip(1)
                .step_by(2)
                .filter_map(|path| path.rsplit('/').next())
                .collect();
            call.contains("rename")
                && matches!(names[..], [a, b] if a.starts_with(from) && b.starts_with(to))
        };
        let renamed = calls
            .iter()
            .position(|call| renames(&call))
            .unwrap_or_else(|| panic!("{step:?}: {calls:#?}"));
        let is_synced = |call: &String, name: &str| {
            let path = call
                .split_once('<')
                .and_then(|(_, rest)| rest.split_once('>'))
                .map_or("", |(path, _)| path);
            call.contains(" fsync(")
                && path
                    .rsplit('/')
                    .next()
                    .is_some_and(|last| last.starts_with(name))
        };
        let all = calls.join("\n");
        assert!(
            calls[..renamed].iter().any(|call| is_synced(call, from)),
            "{step:?}: the data of {from}: {all}"
        );
        assert!(
            calls[renamed..].iter().any(|call| is_synced(call, "work")),
            "{step:?}: the directory after {to}: {all}"
        );
    }
}

#[test]
fn a_creation_or_removal_killed_at_any_call_can_be_repeated() {
    for step in [Step::Create, Step::Remove] {
        at_every_call(
            FileSystem::Btrfs,
            step,
            &origin("work", "private"),
            |pool, volume, when| {
                pool.driver.create(volume).unwrap();
                assert_eq!(
                    pool.names("appvms/work"),
                    ["private-precache.img", "private.img"],
                    "{when}"
                );
                assert_eq!(text_in(&pool.path("appvms/work/private.img")), "", "{when}");
                pool.driver.remove(volume).unwrap();
                assert!(!pool.path("appvms/work").exists(), "{when}");
            },
        );
    }
}

/// A step that runs in a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Create,
    Start,
    Stop,
    Revert,
    Import,
    Resize,
    Shrink,
    Discard,
    Remove,
}

/// The file that is imported, in the pool's directory.
const IMPORTED: &str = "to-import";

impl Step {
    const ALL: [Step; 9] = [
        Step::Create,
        Step::Start,
        Step::Stop,
        Step::Revert,
        Step::Import,
        Step::Resize,
        Step::Shrink,
        Step::Discard,
        Step::Remove,
    ];

    fn run(self, driver: &Reflink, volume: &Volume) -> Result<(), StorageError> {
        match self {
            Step::Create => driver.create(volume),
            Step::Start => driver.start(volume),
            Step::Stop => driver.stop(volume),
            Step::Revert => driver.revert(volume, None),
            Step::Import => import_file(driver, volume, &imported()),
            Step::Resize => driver.resize(volume, 96 * MIB),
            Step::Shrink => driver.resize(volume, 32 * MIB),
            Step::Discard => driver.discard(volume),
            Step::Remove => driver.remove(volume),
        }
    }
}

fn imported() -> PathBuf {
    PathBuf::from(env::var_os(DIRECTORY).unwrap()).join(IMPORTED)
}

/// Kills a `step` at its first, second, … changing call, and lets it complete at last. `check`
/// examines the result of each. Each run begins with the same pool.
fn at_every_call(
    kind: FileSystem,
    step: Step,
    volume: &Volume,
    check: impl Fn(&Pool, &Volume, &str),
) {
    let Some(pool) = pool_on(kind) else { return };
    let environment = environment(&pool, step, volume);
    let what = format!("{kind:?}, {step:?} of {}", volume.name);
    prepare(&pool, step, volume);
    let calls = list_calls(TEST, &environment);
    check(&pool, volume, &format!("{what} that nobody kills"));
    for call in calls {
        prepare(&pool, step, volume);
        run_killed_at(TEST, &environment, &call);
        check(&pool, volume, &format!("{what} killed at {call:?}"));
    }
}

const TEST: &str = "reflink::crash::run_step";

fn environment(pool: &Pool, step: Step, volume: &Volume) -> [(&'static str, OsString); 3] {
    [
        (DIRECTORY, pool.directory.clone().into_os_string()),
        (STEP, format!("{step:?}").into()),
        (
            VOLUME,
            format!("{} {}", volume.vid, volume.revisions_to_keep).into(),
        ),
    ]
}

/// Creates a template and a qube with two committed states. For a stop, it runs with a third.
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
        Step::Discard => pool.driver.start(volume).unwrap(),
        _ => {}
    }
}

/// Checks that a start and a stop leave no temporary file and no import.
fn assert_tidy(pool: &Pool, volume: &Volume, when: &str) {
    pool.driver.start(volume).unwrap();
    pool.driver.stop(volume).unwrap();
    let litter: Vec<String> = pool
        .names("appvms/work")
        .into_iter()
        .filter(|n| n.contains('~') || n.contains("import"))
        .collect();
    assert!(litter.is_empty(), "{when}: {litter:?}");
}

/// Returns the text in the revision `id`.
fn state(pool: &Pool, id: &str) -> String {
    let start = format!("private.img.{id}@");
    let name = pool
        .names("appvms/work")
        .into_iter()
        .find(|n| n.starts_with(&start))
        .unwrap();
    text_in(&pool.path("appvms/work").join(name))
}

const DIRECTORY: &str = "STORAGE_CRASH_DIRECTORY";
const STEP: &str = "STORAGE_CRASH_STEP";
const VOLUME: &str = "STORAGE_CRASH_VOLUME";

/// The body of the process that [`at_every_call`] runs; does nothing as a test.
#[test]
fn run_step() {
    let (Ok(step), Ok(volume)) = (env::var(STEP), env::var(VOLUME)) else {
        return;
    };
    let directory = env::var_os(DIRECTORY).unwrap();
    let directory = Path::new(&directory);
    let driver = Reflink::new(
        PoolDirectory::new("vm-pool", directory.into(), None, locks_beside(directory)),
        false,
    );
    let (vid, revisions_to_keep) = volume.split_once(' ').unwrap();
    let mut parts = vid.split('/').skip(1);
    let (qube, name) = (parts.next().unwrap(), parts.next().unwrap());
    let volume = match name {
        "root" => snapshot(qube, &origin("debian", name)),
        _ => Volume {
            revisions_to_keep: revisions_to_keep.parse().unwrap(),
            ..origin(qube, name)
        },
    };
    let step = Step::ALL
        .into_iter()
        .find(|s| format!("{s:?}") == step)
        .unwrap();
    step.run(&driver, &volume).unwrap();
}
