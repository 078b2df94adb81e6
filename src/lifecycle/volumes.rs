//! Volumes of qubes: their options, their size, and the way back to a revision. New data for them:
//! [`super::volume_data`].

use std::cell::Cell;

use super::reconcile::QubeState;
use super::start::find_qube;
use super::{LifecycleError, Session};
use crate::hypervisor::Outcome;
use crate::model::{Vm, VmName, VolumeOption};
use crate::storage::{Attachment, Driver, StorageError, VmStorage, Volume, VolumeKind};

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
        self.prefetch_states();
        let save = || {
            self.change_volumes(name, |write, vm| {
                Ok(write.set_volume_option(vm, volume, option, text, self)?)
            })
        };
        let deleted = Cell::new(0);
        let saved = self.save_or_free_space(name, save, |full| {
            let keep = text
                .parse()
                .ok()
                .filter(|keep| option == VolumeOption::RevisionsToKeep && *keep >= 0);
            deleted.set(self.free_volume_space(name, volume, keep, full)?);
            Ok(())
        });
        self.drop_prefetched_states();
        match (saved, deleted.get()) {
            (Err(error), revisions @ 1..) => Err(LifecycleError::RevisionsDeleted {
                volume: format!("{name}:{volume}"),
                revisions,
                source: Box::new(error),
            }),
            (saved, _) => saved,
        }
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
        let vm = find_qube(&qubes, name)?;
        // What is refused whatever the state is told before a lock is waited for.
        self.with_volume(&qubes, vm, volume, |volume, driver| {
            refuse_size(volume, driver, bytes, shrinking)
        })?;
        self.convert_if_old(&qubes)?;
        drop(qubes);
        let lock = self.lock_qube(name)?;
        let state = self.reconcile(&lock)?;
        if state == QubeState::Gone {
            return Err(LifecycleError::NoSuchQube(name.to_string()));
        }
        let qubes = self.read()?;
        let vm = find_qube(&qubes, name)?;
        self.require_own_image(&qubes, vm, volume, "resize")?;
        let (image, size) = self.with_volume(&qubes, vm, volume, |volume, driver| {
            refuse_size(volume, driver, bytes, shrinking)?;
            if volume.kind == VolumeKind::Snapshot && state == QubeState::Halted {
                return Err(refused(
                    volume,
                    "it is made anew from its template's at each start; resize that one",
                ));
            }
            if volume.ephemeral {
                // What encrypts a running one with a throw-away key has its size for good; it is
                // made anew anyway.
                self.save_size(name, volume, bytes)?;
                return Ok((Attachment::None, bytes));
            }
            self.resize_image(name, volume, driver, bytes)
        })?;
        let uuid = vm.uuid();
        drop(qubes);
        let (QubeState::Active(_), Some(uuid)) = (state, uuid) else {
            return Ok(Resized::Halted);
        };
        match image {
            Attachment::File(image) | Attachment::Device(image) => {
                self.tell_of_size(uuid, &image, size)
            }
            Attachment::None => Ok(Resized::NextStart),
        }
    }

    /// Saves a volume's size and gives it to its image: in this order, so that who cannot save has
    /// changed nothing. Returns what the guest has, and how many bytes that are.
    fn resize_image(
        &self,
        name: &VmName,
        volume: &Volume,
        driver: &dyn Driver,
        bytes: u64,
    ) -> Result<(Attachment, u64), LifecycleError> {
        if volume.kind == VolumeKind::Snapshot {
            // Only for as long as the qube runs.
            driver.resize(volume, bytes)?;
            return Ok((driver.attachment(volume)?, bytes));
        }
        self.save_size(name, volume, bytes)?;
        if let Err(error) = driver.resize(volume, bytes) {
            if volume.kind == VolumeKind::Origin
                && driver
                    .size(volume)
                    .is_ok_and(|now| now == bytes && now != volume.size)
            {
                return Err(was_done(volume, "is resized", error));
            }
            self.take_size_back(name, volume);
            return Err(error.into());
        }
        // A volume that is made at the next start has no size yet but the one that is wanted.
        let size = if volume.kind == VolumeKind::Origin {
            driver.size(volume)?
        } else {
            bytes
        };
        if size != bytes {
            self.save_size(name, volume, size)?;
        }
        Ok((driver.attachment(volume)?, size))
    }

    /// Lets a running guest see the new size of its disk. Xen's backends look for themselves at
    /// what the image's device has become; QEMU has to be told.
    fn tell_of_size(
        &self,
        uuid: uuid::Uuid,
        image: &std::path::Path,
        bytes: u64,
    ) -> Result<Resized, LifecycleError> {
        use crate::hypervisor::Family;
        if Family::of_uri(self.hypervisor().uri()) == Family::Xen {
            return Ok(Resized::Running);
        }
        match self.hypervisor().resize_disk(uuid, image, bytes)? {
            Outcome::Done => Ok(Resized::Running),
            Outcome::Absent => Ok(Resized::Halted),
        }
    }

    /// Brings the volume of a halted qube back to a revision, the newest where none is named. What
    /// it was becomes a revision.
    ///
    /// # Errors
    /// The qube runs, there is no such volume, or it has no such revision.
    pub fn revert_volume(
        &self,
        name: &VmName,
        volume: &str,
        revision: Option<&str>,
    ) -> Result<(), LifecycleError> {
        let qubes = self.read()?;
        let vm = find_qube(&qubes, name)?;
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
        let vm = find_qube(&qubes, name)?;
        self.require_own_image(&qubes, vm, volume, "revert")?;
        self.with_volume(&qubes, vm, volume, |volume, driver| {
            // First: a revert that is repeated goes back to what it came from.
            self.save_size(name, volume, driver.revision_size(volume, revision)?)?;
            driver
                .revert(volume, revision)
                .map_err(|error| match error.has_taken_effect() {
                    true => was_done(volume, "is reverted", error),
                    false => {
                        self.take_size_back(name, volume);
                        error.into()
                    }
                })
        })
    }

    /// Does something with one volume of a qube.
    pub(super) fn with_volume<T>(
        &self,
        qubes: &crate::model::Qubes,
        vm: &Vm,
        volume: &str,
        work: impl FnOnce(&Volume, &dyn Driver) -> Result<T, LifecycleError>,
    ) -> Result<T, LifecycleError> {
        // Only this one is opened: a pool of another one that cannot be used is in nobody's way
        // here.
        let resolved = qubes.volume(vm, volume, self).map_err(StorageError::from)?;
        let volume = Volume::from_resolved(&vm.name, resolved)?;
        let mut drivers = crate::storage::PoolDrivers::new(&qubes.pools, &self.system);
        let storage = VmStorage::new(vm.name.as_str(), vec![volume], &mut drivers)?;
        let Some((volume, driver)) = storage.volumes().next() else {
            return Err(LifecycleError::NoSuchQube(vm.name.to_string()));
        };
        work(volume, driver)
    }

    /// Saves how many bytes a volume has, or is about to have.
    pub(super) fn save_size(
        &self,
        name: &VmName,
        volume: &Volume,
        bytes: u64,
    ) -> Result<(), LifecycleError> {
        let volume = &volume.name;
        match self.change_volumes(name, |write, vm| {
            Ok(write.set_volume_size(vm, volume, bytes, self)?)
        }) {
            Err(LifecycleError::Store(error)) if error.was_saved() => {
                self.system.tell(&error.to_string());
                Ok(())
            }
            saved => saved,
        }
    }

    /// Saves a volume's size as it was, after a change for which another one was saved has failed.
    pub(super) fn take_size_back(&self, name: &VmName, volume: &Volume) {
        // The first error is the one to tell; the same command again saves what is right then.
        let _not_saved = self.save_size(name, volume, volume.size);
    }

    /// Changes what the store says of a qube's volumes.
    pub(super) fn change_volumes(
        &self,
        name: &VmName,
        change: impl FnOnce(&mut crate::store::Write, &Vm) -> Result<(), LifecycleError>,
    ) -> Result<(), LifecycleError> {
        let mut write = self.write()?;
        let vm = find_qube(&write, name)?.clone();
        change(&mut write, &vm)?;
        write.save()?;
        Ok(())
    }
}

/// A volume keeps what it has: to make it smaller somebody has to say so.
fn refuse_size(
    volume: &Volume,
    driver: &dyn Driver,
    bytes: u64,
    shrinking: Shrinking,
) -> Result<(), LifecycleError> {
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
        true => Err(LifecycleError::WouldShrink {
            volume: volume.full_name(),
            now,
            bytes,
        }),
        false => Ok(()),
    }
}

/// The error for a change that was made, and that is not to be made once more.
pub(super) fn was_done(
    volume: &Volume,
    state: &'static str,
    error: StorageError,
) -> LifecycleError {
    LifecycleError::NotProvenDurable {
        volume: volume.full_name(),
        state,
        source: Box::new(error),
    }
}

pub(super) fn refused(volume: &Volume, reason: &str) -> LifecycleError {
    LifecycleError::VolumeRefused {
        volume: volume.full_name(),
        reason: reason.to_string(),
    }
}
