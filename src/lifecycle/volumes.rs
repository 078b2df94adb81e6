//! Volumes of qubes: their options, their size, and the way back to a revision. New data for them: [`super::volume_data`].

use super::settle::Settled;
use super::start::known;
use super::{LifecycleError, Session};
use crate::hypervisor::Outcome;
use crate::model::{Vm, VmName, VolumeOption};
use crate::storage::{Attachment, Driver, Kind, StorageError, VmStorage, Volume};

/// Whether a volume may be made smaller: what lies behind the new end is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shrinking {
    Refused,
    Allowed,
}

/// What came of a resize.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resized {
    /// The qube finds the volume so at its next start.
    Halted,
    /// The running qube has the larger disk now; its file system is still as large as before.
    Running,
    /// The qube runs, and finds the volume so at its next start.
    NextStart,
}

impl Session {
    /// Sets an option of a volume, as [`crate::model::VolumeOption`] names them.
    ///
    /// # Errors
    /// There is no such volume or option, or the value breaks a rule.
    pub fn set_volume_option(
        &self,
        name: &VmName,
        volume: &str,
        option: &str,
        text: &str,
    ) -> Result<(), LifecycleError> {
        let option = VolumeOption::parse(option)?;
        // Nobody may start or stop it between the question whether it runs and the save.
        let _lock = self.lock_qube(name)?;
        self.gather_states();
        let save =
            || self.change_volumes(name, |write, vm| Ok(write.set_volume_option(vm, volume, option, text, self)?));
        let saved = self.save_on_full_disk(name, save, || {
            let keep = text.parse().ok().filter(|keep| option == VolumeOption::RevisionsToKeep && *keep >= 0);
            self.release_volume(name, volume, keep)
        });
        self.forget_gathered();
        saved
    }

    /// Gives a volume another size. A running qube's disk is made larger at once.
    ///
    /// # Errors
    /// There is no such volume, it cannot have that size, or its pool has no room for it.
    pub fn resize_volume(
        &self,
        name: &VmName,
        volume: &str,
        bytes: u64,
        shrinking: Shrinking,
    ) -> Result<Resized, LifecycleError> {
        let qubes = self.read()?;
        let vm = known(&qubes, name)?;
        // What is refused whatever the state is told before a lock is waited for.
        self.with_volume(&qubes, vm, volume, |volume, driver| refuse_size(volume, driver, bytes, shrinking))?;
        self.convert_if_old(&qubes)?;
        drop(qubes);
        let lock = self.lock_qube(name)?;
        let state = self.settle(&lock)?;
        if state == Settled::Gone {
            return Err(LifecycleError::NoSuchQube(name.to_string()));
        }
        let qubes = self.read()?;
        let vm = known(&qubes, name)?;
        let (image, size) = self.with_volume(&qubes, vm, volume, |volume, driver| {
            refuse_size(volume, driver, bytes, shrinking)?;
            if volume.kind == Kind::Snapshot && state == Settled::Halted {
                return Err(refused(volume, "it is made anew from its template's at each start; resize that one"));
            }
            if volume.ephemeral {
                // What encrypts a running one with a throw-away key has its size for good; it is made anew anyway.
                return Ok((Attachment::Nothing, Some(bytes)));
            }
            driver.resize(volume, bytes)?;
            // A volume that is made at the next start has no size yet but the one that is wanted.
            let size = match volume.kind {
                Kind::Volatile => Some(bytes),
                Kind::Origin => Some(driver.size(volume)?),
                // Only for as long as the qube runs.
                Kind::Snapshot => None,
            };
            Ok((driver.attachment(volume)?, size))
        })?;
        let uuid = vm.uuid();
        drop(qubes);
        if let Some(size) = size {
            self.change_volumes(name, |write, vm| Ok(write.set_volume_size(vm, volume, size, self)?))?;
        }
        let (Settled::Active(_), Some(uuid)) = (state, uuid) else { return Ok(Resized::Halted) };
        match image {
            Attachment::File(image) | Attachment::Device(image) => {
                self.tell_of_size(uuid, &image, size.unwrap_or(bytes))
            }
            Attachment::Nothing => Ok(Resized::NextStart),
        }
    }

