//! The one place that knows what a Qubes dom0 has and a vanilla Xen has not. Decided from what is installed.
//!
//! Qubes adds to Xen a block script that takes image files, a script for network interfaces, emulators in domains of their
//! own, and elements of libvirt's XML for these. Without the scripts, images reach guests through loop devices of ours.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

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

/// Waits until the kernel has opened `count` disks for the running domain number `domain`.
///
/// # Errors
/// It has not after half a minute.
pub fn wait_for_disks(domain: u32, count: usize) -> Result<(), HypervisorError> {
    let deadline = Instant::now() + PATIENCE;
    while opened_disks(domain) < count {
        if Instant::now() >= deadline {
            return Err(HypervisorError::Refused {
                action: format!("connect {count} disks of domain {domain}"),
                reason: format!("the kernel opened {} within {} s", opened_disks(domain), PATIENCE.as_secs()),
            });
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// A disk's entry has the device's number only while the device is open (xen-blkback).
fn opened_disks(domain: u32) -> usize {
    let mine = format!("vbd-{domain}-");
    let entries = fs::read_dir(BACKENDS).into_iter().flatten().flatten();
    let of_mine = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&mine));
    of_mine.filter(|entry| entry.path().join("physical_device").exists()).count()
}
