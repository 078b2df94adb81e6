//! Devices that the kernel's device mapper makes of others, through `dmsetup`, which knows how to
//! wait for udev.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::StorageError;
use crate::exec::Program;

/// Nothing that is asked of it here takes long; it waits for udev at most.
const LIMIT: Duration = Duration::from_secs(120);

/// What became of a device that was to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceRemoval {
    Gone,
    /// Somebody has it open.
    InUse,
}

/// Whether this kernel has a device mapper. One that is a module is loaded by opening its node,
/// which is root's; a node that is there says nothing: `dmsetup` makes it.
pub fn is_available() -> bool {
    let listed = fs::read_to_string("/proc/misc").unwrap_or_default();
    listed.lines().any(|line| line.ends_with(" device-mapper"))
        || File::open("/dev/mapper/control").is_ok()
}

/// An error where devices cannot be made: by whom, or by which kernel.
pub fn require_available() -> Result<(), StorageError> {
    match (nix::unistd::geteuid().is_root(), is_available()) {
        (false, _) => Err(StorageError::Refused(
            "making mapped devices needs root".into(),
        )),
        (true, false) => Err(StorageError::Refused(
            "this kernel has no device mapper".into(),
        )),
        (true, true) => Ok(()),
    }
}

/// Where the device of that name is.
pub fn device_path(name: &str) -> PathBuf {
    Path::new("/dev/mapper").join(name)
}

/// The names of all devices, as /sys tells them.
pub fn names() -> Vec<String> {
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let name = |device: fs::DirEntry| fs::read_to_string(device.path().join("dm/name")).ok();
    devices
        .filter_map(name)
        .map(|name| name.trim_end().to_string())
        .collect()
}

pub fn exists(name: &str) -> bool {
    names().iter().any(|known| known == name)
}

/// Makes the device `name` of one target.
pub fn create(name: &str, table: &str) -> Result<(), StorageError> {
    run(&["create", name, "--table", table])
}

/// Gives a device, in use or not, another table.
pub fn replace_table(name: &str, table: &str) -> Result<(), StorageError> {
    run(&["reload", name, "--table", table])?;
    run(&["resume", name])
}

/// Takes a device away unless somebody has it open.
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

/// Takes a device away as soon as nobody has it open any more.
pub fn remove_when_closed(name: &str) -> Result<(), StorageError> {
    match run(&["remove", "--deferred", name]) {
        Err(error) if exists(name) => Err(error),
        _ => Ok(()),
    }
}

/// Takes that back; says whether the device is still there.
pub fn cancel_removal(name: &str) -> bool {
    exists(name) && run(&["message", name, "0", "@cancel_deferred_remove"]).is_ok()
}

/// Whether the kernel gave a snapshot up: there was no room for a block that it had to keep.
pub fn is_invalid(name: &str) -> Result<bool, StorageError> {
    // START LENGTH snapshot, then sectors, or one of these words (the kernel's Documentation,
    // device-mapper/snapshot.rst).
    let said = dmsetup(&["status", name])?;
    Ok(said
        .split_whitespace()
        .nth(3)
        .is_some_and(|word| matches!(word, "Invalid" | "Overflow" | "Unknown")))
}

fn is_open(name: &str) -> Result<bool, StorageError> {
    let said = dmsetup(&["info", "-c", "--noheadings", "-o", "open", name])?;
    Ok(said.trim() != "0")
}

fn run(arguments: &[&str]) -> Result<(), StorageError> {
    dmsetup(arguments).map(drop)
}

fn dmsetup(arguments: &[&str]) -> Result<String, StorageError> {
    let command = arguments.first().copied().unwrap_or_default();
    let failed = |why: String| StorageError::Refused(format!("dmsetup {command}: {why}"));
    require_available().map_err(|error| failed(error.to_string()))?;
    let said = Program::new("dmsetup")
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .limit(LIMIT)
        .output();
    let said = said.map_err(|error| failed(error.to_string()))?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}
