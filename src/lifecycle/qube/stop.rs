//! Stopping qubes: asking the guest to shut down, waiting for it, or destroying its domain.

use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::hypervisor::uri::Family;
use crate::hypervisor::{Hypervisor, HypervisorError, Outcome};
use crate::lifecycle::qube::record::{self, Phase, Record};
use crate::lifecycle::qube::{self, QubeLock, StopMark};
use crate::lifecycle::reconcile::{self, QubeState};
use crate::lifecycle::{Context, LifecycleError};
use crate::model::{PowerState, ProviderRole, Qubes, Vm, VmName, property, stop_order};

/// How often a kill destroys a qube that is started again and again.
const MAX_KILLS: usize = 16;

/// How long the hypervisor may take to remove a destroyed domain.
const DESTROY_TIMEOUT: Duration = Duration::from_secs(10);

/// The time between two shutdown requests to one guest.
pub(in crate::lifecycle) const SHUTDOWN_INTERVAL: Duration = Duration::from_secs(3);

/// The outcome of a stop that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopOutcome {
    /// The qube was not running, and its last stop is finished.
    NotRunning,
    /// The guest was asked to shut down, or the domain was destroyed.
    Requested,
}

impl StopOutcome {
    /// Converts the outcome of one request to the hypervisor.
    fn from_outcome(outcome: Outcome) -> StopOutcome {
        if outcome == Outcome::Done {
            StopOutcome::Requested
        } else {
            StopOutcome::NotRunning
        }
    }

    /// Combines the outcome with that of a second request.
    fn combine(self, outcome: Outcome) -> StopOutcome {
        if self == StopOutcome::Requested {
            self
        } else {
            StopOutcome::from_outcome(outcome)
        }
    }
}

/// A domain to stop and the hypervisor that runs it.
struct StopTarget {
    domain: Uuid,
    uri: String,
    /// Its start has not resumed it yet.
    is_starting: bool,
}

impl StopTarget {
    /// Returns the domain that a record names.
    fn from_record(record: Record) -> StopTarget {
        StopTarget {
            domain: record.domain,
            uri: record.uri,
            is_starting: record.phase == Phase::Starting,
        }
    }

    /// Calls the hypervisor that runs the domain.
    fn request<T>(
        &self,
        context: &Context,
        action: impl FnOnce(&Hypervisor, Uuid) -> Result<T, HypervisorError>,
    ) -> Result<T, LifecycleError> {
        Ok(match context.hypervisor().uri() == self.uri {
            true => action(context.hypervisor(), self.domain)?,
            false => action(&context.hypervisor_at(&self.uri), self.domain)?,
        })
    }

    /// Returns the state of the domain; `None` if it is not running.
    fn state(&self, context: &Context) -> Result<Option<PowerState>, LifecycleError> {
        let live = self.request(context, |hypervisor, domain| hypervisor.state(domain))?;
        Ok(live
            .map(|live| live.state)
            .filter(|state| state.is_active()))
    }
}

/// Waits at most `limit` until the domain is inactive, and repeats the shutdown request every
/// [`SHUTDOWN_INTERVAL`]. Returns false if it is still active. Under Xen the first request waits in
/// xenstore until the guest reads it, so it is not repeated.
fn shut_down_and_wait(
    hypervisor: &Hypervisor,
    domain: Uuid,
    limit: Duration,
) -> Result<bool, HypervisorError> {
    if Family::from_uri(hypervisor.uri()) == Family::Xen {
        return hypervisor.wait_until_inactive(domain, Some(limit));
    }
    let began = Instant::now();
    loop {
        let left = limit.saturating_sub(began.elapsed());
        if hypervisor.wait_until_inactive(domain, Some(left.min(SHUTDOWN_INTERVAL)))? {
            return Ok(true);
        }
        if left <= SHUTDOWN_INTERVAL {
            return Ok(false);
        }
        repeat_shutdown_request(hypervisor, domain)?;
    }
}

/// Asks a guest to shut down that was asked before. A guest that does not answer or is paused is
/// not an error: there is a next time.
pub(in crate::lifecycle) fn repeat_shutdown_request(
    hypervisor: &Hypervisor,
    domain: Uuid,
) -> Result<(), HypervisorError> {
    match hypervisor.shutdown(domain) {
        Ok(_) | Err(HypervisorError::NoAnswer { .. }) => Ok(()),
        Err(HypervisorError::Refused { .. }) if is_paused(hypervisor, domain)? => Ok(()),
        Err(error) => Err(error),
    }
}

/// Returns whether the domain is paused.
fn is_paused(hypervisor: &Hypervisor, domain: Uuid) -> Result<bool, HypervisorError> {
    Ok(hypervisor
        .state(domain)?
        .is_some_and(|live| live.state == PowerState::Paused))
}

