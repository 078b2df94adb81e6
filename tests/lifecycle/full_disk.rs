//! A disk that runs full in any phase of start and stop: nothing that a guest had synced is lost,
//! and when there is room again everything goes on.

use std::fs;
use std::path::{Path, PathBuf};

use nix::fcntl::{FallocateFlags, fallocate};

use crate::faults::{committed, runs_in_order, sign, stopped_unwatched, works_again};
use crate::killed::{CHANGES, Stopped, calls_of, calls_of_start, stopped_at, telling};
use crate::loop_mount::{FileSystem, LoopMount};
use crate::place::{create, in_shares};
use crate::scratch::{Ran, Scratch};
use crate::{libvirt_daemon, skip};

/// A file that takes all the room there is.
struct Filler(PathBuf);

impl Filler {
    fn new(on: &Path) -> Filler {
        let path = on.join("filler");
        let file = fs::File::create(&path).unwrap();
        let (mut at, mut chunk) = (0, 64 << 20);
        while chunk >= 4096 {
            match fallocate(&file, FallocateFlags::empty(), at, chunk) {
                Ok(()) => at += chunk,
                Err(_full) => chunk /= 2,
            }
        }
        // What the file system still keeps back for small files goes to them.
        for number in 0..10_000 {
            if fs::write(on.join(format!("filler-{number}")), [1; 4096]).is_err() {
                break;
            }
        }
        Filler(path)
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        let directory = self.0.parent().unwrap();
        fs::File::create(&self.0).unwrap();
        for entry in fs::read_dir(directory).unwrap().flatten() {
            if entry.file_name().to_string_lossy().starts_with("filler") {
                let _next_time = fs::remove_file(entry.path());
            }
        }
    }
}

#[test]
fn a_disk_that_runs_full_in_any_phase_costs_nothing_that_was_synced() {
    if let Err(reason) = libvirt_daemon::uri() {
        return skip::skip(format_args!("no libvirt: {reason}"));
    }
    // Where files share no blocks, images are whole copies: that costs time and shows nothing else.
    let kinds = [FileSystem::Btrfs, FileSystem::Xfs];
    let mounts: Vec<LoopMount> = match kinds.into_iter().map(LoopMount::new).collect() {
        Ok(mounts) => mounts,
        Err(reason) => return skip::skip(reason),
    };
    // Each file system has every other phase.
    in_shares(kinds.len(), |is_mine| {
        runs_full_in_phases(&mounts[usize::from(!is_mine(0))], is_mine)
    });
}

fn runs_full_in_phases(mount: &LoopMount, is_mine: &dyn Fn(usize) -> bool) {
    let scratch = Scratch::empty_in(&mount.path()).filled();
    create(&scratch, "work", "");
    let calls = calls_of_start(&scratch);
    works_again(&scratch, &sign(0), "the start that was watched");
    let mut failed = 0;
    for (phase, call) in telling(&calls)
        .into_iter()
        .enumerate()
        .filter(|(phase, _)| is_mine(*phase))
    {
        let said = format!("start, {phase}: {}", call.line);
        let ran = goes_on_with_full_disk(mount, stopped_at(&scratch, "qvm-start", &["work"], call));
        failed += usize::from(ran.code != 0);
        assert!(
            ran.code == 0 || ran.stderr.lines().count() == 1,
            "{said}: {ran:?}"
        );
        scratch.ok("qubes-recover", &[]);
        if runs_in_order(&scratch, &said) {
            scratch.ok("qvm-kill", &["work"]);
        }
        assert_eq!(committed(&scratch), sign(0), "{said}");
    }
    assert!(
        failed > 0,
        "the disk was never full enough for a start to fail"
    );

    let calls = calls_of(
        &scratch,
        "qubes-monitor",
        &["work", &stopped_unwatched(&scratch, &sign(1))],
        CHANGES,
    );
    assert!(telling(&calls).len() > 4, "{calls:#?}");
    for (phase, call) in telling(&calls)
        .into_iter()
        .enumerate()
        .filter(|(phase, _)| is_mine(*phase))
    {
        let said = format!("stop, {phase}: {}", call.line);
        let start = stopped_unwatched(&scratch, &sign(2 + phase));
        let ran = goes_on_with_full_disk(
            mount,
            stopped_at(&scratch, "qubes-monitor", &["work", &start], call),
        );
        assert!(ran.code == 0 || !ran.stderr.is_empty(), "{said}: {ran:?}");
        scratch.ok("qubes-recover", &[]);
        assert!(!runs_in_order(&scratch, &said));
        assert_eq!(committed(&scratch), sign(2 + phase), "{said}");
    }
    works_again(&scratch, &sign(9999), "the last");
}

/// Lets a tool go on that stopped, on a disk without room; then there is room again.
fn goes_on_with_full_disk(mount: &LoopMount, tool: Stopped) -> Ran {
    let _full = Filler::new(&mount.path());
    tool.go_on()
}
