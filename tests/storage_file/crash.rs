//! A process that dies at any of its system calls leaves a volume that the next one can go on with,
//! nothing lost.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use qubes::storage::{Driver, StorageError, Volume};

use crate::dying::{calls_of, run_dying, trace_of};
use crate::pool::{MIB, Pool, driver_in, origin};

#[test]
fn a_stop_that_dies_anywhere_keeps_what_the_guest_synced() {
    at_every_call(Step::Stop, |pool, volume, when| {
        pool.driver.stop(volume).unwrap();
        assert_eq!(pool.text(volume), "synced", "{when}");
        // Where the COW had been exchanged, the way back is there; it always leads to what was
        // committed.
        pool.driver.revert(volume, None).unwrap();
        assert_eq!(pool.text(volume), "committed", "{when}");
    });
}

#[test]
fn a_revert_that_dies_anywhere_loses_neither_state() {
    at_every_call(Step::Revert, |pool, volume, when| {
        let first = pool.text_after_recovery(volume);
        pool.driver.revert(volume, None).unwrap();
        let mut both = [first, pool.text(volume)];
        both.sort();
        assert_eq!(both, ["committed", "first"], "{when}");
    });
}

#[test]
fn an_import_that_dies_anywhere_leaves_the_old_image_or_the_new_one() {
    at_every_call(Step::Import, |pool, volume, when| {
        let text = pool.text_after_recovery(volume);
        assert!(
            ["committed", "imported"].contains(&text.as_str()),
            "{when}: {text}"
        );
        // No way back leads from one image into the other.
        if pool.driver.revert(volume, None).is_ok() {
            assert_eq!(
                (text.as_str(), pool.text(volume).as_str()),
                ("committed", "first"),
                "{when}"
            );
        }
        pool.driver
            .import(volume, &pool.place.path().join(IMPORTED))
            .unwrap();
        assert_eq!(pool.text(volume), "imported", "{when}");
    });
}

#[test]
fn a_resize_that_dies_anywhere_leaves_the_old_size_or_the_new_one() {
    at_every_call(Step::Resize, |pool, volume, when| {
        assert!(
            [8 * MIB, 16 * MIB].contains(&pool.driver.size(volume).unwrap()),
            "{when}"
        );
        assert_eq!(pool.text_after_recovery(volume), "committed", "{when}");
    });
}

#[test]
fn a_creation_or_a_removal_that_dies_anywhere_can_be_repeated() {
    for step in [Step::Create, Step::Remove] {
        at_every_call(step, |pool, volume, when| {
            pool.driver.create(volume).unwrap();
            assert_eq!(
                pool.names("appvms/work"),
                ["private-cow.img", "private.img"],
                "{when}"
            );
            assert_eq!(pool.text(volume), "", "{when}");
            pool.driver.remove(volume).unwrap();
            assert!(!pool.path("appvms/work").exists(), "{when}");
        });
    }
}

/// What a process that dies cannot show: whether a power loss right after a step would find it on
/// the disk.
#[test]
fn the_image_is_on_the_disk_before_the_way_back_is_another() {
    for (step, synced, renamed) in [
        (Step::Stop, "private.img", "private-cow.img.old"),
        (Step::Import, "private-import.img", "private.img"),
        (Step::Revert, "private-revert.img", "private.img"),
    ] {
        let pool = prepared(step, &origin("work", "private"));
        let calls = trace_of(TEST, &environment(&pool, step));
        let names = |call: &String| {
            ['/', '"']
                .iter()
                .any(|before| call.contains(&format!("{before}{renamed}\")")))
        };
        let is_rename = |call: &String| call.contains("rename") && names(call);
        let at = calls
            .iter()
            .position(is_rename)
            .unwrap_or_else(|| panic!("{step:?}: {calls:#?}"));
        let is_sync = |call: &String, name: &str| {
            call.contains(" fsync(") && call.contains(&format!("/{name}"))
        };
        assert!(
            calls[..at].iter().any(|call| is_sync(call, synced)),
            "{step:?}: the data: {calls:#?}"
        );
        assert!(
            calls[at..].iter().any(|call| is_sync(call, "work>")),
            "{step:?}: the directory: {calls:#?}"
        );
    }
}

/// What is done in a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Create,
    Stop,
    Revert,
    Import,
    Resize,
    Remove,
}

/// The file that is imported, beside the pool.
const IMPORTED: &str = "to-import";

impl Step {
    const ALL: [Step; 6] = [
        Step::Create,
        Step::Stop,
        Step::Revert,
        Step::Import,
        Step::Resize,
        Step::Remove,
    ];

    fn run(self, place: &Path, volume: &Volume) -> Result<(), StorageError> {
        let driver = driver_in(place);
        match self {
            Step::Create => driver.create(volume),
            Step::Stop => driver.stop(volume),
            Step::Revert => driver.revert(volume, None),
            Step::Import => driver.import(volume, &place.join(IMPORTED)),
            Step::Resize => driver.resize(volume, 16 * MIB),
            Step::Remove => driver.remove(volume),
        }
    }
}

/// Has `check` look at what a `step` leaves that dies at its first, second, … changing call, and at
/// what a whole one leaves. Each begins with the same pool.
fn at_every_call(step: Step, check: impl Fn(&Pool, &Volume, &str)) {
    let private = origin("work", "private");
    let pool = prepared(step, &private);
    let calls = calls_of(TEST, &environment(&pool, step));
    check(&pool, &private, &format!("{step:?} that nobody kills"));
    for call in calls {
        let pool = prepared(step, &private);
        run_dying(TEST, &environment(&pool, step), &call);
        check(&pool, &private, &format!("{step:?} killed at {call:?}"));
    }
}

const TEST: &str = "crash::one_step_in_a_process_of_its_own";

fn environment(pool: &Pool, step: Step) -> [(&'static str, OsString); 2] {
    [
        (PLACE, pool.place.path().as_os_str().to_owned()),
        (STEP, format!("{step:?}").into()),
    ]
}

fn prepared(step: Step, private: &Volume) -> Pool {
    let pool = Pool::new();
    pool.driver.create(private).unwrap();
    pool.run_once(private, "first");
    pool.run_once(private, "committed");
    if step == Step::Stop {
        pool.guest_writes(private, "synced", &[4096]);
    }
    fs::write(
        pool.place.path().join(IMPORTED),
        format!("{:\0<4096}{:\0<4096}", "", "imported"),
    )
    .unwrap();
    pool
}

impl Pool {
    /// The text, after what the next command does first.
    fn text_after_recovery(&self, volume: &Volume) -> String {
        self.driver.stop(volume).unwrap();
        // Without a device mapper it goes no further than bringing the files into order.
        let _no_device_mapper = self.driver.start(volume);
        self.driver.stop(volume).unwrap();
        let litter: Vec<String> = self
            .names("appvms/work")
            .into_iter()
            .filter(|name| name.contains('~') || name.contains("import") || name.contains("revert"))
            .collect();
        assert!(litter.is_empty(), "{litter:?}");
        self.text(volume)
    }
}

const PLACE: &str = "STORAGE_FILE_PLACE";
const STEP: &str = "STORAGE_FILE_STEP";

/// Not a test by itself: what [`at_every_call`] runs.
#[test]
fn one_step_in_a_process_of_its_own() {
    let (Some(place), Ok(step)) = (env::var_os(PLACE), env::var(STEP)) else {
        return;
    };
    let step = Step::ALL
        .into_iter()
        .find(|s| format!("{s:?}") == step)
        .unwrap();
    step.run(Path::new(&place), &origin("work", "private"))
        .unwrap();
}
