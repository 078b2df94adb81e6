//! What a guest gives back (discard, fstrim) is given back to the pool while the guest runs: a real
//! Linux on real QEMU.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::place::{system_with_linux, wait_for_words};
use crate::scratch::{Scratch, until};

const MIB: u64 = 1 << 20;

/// Starts the qube with this option on its kernel's line and waits until it says the word.
fn start_until(scratch: &Scratch, option: &str, word: &str) {
    scratch.ok("qvm-prefs", &["work", "kernelopts", option]);
    scratch.ok("qvm-start", &["work"]);
    wait_for_words(scratch, word);
}

/// The bytes that an image takes on the disk.
fn taken(scratch: &Scratch, image: &str) -> u64 {
    fs::metadata(scratch.path("/var/lib/qubes/appvms/work").join(image))
        .unwrap()
        .blocks()
        * 512
}

#[test]
fn what_a_guest_discards_leaves_the_image_while_it_runs() {
    let Some(scratch) = system_with_linux() else {
        return;
    };
    start_until(&scratch, "fill", "FILLED");
    scratch.ok("qvm-shutdown", &["--wait", "work"]);
    let full = taken(&scratch, "private.img");
    assert!(full > 24 * MIB, "{full}");

    start_until(&scratch, "trim", "TRIMMED");
    until("the running image shrinks", || {
        taken(&scratch, "private-dirty.img") < 6 * MIB
    });
    assert!(
        taken(&scratch, "private.img") > 24 * MIB,
        "what is committed stays"
    );
    scratch.ok("qvm-shutdown", &["--wait", "work"]);
    let trimmed = taken(&scratch, "private.img");
    assert!(trimmed < 6 * MIB, "{trimmed}");
}
