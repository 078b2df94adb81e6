//! Stopping a qube's processors, or sending it to sleep, and letting it go on
//! (`docs/spec/r4-features.md` §8).
//!
//! Under the qube's lock: between a start's "created paused" and "resumed" the domain is paused
//! too, and is no business of anybody else's.

use uuid::Uuid;

use crate::hypervisor::{HypervisorError, Outcome};
use crate::model::{PowerState, VmName};

use super::reconcile::QubeState;
use super::start::find_qube;
use super::{LifecycleError, Session};

impl Session {
    /// Stops the processors of a running qube.
    ///
    /// # Errors
    /// It does not run, or is paused already; or the hypervisor cannot be asked.
    pub fn pause(&self, name: &VmName) -> Result<(), LifecycleError> {
        self.order_running(name, "Cannot pause Dom0 fake domain!", &|uuid| {
            self.hypervisor().pause(uuid)
        })
    }

    /// Sends a running qube to sleep (S3); one that cannot sleep is paused.
    ///
    /// # Errors
    /// It does not run, or is paused already; or the hypervisor cannot be asked.
    pub fn suspend(&self, name: &VmName) -> Result<(), LifecycleError> {
        self.order_running(name, "Cannot suspend Dom0 fake domain!", &|uuid| {
            self.hypervisor().suspend(uuid)
        })
    }

    /// Lets a paused qube go on, and wakes one that sleeps.
    ///
    /// # Errors
    /// It is neither paused nor suspended; or the hypervisor cannot be asked.
    pub fn unpause(&self, name: &VmName) -> Result<(), LifecycleError> {
        let not_paused = || LifecycleError::NotPaused(name.clone());
        let outcome =
            self.order(
                name,
                "Cannot unpause Dom0 fake domain!",
                &|uuid, state| match state {
                    PowerState::Paused => self.hypervisor().resume(uuid).map(Some),
                    PowerState::Suspended => self.hypervisor().wake_up(uuid).map(Some),
                    _ => Ok(None),
                },
            )?;
        if outcome == Some(Outcome::Done) {
            Ok(())
        } else {
            Err(not_paused())
        }
    }

    fn order_running(
        &self,
        name: &VmName,
        not_dom0: &'static str,
        order: Order<'_>,
    ) -> Result<(), LifecycleError> {
        let runs = |state| matches!(state, PowerState::Running | PowerState::Transient);
        let outcome = self.order(name, not_dom0, &|uuid, state| match runs(state) {
            true => order(uuid).map(Some),
            false => Ok(None),
        })?;
        if outcome == Some(Outcome::Done) {
            Ok(())
        } else {
            Err(LifecycleError::NotRunning(name.clone()))
        }
    }

    /// Gives an order under the qube's lock, chosen by the state found there; `None` where the qube
    /// is not active or the state asks for no order.
    fn order(
        &self,
        name: &VmName,
        not_dom0: &'static str,
        choose: &dyn Fn(Uuid, PowerState) -> Result<Option<Outcome>, HypervisorError>,
    ) -> Result<Option<Outcome>, LifecycleError> {
        let qubes = self.read()?;
        let vm = find_qube(&qubes, name)?;
        if name.is_dom0() {
            return Err(LifecycleError::NotAGuest(not_dom0));
        }
        let (is_guest, uuid) = (vm.class.is_local_guest(), vm.uuid());
        drop(qubes);
        // Offline every qube counts as halted.
        let Some(uuid) = uuid.filter(|_| is_guest && !self.system.is_offline()) else {
            return Ok(None);
        };
        let lock = self.lock_qube(name)?;
        match self.reconcile(&lock)? {
            QubeState::Active(live) => Ok(choose(uuid, live.state)?),
            // Without a record a hypervisor that cannot be asked counts as one that runs nothing,
            // which is no answer to an order.
            QubeState::Halted => Ok(self.hypervisor().state(uuid).map(|_| None)?),
            QubeState::Gone => Ok(None),
        }
    }
}

type Order<'a> = &'a dyn Fn(Uuid) -> Result<Outcome, HypervisorError>;
