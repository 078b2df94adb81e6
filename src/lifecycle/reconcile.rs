//! The after-work of a stop, and who does it: whoever holds the operation lock and finds a record
//! whose domain is inactive, monitor alive or not; the record is removed last. A dirty volume
//! without a record is a leftover of an earlier boot and gets the same.

use crate::hypervisor::{Hypervisor, HypervisorError, Live};
use crate::model::{PowerState, Qubes, Vm, VmName};

use super::images::creation_note::CreationNote;
use super::qube_lock::QubeLock;
use super::record::{self, Phase, Record};
use super::remove::RemovalOutcome;
use super::{LifecycleError, Session, monitor};
use crate::storage::{StorageError, VmStorage};

/// What a look at a qube under its lock found, once nothing was left to settle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QubeState {
    /// No domain runs, no record, no dirty volume.
    Halted,
    /// The domain is there.
    Active(Live),
    /// It was a disposable that goes when it stops: it is gone from the store, too.
    Gone,
}

impl Session {
    /// Brings a qube that may have stopped, crashed or lost its monitor into order.
    ///
    /// # Errors
    /// [`LifecycleError::StateUnknown`] when there is a record and its hypervisor cannot be asked:
    /// the images may be open, so nothing is touched.
    pub fn reconcile(&self, lock: &QubeLock) -> Result<QubeState, LifecycleError> {
        let qubes = self.read()?;
        let Some(vm) = qubes.get(lock.name().as_str()) else {
            return self.reconcile_unknown_qube(lock);
        };
        if !vm.class.is_local_guest() {
            return Ok(QubeState::Halted);
        }
        // A qube that is in the store has data of its own from now on: what a creation said of its
        // images is over.
        CreationNote::in_directory(&self.qube_directory(vm)).remove()?;
        match Record::load(&self.system, lock.name())? {
            Some(record) if self.is_interrupted_removal(&record) => {
                self.finish_stop(lock, &qubes, vm)
            }
            Some(record) => match self.query_domain(&record, lock.name())? {
                live if record.phase == Phase::Starting
                    && live.is_none_or(|l| l.state == PowerState::Paused) =>
                {
                    self.destroy_abandoned_domain(&record, lock.name())?;
                    self.finish_stop(lock, &qubes, vm)
                }
                Some(live) => {
                    self.mark_running(record, lock.name())?;
                    Ok(QubeState::Active(live))
                }
                None => self.finish_stop(lock, &qubes, vm),
            },
            None => match self.adopt_unrecorded_domain(lock.name(), vm)? {
                Some(live) => Ok(QubeState::Active(live)),
                // Of a qube whose volumes cannot be told nothing can be settled; what needs them
                // says so.
                None => match VmStorage::for_qube(&self.system, &qubes, vm, self) {
                    Ok(storage) if needs_stop_finished(&storage)? => {
                        self.finish_stop(lock, &qubes, vm)
                    }
                    Ok(_) | Err(_) => Ok(QubeState::Halted),
                },
            },
        }
    }

    /// Ends the domain of a start that was killed before letting it run: whoever starts holds the
    /// lock, so nobody will let it run, and its guest has done nothing yet. Also one that does not
    /// run: the order to create it may still be carried out, and the order to end it waits for
    /// that.
    fn destroy_abandoned_domain(
        &self,
        record: &Record,
        name: &VmName,
    ) -> Result<(), LifecycleError> {
        let end = |hypervisor: &dyn Hypervisor| {
            hypervisor.destroy(record.domain)?;
            hypervisor.undefine(record.domain)
        };
        let ended = match self.hypervisor().uri() == record.uri {
            true => end(self.hypervisor()),
            false => end(&self.hypervisor_at(&record.uri)),
        };
        let still_there = |e: HypervisorError| LifecycleError::StateUnknown {
            qube: name.clone(),
            uri: record.uri.clone(),
            reason: e.to_string(),
        };
        ended.map(drop).map_err(still_there)
    }

    /// A start that was killed after letting the domain run had everything but to say so.
    fn mark_running(&self, mut record: Record, name: &VmName) -> Result<(), LifecycleError> {
        if record.phase == Phase::Starting {
            record.phase = Phase::Running;
            record.store(&self.system, name)?;
        }
        monitor::ensure_monitor(self, name, &record)
    }

