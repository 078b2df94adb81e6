//! Whether somebody still has an image open. A second safety beside the record and the hypervisor's
//! word.

use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::loop_device;
use super::{StorageError, Volume, pool_files};
use crate::fs::beneath::Use;

/// How long an image may still be open after the domain has gone: the kernel takes loop devices
/// down lazily.
const GRACE: Duration = Duration::from_secs(10);

/// Refuses when a loop device or a QEMU has the image open, after giving them a moment to let go.
pub fn refuse_if_open(volume: &Volume, image: &Path) -> Result<(), StorageError> {
    let deadline = Instant::now() + GRACE;
    loop {
        let Some(holder) = holder(image) else {
            return Ok(());
        };
        if Instant::now() >= deadline {
            let (label, image) = (volume.label(), image.display());
            return Err(StorageError::Refused(format!(
                "{label}: {image} is still open in {holder}; end that first"
            )));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn holder(image: &Path) -> Option<String> {
    let file = pool_files::open(image, Use::Read).ok()?;
    if let Some(device) = loop_device::find_loop_devices(image).first() {
        return Some(device.display().to_string());
    }
    is_locked_by_qemu(&file).then(|| "a virtual machine".to_string())
}

/// Who writes to an image without anything that keeps what was there before: a QEMU, or a loop
/// device on which the kernel has built nothing.
pub fn find_direct_holder(image: &Path) -> Option<String> {
    let file = pool_files::open(image, Use::Read).ok()?;
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

/// QEMU holds shared locks on single bytes from 100 (what it does) and from 200 (what it forbids
/// others) of every image it has open (docs/devel/block locking in its `block/file-posix.c`:
/// `RAW_LOCK_PERM_BASE`, `RAW_LOCK_SHARED_BASE`).
fn is_locked_by_qemu(file: &File) -> bool {
    let mut lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 100,
        l_len: 200,
        l_pid: 0,
    };
    // A file system without locks cannot tell, and the hypervisor's word has to do.
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock)).is_ok()
        && lock.l_type != libc::F_UNLCK as libc::c_short
}
