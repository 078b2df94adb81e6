//! Creating a qube: volumes first, under the name's lock, saved last. A crash leaves orphan volumes at worst, and the
//! next creation of the name clears them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::model::volume::directory_of;
use crate::model::{NewQube, Qubes, Vm, VmName};

use super::{LifecycleError, Session};
use crate::storage::VmStorage;

impl Session {
    /// Creates a qube with its volumes and its directory; returns its name.
    pub fn create(&self, new: &NewQube<'_>) -> Result<VmName, LifecycleError> {
        let mut random = |below: u16| fastrand::u16(..below);
        // Asked before the lock, so that a wish that breaks a rule touches nothing.
        let name = self.read_for_creation(new)?.plan_new(new, self, &mut random)?.name;
        let _lock = self.lock_qube(&name)?;
        let qubes = self.read_for_creation(new)?;
        let planned = qubes.plan_new(new, self, &mut random)?;
        let storage = VmStorage::of(&self.system, &qubes, &planned, self)?;
        drop(qubes);
        storage.create()?;
        let added = self.make_directory(&planned).and_then(|()| {
            let mut write = self.write()?;
            if new.class.is_local_guest() {
                write.choose_kernel(self);
            }
            // Its number may have been taken while the volumes were made.
            let vm = write.plan_new(new, self, &mut random)?;
            if vm.volumes != planned.volumes {
                return Err(LifecycleError::ChangedMeanwhile { qube: name.clone() });
            }
            write.add(vm).map_err(|vm| crate::model::CreationError::Exists(vm.name.to_string()))?;
            write.save()?;
            Ok(())
        });
        if let Err(error) = added {
            // The error that counts is the first; what cannot be removed is an orphan that the next creation clears.
            let _orphans = storage.remove();
            let _not_empty = fs::remove_dir(self.directory(&planned));
            return Err(error);
        }
        Ok(name)
    }

    /// The store as it will be when the next qube is added.
    pub(super) fn read_for_creation(&self, new: &NewQube<'_>) -> Result<Qubes, LifecycleError> {
        let mut qubes = self.read()?.into_qubes();
        if new.class.is_local_guest() {
            qubes.choose_kernel(self);
        }
        Ok(qubes)
    }

    /// Fills a volume of a halted qube with the data of a file, atomically; the volume gets the file's size.
    pub fn import_volume(&self, name: &VmName, volume: &str, file: &Path) -> Result<(), LifecycleError> {
        let lock = self.lock_qube(name)?;
        self.require_halted(&lock)?;
        let qubes = self.read()?;
        let vm = super::start::known(&qubes, name)?;
        let storage = VmStorage::of(&self.system, &qubes, vm, self)?;
        let (volume, driver) = storage.volume(volume)?;
        driver.import(volume, file)?;
        let size = driver.size(volume)?.to_string();
        let volume = volume.name.clone();
        drop(qubes);
        let mut write = self.write()?;
        if let Some(vm) = write.edit(name.as_str()) {
            for config in vm.volumes.iter_mut().filter(|v| v.name() == volume) {
                config.attributes.set("size", &size);
            }
        }
        write.save()?;
        Ok(())
    }

    /// Where a qube's own files lie: its firewall, its notes, and the images of a pool that lies there.
    pub fn directory(&self, vm: &Vm) -> PathBuf {
        self.system.below_root("/var/lib/qubes").join(directory_of(&vm.class)).join(vm.name.as_str())
    }

    fn make_directory(&self, vm: &Vm) -> Result<(), LifecycleError> {
        if !vm.class.is_local_guest() {
            return Ok(());
        }
        super::qube_lock::make_shared_directory(&self.directory(vm), &self.system)
    }
}