    /// Lets a running guest see the new size of its disk. Xen's backends look for themselves at what the image's device
    /// has become; QEMU has to be told.
    fn tell_of_size(&self, uuid: uuid::Uuid, image: &std::path::Path, bytes: u64) -> Result<Resized, LifecycleError> {
        use crate::hypervisor::Family;
        if Family::of_uri(self.hypervisor().uri()) == Family::Xen {
            return Ok(Resized::Running);
        }
        match self.hypervisor().resize_disk(uuid, image, bytes)? {
            Outcome::Done => Ok(Resized::Running),
            Outcome::Absent => Ok(Resized::Halted),
        }
    }

    /// Brings the volume of a halted qube back to a revision, the newest where none is named. What it was becomes a
    /// revision.
    ///
    /// # Errors
    /// The qube runs, there is no such volume, or it has no such revision.
    pub fn revert_volume(&self, name: &VmName, volume: &str, revision: Option<&str>) -> Result<(), LifecycleError> {
        let qubes = self.read()?;
        let vm = known(&qubes, name)?;
        self.with_volume(&qubes, vm, volume, |volume, driver| {
            if revision.is_none() && driver.revisions(volume)?.is_empty() {
                return Err(LifecycleError::NoRevision);
            }
            Ok(())
        })?;
        self.convert_if_old(&qubes)?;
        drop(qubes);
        let lock = self.lock_qube(name)?;
        self.require_halted(&lock)?;
        let qubes = self.read()?;
        let vm = known(&qubes, name)?;
        let size = self.with_volume(&qubes, vm, volume, |volume, driver| {
            driver.revert(volume, revision)?;
            Ok(driver.size(volume)?)
        })?;
        drop(qubes);
        self.change_volumes(name, |write, vm| Ok(write.set_volume_size(vm, volume, size, self)?))
    }

    /// Does something with one volume of a qube.
    pub(super) fn with_volume<T>(
        &self,
        qubes: &crate::model::Qubes,
        vm: &Vm,
        volume: &str,
        work: impl FnOnce(&Volume, &dyn Driver) -> Result<T, LifecycleError>,
    ) -> Result<T, LifecycleError> {
        // Only this one is opened: a pool of another one that cannot be used is in nobody's way here.
        let resolved = qubes.volume(vm, volume, self).map_err(StorageError::from)?;
        let volume = Volume::resolved(&vm.name, resolved)?;
        let mut drivers = crate::storage::Drivers::new(&qubes.pools, &self.system);
        let storage = VmStorage::open(vm.name.as_str(), vec![volume], &mut drivers)?;
        let Some((volume, driver)) = storage.volumes().next() else {
            return Err(LifecycleError::NoSuchQube(vm.name.to_string()));
        };
        work(volume, driver)
    }

    /// Changes what the store says of a qube's volumes.
    pub(super) fn change_volumes(
        &self,
        name: &VmName,
        change: impl FnOnce(&mut crate::store::Write, &Vm) -> Result<(), LifecycleError>,
    ) -> Result<(), LifecycleError> {
        let mut write = self.write()?;
        let vm = known(&write, name)?.clone();
        change(&mut write, &vm)?;
        write.save()?;
        Ok(())
    }
}

/// A volume keeps what it has: to make it smaller somebody has to say so.
fn refuse_size(volume: &Volume, driver: &dyn Driver, bytes: u64, shrinking: Shrinking) -> Result<(), LifecycleError> {
    if !volume.rw {
        return Err(refused(volume, "it is read-only and cannot be resized"));
    }
    if shrinking == Shrinking::Allowed {
        return Ok(());
    }
    let now = match driver.size(volume) {
        Ok(size) => size,
        // Where nobody can look, the store's word is enough to refuse, and not to allow.
        Err(_) if bytes < volume.size => volume.size,
        Err(error) => return Err(error.into()),
    };
    match bytes < now {
        true => Err(LifecycleError::WouldShrink { volume: volume.full_name(), now, bytes }),
        false => Ok(()),
    }
}

pub(super) fn refused(volume: &Volume, reason: &str) -> LifecycleError {
    LifecycleError::VolumeRefused { volume: volume.full_name(), reason: reason.to_string() }
}
