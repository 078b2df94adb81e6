//! Stopping qubes: asking the guest, waiting for it, ending it.

use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::hypervisor::uri::Family;
use crate::hypervisor::{Hypervisor, HypervisorError, Outcome};
use crate::model::{PowerState, ProviderRole, Vm, VmName};

use super::qube_lock::QubeLock;
use super::reconcile::QubeState;
use super::record::{Phase, Record};
use super::start::find_qube;
use super::stop_mark::StopMark;
use super::{LifecycleError, Session};

/// How often a qube is ended that somebody starts again and again.
const TRIES: usize = 16;

/// How long a domain that was destroyed may take to go.
const DYING: Duration = Duration::from_secs(10);

/// Between two presses of the power button of a guest that was asked to shut down.
pub(super) const SHUTDOWN_INTERVAL: Duration = Duration::from_secs(3);

/// What an order to stop came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopOutcome {
    /// It was not running: nothing to do, and nothing left to do.
    NotRunning,
    /// The guest was asked, or the domain ended.
    Requested,
}

impl StopOutcome {
    fn of(outcome: Outcome) -> StopOutcome {
        if outcome == Outcome::Done {
            StopOutcome::Requested
        } else {
            StopOutcome::NotRunning
        }
    }

    /// What two orders, one after the other, came to.
    fn or(self, outcome: Outcome) -> StopOutcome {
        if self == StopOutcome::Requested {
            self
        } else {
            StopOutcome::of(outcome)
        }
    }
}

/// A domain to stop and the hypervisor that has it.
struct StopTarget {
    domain: Uuid,
    uri: String,
    /// Its start has not let it run yet.
    is_starting: bool,
}

impl StopTarget {
    fn of(record: Record) -> StopTarget {
        StopTarget {
            domain: record.domain,
            uri: record.uri,
            is_starting: record.phase == Phase::Starting,
        }
    }

    fn order<T>(
        &self,
        session: &Session,
        order: impl FnOnce(&dyn Hypervisor, Uuid) -> Result<T, HypervisorError>,
    ) -> Result<T, LifecycleError> {
        Ok(match session.hypervisor().uri() == self.uri {
            true => order(session.hypervisor(), self.domain)?,
            false => order(&session.hypervisor_at(&self.uri), self.domain)?,
        })
    }

    /// The state of the domain; `None` when it does not run.
    fn state(&self, session: &Session) -> Result<Option<PowerState>, LifecycleError> {
        let live = self.order(session, |hypervisor, domain| hypervisor.state(domain))?;
        Ok(live
            .map(|live| live.state)
            .filter(|state| state.is_active()))
    }
}

/// Waits until the domain does not run, at most for `limit`; presses its power button every few
/// seconds. False when it still runs. Under Xen the request waits in xenstore until the guest reads
/// it, so once is enough.
fn shut_down_and_wait(
    hypervisor: &dyn Hypervisor,
    domain: Uuid,
    limit: Duration,
) -> Result<bool, HypervisorError> {
    if Family::of_uri(hypervisor.uri()) == Family::Xen {
        return hypervisor.wait_until_inactive(domain, Some(limit));
    }
    let begun = Instant::now();
    loop {
        let left = limit.saturating_sub(begun.elapsed());
        if hypervisor.wait_until_inactive(domain, Some(left.min(SHUTDOWN_INTERVAL)))? {
            return Ok(true);
        }
        if left <= SHUTDOWN_INTERVAL {
            return Ok(false);
        }
        repeat_shutdown_request(hypervisor, domain)?;
    }
}

/// Presses the power button of a guest that was asked before. One that does not answer, or was
/// paused meanwhile, may hear it the next time.
pub(super) fn repeat_shutdown_request(
    hypervisor: &dyn Hypervisor,
    domain: Uuid,
) -> Result<(), HypervisorError> {
    match hypervisor.shutdown(domain) {
        Ok(_) | Err(HypervisorError::NoAnswer { .. }) => Ok(()),
        Err(HypervisorError::Refused { .. }) if is_paused(hypervisor, domain)? => Ok(()),
        Err(error) => Err(error),
    }
}

fn is_paused(hypervisor: &dyn Hypervisor, domain: Uuid) -> Result<bool, HypervisorError> {
    Ok(hypervisor
        .state(domain)?
        .is_some_and(|live| live.state == PowerState::Paused))
}

