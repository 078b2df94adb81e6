//! The one place that knows what a Qubes dom0 has and a vanilla Xen has not. Decided from what is installed.
//!
//! Qubes adds to Xen a block script that takes image files, a script for network interfaces, emulators in domains of their
//! own, and elements of libvirt's XML for these. Without the scripts, images reach guests through loop devices of ours.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::stat::{major, minor};

use super::HypervisorError;

/// Qubes' script for disks (`spec/r4-features.md` §6).
const BLOCK_SCRIPT: &str = "/etc/xen/scripts/qubes-block";
/// Where the kernel shows what dom0 provides to guests.
const BACKENDS: &str = "/sys/bus/xen-backend/devices";
/// How long the kernel may take to open a guest's disks once they are announced.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether this dom0's Xen lacks what Qubes adds.
pub fn is_vanilla_xen() -> bool {
    !Path::new(BLOCK_SCRIPT).exists()
}

/// The script that a disk of dom0's is given where there is Qubes' own; else Xen's is used, unsaid.
pub fn block_script() -> Option<PathBuf> {
    (!is_vanilla_xen()).then(|| PathBuf::from(BLOCK_SCRIPT))
}

/// Waits until the kernel has opened these block devices for the domain number `domain`.
///
/// # Errors
/// It has not after half a minute.
pub fn wait_until_open(domain: u32, devices: &[&Path]) -> Result<(), HypervisorError> {
    let deadline = Instant::now() + PATIENCE;
    for device in devices {
        let refused = |reason: String| HypervisorError::Refused {
            action: format!("give {} to domain {domain}", device.display()),
            reason,
        };
        let number = fs::metadata(device).map_err(|e| refused(e.to_string()))?.rdev();
        // As xen-blkback writes it.
        let number = format!("{:x}:{:x}", major(number), minor(number));
        while !is_open(domain, &number) {
            if Instant::now() >= deadline {
                return Err(refused(format!("the kernel did not open it within {} s", PATIENCE.as_secs())));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(())
}

/// A disk's entry has the device's number only while the device is open (xen-blkback).
fn is_open(domain: u32, number: &str) -> bool {
    let mine = format!("vbd-{domain}-");
    let entries = fs::read_dir(BACKENDS).into_iter().flatten().flatten();
    let mut of_mine = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&mine));
    of_mine
        .any(|entry| fs::read_to_string(entry.path().join("physical_device")).is_ok_and(|open| open.trim() == number))
}
