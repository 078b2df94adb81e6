//! Finds out whether an image is still open. This is a second check beside the record of the qube
//! and the state that the hypervisor reports.

use std::fs::File;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::grace::wait_until_closed;
use super::loop_device;
use super::{StorageError, Volume, pool_files};
use crate::fs::directory::OpenMode;

/// Refuses an image that a loop device or QEMU has open, after giving it a moment to close.
pub fn refuse_if_open(volume: &Volume, image: &Path) -> Result<(), StorageError> {
    wait_until_closed(Duration::from_millis(20), || {
        Ok(match holder(image) {
            None => ControlFlow::Break(()),
            Some(holder) => ControlFlow::Continue(volume.refusal(format_args!(
                "{} is still open in {holder}; stop that first",
                image.display()
            ))),
        })
    })
}

fn holder(image: &Path) -> Option<String> {
    let file = pool_files::open(image, OpenMode::Read).ok()?;
    if let Some(device) = loop_device::find_loop_devices(image).first() {
        return Some(device.display().to_string());
    }
    is_locked_by_qemu(&file).then(|| "a virtual machine".to_string())
}

/// Returns what writes to an image directly, so that nothing keeps the previous data: QEMU, or a
/// loop device without a mapped device on it.
pub fn find_direct_holder(image: &Path) -> Option<String> {
    let file = pool_files::open(image, OpenMode::Read).ok()?;
    let bare = loop_device::find_loop_devices(image)
        .into_iter()
        .find(|device| !loop_device::has_holders(device));
    bare.map(|device| device.display().to_string())
        .or_else(|| is_locked_by_qemu(&file).then(|| "a virtual machine".to_string()))
}

/// Whether mapped devices are built on the image.
pub fn has_mapped_layers(image: &Path) -> bool {
    loop_device::find_loop_devices(image)
        .iter()
        .any(|device| loop_device::has_holders(device))
}

/// Whether QEMU has the file open.
///
/// QEMU holds shared locks on single bytes of every image it has open, from 100 (its own access)
/// and from 200 (the access it forbids to others). See `RAW_LOCK_PERM_BASE` and
/// `RAW_LOCK_SHARED_BASE` in QEMU's `block/file-posix.c`.
fn is_locked_by_qemu(file: &File) -> bool {
    let mut lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 100,
        l_len: 200,
        l_pid: 0,
    };
    // On a file system without locks, the state that the hypervisor reports has to do.
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock)).is_ok()
        && lock.l_type != libc::F_UNLCK as libc::c_short
}
