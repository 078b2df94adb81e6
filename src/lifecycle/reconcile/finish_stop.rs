//! Finishing the stop of a qube: its volumes are committed, and its record is removed last.

use crate::lifecycle::qube::record::{self, Phase, Record};
use crate::lifecycle::qube::{self, QubeLock, RemovalOutcome};
use crate::lifecycle::reconcile::QubeState;
use crate::lifecycle::volume::images;
use crate::lifecycle::{Context, LifecycleError};
use crate::model::Vm;
use crate::storage::{StorageError, VmStorage};
use crate::store::Read;

/// Finishes the stop of a qube whose domain is gone: commits its volumes, removes snapshots,
/// and drops the record. A disposable that is removed when it stops is removed.
///
/// # Errors
/// Its volumes cannot be committed, or the record cannot be removed.
pub fn finish_stop(
    context: &Context,
    lock: &QubeLock,
    qubes: &Read,
    vm: &Vm,
) -> Result<QubeState, LifecycleError> {
    let is_disposable = qube::is_removed_on_stop(context, qubes, vm);
    let record = Record::load(&context.system, lock.name())?;
    if !is_disposable && record.is_some_and(|record| record.phase == Phase::Removing) {
        return qube::resume_removal(context, qubes, lock);
    }
    context
        .system
        .report_step(|| format!("{}: committing its volumes", vm.name));
    let storage = VmStorage::for_qube(&context.system, qubes, vm, context.facts())?;
    images::without_shared_images(context, qubes, storage)?.stop()?;
    let storage = VmStorage::for_qube(&context.system, qubes, vm, context.facts())?;
    // For a disposable the removal reports them.
    if !is_disposable {
        storage
            .foreign_images(|| images::find_owners_in(context, qubes))?
            .iter()
            .for_each(|stays| context.system.notify(stays));
    }
    // A disposable here was started: without that it has neither a record nor anything of a
    // run.
    if is_disposable && let Some(removed) = qube::remove_disposable(context, qubes, lock, &storage)?
    {
        return remove_record_unless_leftovers(context, lock, removed).map(|()| QubeState::Gone);
    }
    record::remove(&context.system, lock.name())?;
    Ok(QubeState::Halted)
}

/// Removes the record of a disposable that was removed from the store, unless some of its files
/// are left: then the next command tries again.
pub(in crate::lifecycle) fn remove_record_unless_leftovers(
    context: &Context,
    lock: &QubeLock,
    removed: RemovalOutcome,
) -> Result<(), LifecycleError> {
    match removed {
        RemovalOutcome::Complete => record::remove(&context.system, lock.name()),
        RemovalOutcome::WithLeftovers => Ok(()),
    }
}

/// Returns whether a run left something in the volumes of a halted qube. A volume whose id names no
/// image has nothing to finish; the command that needs it reports that.
pub(in crate::lifecycle) fn has_unfinished_stop(
    storage: &VmStorage,
) -> Result<bool, LifecycleError> {
    let found = storage
        .is_dirty()
        .and_then(|is_dirty| Ok(is_dirty || storage.has_stale_run()?));
    match found {
        Err(StorageError::Refused(_)) => Ok(false),
        found => Ok(found?),
    }
}
