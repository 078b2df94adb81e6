//! A disk that runs full in any phase of start and stop: nothing that a guest had synced is lost, and when there is room
//! again everything goes on.

use std::fs;
use std::path::{Path, PathBuf};

use nix::fcntl::{FallocateFlags, fallocate};
use qubes::hypervisor::Hypervisor;

use crate::faults::{committed, runs_in_order, sign, sync_in_guest, works_again};
use crate::killed::{calls_of_start, stopped_at, telling};
use crate::loop_mount::{FileSystem, LoopMount};
use crate::place::{create, hypervisor};
use crate::scratch::Scratch;
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
    let kinds = [FileSystem::Btrfs, FileSystem::Xfs, FileSystem::Ext4].into_iter().filter(|k| *k != FileSystem::Ext4);
    for (number, kind) in kinds.enumerate() {
        match LoopMount::new(kind) {
            Ok(mount) => runs_full_in_any_phase(&mount, number),
            Err(reason) => return skip::skip(reason),
        }
    }
}

/// Each file system has its share of the phases.
fn runs_full_in_any_phase(mount: &LoopMount, share: usize) {
    let scratch = Scratch::empty_in(&mount.path()).filled();
    create(&scratch, "work", "");
    let calls = calls_of_start(&scratch);
    works_again(&scratch, &sign(0), "the start that was watched");
    let mut failed = 0;
    for (when, call) in telling(&calls).into_iter().enumerate().skip(3 * share).step_by(6) {
        let said = format!("{when}: {}", call.line);
        let starter = stopped_at(&scratch, "qvm-start", &["work"], call);
        let full = Filler::new(&mount.path());
        let ran = starter.go_on();
        failed += usize::from(ran.code != 0);
        assert!(ran.code == 0 || ran.stderr.lines().count() == 1, "{said}: {ran:?}");
        drop(full);
        scratch.ok("qubes-recover", &[]);
        if !runs_in_order(&scratch, &said) {
            scratch.ok("qvm-start", &["work"]);
        }
        // And in its stop.
        sync_in_guest(&scratch, &sign(when));
        let full = Filler::new(&mount.path());
        hypervisor().destroy(scratch.uuid("work")).unwrap();
        let recovered = scratch.run("qubes-recover", &[]);
        assert!(recovered.code == 0 || !recovered.stderr.is_empty(), "{said}: {recovered:?}");
        drop(full);
        scratch.ok("qubes-recover", &[]);
        assert!(!runs_in_order(&scratch, &said));
        assert_eq!(committed(&scratch), sign(when), "{said}");
    }
    assert!(failed > 0, "the disk was never full enough");
    works_again(&scratch, &sign(9999), "the last");
}