impl Session {
    /// Asks a qube to shut down; returns at once. A start of it that has no domain yet gives up.
    ///
    /// # Errors
    /// Unless `force`: a netvm, guivm or audiovm with running clients, and a paused qube, which
    /// cannot hear and would have to be ended.
    pub fn shutdown(&self, name: &VmName, force: bool) -> Result<StopOutcome, LifecycleError> {
        let qubes = self.read()?;
        let vm = find_qube(&qubes, name)?;
        if !vm.class.is_local_guest() {
            return Err(LifecycleError::NotAGuest(match vm.name.is_dom0() {
                true => "dom0 is the machine itself, which poweroff shuts down",
                false => "a remote qube runs on another machine, which alone can shut it down",
            }));
        }
        let Some(target) = self.target(vm) else {
            self.lock_and_reconcile(name)?;
            return Ok(StopOutcome::NotRunning);
        };
        let mut state = target.state(self)?;
        // A domain that a start has not let run yet is no guest that could be asked.
        if state.is_none() || (state == Some(PowerState::Paused) && target.is_starting) {
            self.cancel_starts(name);
            let lock = self.lock_qube(name)?;
            state = match self.reconcile(&lock)? {
                QubeState::Active(live) => Some(live.state),
                QubeState::Halted | QubeState::Gone => return Ok(StopOutcome::NotRunning),
            };
        }
        if !force {
            self.refuse_if_has_clients(&qubes, vm)?;
        }
        self.system
            .step(|| format!("{name}: asking its guest to shut down"));
        match self.request_shutdown(&target, name, state, force)? {
            Outcome::Done => Ok(StopOutcome::Requested),
            Outcome::Absent => {
                self.lock_and_reconcile(name)?;
                Ok(StopOutcome::NotRunning)
            }
        }
    }

    /// Asks the guest of a domain that was found in `state`; one that is paused, or was paused
    /// since then, is ended with `force`.
    fn request_shutdown(
        &self,
        target: &StopTarget,
        name: &VmName,
        state: Option<PowerState>,
        force: bool,
    ) -> Result<Outcome, LifecycleError> {
        if state != Some(PowerState::Paused) {
            match target.order(self, |hypervisor, domain| hypervisor.shutdown(domain)) {
                Err(LifecycleError::Hypervisor(HypervisorError::Refused { .. }))
                    if target.state(self)? == Some(PowerState::Paused) => {}
                asked => return asked,
            }
        }
        match force {
            true => target.order(self, |hypervisor, domain| hypervisor.destroy(domain)),
            false => Err(LifecycleError::Paused(name.clone())),
        }
    }

    /// Waits until a qube that was asked has stopped, and for its after-work; asks again every few
    /// seconds, for a guest that is still booting does not hear it. Returns once the qube was seen
    /// halted under its lock.
    ///
    /// # Errors
    /// [`LifecycleError::ShutdownTimeout`] after `limit`; the qube goes on.
    pub fn wait_for_shutdown(&self, name: &VmName, limit: Duration) -> Result<(), LifecycleError> {
        if self.system.is_offline() {
            return Ok(());
        }
        let begun = Instant::now();
        let timeout = || LifecycleError::ShutdownTimeout {
            qube: name.clone(),
            seconds: limit.as_secs(),
        };
        loop {
            let target = self
                .read()?
                .get(name.as_str())
                .and_then(|vm| self.target(vm));
            let Some(target) = target else {
                return self.lock_and_reconcile(name);
            };
            let left = limit.saturating_sub(begun.elapsed());
            self.system.step(|| {
                format!(
                    "{name}: waiting for the end of its domain, at most {} s",
                    left.as_secs()
                )
            });
            if !target.order(self, |hypervisor, domain| {
                shut_down_and_wait(hypervisor, domain, left)
            })? {
                return Err(timeout());
            }
            let lock = self.lock_qube(name)?;
            match self.reconcile(&lock)? {
                QubeState::Halted | QubeState::Gone => return Ok(()),
                // Somebody started it again. It was not asked in this run.
                QubeState::Active(_) if begun.elapsed() < limit => {}
                QubeState::Active(_) => return Err(timeout()),
            }
        }
    }

