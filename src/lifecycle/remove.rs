//! Removing a qube: saved first, deleted last.

use std::fs;
use std::io;

use crate::hypervisor::HypervisorError;
use crate::model::{Qubes, RemovalError, Vm, VmName};

use super::qube_lock::QubeLock;
use super::record::Record;
use super::settle::Settled;
use super::{LifecycleError, Session};
use crate::storage::VmStorage;

/// Who removes a qube, and what of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// A person: all of it.
    ByHand,
    /// Its package, which may remove what it installed: all of it.
    ByPackage,
    /// R3's package, which removes the files itself: the qube leaves the store and the hypervisor. That it is the default
    /// template or netvm does not keep it, as in R3: there is none then.
    EntryAlone,
}

impl Removal {
    /// Takes away what keeps others from removing the qube and not this one.
    fn clear_the_way(self, qubes: &mut Qubes, name: &VmName) {
        if self == Removal::ByHand {
            return;
        }
        if let Some(vm) = qubes.edit(name.as_str()) {
            vm.properties.remove("installed_by_rpm");
        }
        if self == Removal::EntryAlone {
            for property in ["default_template", "default_netvm"] {
                if qubes.globals.get(property) == Some(name.as_str()) {
                    qubes.globals.remove(property);
                }
            }
        }
    }
}

impl Session {
    /// Removes a halted qube that nothing refers to: from the store, from the hypervisor, from the disk.
    pub fn remove(&self, name: &VmName) -> Result<(), LifecycleError> {
        self.remove_as(name, Removal::ByHand)
    }

    /// The same for whoever has other rights or duties.
    pub fn remove_as(&self, name: &VmName, removal: Removal) -> Result<(), LifecycleError> {
        let mut qubes = self.read()?.into_qubes();
        super::start::known(&qubes, name)?;
        removal.clear_the_way(&mut qubes, name);
        // That nobody can be asked is another reason than that it runs.
        if let Some(record) = Record::load(&self.system, name)? {
            self.ask_for(&record, name)?;
        }
        // What forbids it whatever the state is told before the lock is waited for.
        qubes.plan_removal(name.as_str(), self)?;
        self.convert_if_old(&qubes)?;
        drop(qubes);
        let lock = self.lock_qube(name)?;
        self.require_halted(&lock)?;
        self.remove_locked(&lock, removal)
    }

    /// The removal itself, for whoever holds the lock and knows that the domain is gone.
    pub(super) fn remove_locked(&self, lock: &QubeLock, removal: Removal) -> Result<(), LifecycleError> {
        let name = lock.name();
        // Opened before the qube is gone from the store: a volume is described there, and in its templates.
        let storage = {
            let qubes = self.read()?;
            let vm = super::start::known(&qubes, name)?;
            // A qube that is broken may go, too, and images that nobody could name any more must not.
            let has_to_go = vm.class.is_local_guest() && removal != Removal::EntryAlone;
            has_to_go.then(|| VmStorage::to_remove(&self.system, &qubes, vm, self)).transpose()?
        };
        let (vm, effects) = {
            let mut write = self.write()?;
            removal.clear_the_way(&mut write, name);
            let removed = write.remove_if_unused(name.as_str(), self)?;
            write.save()?;
            removed
        };
        self.system.step(|| format!("{name}: removing its domain's definition and its volumes"));
        self.forget_domain(&vm)?;
        if removal == Removal::EntryAlone {
            return self.apply(&effects).map(drop);
        }
        if let Some((storage, left)) = storage {
            storage.remove()?;
            left.iter().for_each(|left| self.system.tell(&format!("{name}: {left}: if it has images, they stay")));
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
                let name = &vm.name;
                let how = format!("{name}: if it is still defined there, 'virsh undefine {uuid}' forgets it: {error}");
                self.system.tell(&how);
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
