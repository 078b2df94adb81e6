//! Changes volumes: sets their options, resizes them and reverts them to a revision. Their data are
//! replaced by [`crate::lifecycle::volume::import`].

use std::cell::Cell;

use crate::hypervisor::Outcome;
use crate::lifecycle::reconcile::{self, QubeState};
use crate::lifecycle::volume::{self, images};
use crate::lifecycle::{Context, LifecycleError, conversion, qube};
use crate::model::rules::volume_change;
use crate::model::volume::resolve as resolve_volume;
use crate::model::{Change, Draft, Vm, VmName, VolumeOption};
use crate::storage::{Attachment, Driver, StorageError, VmStorage, Volume, VolumeKind};

/// Whether a volume may be made smaller. The data behind the new end are lost then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shrinking {
    /// A smaller size is an error.
    Refused,
    /// The volume may become smaller.
    Allowed,
}

/// When a resize takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResizeOutcome {
    /// The qube is halted and has the new size at its next start.
    Halted,
    /// The running qube has the larger disk now. Its file system is not resized.
    Running,
    /// The qube runs and has the new size at its next start.
    NextStart,
}

/// Sets an option of a volume; [`crate::model::VolumeOption`] has the names.
///
/// # Errors
/// The qube has no such volume, the option is unknown, or the value breaks a rule.
pub fn set_option(
    context: &Context,
    name: &VmName,
    volume: &str,
    option: &str,
    text: &str,
) -> Result<(), LifecycleError> {
    let option = VolumeOption::parse(option)?;
    // The qube must not start or stop between the check of its state and the save.
    let _lock = qube::lock(context, name)?;
    let facts = context.facts().freeze();
    let save = || {
        change_volumes(context, name, |draft, vm| {
            Ok(volume_change::set_option(
                draft, vm, volume, option, text, &facts,
            )?)
        })
    };
    let deleted = Cell::new(0);
    let saved = volume::save_or_free_space(context, name, save, |full| {
        let keep = text
            .parse()
            .ok()
            .filter(|keep| option == VolumeOption::RevisionsToKeep && *keep >= 0);
        let qubes = context.read()?;
        let vm = qube::find(&qubes, name)?;
        deleted.set(volume::free_volume_space(
            context, &qubes, vm, volume, keep, full,
        )?);
        Ok(())
    });
    match (saved, deleted.get()) {
        (Err(error), revisions @ 1..) => Err(LifecycleError::RevisionsDeleted {
            volume: format!("{name}:{volume}"),
            revisions,
            source: Box::new(error),
        }),
        (saved, _) => saved,
    }
}

/// Changes the size of a volume. A running qube's disk is enlarged at once.
///
/// # Errors
/// The qube has no such volume, the volume cannot have that size, or its pool has no space.
pub fn resize(
    context: &Context,
    name: &VmName,
    volume: &str,
    bytes: u64,
    shrinking: Shrinking,
) -> Result<ResizeOutcome, LifecycleError> {
    let qubes = context.read()?;
    let vm = qube::find(&qubes, name)?;
    // Report what is refused in any state before waiting for the lock.
    with_volume(context, &qubes, vm, volume, |volume, driver| {
        check_new_size(volume, driver, bytes, shrinking)
    })?;
    conversion::convert_if_needed(context, &qubes)?;
    drop(qubes);
    let lock = qube::lock(context, name)?;
    let qubes = context.read()?;
    let state = reconcile::reconcile_qube_in(context, &qubes, &lock)?;
    if state == QubeState::Gone {
        return Err(LifecycleError::NoSuchQube(name.to_string()));
    }
    let vm = qube::find(&qubes, name)?;
    images::require_own_image(context, &qubes, vm, volume, "resize")?;
    let (image, size) = with_volume(context, &qubes, vm, volume, |volume, driver| {
        check_new_size(volume, driver, bytes, shrinking)?;
        if volume.kind() == VolumeKind::Snapshot && state == QubeState::Halted {
            return Err(refused(
                volume,
                "each start creates it from the template's volume; resize that one",
            ));
        }
        if volume.ephemeral {
            // The encryption of a running ephemeral volume has a fixed size. The next start
            // creates the volume anew.
            save_size(context, name, volume, bytes)?;
            return Ok((Attachment::None, bytes));
        }
        resize_image(context, name, volume, driver, bytes)
    })?;
    let uuid = vm.uuid();
    drop(qubes);
    let (QubeState::Active(_), Some(uuid)) = (state, uuid) else {
        return Ok(ResizeOutcome::Halted);
    };
    match image {
        Attachment::File(image) | Attachment::Device(image) => {
            resize_running_disk(context, uuid, &image, size)
        }
        Attachment::None => Ok(ResizeOutcome::NextStart),
    }
}

