//! Blocks that a guest discards (fstrim) are freed in the pool while it runs: a real Linux on real
//! QEMU.

use std::fs;
use std::os::unix::fs::MetadataExt;

use qubes_test_support::scratch::Scratch;
use qubes_test_support::wait::wait_until;

use crate::systems::{system_with_linux, wait_for_words};

const MIB: u64 = 1 << 20;

/// Starts the qube with this kernel option and waits until it prints the word.
fn start_until(scratch: &Scratch, option: &str, word: &str) {
    scratch.ok("qvm-prefs", &["work", "kernelopts", option]);
    scratch.ok("qvm-start", &["work"]);
    wait_for_words(scratch, word);
}

/// Returns the bytes that an image takes on the disk.
fn disk_usage(scratch: &Scratch, image: &str) -> u64 {
    fs::metadata(scratch.path("/var/lib/qubes/appvms/work").join(image))
        .unwrap()
        .blocks()
        * 512
}

#[test]
fn discarded_blocks_are_freed_while_the_guest_runs() {
    let Some(scratch) = system_with_linux() else {
        return;
    };
    start_until(&scratch, "fill", "FILLED");
    scratch.ok("qvm-shutdown", &["--wait", "work"]);
    let full = disk_usage(&scratch, "private.img");
    assert!(full > 24 * MIB, "{full}");

    start_until(&scratch, "trim", "TRIMMED");
    wait_until("the running image shrinks", || {
        disk_usage(&scratch, "private-dirty.img") < 6 * MIB
    });
    assert!(
        disk_usage(&scratch, "private.img") > 24 * MIB,
        "what is committed stays"
    );
    scratch.ok("qvm-shutdown", &["--wait", "work"]);
    let trimmed = disk_usage(&scratch, "private.img");
    assert!(trimmed < 6 * MIB, "{trimmed}");
}