    /// Ends a qube at once. A start that has no domain yet gives up; the domain is destroyed, then
    /// the lock taken, and what a start has made meanwhile is destroyed, too. Returns once the qube
    /// was seen halted under its lock.
    ///
    /// # Errors
    /// Besides those of the hypervisor: [`LifecycleError::Locked`] when somebody works on the qube
    /// for too long, and [`LifecycleError::StillRuns`].
    pub fn kill(&self, name: &VmName) -> Result<StopOutcome, LifecycleError> {
        let qubes = self.read()?;
        let vm = find_qube(&qubes, name)?;
        if vm.name.is_dom0() {
            return Err(LifecycleError::NotAGuest("Cannot kill Dom0 fake domain!"));
        }
        let Some(target) = self.target(vm) else {
            self.lock_and_reconcile(name)?;
            return Ok(StopOutcome::NotRunning);
        };
        drop(qubes);
        let destroy = |target: &StopTarget| {
            target.order(self, |hypervisor, domain| hypervisor.destroy(domain))
        };
        self.cancel_starts(name);
        self.system
            .step(|| format!("{name}: destroying its domain"));
        // Before the lock: whoever holds it may be waiting for an answer of this domain's.
        let mut stopped = StopOutcome::of(destroy(&target)?);
        for _ in 0..TRIES {
            let lock = self.lock_qube(name)?;
            for _ in 0..2 {
                let QubeState::Active(_) = self.reconcile(&lock)? else {
                    return Ok(stopped);
                };
                let Some(target) = self.recorded_target(&lock)? else {
                    break;
                };
                stopped = stopped.or(destroy(&target)?);
            }
            drop(lock);
            // A hypervisor may need a moment to take away what it has ended (Xen frees the memory).
            target.order(self, |hypervisor, domain| {
                hypervisor.wait_until_inactive(domain, Some(DYING))
            })?;
        }
        Err(LifecycleError::StillRuns {
            qube: name.clone(),
            tries: TRIES,
        })
    }

    /// Ends the starts of a qube that have no domain yet. Where that cannot be written (a full
    /// disk), they are waited for.
    fn cancel_starts(&self, name: &VmName) {
        if let Err(error) = StopMark::renew(&self.system, name) {
            self.system.tell(&format!(
                "{name}: a start of it that has begun will not be cut short: {error}"
            ));
        }
    }

    /// The domain to stop, by the record where there is one; `None` for what has no domain here or
    /// cannot be asked.
    fn target(&self, vm: &Vm) -> Option<StopTarget> {
        if self.system.is_offline() || !vm.class.is_local_guest() {
            return None;
        }
        // One that cannot be read is told under the lock; its domain can be ended all the same.
        if let Ok(Some(record)) = Record::load(&self.system, &vm.name) {
            return Some(StopTarget::of(record));
        }
        let uri = self.hypervisor().uri().to_string();
        vm.uuid().map(|domain| StopTarget {
            domain,
            uri,
            is_starting: false,
        })
    }

    /// The domain that a look under the lock found active: it has a record.
    fn recorded_target(&self, lock: &QubeLock) -> Result<Option<StopTarget>, LifecycleError> {
        Ok(Record::load(&self.system, lock.name())?.map(StopTarget::of))
    }

    /// Takes the lock and settles what is to be settled.
    pub fn lock_and_reconcile(&self, name: &VmName) -> Result<(), LifecycleError> {
        if !super::record::exists(&self.system, name) && self.system.is_offline() {
            // Without a record nothing was started since the machine booted; what an earlier boot
            // left dirty is settled when somebody is about to use it.
            return Ok(());
        }
        let lock = self.lock_qube(name)?;
        let _halted: QubeState = self.reconcile(&lock)?;
        Ok(())
    }

    fn refuse_if_has_clients(
        &self,
        qubes: &crate::model::Qubes,
        vm: &Vm,
    ) -> Result<(), LifecycleError> {
        let hypervisor = self.hypervisor();
        let states = hypervisor.states()?;
        let is_running = |client: &Vm| {
            client
                .uuid()
                .and_then(|uuid| states.get(&uuid))
                .is_some_and(|live| live.state.is_active())
        };
        for role in ProviderRole::ALL {
            // Disposables that wait for somebody to want one need no network and play nothing yet.
            let is_client = |other: &Vm| {
                qubes
                    .provider(other, role, self)
                    .is_some_and(|provider| provider.name == vm.name)
                    && (role == ProviderRole::Guivm || !qubes.is_preloaded(other))
            };
            let clients = qubes
                .iter()
                .filter(|other| is_running(other) && is_client(other));
            let clients: Vec<&str> = clients.map(|c| c.name.as_str()).collect();
            if !clients.is_empty() {
                return Err(LifecycleError::HasClients {
                    qube: vm.name.clone(),
                    role,
                    clients: clients.join(", "),
                });
            }
        }
        Ok(())
    }
}
