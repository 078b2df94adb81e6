//! The domain of a start: described, created paused, resumed, and destroyed if the start fails.

use crate::hypervisor::description::{BlockDevice, DomainDescription, QemuUser, disks_for_volumes};
use crate::hypervisor::owner::{owner_able_to_open, owner_for_image};
use crate::hypervisor::uri::Family;
use crate::hypervisor::{Outcome, toolstack};
use crate::lifecycle::qube::loop_devices::{
    attach_loop_device, attach_loop_devices, release_loop_devices,
};
use crate::lifecycle::qube::record::Record;
use crate::lifecycle::qube::{self, DiskLetters, Drive, NO_FREE_DISK_NAME, StartError, StopMark};
use crate::lifecycle::{Context, LifecycleError};
use crate::model::{Qubes, Vm, VmName};
use crate::storage::{Attachment, VmStorage, VolumeDisk};

/// Describes the domain of a start, with its required devices and `drive`, but without disks.
pub(super) fn describe_start(
    context: &Context,
    qubes: &Qubes,
    vm: &Vm,
    drive: Option<&Drive>,
) -> Result<DomainDescription, LifecycleError> {
    let mut description = qube::describe_domain(context, qubes, vm)?;
    qube::add_required_devices(context, qubes, vm, &mut description)?;
    if let Some(drive) = drive {
        let family = Family::from_uri(context.hypervisor().uri());
        let letter = DiskLetters::new(&description)
            .reserve_next()
            .ok_or_else(|| drive.error(NO_FREE_DISK_NAME))?;
        description
            .block_devices
            .push(drive.block_device(family, letter)?);
    }
    Ok(description)
}

/// Creates the domain, paused. Fails if the start was cancelled before or meanwhile.
pub(super) fn create_domain(
    context: &Context,
    qubes: &Qubes,
    record: &Record,
    mark: &StopMark,
    description: &mut DomainDescription,
    storage: &VmStorage,
) -> Result<(), LifecycleError> {
    if description.console_log.is_some() {
        qube::create_console_log(context, &description.qube)?;
    }
    let mut disks = storage.disks()?;
    let is_xen = Family::from_uri(context.hypervisor().uri()) == Family::Xen;
    let mut loops = match is_xen && toolstack::is_vanilla_xen() {
        true => attach_loop_devices(&mut disks)?,
        false => Vec::new(),
    };
    for device in description.block_devices.iter_mut().filter(|_| is_xen) {
        loops.extend(attach_loop_device(device)?);
    }
    description.disks = disks_for_volumes(
        disks
            .iter()
            .map(|d| (d.name.as_str(), d.attachment.clone(), d.rw)),
    )?;
    description.owner = choose_qemu_owner(context, &disks, &description.block_devices)?;
    let xml = qube::render_domain_xml(context, qubes, description)?;
    mark.check()?;
    context.hypervisor().create_paused(record.domain, &xml)?;
    release_loop_devices(context, record.domain, loops)?;
    // A kill that came before the domain existed found nothing to destroy.
    mark.check()
}

/// Returns the user whom root's QEMU runs as: one who can open the images. The QEMU of an
/// ordinary user always runs as that user.
fn choose_qemu_owner(
    context: &Context,
    disks: &[VolumeDisk],
    drives: &[BlockDevice],
) -> Result<Option<QemuUser>, LifecycleError> {
    let is_root_qemu = Family::from_uri(context.hypervisor().uri()) == Family::Qemu
        && context.system.is_superuser();
    let image = disks
        .iter()
        .filter(|d| d.rw)
        .find_map(|d| match &d.attachment {
            Attachment::File(image) => Some(image),
            _ => None,
        });
    // Block devices do not belong to group qubes: where a volume is one, libvirt sets QEMU's
    // access itself.
    let has_devices = disks
        .iter()
        .any(|d| d.rw && matches!(d.attachment, Attachment::Device(_)));
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

/// Resumes the domain that was created paused.
pub(super) fn resume_domain(
    context: &Context,
    name: &VmName,
    record: &Record,
) -> Result<(), LifecycleError> {
    match context.hypervisor().resume(record.domain)? {
        Outcome::Done => Ok(()),
        Outcome::Absent => {
            let reason = format!(
                "its domain ended at once; see {}",
                qube::console_log(context, name.as_str()).display()
            );
            Err(StartError::failed(name, reason))
        }
    }
}

/// Destroys the domain of a start that failed.
pub(super) fn destroy_domain(context: &Context, record: &Record) -> Result<(), LifecycleError> {
    context.hypervisor().destroy(record.domain)?;
    context.hypervisor().undefine(record.domain)?;
    Ok(())
}
