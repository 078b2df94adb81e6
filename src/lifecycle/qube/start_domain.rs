//! The domain of a start: described, created paused, resumed, and destroyed if the start fails.

use crate::hypervisor::Outcome;
use crate::hypervisor::description::DomainDescription;
use crate::hypervisor::uri::Family;
use crate::lifecycle::qube::record::Record;
use crate::lifecycle::qube::{
    self, DiskLetters, Drive, NO_FREE_DISK_NAME, StartError, StopMark, domain_disks,
};
use crate::lifecycle::{Context, LifecycleError};
use crate::model::{Qubes, Vm, VmName};
use crate::storage::VmStorage;

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
    let loops = domain_disks::add_disks(context, storage, description)?;
    let xml = qube::render_domain_xml(context, qubes, description)?;
    mark.check()?;
    context.hypervisor().create_paused(record.domain, &xml)?;
    domain_disks::release_loop_devices(context, record.domain, loops)?;
    // A kill that came before the domain existed found nothing to destroy.
    mark.check()
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
