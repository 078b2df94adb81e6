//! A disk that runs full in any phase of a start or a stop: nothing that a guest had synced is
//! lost, and everything works once there is space again.

use std::fs;
use std::path::{Path, PathBuf};

use nix::fcntl::{FallocateFlags, fallocate};
use qubes_test_support::{FileSystem, LoopMount, TestSystem, ToolOutput, libvirt_daemon, skip};

use crate::faults::{assert_works, committed, is_running_consistently, sign, stop_without_monitor};
use crate::systems::{create, in_shares};
use crate::traced_tools::{
    CHANGES, StoppedTool, calls_of, calls_of_start, distinct_kill_points, start_stopped_at,
};

/// A file that takes all free space.
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
        // Small files take what the file system still reserves for them.
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
fn a_full_disk_in_any_phase_loses_no_synced_data() {
    if let Err(reason) = libvirt_daemon::uri() {
        return skip(format_args!("no libvirt: {reason}"));
    }
    // Only file systems with shared blocks: elsewhere images are full copies, which takes long and
    // shows nothing more.
    let kinds = [FileSystem::Btrfs, FileSystem::Xfs];
    let mounts: Vec<LoopMount> = match kinds.into_iter().map(LoopMount::new).collect() {
        Ok(mounts) => mounts,
        Err(reason) => return skip(reason),
    };
    // Each file system gets every other phase.
    in_shares(kinds.len(), |is_mine| {
        fill_disk_in_phases(&mounts[usize::from(!is_mine(0))], is_mine)
    });
}

fn fill_disk_in_phases(mount: &LoopMount, is_mine: &dyn Fn(usize) -> bool) {
    let system = TestSystem::empty_in(&mount.path()).online().with_template();
    create(&system, "work", "");
    let calls = calls_of_start(&system);
    assert_works(&system, &sign(0), "the start that was watched");
    let mut failed = 0;
    for (phase, call) in distinct_kill_points(&calls)
        .into_iter()
        .enumerate()
        .filter(|(phase, _)| is_mine(*phase))
    {
        let said = format!("start, {phase}: {}", call.line);
        let ran = continue_with_full_disk(
            mount,
            start_stopped_at(&system, "qvm-start", &["work"], call),
        );
        failed += usize::from(ran.code != 0);
        assert!(
            ran.code == 0 || ran.stderr.lines().count() == 1,
            "{said}: {ran:?}"
        );
        system.succeeds("qubes-recover");
        if is_running_consistently(&system, &said) {
            system.succeeds("qvm-kill work");
        }
        assert_eq!(committed(&system), sign(0), "{said}");
    }
    assert!(
        failed > 0,
        "the disk was never full enough for a start to fail"
    );

    let calls = calls_of(
        &system,
        "qubes-monitor",
        &["work", &stop_without_monitor(&system, &sign(1))],
        CHANGES,
    );
    assert!(distinct_kill_points(&calls).len() > 4, "{calls:#?}");
    for (phase, call) in distinct_kill_points(&calls)
        .into_iter()
        .enumerate()
        .filter(|(phase, _)| is_mine(*phase))
    {
        let said = format!("stop, {phase}: {}", call.line);
        let start = stop_without_monitor(&system, &sign(2 + phase));
        let ran = continue_with_full_disk(
            mount,
            start_stopped_at(&system, "qubes-monitor", &["work", &start], call),
        );
        assert!(ran.code == 0 || !ran.stderr.is_empty(), "{said}: {ran:?}");
        system.succeeds("qubes-recover");
        assert!(!is_running_consistently(&system, &said));
        assert_eq!(committed(&system), sign(2 + phase), "{said}");
    }
    assert_works(&system, &sign(9999), "the last");
}

/// Resumes a stopped tool on a full disk, and frees the disk afterwards.
fn continue_with_full_disk(mount: &LoopMount, tool: StoppedTool) -> ToolOutput {
    let _full = Filler::new(&mount.path());
    tool.resume()
}