/// Asks a qube to shut down, and returns at once. A start of it that has no domain yet is
/// cancelled.
///
/// # Errors
/// Unless `force`: the qube is the netvm, guivm or audiovm of running qubes, or it is paused,
/// so that it cannot react and would have to be destroyed.
pub fn shutdown(
    context: &Context,
    name: &VmName,
    force: bool,
) -> Result<StopOutcome, LifecycleError> {
    let mut qubes = context.read()?;
    let vm = qube::find(&qubes, name)?;
    if !vm.class.is_local_guest() {
        return Err(LifecycleError::NotAGuest(match vm.name.is_dom0() {
            true => "dom0 is the machine itself; shut it down with poweroff",
            false => "a remote qube can be shut down only on its own machine",
        }));
    }
    let Some(target) = find_target(context, vm) else {
        lock_and_reconcile(context, name)?;
        return Ok(StopOutcome::NotRunning);
    };
    let mut state = target.state(context)?;
    // A domain that its start has not resumed yet has no guest to ask.
    if state.is_none() || (state == Some(PowerState::Paused) && target.is_starting) {
        cancel_starts(context, name);
        let lock = qube::lock(context, name)?;
        qubes = context.read()?;
        state = match reconcile::reconcile_qube_in(context, &qubes, &lock)? {
            QubeState::Active(live) => Some(live.state),
            QubeState::Halted | QubeState::Gone => return Ok(StopOutcome::NotRunning),
        };
    }
    if !force {
        refuse_if_has_clients(context, &qubes, name)?;
    }
    context
        .system
        .report_step(|| format!("{name}: asking its guest to shut down"));
    match request_shutdown(context, &target, name, state, force)? {
        Outcome::Done => Ok(StopOutcome::Requested),
        Outcome::Absent => {
            lock_and_reconcile(context, name)?;
            Ok(StopOutcome::NotRunning)
        }
    }
}

/// Asks the guest of a domain that was found in `state`. A domain that is paused by then is
/// destroyed if `force` is set.
fn request_shutdown(
    context: &Context,
    target: &StopTarget,
    name: &VmName,
    state: Option<PowerState>,
    force: bool,
) -> Result<Outcome, LifecycleError> {
    if state != Some(PowerState::Paused) {
        match target.request(context, |hypervisor, domain| hypervisor.shutdown(domain)) {
            Err(LifecycleError::Hypervisor(HypervisorError::Refused { .. }))
                if target.state(context)? == Some(PowerState::Paused) => {}
            requested => return requested,
        }
    }
    match force {
        true => target.request(context, |hypervisor, domain| hypervisor.destroy(domain)),
        false => Err(LifecycleError::Paused(name.clone())),
    }
}

/// Waits until a qube that was asked to shut down is halted and its stop is finished. Repeats
/// the request every few seconds, since a guest that is still booting misses it. Returns only
/// after the qube was seen halted under its lock.
///
/// # Errors
/// [`LifecycleError::ShutdownTimeout`] after `limit`; the qube keeps running.
pub fn wait_for_shutdown(
    context: &Context,
    name: &VmName,
    limit: Duration,
) -> Result<(), LifecycleError> {
    if context.system.is_offline() {
        return Ok(());
    }
    let began = Instant::now();
    let timeout = || LifecycleError::ShutdownTimeout {
        qube: name.clone(),
        seconds: limit.as_secs(),
    };
    loop {
        let target = context
            .read()?
            .get(name.as_str())
            .and_then(|vm| find_target(context, vm));
        let Some(target) = target else {
            return lock_and_reconcile(context, name);
        };
        let left = limit.saturating_sub(began.elapsed());
        context.system.report_step(|| {
            format!(
                "{name}: waiting for the end of its domain, at most {} s",
                left.as_secs()
            )
        });
        if !target.request(context, |hypervisor, domain| {
            shut_down_and_wait(hypervisor, domain, left)
        })? {
            return Err(timeout());
        }
        let lock = qube::lock(context, name)?;
        match reconcile::reconcile_qube(context, &lock)? {
            QubeState::Halted | QubeState::Gone => return Ok(()),
            // It was started again, and that run was not asked yet.
            QubeState::Active(_) if began.elapsed() < limit => {}
            QubeState::Active(_) => return Err(timeout()),
        }
    }
}

