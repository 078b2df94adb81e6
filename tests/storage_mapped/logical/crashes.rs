//! Power losses and kills between any two changes of LVM: committed and synced data are kept, and
//! the next command recovers.

use std::io::Write;
use std::process::Command;

use qubes::storage::Volume;
use qubes::storage::driver::*;

use super::steps::Steps;
use super::{
    committed, device, existing_pool, lvm, names, origin, pool, run_once, snapshot, text, words,
    write,
};

type Work = fn(&Volume);

/// The operations of a process on a volume of qube `crash` until it is killed.
const WORK: [(&str, Work); 5] = [
    ("stop", |private| existing_pool().stop(private).unwrap()),
    ("revert", |private| {
        existing_pool().revert(private, None).unwrap()
    }),
    ("import", |private| {
        let imported =
            existing_pool().import_with(private, &mut |mut image| image.write_all(b"imported\0"));
        imported.unwrap();
    }),
    ("start without snapshots", |private| {
        existing_pool()
            .start(&Volume {
                revisions_to_keep: -1,
                ..private.clone()
            })
            .unwrap();
    }),
    ("remove", |private| existing_pool().remove(private).unwrap()),
];

fn private() -> Volume {
    origin("crash", "private")
}

/// The body of the process that the tests below start.
#[test]
fn killed() {
    let Ok(wanted) = std::env::var("QUBES_KILLED_AT") else {
        return;
    };
    let (_, work) = WORK.iter().find(|(name, _)| *name == wanted).unwrap();
    work(&private());
}

/// Runs an operation in a process and kills it before its change number `last`. Returns the change
/// before which it was killed, if it was.
fn killed_at(work: &str, last: usize) -> Option<String> {
    let steps = Steps::until(last);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "logical::crashes::killed", "--nocapture"])
        .env("QUBES_KILLED_AT", work);
    let ended = steps.apply_to(&mut command).output().unwrap();
    let changes = steps.changes();
    if ended.status.success() {
        assert_eq!(changes.len(), last - 1, "{work}: {changes:?}");
        return None;
    }
    assert_eq!(
        changes.len(),
        last,
        "{work}: it failed by itself: {}",
        String::from_utf8_lossy(&ended.stderr)
    );
    changes.last().cloned()
}

/// Kills an operation before each of its changes, each time on a volume that was committed twice.
/// `check` examines the result and has to restore the volume. Returns the changes before which it
/// was killed.
fn killed_everywhere(
    work: &str,
    prepare: impl Fn(&Volume, usize),
    check: impl Fn(&Volume, usize, &str),
) -> Vec<String> {
    let private = committed_twice();
    let mut killed = Vec::new();
    loop {
        prepare(&private, killed.len());
        let Some(change) = killed_at(work, killed.len() + 1) else {
            break;
        };
        check(
            &private,
            killed.len(),
            &format!("{work}, killed before {change}"),
        );
        killed.push(change.split(' ').next().unwrap_or_default().to_string());
    }
    existing_pool().remove(&private).unwrap();
    killed
}

/// Creates a volume whose newest revision is "old"; "new" is committed.
fn committed_twice() -> Volume {
    let (pool, private) = (existing_pool(), private());
    pool.create(&private).unwrap();
    run_once(&pool, &private, "old");
    run_once(&pool, &private, "new");
    private
}

/// Writes and commits, and checks that nothing of the interruption is left.
fn works_again(private: &Volume, text: &str, when: &str) {
    run_once(&existing_pool(), private, text);
    assert_eq!(names("crash"), ["private", "private-T-back"], "{when}");
    assert_eq!(words("vm-crash-private"), text, "{when}");
}

#[test]
fn a_killed_stop_is_finished_by_the_next_command() {
    if pool().is_none() {
        return;
    }
    // The volume becomes a revision, the running copy becomes the volume, and the oldest revision
    // is removed.
    let text_of = |run: usize| format!("synced {run}");
    let prepare = |private: &Volume, run: usize| {
        existing_pool().start(private).unwrap();
        write(&device(&existing_pool(), private), &text_of(run));
    };
    let killed = killed_everywhere("stop", prepare, |private, run, when| {
        let pool = existing_pool();
        pool.verify(private).unwrap();
        assert_eq!(pool.is_dirty(private).unwrap(), run < 2, "{when}");
        // In one case the qube is started again, in the other it is only stopped.
        if run != 1 {
            pool.start(private).unwrap();
            assert_eq!(text(&device(&pool, private)), text_of(run), "{when}");
        }
        pool.stop(private).unwrap();
        assert_eq!(words("vm-crash-private"), text_of(run), "{when}");
    });
    assert_eq!(killed, ["lvrename", "lvrename", "lvremove"]);
    assert_eq!(names("crash"), [""; 0]);
}