    /// What the hypervisor that a record names says of its domain; `None` when that does not run.
    pub fn query_domain(
        &self,
        record: &Record,
        name: &VmName,
    ) -> Result<Option<Live>, LifecycleError> {
        let unknown = |e: HypervisorError| LifecycleError::StateUnknown {
            qube: name.clone(),
            uri: record.uri.clone(),
            reason: e.to_string(),
        };
        if let Some(user) = record.foreign_session_user(&self.system) {
            let reason = format!("only user {user} reaches it");
            return Err(LifecycleError::StateUnknown {
                qube: name.clone(),
                uri: record.uri.clone(),
                reason,
            });
        }
        let live = match self.hypervisor().uri() == record.uri {
            true => self.hypervisor().state(record.domain),
            false => self.hypervisor_at(&record.uri).state(record.domain),
        }
        .map_err(unknown)?;
        Ok(live.filter(|l| l.state.is_active()))
    }

    /// A domain that runs although there is no record gets one, and a monitor. A hypervisor that is
    /// not there has started nothing since the last boot: the records would say so.
    fn adopt_unrecorded_domain(
        &self,
        name: &VmName,
        vm: &Vm,
    ) -> Result<Option<Live>, LifecycleError> {
        let Some(uuid) = vm.uuid() else {
            return Ok(None);
        };
        let live = match self.hypervisor().state(uuid) {
            Ok(live) => live.filter(|l| l.state.is_active()),
            Err(refused @ HypervisorError::Refused { .. }) => return Err(refused.into()),
            Err(_not_there) => return Ok(None),
        };
        if live.is_some() {
            let mut record = Record::new(&self.system, uuid, self.hypervisor().uri());
            record.phase = Phase::Running;
            record.store(&self.system, name)?;
            monitor::ensure_monitor(self, name, &record)?;
        }
        Ok(live)
    }

    /// Commits or discards the volumes of a qube whose domain is gone; a disposable that was to go
    /// goes.
    pub fn finish_stop(
        &self,
        lock: &QubeLock,
        qubes: &Qubes,
        vm: &Vm,
    ) -> Result<QubeState, LifecycleError> {
        let is_disposable = self.is_removed_on_stop(qubes, vm);
        let record = Record::load(&self.system, lock.name())?;
        if !is_disposable && record.is_some_and(|record| record.phase == Phase::Removing) {
            return self.resume_removal(lock);
        }
        self.system
            .step(|| format!("{}: committing its volumes", vm.name));
        let storage = VmStorage::for_qube(&self.system, qubes, vm, self)?;
        self.without_shared_images(storage)?.stop()?;
        let storage = VmStorage::for_qube(&self.system, qubes, vm, self)?;
        // A removal tells of them itself.
        if !is_disposable {
            storage
                .foreign_images(|| self.image_owners())?
                .iter()
                .for_each(|stays| self.system.tell(stays));
        }
        // It was started: else it had neither a record nor anything of a run.
        if is_disposable && let Some(removed) = self.remove_disposable(lock, &storage)? {
            return self
                .remove_record_unless_leftovers(lock, removed)
                .map(|()| QubeState::Gone);
        }
        record::remove(&self.system, lock.name())?;
        Ok(QubeState::Halted)
    }

    /// Removes the record of a disposable that is out of the store, unless some of its files are
    /// left: then whoever comes next tries again.
    pub(super) fn remove_record_unless_leftovers(
        &self,
        lock: &QubeLock,
        removed: RemovalOutcome,
    ) -> Result<(), LifecycleError> {
        match removed {
            RemovalOutcome::Complete => record::remove(&self.system, lock.name()),
            RemovalOutcome::WithLeftovers => Ok(()),
        }
    }

    /// A record of a qube that the store does not know (it was restored from a copy, say): when the
    /// domain is gone the record goes, too; its volumes are orphans then, and dirty ones get their
    /// after-work once they are known again. Those of a disposable that was being removed go.
    fn reconcile_unknown_qube(&self, lock: &QubeLock) -> Result<QubeState, LifecycleError> {
        let Some(record) = Record::load(&self.system, lock.name())? else {
            return Ok(QubeState::Gone);
        };
        let live = if self.is_interrupted_removal(&record) {
            None
        } else {
            self.query_domain(&record, lock.name())?
        };
        match live {
            Some(live) => Ok(QubeState::Active(live)),
            None => {
                if record.phase == Phase::Removing {
                    self.finish_disposable_removal(lock, &record)?;
                }
                record::remove(&self.system, lock.name())?;
                Ok(QubeState::Gone)
            }
        }
    }
}

/// Whether a run has left something in the volumes of a qube that is off. A volume with an id that
/// names no image has nothing; who needs it says so.
fn needs_stop_finished(storage: &VmStorage) -> Result<bool, LifecycleError> {
    let found = storage
        .is_dirty()
        .and_then(|is_dirty| Ok(is_dirty || storage.has_stale_run()?));
    match found {
        Err(StorageError::Refused(_)) => Ok(false),
        found => Ok(found?),
    }
}
