//! The one place that knows what a Qubes dom0 has and a vanilla Xen has not. Decided from what is
//! installed.
//!
//! Qubes adds to Xen a block script that takes image files, a script for network interfaces,
//! emulators in domains of their own, and elements of libvirt's XML for these. Without the scripts,
//! images reach guests through loop devices of ours.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::stat::{major, minor};

use super::HypervisorError;
use crate::exec::{self, Program};

/// Qubes' script for disks (`docs/spec/r4-features.md` §6).
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

/// Whether Xen says that the machine cannot keep a device's memory accesses to its qube:
/// `virt_caps` of `xl info` without `directio`. One that says nothing has said nothing against it.
pub fn lacks_iommu(program_path: &OsStr) -> bool {
    let Some(program) = exec::find_program("xl", program_path) else {
        return false;
    };
    let Ok(answer) = Program::new(program).arg("info").timeout(PATIENCE).output() else {
        return false;
    };
    let answer = String::from_utf8_lossy(&answer);
    let capabilities = answer.lines().find_map(|line| {
        line.strip_prefix("virt_caps")?
            .trim_start()
            .strip_prefix(':')
    });
    capabilities.is_some_and(|words| {
        !words
            .split_whitespace()
            .any(|word| word.contains("directio"))
    })
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
        let number = fs::metadata(device)
            .map_err(|e| refused(e.to_string()))?
            .rdev();
        // As xen-blkback writes it.
        let number = format!("{:x}:{:x}", major(number), minor(number));
        while !is_open(domain, &number) {
            if Instant::now() >= deadline {
                return Err(refused(format!(
                    "the kernel did not open it within {} s",
                    PATIENCE.as_secs()
                )));
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
    let mut of_mine =
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&mine));
    of_mine.any(|entry| {
        fs::read_to_string(entry.path().join("physical_device"))
            .is_ok_and(|open| open.trim() == number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn xl_tells_of_an_iommu_that_is_not_there() {
        let place = tempfile::tempdir().unwrap();
        let program = place.path().join("xl");
        let lacks = |capabilities: &str| {
            let said = format!("host : dom0\n{capabilities}\ntotal_memory : 8192");
            fs::write(
                &program,
                format!("#!/bin/sh\n[ \"$1\" = info ] && cat <<'END'\n{said}\nEND\n"),
            )
            .unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
            lacks_iommu(place.path().as_os_str())
        };
        assert!(lacks("virt_caps              : pv hvm hap"));
        assert!(!lacks(
            "virt_caps              : pv hvm hvm_directio pv_directio hap"
        ));
        assert!(!lacks("xen_caps : xen-3.0-x86_64"), "it does not say");
        assert!(!lacks_iommu(OsStr::new("/nonexistent")));
    }
}
