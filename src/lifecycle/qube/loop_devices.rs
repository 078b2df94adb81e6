//! Loop devices below disks that are files: a Xen without Qubes' own block script takes only
//! devices.

use std::path::Path;

use uuid::Uuid;

use crate::hypervisor::description::{BlockDevice, SourceKind};
use crate::hypervisor::toolstack;
use crate::lifecycle::{Context, LifecycleError};
use crate::storage::{Attachment, LoopDevice, VolumeDisk};

/// Puts loop devices under the disks that are files.
pub(super) fn attach_loop_devices(
    disks: &mut [VolumeDisk],
) -> Result<Vec<LoopDevice>, LifecycleError> {
    let mut loops = Vec::new();
    for disk in disks {
        if let Attachment::File(image) = &disk.attachment {
            let device = LoopDevice::attach(image, disk.rw)?;
            disk.attachment = Attachment::Device(device.path().to_path_buf());
            loops.push(device);
        }
    }
    Ok(loops)
}

/// Puts a loop device under a drive that is a file.
pub(in crate::lifecycle) fn attach_loop_device(
    drive: &mut BlockDevice,
) -> Result<Option<LoopDevice>, LifecycleError> {
    if drive.source != SourceKind::File {
        return Ok(None);
    }
    let device = LoopDevice::attach(&drive.path, !drive.read_only)?;
    drive.path = device.path().to_path_buf();
    drive.source = SourceKind::Block;
    Ok(Some(device))
}

/// Drops loop devices once Xen's backend has opened them; they vanish when it closes them.
pub(in crate::lifecycle) fn release_loop_devices(
    context: &Context,
    domain: Uuid,
    loops: Vec<LoopDevice>,
) -> Result<(), LifecycleError> {
    if loops.is_empty() {
        return Ok(());
    }
    let number = context.hypervisor().state(domain)?.and_then(|live| live.id);
    let devices: Vec<&Path> = loops.iter().map(LoopDevice::path).collect();
    Ok(toolstack::wait_until_open(
        number.unwrap_or_default(),
        &devices,
    )?)
}
