//! The differences between the Xen of a Qubes dom0 and a vanilla Xen, detected from the installed
//! files.
//!
//! Qubes adds to Xen a block script that accepts image files, a script for network interfaces,
//! device emulators in stub domains, and libvirt XML elements for these. Without the scripts,
//! images are attached to guests through loop devices.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::stat::{major, minor};

use super::HypervisorError;
use crate::exec::{self, Program};

/// The block script of Qubes (`docs/spec/r4-features.md` §6).
const BLOCK_SCRIPT: &str = "/etc/xen/scripts/qubes-block";
/// The directory of the backend devices that dom0's kernel provides to guests.
const BACKEND_DEVICES: &str = "/sys/bus/xen-backend/devices";
/// The time limit for the kernel to open a guest's disks, and for `xl info`.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Returns whether this dom0's Xen lacks the additions of Qubes.
pub fn is_vanilla_xen() -> bool {
    !Path::new(BLOCK_SCRIPT).exists()
}

/// Returns the script for disks of dom0: the one of Qubes, or `None` if Xen's default script
/// applies.
pub fn block_script() -> Option<PathBuf> {
    (!is_vanilla_xen()).then(|| PathBuf::from(BLOCK_SCRIPT))
}

/// Returns whether Xen reports that the host has no IOMMU: `virt_caps` of `xl info` without
/// `directio`. Returns false if `xl` cannot be run or prints no `virt_caps`.
pub fn lacks_iommu(program_path: &OsStr) -> bool {
    let Some(program) = exec::find_program("xl", program_path) else {
        return false;
    };
    let Ok(answer) = Program::new(program).arg("info").timeout(TIMEOUT).output() else {
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

/// Waits until the kernel has opened these block devices for the domain with the ID `domain`.
///
/// # Errors
/// A device is not open after half a minute, or does not exist.
pub fn wait_until_open(domain: u32, devices: &[&Path]) -> Result<(), HypervisorError> {
    let deadline = Instant::now() + TIMEOUT;
    for device in devices {
        let refused = |reason: String| HypervisorError::Refused {
            action: format!("attach {} to domain {domain}", device.display()),
            reason,
        };
        let number = fs::metadata(device)
            .map_err(|e| refused(e.to_string()))?
            .rdev();
        // The format of xen-blkback.
        let number = format!("{:x}:{:x}", major(number), minor(number));
        while !is_open(domain, &number) {
            if Instant::now() >= deadline {
                return Err(refused(format!(
                    "the kernel did not open it within {} s",
                    TIMEOUT.as_secs()
                )));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(())
}

/// Returns whether a disk of the domain has opened the device: xen-blkback shows the device number
/// only while the device is open.
fn is_open(domain: u32, number: &str) -> bool {
    let prefix = format!("vbd-{domain}-");
    let entries = fs::read_dir(BACKEND_DEVICES)
        .into_iter()
        .flatten()
        .flatten();
    let mut disks =
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
    disks.any(|entry| {
        fs::read_to_string(entry.path().join("physical_device"))
            .is_ok_and(|open| open.trim() == number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_missing_iommu_is_detected_from_xl_info() {
        let place = tempfile::tempdir().unwrap();
        let program = place.path().join("xl");
        let lacks = |capabilities: &str| {
            let info = format!("host : dom0\n{capabilities}\ntotal_memory : 8192");
            fs::write(
                &program,
                format!("#!/bin/sh\n[ \"$1\" = info ] && cat <<'END'\n{info}\nEND\n"),
            )
            .unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
            lacks_iommu(place.path().as_os_str())
        };
        assert!(lacks("virt_caps              : pv hvm hap"));
        assert!(!lacks(
            "virt_caps              : pv hvm hvm_directio pv_directio hap"
        ));
        assert!(
            !lacks("xen_caps : xen-3.0-x86_64"),
            "xl info prints no virt_caps"
        );
        assert!(!lacks_iommu(OsStr::new("/nonexistent")));
    }
}
