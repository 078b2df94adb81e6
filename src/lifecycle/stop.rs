//! Stopping qubes: asking the guest, waiting for it, ending it.

use std::time::Duration;

use crate::hypervisor::Outcome;
use crate::model::{PowerState, Role, Vm, VmName};

use super::settle::Settled;
use super::start::known;
use super::{LifecycleError, Session};

/// What an order to stop came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It was not running: nothing to do, and nothing left to do.
    NotRunning,
    /// The guest was asked, or the domain ended.
    Ordered,
}

impl Session {
    /// Asks a qube to shut down; returns at once.
    ///
    /// # Errors
    /// Unless `force`: a netvm, guivm or audiovm with running clients, and a paused qube, which cannot hear and would have to be ended.
    pub fn shutdown(&self, name: &VmName, force: bool) -> Result<Stopped, LifecycleError> {
        let qubes = self.read()?;
        let vm = known(&qubes, name)?;
        if !vm.class.is_local_guest() {
            return Err(LifecycleError::Dom0(match vm.name.is_dom0() {
                true => "dom0 is the machine itself, which poweroff shuts down",
                false => "a remote qube runs on another machine, which alone can shut it down",
            }));
        }
        let Some(uuid) = vm.uuid() else { return Ok(Stopped::NotRunning) };
        let live = match self.system.is_offline() {
            true => None,
            false => self.hypervisor().state(uuid)?.filter(|l| l.state.is_active()),
        };
        let Some(live) = live else {
            self.settle_now(name)?;
            return Ok(Stopped::NotRunning);
        };
        if !force {
            self.refuse_with_clients(&qubes, vm)?;
            if live.state == PowerState::Paused {
                return Err(LifecycleError::Paused(vm.name.clone()));
            }
        }
        let hypervisor = self.hypervisor();
        let outcome = match live.state {
            PowerState::Paused => hypervisor.destroy(uuid)?,
            _ => hypervisor.shutdown(uuid)?,
        };
        match outcome {
            Outcome::Done => Ok(Stopped::Ordered),
            Outcome::Absent => {
                self.settle_now(name)?;
                Ok(Stopped::NotRunning)
            }
        }
    }

    /// Waits until a qube that was asked has stopped, and for its after-work.
    ///
    /// # Errors
    /// [`LifecycleError::ShutdownTimeout`] after `limit`; the qube goes on.
    pub fn wait_for_shutdown(&self, name: &VmName, limit: Duration) -> Result<(), LifecycleError> {
        if self.system.is_offline() {
            return Ok(());
        }
        let uuid = self.read()?.get(name.as_str()).and_then(Vm::uuid);
        if let Some(uuid) = uuid
            && !self.hypervisor().wait_until_inactive(uuid, Some(limit))?
        {
            return Err(LifecycleError::ShutdownTimeout { qube: name.clone(), seconds: limit.as_secs() });
        }
        self.settle_now(name)
    }

    /// Ends a qube at once: the domain first, then the lock, then its after-work.
    pub fn kill(&self, name: &VmName) -> Result<Stopped, LifecycleError> {
        let qubes = self.read()?;
        let vm = known(&qubes, name)?;
        if vm.name.is_dom0() {
            return Err(LifecycleError::Dom0("Cannot kill Dom0 fake domain!"));
        }
        let mut outcome = Outcome::Absent;
        if let Some(uuid) = vm.uuid()
            && vm.class.is_local_guest()
            && !self.system.is_offline()
        {
            outcome = self.hypervisor().destroy(uuid)?;
        }
        self.settle_now(name)?;
        Ok(if outcome == Outcome::Done { Stopped::Ordered } else { Stopped::NotRunning })
    }

    /// Takes the lock and settles what is to be settled.
    pub fn settle_now(&self, name: &VmName) -> Result<(), LifecycleError> {
        if !super::record::exists(&self.system, name) && self.system.is_offline() {
            // Without a record nothing was started since the machine booted; what an earlier boot left dirty is
            // settled when somebody is about to use it.
            return Ok(());
        }
        let lock = self.lock_qube(name)?;
        let _halted: Settled = self.settle(&lock)?;
        Ok(())
    }

    fn refuse_with_clients(&self, qubes: &crate::model::Qubes, vm: &Vm) -> Result<(), LifecycleError> {
        let hypervisor = self.hypervisor();
        let states = hypervisor.states()?;
        let is_running =
            |client: &Vm| client.uuid().and_then(|uuid| states.get(&uuid)).is_some_and(|live| live.state.is_active());
        for role in Role::ALL {
            // Disposables that wait for somebody to want one need no network and play nothing yet.
            let is_client = |other: &Vm| {
                qubes.provider(other, role, self).is_some_and(|provider| provider.name == vm.name)
                    && (role == Role::Guivm || !qubes.is_preloaded(other))
            };
            let clients = qubes.iter().filter(|other| is_running(other) && is_client(other));
            let clients: Vec<&str> = clients.map(|c| c.name.as_str()).collect();
            if !clients.is_empty() {
                return Err(LifecycleError::HasClients { qube: vm.name.clone(), role, clients: clients.join(", ") });
            }
        }
        Ok(())
    }
}
