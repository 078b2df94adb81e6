//! Attaching disks to a running qube and detaching them. They are not stored, and are gone when the
//! domain ends.

use std::thread;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::hypervisor::uri::Family;
use crate::hypervisor::{AttachedDisk, Outcome};
use crate::lifecycle::qube::{self, Drive, NO_FREE_DISK_NAME, domain_disks};
use crate::lifecycle::reconcile::{self, QubeState};
use crate::lifecycle::{Context, LifecycleError};
use crate::model::VmName;

/// How long a guest may take to release a disk.
const DETACH_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the disks of a running qube, including its volumes.
///
/// # Errors
/// [`LifecycleError::NotRunning`]; the hypervisor cannot be asked.
pub fn disks(context: &Context, name: &VmName) -> Result<Vec<AttachedDisk>, LifecycleError> {
    let uuid = guest_uuid(context, name)?;
    context
        .hypervisor()
        .disks(uuid)?
        .ok_or_else(|| LifecycleError::NotRunning(name.clone()))
}

/// Attaches a drive of dom0 to a running qube, under the first free disk name from `i` on.
/// Returns the name.
///
/// # Errors
/// The qube is not running, the drive does not exist, or the hypervisor refuses.
pub fn attach_drive(
    context: &Context,
    name: &VmName,
    drive: &Drive,
) -> Result<String, LifecycleError> {
    let uuid = guest_uuid(context, name)?;
    let lock = qube::lock(context, name)?;
    let not_running = || LifecycleError::NotRunning(name.clone());
    let QubeState::Active(_) = reconcile::reconcile_qube(context, &lock)? else {
        return Err(not_running());
    };
    let attached = context.hypervisor().disks(uuid)?.ok_or_else(not_running)?;
    let is_free = |letter: &char| !attached.iter().any(|disk| disk.target.ends_with(*letter));
    let no_name = || drive.error(NO_FREE_DISK_NAME);
    let letter = ('i'..='z').find(is_free).ok_or_else(no_name)?;
    let family = Family::from_uri(context.hypervisor().uri());
    let mut device = drive.block_device(family, letter)?;
    let loops = match family {
        Family::Xen => domain_disks::attach_loop_device(&mut device)?,
        Family::Qemu => None,
    };
    let outcome = context
        .hypervisor()
        .attach_disk(uuid, &qube::render_disk_xml(context, &device)?)?;
    if outcome == Outcome::Absent {
        return Err(not_running());
    }
    domain_disks::release_loop_devices(context, uuid, loops.into_iter().collect())?;
    let now = context.hypervisor().disks(uuid)?.unwrap_or_default();
    let attached = now.into_iter().find(|disk| disk.target.ends_with(letter));
    attached.map(|disk| disk.target).ok_or_else(not_running)
}

/// Detaches a disk that is not a volume from a running qube, and waits until the guest has
/// released it.
///
/// # Errors
/// The qube has no such disk, or the guest does not release it in time.
pub fn detach_drive(context: &Context, name: &VmName, target: &str) -> Result<(), LifecycleError> {
    let uuid = guest_uuid(context, name)?;
    let refused = |reason: &str| LifecycleError::Drive {
        drive: format!("{name}:{target}"),
        reason: reason.to_string(),
    };
    let is_volume = target.chars().last().is_none_or(|letter| letter < 'i');
    if is_volume
        || !disks(context, name)?
            .iter()
            .any(|disk| disk.target == target)
    {
        return Err(refused("no such disk was attached to the qube"));
    }
    {
        let _lock = qube::lock(context, name)?;
        context.hypervisor().detach_disk(uuid, target)?;
    }
    let deadline = Instant::now() + DETACH_TIMEOUT;
    while context
        .hypervisor()
        .disks(uuid)?
        .is_some_and(|disks| disks.iter().any(|disk| disk.target == target))
    {
        if Instant::now() >= deadline {
            return Err(refused("the guest still uses it; unmount it there first"));
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Returns the uuid of a local guest.
fn guest_uuid(context: &Context, name: &VmName) -> Result<Uuid, LifecycleError> {
    let qubes = context.read()?;
    let vm = qube::find(&qubes, name)?;
    if !vm.class.is_local_guest() {
        return Err(LifecycleError::NotAGuest(
            "disks can be attached only to qubes on this machine",
        ));
    }
    vm.uuid()
        .ok_or_else(|| LifecycleError::NotRunning(name.clone()))
}
