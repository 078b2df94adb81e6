//! What a guest gives back (discard, fstrim) is given back to the pool while the guest runs: a real Linux on real QEMU.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::scratch::{Scratch, until};
use crate::{libvirt_daemon, skip};

const MIB: u64 = 1 << 20;

/// A system with a template that boots the small Linux of the demonstration.
fn system() -> Option<Scratch> {
    if let Err(reason) = libvirt_daemon::uri() {
        skip::skip(format_args!("no libvirt: {reason}"));
        return None;
    }
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/guest");
    let Ok(version) = fs::read_to_string(guest.join("kernel-version")) else {
        skip::skip("there is no target/guest, which `make guest` makes");
        return None;
    };
    let version = version.trim();
    let scratch = Scratch::empty();
    scratch.ok("qubes-create", &[]);
    let kernels = scratch.path("/var/lib/qubes/vm-kernels");
    fs::create_dir_all(&kernels).unwrap();
    let copied = Command::new("cp").arg("-r").arg(guest.join("vm-kernels").join(version)).arg(&kernels).status();
    assert!(copied.unwrap().success());
    scratch.ok("qubes-prefs", &["default_kernel", version]);
    let root = guest.join("root.img").to_string_lossy().into_owned();
    scratch.ok("qvm-create", &["--class", "TemplateVM", "--label", "black", "--root-copy-from", &root, "tiny"]);
    scratch.ok("qubes-prefs", &["default_template", "tiny"]);
    scratch.ok("qvm-create", &["--label", "red", "--property", "netvm=", "--property", "memory=160", "work"]);
    Some(scratch)
}

/// Starts the qube with this option on its kernel's line and waits until it says the word.
fn start_until(scratch: &Scratch, option: &str, word: &str) {
    scratch.ok("qvm-prefs", &["work", "kernelopts", option]);
    scratch.ok("qvm-start", &["work"]);
    let log = scratch.path("/run/qubes/console/work.log");
    let deadline = Instant::now() + Duration::from_secs(300);
    loop {
        let said = fs::read_to_string(&log).unwrap_or_default();
        if said.contains(word) {
            return;
        }
        assert!(Instant::now() < deadline, "the guest does not say {word}: {said}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The bytes that an image takes on the disk.
fn taken(scratch: &Scratch, image: &str) -> u64 {
    fs::metadata(scratch.path("/var/lib/qubes/appvms/work").join(image)).unwrap().blocks() * 512
}

#[test]
fn what_a_guest_discards_leaves_the_image_while_it_runs() {
    let Some(scratch) = system() else { return };
    start_until(&scratch, "fill", "FILLED");
    scratch.ok("qvm-shutdown", &["--wait", "work"]);
    let full = taken(&scratch, "private.img");
    assert!(full > 24 * MIB, "{full}");

    start_until(&scratch, "trim", "TRIMMED");
    until("the running image shrinks", || taken(&scratch, "private-dirty.img") < 6 * MIB);
    assert!(taken(&scratch, "private.img") > 24 * MIB, "what is committed stays");
    scratch.ok("qvm-shutdown", &["--wait", "work"]);
    let trimmed = taken(&scratch, "private.img");
    assert!(trimmed < 6 * MIB, "{trimmed}");
}