/// Destroys the domain of a qube at once, and cancels a start that has no domain yet. After
/// that it takes the lock and destroys what a start has created meanwhile. Returns only after
/// the qube was seen halted under its lock.
///
/// # Errors
/// Those of the hypervisor; [`LifecycleError::Locked`] if another command works on the qube for
/// too long; [`LifecycleError::StillRuns`].
pub fn kill(context: &Context, name: &VmName) -> Result<StopOutcome, LifecycleError> {
    let qubes = context.read()?;
    let vm = qube::find(&qubes, name)?;
    if vm.name.is_dom0() {
        return Err(LifecycleError::NotAGuest("Cannot kill Dom0 fake domain!"));
    }
    let Some(target) = find_target(context, vm) else {
        lock_and_reconcile(context, name)?;
        return Ok(StopOutcome::NotRunning);
    };
    drop(qubes);
    let destroy = |target: &StopTarget| {
        target.request(context, |hypervisor, domain| hypervisor.destroy(domain))
    };
    cancel_starts(context, name);
    context
        .system
        .report_step(|| format!("{name}: destroying its domain"));
    // Before the lock is taken: its holder may be waiting for this very domain.
    let mut stopped = StopOutcome::from_outcome(destroy(&target)?);
    for _ in 0..MAX_KILLS {
        let lock = qube::lock(context, name)?;
        for _ in 0..2 {
            let QubeState::Active(_) = reconcile::reconcile_qube(context, &lock)? else {
                return Ok(stopped);
            };
            let Some(target) = recorded_target(context, &lock)? else {
                break;
            };
            stopped = stopped.combine(destroy(&target)?);
        }
        drop(lock);
        // The hypervisor may need a moment to remove the domain (Xen frees its memory).
        target.request(context, |hypervisor, domain| {
            hypervisor.wait_until_inactive(domain, Some(DESTROY_TIMEOUT))
        })?;
    }
    Err(LifecycleError::StillRuns {
        qube: name.clone(),
        tries: MAX_KILLS,
    })
}

/// Cancels the starts of a qube that have no domain yet. If the mark cannot be written (a full
/// disk), the caller waits for them instead.
fn cancel_starts(context: &Context, name: &VmName) {
    if let Err(error) = StopMark::renew(&context.system, name) {
        context.system.notify(&format!(
            "cannot cancel the starts of {name} that are under way: {error}"
        ));
    }
}

/// Returns the domain to stop, by the record if there is one; `None` for a qube without a
/// domain here, and offline.
fn find_target(context: &Context, vm: &Vm) -> Option<StopTarget> {
    if context.system.is_offline() || !vm.class.is_local_guest() {
        return None;
    }
    // An unreadable record is reported later, under the lock; the domain can be destroyed all
    // the same.
    if let Ok(Some(record)) = Record::load(&context.system, &vm.name) {
        return Some(StopTarget::from_record(record));
    }
    let uri = context.hypervisor().uri().to_string();
    vm.uuid().map(|domain| StopTarget {
        domain,
        uri,
        is_starting: false,
    })
}

/// Returns the domain of a qube that was found active under its lock: it has a record.
fn recorded_target(
    context: &Context,
    lock: &QubeLock,
) -> Result<Option<StopTarget>, LifecycleError> {
    Ok(Record::load(&context.system, lock.name())?.map(StopTarget::from_record))
}

/// Takes the lock of a qube and reconciles it.
///
/// # Errors
/// Those of [`super::lock()`] and [`reconcile::reconcile_qube`].
pub fn lock_and_reconcile(context: &Context, name: &VmName) -> Result<(), LifecycleError> {
    if !record::exists(&context.system, name) && context.system.is_offline() {
        // Without a record nothing was started since the machine booted. What an earlier boot
        // left is reconciled by the next command that uses the qube.
        return Ok(());
    }
    let lock = qube::lock(context, name)?;
    let _halted: QubeState = reconcile::reconcile_qube(context, &lock)?;
    Ok(())
}

/// Refuses to stop a qube that running qubes depend on.
///
/// # Errors
/// [`LifecycleError::HasClients`].
fn refuse_if_has_clients(
    context: &Context,
    qubes: &Qubes,
    name: &VmName,
) -> Result<(), LifecycleError> {
    let states = context.hypervisor().states()?;
    let is_running = |client: &Vm| {
        client
            .uuid()
            .and_then(|uuid| states.get(&uuid))
            .is_some_and(|live| live.state.is_active())
    };
    for role in ProviderRole::ALL {
        // A preloaded disposable that is not used yet needs no network or audio.
        let is_client = |other: &Vm| {
            stop_order::provider(qubes, other, role, context.facts())
                .is_some_and(|provider| provider.name == *name)
                && (role == ProviderRole::Guivm || !property::is_preloaded(qubes, other))
        };
        let clients = qubes
            .iter()
            .filter(|other| is_running(other) && is_client(other));
        let clients: Vec<&str> = clients.map(|c| c.name.as_str()).collect();
        if !clients.is_empty() {
            return Err(LifecycleError::HasClients {
                qube: name.clone(),
                role,
                clients: clients.join(", "),
            });
        }
    }
    Ok(())
}
