//! The disks of a domain: the images of its volumes, the loop devices that Xen needs for files, and
//! the user who can open them.

use std::path::Path;

use uuid::Uuid;

use crate::hypervisor::description::{
    BlockDevice, Disk, DomainDescription, QemuUser, SourceKind, disks_for_volumes,
};
use crate::hypervisor::owner::{owner_able_to_open, owner_for_image};
use crate::hypervisor::uri::Family;
use crate::hypervisor::{HypervisorError, toolstack};
use crate::lifecycle::{Context, LifecycleError};
use crate::storage::{Attachment, LoopDevice, VmStorage, Volume};

/// Adds the disks of the started volumes to the description of a domain, and the user who can open
/// them. Returns the loop devices that were attached for files, those of block devices included.
pub(super) fn add_disks(
    context: &Context,
    storage: &VmStorage,
    description: &mut DomainDescription,
) -> Result<Vec<LoopDevice>, LifecycleError> {
    let mut disks = storage.attachments()?;
    let is_xen = Family::from_uri(context.hypervisor().uri()) == Family::Xen;
    let mut loops = match is_xen && toolstack::is_vanilla_xen() {
        true => attach_loop_devices(&mut disks)?,
        false => Vec::new(),
    };
    for device in description.block_devices.iter_mut().filter(|_| is_xen) {
        loops.extend(attach_loop_device(device)?);
    }
    description.disks = describe_disks(&disks)?;
    description.owner = choose_qemu_owner(context, &disks, &description.block_devices)?;
    Ok(loops)
}

/// Describes the disks of volumes from what is attached of each.
///
/// # Errors
/// There are more volumes than letters of disks.
pub(super) fn describe_disks(
    attached: &[(&Volume, Attachment)],
) -> Result<Vec<Disk>, HypervisorError> {
    let attached = attached.iter();
    disks_for_volumes(attached.map(|(volume, at)| (volume.name.as_str(), at.clone(), volume.rw)))
}

/// Puts loop devices under the disks that are files: a Xen without Qubes' own block script takes
/// only devices.
fn attach_loop_devices(
    disks: &mut [(&Volume, Attachment)],
) -> Result<Vec<LoopDevice>, LifecycleError> {
    let mut loops = Vec::new();
    for (volume, attachment) in disks {
        if let Attachment::File(image) = attachment {
            let device = LoopDevice::attach(image, volume.rw)?;
            *attachment = Attachment::Device(device.path().to_path_buf());
            loops.push(device);
        }
    }
    Ok(loops)
}

/// Puts a loop device under a drive that is a file: Xen takes only devices.
pub(super) fn attach_loop_device(
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
pub(super) fn release_loop_devices(
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

/// Returns the user whom root's QEMU runs as: one who can open the images. The QEMU of an
/// ordinary user always runs as that user.
fn choose_qemu_owner(
    context: &Context,
    disks: &[(&Volume, Attachment)],
    drives: &[BlockDevice],
) -> Result<Option<QemuUser>, LifecycleError> {
    let is_root_qemu = Family::from_uri(context.hypervisor().uri()) == Family::Qemu
        && context.system.is_superuser();
    let image = disks
        .iter()
        .filter(|(volume, _)| volume.rw)
        .find_map(|(_, attachment)| match attachment {
            Attachment::File(image) => Some(image),
            _ => None,
        });
    // Block devices do not belong to group qubes: where a volume is one, libvirt sets QEMU's
    // access itself.
    let has_devices = disks
        .iter()
        .any(|(volume, at)| volume.rw && matches!(at, Attachment::Device(_)));
    let Some(image) = image.filter(|_| is_root_qemu && !has_devices) else {
        return Ok(None);
    };
    let drives = drives
        .iter()
        .map(|drive| (drive.path.as_path(), !drive.read_only));
    owner_for_image(image)
        .map(|owner| Some(owner_able_to_open(owner, drives)))
        .map_err(LifecycleError::cannot("use image", &image.display()))
}
