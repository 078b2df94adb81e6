//! Blocks that a guest discards (fstrim) are freed in the pool while it runs: a real Linux on real
//! QEMU.

use std::fs;
use std::os::unix::fs::MetadataExt;

use qubes_test_support::volumes::MIB;
use qubes_test_support::{TestSystem, wait_until};

use crate::systems::{system_with_linux, wait_for_words};

/// Starts the qube with this kernel option and waits until it prints the word.
fn start_until(system: &TestSystem, option: &str, word: &str) {
    system.succeeds(["qvm-prefs", "work", "kernelopts", option]);
    system.succeeds("qvm-start work");
    wait_for_words(system, word);
}

/// Returns the bytes that an image takes on the disk.
fn disk_usage(system: &TestSystem, image: &str) -> u64 {
    fs::metadata(system.path("/var/lib/qubes/appvms/work").join(image))
        .unwrap()
        .blocks()
        * 512
}

#[test]
fn discarded_blocks_are_freed_while_the_guest_runs() {
    let Some(system) = system_with_linux() else {
        return;
    };
    start_until(&system, "fill", "FILLED");
    system.succeeds("qvm-shutdown --wait work");
    let full = disk_usage(&system, "private.img");
    assert!(full > 24 * MIB, "{full}");

    start_until(&system, "trim", "TRIMMED");
    wait_until("the running image shrinks", || {
        disk_usage(&system, "private-dirty.img") < 6 * MIB
    });
    assert!(
        disk_usage(&system, "private.img") > 24 * MIB,
        "what is committed stays"
    );
    system.succeeds("qvm-shutdown --wait work");
    let trimmed = disk_usage(&system, "private.img");
    assert!(trimmed < 6 * MIB, "{trimmed}");
}
