//! Removing a qube: saved first, deleted last.

use std::fs;
use std::io;

use crate::hypervisor::HypervisorError;
use crate::model::{RemovalError, Vm, VmName};

use super::qube_lock::QubeLock;
use super::record::Record;
use super::settle::Settled;
use super::{LifecycleError, Session};
use crate::storage::VmStorage;

impl Session {
    /// Removes a halted qube that nothing refers to: from the store, from the hypervisor, from the disk.
    pub fn remove(&self, name: &VmName) -> Result<(), LifecycleError> {
        let qubes = self.read()?;
        super::start::known(&qubes, name)?;
        // That nobody can be asked is another reason than that it runs.
        if let Some(record) = Record::load(&self.system, name)? {
            self.ask_for(&record, name)?;
        }
        // What forbids it whatever the state is told before the lock is waited for.
        qubes.plan_removal(name.as_str(), self)?;
        drop(qubes);
        let lock = self.lock_qube(name)?;
        self.require_halted(&lock)?;
        self.remove_locked(&lock)
    }

    /// The removal itself, for whoever holds the lock and knows that the domain is gone.
    pub(super) fn remove_locked(&self, lock: &QubeLock) -> Result<(), LifecycleError> {
        let name = lock.name();
        // Opened before the qube is gone from the store: a volume is described there, and in its templates.
        let storage = {
            let qubes = self.read()?;
            let vm = super::start::known(&qubes, name)?;
            // A qube that is broken may go, too, and images that nobody could name any more must not.
            vm.class.is_local_guest().then(|| VmStorage::to_remove(&self.system, &qubes, vm, self)).transpose()?
        };
        let (vm, effects) = {
            let mut write = self.write()?;
            let removed = write.remove_if_unused(name.as_str(), self)?;
            write.save()?;
            removed
        };
        self.forget_domain(&vm)?;
        if let Some((storage, left)) = storage {
            storage.remove()?;
            left.iter().for_each(|left| eprintln!("{name}: {left}: if it has images, they stay"));
        }
        self.remove_directory(&vm)?;
        self.apply(&effects).map(drop)
    }

    /// An error that says what it does unless the qube is halted, with everything settled.
    pub(super) fn require_halted(&self, lock: &QubeLock) -> Result<(), LifecycleError> {
        match self.settle(lock)? {
            Settled::Halted => Ok(()),
            Settled::Active(_) => Err(RemovalError::NotHalted(lock.name().to_string()).into()),
            Settled::Gone => Err(LifecycleError::NoSuchQube(lock.name().to_string())),
        }
    }

    /// Takes the definition of a qube that is removed away from the hypervisor. One that is not there has none to
    /// lose, but for a daemon that is down: then the user is told.
    pub(super) fn forget_domain(&self, vm: &Vm) -> Result<(), LifecycleError> {
        let Some(uuid) = vm.uuid().filter(|_| vm.class.is_local_guest()) else { return Ok(()) };
        match self.hypervisor().undefine(uuid) {
            Ok(_) | Err(HypervisorError::Offline(_) | HypervisorError::NoLibrary(_)) => Ok(()),
            Err(error @ HypervisorError::Unreachable { .. }) => {
                eprintln!("{}: if it is still defined there, 'virsh undefine {uuid}' forgets it: {error}", vm.name);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn remove_directory(&self, vm: &Vm) -> Result<(), LifecycleError> {
        if !vm.class.is_local_guest() {
            return Ok(());
        }
        let directory = self.directory(vm);
        match fs::remove_dir_all(&directory) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(LifecycleError::Io { what: directory.display().to_string(), source: e })
            }
            _ => Ok(()),
        }
    }
}
