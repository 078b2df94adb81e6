//! Kills a process at each of its system calls: the next one can continue with the volume, and no
//! data are lost.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use qubes::storage::driver::*;
use qubes::storage::{StorageError, Volume};
use qubes_test_support::killed_steps::{list_calls, run_killed_at, trace_calls};
use qubes_test_support::volumes::import_file;

use super::pool::{MIB, Pool, driver_in, origin};

#[test]
fn a_stop_killed_at_any_call_keeps_what_the_guest_synced() {
    at_every_call(Step::Stop, |pool, volume, when| {
        pool.driver.stop(volume).unwrap();
        assert_eq!(pool.text(volume), "synced", "{when}");
        // If the COW file was exchanged, there is a revision. It always has what was committed.
        pool.driver.revert(volume, None).unwrap();
        assert_eq!(pool.text(volume), "committed", "{when}");
    });
}

#[test]
fn a_revert_killed_at_any_call_loses_neither_state() {
    at_every_call(Step::Revert, |pool, volume, when| {
        let first = pool.text_after_recovery(volume);
        pool.driver.revert(volume, None).unwrap();
        let mut both = [first, pool.text(volume)];
        both.sort();
        assert_eq!(both, ["committed", "first"], "{when}");
    });
}

#[test]
fn an_import_killed_at_any_call_leaves_the_old_or_the_new_image() {
    at_every_call(Step::Import, |pool, volume, when| {
        let text = pool.text_after_recovery(volume);
        assert!(
            ["committed", "imported"].contains(&text.as_str()),
            "{when}: {text}"
        );
        // A revision of the old image does not fit the new one.
        if pool.driver.revert(volume, None).is_ok() {
            assert_eq!(
                (text.as_str(), pool.text(volume).as_str()),
                ("committed", "first"),
                "{when}"
            );
        }
        import_file(&pool.driver, volume, &pool.place.path().join(IMPORTED)).unwrap();
        assert_eq!(pool.text(volume), "imported", "{when}");
    });
}

#[test]
fn a_resize_killed_at_any_call_leaves_the_old_or_the_new_size() {
    at_every_call(Step::Resize, |pool, volume, when| {
        assert!(
            [8 * MIB, 16 * MIB].contains(&pool.driver.size(volume).unwrap()),
            "{when}"
        );
        assert_eq!(pool.text_after_recovery(volume), "committed", "{when}");
    });
}

#[test]
fn a_creation_or_removal_killed_at_any_call_can_be_repeated() {
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

/// Checks what killing a process cannot show: that a power loss after a step finds it on the disk.
#[test]
fn the_image_is_synced_before_the_revision_is_replaced() {
    for (step, synced, renamed) in [
        (Step::Stop, "private.img", "private-cow.img.old"),
        (Step::Import, "private-import.img", "private.img"),
        (Step::Revert, "private-revert.img", "private.img"),
    ] {
        let pool = prepared(step, &origin("work", "private"));
        let calls = trace_calls(TEST, &environment(&pool, step));
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

/// A step that runs in a process of its own.
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
            Step::Import => import_file(&driver, volume, &place.join(IMPORTED)),
            Step::Resize => driver.resize(volume, 16 * MIB),
            Step::Remove => driver.remove(volume),
        }
    }
}

/// Kills a `step` at its first, second, … changing call, and lets it complete at last. `check`
/// examines the result of each. Each run begins with the same pool.
fn at_every_call(step: Step, check: impl Fn(&Pool, &Volume, &str)) {
    let private = origin("work", "private");
    let pool = prepared(step, &private);
    let calls = list_calls(TEST, &environment(&pool, step));
    check(&pool, &private, &format!("{step:?} that nobody kills"));
    for call in calls {
        let pool = prepared(step, &private);
        run_killed_at(TEST, &environment(&pool, step), &call);
        check(&pool, &private, &format!("{step:?} killed at {call:?}"));
    }
}

const TEST: &str = "file::crash::run_step";

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
    /// Returns the text after the recovery that the next command does first.
    fn text_after_recovery(&self, volume: &Volume) -> String {
        self.driver.stop(volume).unwrap();
        // Without a device mapper, the start only recovers the files.
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

/// The body of the process that [`at_every_call`] runs; does nothing as a test.
#[test]
fn run_step() {
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
