//! Controls device mapper devices through `dmsetup`, which synchronises with udev.

use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::grace::{still_open, wait_until_closed};
use super::{StorageError, Volume};
use crate::exec::Program;

/// The time limit of a command. None takes long; they wait for udev at most.
const LIMIT: Duration = Duration::from_secs(120);

/// The result of removing a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceRemoval {
    /// The device does not exist any more.
    Gone,
    /// The device is still open.
    InUse,
}

/// Whether this kernel has a device mapper. Opening its node loads the module, which needs root.
/// That the node exists proves nothing, as `dmsetup` creates it.
pub fn is_available() -> bool {
    let listed = fs::read_to_string("/proc/misc").unwrap_or_default();
    listed.lines().any(|line| line.ends_with(" device-mapper"))
        || File::open("/dev/mapper/control").is_ok()
}

/// Checks that devices can be created.
///
/// # Errors
/// The user is not root, or the kernel has no device mapper.
pub fn require_available() -> Result<(), StorageError> {
    match (nix::unistd::geteuid().is_root(), is_available()) {
        (false, _) => Err(StorageError::Refused("mapped devices need root".into())),
        (true, false) => Err(StorageError::Refused(
            "this kernel has no device mapper".into(),
        )),
        (true, true) => Ok(()),
    }
}

/// Returns the path of the device `name`.
pub fn device_path(name: &str) -> PathBuf {
    Path::new("/dev/mapper").join(name)
}

/// Returns the names of all devices, from /sys.
pub fn names() -> Vec<String> {
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let name = |device: fs::DirEntry| fs::read_to_string(device.path().join("dm/name")).ok();
    devices
        .filter_map(name)
        .map(|name| name.trim_end().to_string())
        .collect()
}

/// Whether the device `name` exists.
pub fn exists(name: &str) -> bool {
    names().iter().any(|known| known == name)
}

/// Creates the device `name` with a table of one target.
pub fn create(name: &str, table: &str) -> Result<(), StorageError> {
    run(&["create", name, "--table", table])
}

/// Replaces the table of a device, which may be in use.
pub fn replace_table(name: &str, table: &str) -> Result<(), StorageError> {
    run(&["reload", name, "--table", table])?;
    run(&["resume", name])
}

/// Removes a device unless it is open.
pub fn remove(name: &str) -> Result<DeviceRemoval, StorageError> {
    if !exists(name) {
        return Ok(DeviceRemoval::Gone);
    }
    if is_open(name)? {
        return Ok(DeviceRemoval::InUse);
    }
    match run(&["remove", "--retry", name]) {
        Ok(()) => Ok(DeviceRemoval::Gone),
        Err(_) if !exists(name) => Ok(DeviceRemoval::Gone),
        Err(_) if is_open(name)? => Ok(DeviceRemoval::InUse),
        Err(error) => Err(error),
    }
}

/// Removes the device `name` of a volume with `remove`, after giving those who have it open a
/// moment.
pub fn remove_after_grace(
    volume: &Volume,
    name: &str,
    remove: impl Fn() -> Result<DeviceRemoval, StorageError>,
) -> Result<(), StorageError> {
    wait_until_closed(Duration::from_millis(20), || {
        Ok(match remove()? {
            DeviceRemoval::Gone => ControlFlow::Break(()),
            DeviceRemoval::InUse => ControlFlow::Continue(still_open(volume, &device_path(name))),
        })
    })
}

/// Removes a device as soon as it is closed.
pub fn remove_when_closed(name: &str) -> Result<(), StorageError> {
    match run(&["remove", "--deferred", name]) {
        Err(error) if exists(name) => Err(error),
        _ => Ok(()),
    }
}

/// Cancels a deferred removal. Returns whether the device still exists.
pub fn cancel_removal(name: &str) -> bool {
    exists(name) && run(&["message", name, "0", "@cancel_deferred_remove"]).is_ok()
}

/// Whether the kernel has invalidated a snapshot because there was no space for a block that it had
/// to keep.
pub fn is_invalid(name: &str) -> Result<bool, StorageError> {
    // The status is START LENGTH snapshot, then sectors or one of these words (the kernel's
    // Documentation, device-mapper/snapshot.rst).
    let output = dmsetup(&["status", name])?;
    Ok(output
        .split_whitespace()
        .nth(3)
        .is_some_and(|word| matches!(word, "Invalid" | "Overflow" | "Unknown")))
}

fn is_open(name: &str) -> Result<bool, StorageError> {
    let output = dmsetup(&["info", "-c", "--noheadings", "-o", "open", name])?;
    Ok(output.trim() != "0")
}

fn run(arguments: &[&str]) -> Result<(), StorageError> {
    dmsetup(arguments).map(drop)
}

fn dmsetup(arguments: &[&str]) -> Result<String, StorageError> {
    let command = arguments.first().copied().unwrap_or_default();
    let failed = |why: String| StorageError::Refused(format!("dmsetup {command}: {why}"));
    require_available().map_err(|error| failed(error.to_string()))?;
    let output = Program::new("dmsetup")
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .timeout(LIMIT)
        .output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    Ok(String::from_utf8_lossy(&output).into_owned())
}
