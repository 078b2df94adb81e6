//! Reconciling a qube: bringing it to what its record, the store and the hypervisor say.
//!
//! A process that holds the operation lock and finds a record whose domain is inactive finishes the
//! stop, whether the monitor is alive or not; the record is removed last. A dirty volume without a
//! record is left from an earlier boot and is treated the same way.

use crate::hypervisor::{DomainStatus, Hypervisor, HypervisorError};
use crate::lifecycle::qube::record::{self, Phase, Record};
use crate::lifecycle::qube::{self, QubeLock, directory, monitor};
use crate::lifecycle::volume::images::creation_note::CreationNote;
use crate::lifecycle::{Context, LifecycleError, reconcile};
use crate::model::{PowerState, RemovalError, Vm, VmName};
use crate::storage::VmStorage;
use crate::store::Read;

/// The state of a qube under its lock, after it was reconciled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QubeState {
    /// No domain is active, and there is no record and no dirty volume.
    Halted,
    /// The domain is active.
    Active(DomainStatus),
    /// The qube is not in the store, or was a disposable that was removed when it stopped.
    Gone,
}

/// Reconciles a qube that may have stopped, crashed or lost its monitor.
///
/// # Errors
/// [`record::RecordError::StateUnknown`] if there is a record and its hypervisor cannot be asked:
/// its images may be open, so nothing is changed.
pub fn reconcile_qube(context: &Context, lock: &QubeLock) -> Result<QubeState, LifecycleError> {
    let qubes = context.read()?;
    reconcile_qube_in(context, &qubes, lock)
}

/// Reconciles a qube as [`reconcile_qube`] does, by the store as it was read under the lock.
///
/// # Errors
/// Those of [`reconcile_qube`].
pub(in crate::lifecycle) fn reconcile_qube_in(
    context: &Context,
    qubes: &Read,
    lock: &QubeLock,
) -> Result<QubeState, LifecycleError> {
    let Some(vm) = qubes.get(lock.name().as_str()) else {
        return reconcile_unknown_qube(context, qubes, lock);
    };
    if !vm.class.is_local_guest() {
        return Ok(QubeState::Halted);
    }
    // A qube in the store owns its images, so the note of an unfinished creation is obsolete.
    CreationNote::in_directory(&directory::open(context, vm)).remove()?;
    match Record::load(&context.system, lock.name())? {
        Some(record) if qube::is_interrupted_removal(context, &record) => {
            reconcile::finish_stop(context, lock, qubes, vm)
        }
        Some(record) => match query_domain(context, &record, lock.name())? {
            live if record.phase == Phase::Starting
                && live.is_none_or(|l| l.state == PowerState::Paused) =>
            {
                destroy_abandoned_domain(context, &record, lock.name())?;
                reconcile::finish_stop(context, lock, qubes, vm)
            }
            Some(live) => {
                mark_running(context, record, lock.name())?;
                Ok(QubeState::Active(live))
            }
            None => reconcile::finish_stop(context, lock, qubes, vm),
        },
        None => match adopt_unrecorded_domain(context, lock.name(), vm)? {
            Some(live) => Ok(QubeState::Active(live)),
            // A qube whose volumes cannot be determined is left alone; the command that needs
            // them reports the reason.
            None => match VmStorage::for_qube(&context.system, qubes, vm, context.facts()) {
                Ok(storage) if reconcile::has_unfinished_stop(&storage)? => {
                    reconcile::finish_stop(context, lock, qubes, vm)
                }
                Ok(_) | Err(_) => Ok(QubeState::Halted),
            },
        },
    }
}

/// Reconciles the qube of `lock` and checks that it is halted.
///
/// # Errors
/// [`RemovalError::NotHalted`] if it runs, [`LifecycleError::NoSuchQube`] if it is gone; those of
/// [`reconcile_qube`].
pub(in crate::lifecycle) fn require_halted(
    context: &Context,
    qubes: &Read,
    lock: &QubeLock,
) -> Result<(), LifecycleError> {
    match reconcile_qube_in(context, qubes, lock)? {
        QubeState::Halted => Ok(()),
        QubeState::Active(_) => Err(RemovalError::NotHalted(lock.name().to_string()).into()),
        QubeState::Gone => Err(LifecycleError::NoSuchQube(lock.name().to_string())),
    }
}