/// Saves the volume's new size, then resizes its image: if the save fails, nothing has changed.
/// Returns the image that the guest uses, and its size in bytes.
fn resize_image(
    context: &Context,
    name: &VmName,
    volume: &Volume,
    driver: &dyn Driver,
    bytes: u64,
) -> Result<(Attachment, u64), LifecycleError> {
    if volume.kind() == VolumeKind::Snapshot {
        // A snapshot keeps this size only until the qube stops.
        driver.resize(volume, bytes)?;
        return Ok((driver.attachment(volume)?, bytes));
    }
    save_size(context, name, volume, bytes)?;
    if let Err(error) = driver.resize(volume, bytes) {
        if volume.kind() == VolumeKind::Origin
            && driver
                .size(volume)
                .is_ok_and(|now| now == bytes && now != volume.size)
        {
            return Err(not_durable(volume, "is resized", error));
        }
        restore_saved_size(context, name, volume);
        return Err(error.into());
    }
    // A volume that the next start creates has no size but the requested one.
    let size = if volume.kind() == VolumeKind::Origin {
        driver.size(volume)?
    } else {
        bytes
    };
    if size != bytes {
        save_size(context, name, volume, size)?;
    }
    Ok((driver.attachment(volume)?, size))
}

/// Tells the hypervisor the new size of a running guest's disk. Xen's backends notice it by
/// themselves, QEMU does not.
fn resize_running_disk(
    context: &Context,
    uuid: uuid::Uuid,
    image: &std::path::Path,
    bytes: u64,
) -> Result<ResizeOutcome, LifecycleError> {
    use crate::hypervisor::Family;
    if Family::from_uri(context.hypervisor().uri()) == Family::Xen {
        return Ok(ResizeOutcome::Running);
    }
    match context.hypervisor().resize_disk(uuid, image, bytes)? {
        Outcome::Done => Ok(ResizeOutcome::Running),
        Outcome::Absent => Ok(ResizeOutcome::Halted),
    }
}

/// Reverts the volume of a halted qube to a revision, by default the newest. The current data
/// become a revision.
///
/// # Errors
/// The qube runs, or it has no such volume or revision.
pub fn revert(
    context: &Context,
    name: &VmName,
    volume: &str,
    revision: Option<&str>,
) -> Result<(), LifecycleError> {
    let qubes = context.read()?;
    let vm = qube::find(&qubes, name)?;
    with_volume(context, &qubes, vm, volume, |volume, driver| {
        if revision.is_none() && driver.revisions(volume)?.is_empty() {
            return Err(LifecycleError::NoRevision);
        }
        Ok(())
    })?;
    conversion::convert_if_needed(context, &qubes)?;
    drop(qubes);
    let (_lock, qubes) = reconcile::lock_halted(context, name)?;
    let vm = qube::find(&qubes, name)?;
    images::require_own_image(context, &qubes, vm, volume, "revert")?;
    with_volume(context, &qubes, vm, volume, |volume, driver| {
        // Saved first: a revert that is repeated after the exchange would revert itself.
        save_size(
            context,
            name,
            volume,
            driver.revision_size(volume, revision)?,
        )?;
        driver
            .revert(volume, revision)
            .map_err(|error| match error.has_taken_effect() {
                true => not_durable(volume, "is reverted", error),
                false => {
                    restore_saved_size(context, name, volume);
                    error.into()
                }
            })
    })
}