#[test]
fn a_killed_revert_is_complete_or_undone() {
    if pool().is_none() {
        return;
    }
    let killed = killed_everywhere(
        "revert",
        |_, _| (),
        |private, run, when| {
            let pool = existing_pool();
            assert!(!pool.is_dirty(private).unwrap(), "{when}");
            // Between the two renames, the newest revision is the current state, which is the
            // former one.
            let before = |run: usize| ["new", "again 0", "again 1", "again 2"][run].to_string();
            let wanted = if run < 3 { before(run) } else { before(2) };
            assert_eq!(committed(&pool, private), wanted, "{when}");
            works_again(private, &format!("again {run}"), when);
        },
    );
    assert_eq!(killed, ["lvcreate", "lvrename", "lvrename", "lvremove"]);
}

#[test]
fn a_killed_import_is_complete_or_undone() {
    if pool().is_none() {
        return;
    }
    let private = committed_twice();
    for (last, change) in [(2, "lvrename"), (3, "lvrename")] {
        assert_eq!(
            killed_at("import", last).unwrap().split(' ').next(),
            Some(change)
        );
        assert_eq!(
            committed(&existing_pool(), &private),
            "new",
            "killed before change {last}"
        );
        works_again(&private, "new", "after the import");
    }
}

#[test]
fn a_killed_start_without_snapshots_keeps_the_newest_data() {
    if pool().is_none() {
        return;
    }
    // The revision is removed, the volume is activated.
    let killed = killed_everywhere(
        "start without snapshots",
        |_, _| (),
        |private, _, when| {
            assert_eq!(words("vm-crash-private"), "new", "{when}");
            works_again(private, "new", when);
        },
    );
    assert_eq!(killed, ["lvremove", "lvchange"]);
}

#[test]
fn a_killed_removal_is_finished_by_the_next() {
    if pool().is_none() {
        return;
    }
    let private = private();
    existing_pool().create(&private).unwrap();
    run_once(&existing_pool(), &private, "old");
    assert_eq!(
        killed_at("remove", 2).unwrap().split(' ').next(),
        Some("lvremove")
    );
    assert_eq!(
        existing_pool().volume_ids().unwrap(),
        ["qubes_dom0/vm-crash-private"]
    );
    existing_pool().remove(&private).unwrap();
    assert_eq!(names("crash"), [""; 0]);
}

#[test]
fn after_a_power_loss_the_guest_continues_or_its_data_are_committed() {
    let Some(pool) = pool() else { return };
    let (template, root) = (origin("tpl", "root"), snapshot("crash", "tpl"));
    let (goes_on, stopped) = (private(), origin("halted", "private"));
    pool.create(&template).unwrap();
    run_once(&pool, &template, "installed");
    for volume in [&root, &goes_on, &stopped] {
        pool.create(volume).unwrap();
        pool.start(volume).unwrap();
        write(&device(&pool, volume), "synced");
    }
    // The kernel's devices are lost. LVM finds its volumes again, and an interrupted import.
    lvm(&[
        "lvcreate",
        "-qq",
        "-V",
        "64M",
        "-T",
        "qubes_dom0/vm-pool",
        "-n",
        "vm-crash-private-import",
    ]);
    lvm(&["vgchange", "-qq", "-an", "qubes_dom0"]);
    lvm(&["vgchange", "-qq", "-ay", "qubes_dom0"]);
    let pool = existing_pool();
    assert!(pool.is_dirty(&goes_on).unwrap() && !pool.is_dirty(&root).unwrap());
    for volume in [&root, &goes_on] {
        pool.start(volume).unwrap();
    }
    assert_eq!(
        (words("vm-crash-private-snap"), words("vm-crash-root-snap")),
        ("synced".into(), "installed".into())
    );
    for volume in [&root, &goes_on, &stopped] {
        pool.stop(volume).unwrap();
    }
    assert_eq!(
        (words("vm-crash-private"), words("vm-halted-private")),
        ("synced".into(), "synced".into())
    );
    assert_eq!(
        names("crash"),
        ["private", "private-T-back"],
        "what was left of an import is gone, too"
    );
}