/// Takes the lock of a qube that is halted. Returns the store as it was read under the lock.
///
/// # Errors
/// Those of [`qube::lock()`] and [`require_halted`].
pub(in crate::lifecycle) fn lock_halted(
    context: &Context,
    name: &VmName,
) -> Result<(QubeLock, Read), LifecycleError> {
    let lock = qube::lock(context, name)?;
    let qubes = context.read()?;
    require_halted(context, &qubes, &lock)?;
    Ok((lock, qubes))
}

/// Destroys the domain of a start that was killed before it resumed the domain: only the holder
/// of the lock would resume it, and its guest has not run yet. This also covers an inactive
/// domain: the request to create it may still be under way, and the request to destroy it is
/// queued behind that.
fn destroy_abandoned_domain(
    context: &Context,
    record: &Record,
    name: &VmName,
) -> Result<(), LifecycleError> {
    let destroy = |hypervisor: &Hypervisor| {
        hypervisor.destroy(record.domain)?;
        hypervisor.undefine(record.domain)
    };
    let destroyed = match context.hypervisor().uri() == record.uri {
        true => destroy(context.hypervisor()),
        false => destroy(&context.hypervisor_at(&record.uri)),
    };
    destroyed
        .map(drop)
        .map_err(|error| record.state_unknown(name, error))
}

/// Completes a start that was killed after it resumed the domain: sets the record to running,
/// and makes sure that a monitor is there.
fn mark_running(
    context: &Context,
    mut record: Record,
    name: &VmName,
) -> Result<(), LifecycleError> {
    if record.phase == Phase::Starting {
        record.phase = Phase::Running;
        record.save(&context.system, name)?;
    }
    monitor::ensure_monitor(context, name, &record)
}

/// Returns the live state of the domain that a record names, from the hypervisor that the
/// record names; `None` if the domain is not active.
///
/// # Errors
/// [`record::RecordError::StateUnknown`] if that hypervisor cannot be asked.
pub fn query_domain(
    context: &Context,
    record: &Record,
    name: &VmName,
) -> Result<Option<DomainStatus>, LifecycleError> {
    if let Some(user) = record.foreign_session_user(&context.system) {
        return Err(record.state_unknown(name, format!("only user {user} can reach it")));
    }
    let live = match context.hypervisor().uri() == record.uri {
        true => context.hypervisor().state(record.domain),
        false => context.hypervisor_at(&record.uri).state(record.domain),
    }
    .map_err(|error| record.state_unknown(name, error))?;
    Ok(live.filter(|l| l.state.is_active()))
}

/// Writes a record and starts a monitor for a domain that is active without a record. If the
/// hypervisor cannot be reached, nothing is active: a start since the last boot would have left
/// a record.
fn adopt_unrecorded_domain(
    context: &Context,
    name: &VmName,
    vm: &Vm,
) -> Result<Option<DomainStatus>, LifecycleError> {
    let Some(uuid) = vm.uuid() else {
        return Ok(None);
    };
    let live = match context.hypervisor().state(uuid) {
        Ok(live) => live.filter(|l| l.state.is_active()),
        Err(refused @ HypervisorError::Refused { .. }) => return Err(refused.into()),
        Err(_unreachable) => return Ok(None),
    };
    if live.is_some() {
        let mut record = Record::new(&context.system, uuid, context.hypervisor().uri());
        record.phase = Phase::Running;
        record.save(&context.system, name)?;
        monitor::ensure_monitor(context, name, &record)?;
    }
    Ok(live)
}

/// Reconciles a qube that is not in the store (after a copy of the store was restored, say). If
/// its domain is inactive, the record is removed. Its volumes are orphans then; dirty ones are
/// committed once a store has them again. The volumes of a disposable whose removal was
/// interrupted are removed.
fn reconcile_unknown_qube(
    context: &Context,
    qubes: &Read,
    lock: &QubeLock,
) -> Result<QubeState, LifecycleError> {
    let Some(record) = Record::load(&context.system, lock.name())? else {
        return Ok(QubeState::Gone);
    };
    let live = if qube::is_interrupted_removal(context, &record) {
        None
    } else {
        query_domain(context, &record, lock.name())?
    };
    match live {
        Some(live) => Ok(QubeState::Active(live)),
        None => {
            if record.phase == Phase::Removing {
                qube::finish_disposable_removal(context, qubes, lock, &record)?;
            }
            record::remove(&context.system, lock.name())?;
            Ok(QubeState::Gone)
        }
    }
}