/// Calls `work` with one volume of a qube and its driver.
pub(in crate::lifecycle) fn with_volume<T>(
    context: &Context,
    qubes: &crate::model::Qubes,
    vm: &Vm,
    volume: &str,
    work: impl FnOnce(&Volume, &dyn Driver) -> Result<T, LifecycleError>,
) -> Result<T, LifecycleError> {
    // Only this volume's pool is opened. Other pools of the qube may be unusable.
    let resolved =
        resolve_volume(qubes, vm, volume, context.facts()).map_err(StorageError::from)?;
    let volume = resolved.require_supported()?;
    let mut drivers = crate::storage::PoolDrivers::new(&qubes.pools, &context.system);
    let storage = VmStorage::new(vm.name.as_str(), vec![volume], &mut drivers)?;
    let Some((volume, driver)) = storage.volumes().next() else {
        return Err(LifecycleError::NoSuchQube(vm.name.to_string()));
    };
    work(volume, driver)
}

/// Saves the size in bytes that a volume has or is about to have.
pub(in crate::lifecycle) fn save_size(
    context: &Context,
    name: &VmName,
    volume: &Volume,
    bytes: u64,
) -> Result<(), LifecycleError> {
    let volume = &volume.name;
    match change_volumes(context, name, |draft, vm| {
        Ok(volume_change::set_size(
            draft,
            vm,
            volume,
            bytes,
            context.facts(),
        )?)
    }) {
        Err(LifecycleError::Store(error)) if error.was_saved() => {
            context.system.notify(&error.to_string());
            Ok(())
        }
        saved => saved,
    }
}

/// Saves a volume's previous size again, after the change to a new one failed.
pub(in crate::lifecycle) fn restore_saved_size(context: &Context, name: &VmName, volume: &Volume) {
    // The first error is the one to report. Repeating the command saves the right size.
    let _not_saved = save_size(context, name, volume, volume.size);
}

/// Changes a qube's volumes in the store, in one transaction.
pub(in crate::lifecycle) fn change_volumes(
    context: &Context,
    name: &VmName,
    decide: impl FnOnce(&mut Draft, &Vm) -> Result<Change, LifecycleError>,
) -> Result<(), LifecycleError> {
    reconcile::change_and_notify(context, |draft| {
        let vm = qube::find(draft, name)?.clone();
        decide(draft, &vm)
    })
}

/// Checks a requested size: read-only volumes keep theirs, and shrinking must be allowed.
fn check_new_size(
    volume: &Volume,
    driver: &dyn Driver,
    bytes: u64,
    shrinking: Shrinking,
) -> Result<(), LifecycleError> {
    if !volume.rw {
        return Err(refused(volume, "it is read-only and cannot be resized"));
    }
    if shrinking == Shrinking::Allowed {
        return Ok(());
    }
    let now = match driver.size(volume) {
        Ok(size) => size,
        // If the pool cannot be used, the size in the store is enough to refuse, not to allow.
        Err(_) if bytes < volume.size => volume.size,
        Err(error) => return Err(error.into()),
    };
    match bytes < now {
        true => Err(LifecycleError::WouldShrink {
            volume: volume.full_name(),
            now,
            bytes,
        }),
        false => Ok(()),
    }
}

/// Makes the error for a change that was made but is not proven durable. It is not to be repeated.
pub(in crate::lifecycle) fn not_durable(
    volume: &Volume,
    state: &'static str,
    error: StorageError,
) -> LifecycleError {
    LifecycleError::NotDurable {
        volume: volume.full_name(),
        state,
        source: Box::new(error),
    }
}

/// Makes the error for a change that a volume does not support.
pub(in crate::lifecycle) fn refused(volume: &Volume, reason: &str) -> LifecycleError {
    LifecycleError::VolumeRefused {
        volume: volume.full_name(),
        reason: reason.to_string(),
    }
}

/// Saves the size of each of these volumes that has an image of its own.
pub(in crate::lifecycle) fn save_volume_sizes(
    context: &Context,
    draft: &mut Draft,
    name: &VmName,
    storage: &VmStorage,
    volumes: &[&str],
) -> Result<Change, LifecycleError> {
    let vm = qube::find(draft, name)?.clone();
    let mut all = Change::default();
    for volume_name in volumes {
        let (volume, driver) = storage.volume(volume_name)?;
        if volume.source.is_none() {
            let (bytes, facts) = (driver.size(volume)?, context.facts());
            all.merge(volume_change::set_size(
                draft,
                &vm,
                volume_name,
                bytes,
                facts,
            )?);
        }
    }
    Ok(all)
}
