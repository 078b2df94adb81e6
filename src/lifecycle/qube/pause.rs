//! Pausing, suspending and resuming a qube (`docs/spec/r4-features.md` §8).
//!
//! All of it happens under the qube's lock: a start also has its domain paused for a moment,
//! between creating and resuming it.

use uuid::Uuid;

use crate::hypervisor::{HypervisorError, Outcome};
use crate::lifecycle::reconcile::{self, QubeState};
use crate::lifecycle::{Context, LifecycleError, qube};
use crate::model::{PowerState, VmName};

/// Pauses a running qube.
///
/// # Errors
/// [`LifecycleError::NotRunning`] if it is not running or already paused; the hypervisor cannot
/// be asked.
pub fn pause(context: &Context, name: &VmName) -> Result<(), LifecycleError> {
    request_if_running(context, name, "Cannot pause Dom0 fake domain!", &|uuid| {
        context.hypervisor().pause(uuid)
    })
}

/// Suspends a running qube (S3); a guest that cannot suspend is paused instead.
///
/// # Errors
/// [`LifecycleError::NotRunning`] if it is not running or already paused; the hypervisor cannot
/// be asked.
pub fn suspend(context: &Context, name: &VmName) -> Result<(), LifecycleError> {
    request_if_running(context, name, "Cannot suspend Dom0 fake domain!", &|uuid| {
        context.hypervisor().suspend(uuid)
    })
}

/// Resumes a paused qube, and wakes up a suspended one.
///
/// # Errors
/// [`LifecycleError::NotPaused`]; the hypervisor cannot be asked.
pub fn unpause(context: &Context, name: &VmName) -> Result<(), LifecycleError> {
    let not_paused = || LifecycleError::NotPaused(name.clone());
    let outcome = request_under_lock(
        context,
        name,
        "Cannot unpause Dom0 fake domain!",
        &|uuid, state| match state {
            PowerState::Paused => context.hypervisor().resume(uuid).map(Some),
            PowerState::Suspended => context.hypervisor().wake_up(uuid).map(Some),
            _ => Ok(None),
        },
    )?;
    if outcome == Some(Outcome::Done) {
        Ok(())
    } else {
        Err(not_paused())
    }
}

/// Makes a request for the domain of a running qube, under its lock.
fn request_if_running(
    context: &Context,
    name: &VmName,
    not_dom0: &'static str,
    request: Request<'_>,
) -> Result<(), LifecycleError> {
    let is_running = |state| matches!(state, PowerState::Running | PowerState::Transient);
    let outcome = request_under_lock(
        context,
        name,
        not_dom0,
        &|uuid, state| match is_running(state) {
            true => request(uuid).map(Some),
            false => Ok(None),
        },
    )?;
    if outcome == Some(Outcome::Done) {
        Ok(())
    } else {
        Err(LifecycleError::NotRunning(name.clone()))
    }
}

/// Makes the request that `choose` returns for the state found under the qube's lock; returns
/// `None` if the qube is not active or the state needs no request.
fn request_under_lock(
    context: &Context,
    name: &VmName,
    not_dom0: &'static str,
    choose: &dyn Fn(Uuid, PowerState) -> Result<Option<Outcome>, HypervisorError>,
) -> Result<Option<Outcome>, LifecycleError> {
    let qubes = context.read()?;
    let vm = qube::find(&qubes, name)?;
    if name.is_dom0() {
        return Err(LifecycleError::NotAGuest(not_dom0));
    }
    let (is_guest, uuid) = (vm.class.is_local_guest(), vm.uuid());
    drop(qubes);
    // Offline every qube counts as halted.
    let Some(uuid) = uuid.filter(|_| is_guest && !context.system.is_offline()) else {
        return Ok(None);
    };
    let lock = qube::lock(context, name)?;
    match reconcile::reconcile_qube(context, &lock)? {
        QubeState::Active(live) => Ok(choose(uuid, live.state)?),
        // Without a record, reconciling treats a hypervisor that cannot be asked as one that
        // runs nothing. That is not good enough to answer a request, so ask again.
        QubeState::Halted => Ok(context.hypervisor().state(uuid).map(|_| None)?),
        QubeState::Gone => Ok(None),
    }
}

/// A request to the hypervisor for the domain of this uuid.
type Request<'a> = &'a dyn Fn(Uuid) -> Result<Outcome, HypervisorError>;
