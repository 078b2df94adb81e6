//! Removing a qube: saved first, deleted last. On a full disk, on which nothing can be saved, its
//! images go first, and its record says so.

use crate::hypervisor::HypervisorError;
use crate::model::property::Effect;
use crate::model::{Qubes, RemovalError, Vm, VmName};

use super::qube_lock::QubeLock;
use super::reconcile::QubeState;
use super::record::{self, Phase, Record};
use super::recover::{Orphan, is_volume_of_qube};
use super::{LifecycleError, Session};
use crate::storage::VmStorage;

/// Who removes a qube, and what of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// A person: all of it, with whatever images lie under its names.
    ByHand,
    /// Nobody, at this moment: a disposable that goes when it stops, or a removal that was cut off.
    /// Images that no run of it made stay.
    ByItself,
    /// Its package, which may remove what it installed: all of it.
    ByPackage,
    /// R3's package, which removes the files itself: the qube leaves the store and the hypervisor.
    /// That it is the default template or netvm does not keep it, as in R3: there is none then.
    EntryAlone,
}

/// What is left of a qube that is out of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "files that could not be deleted make a command fail"]
pub enum Removed {
    /// Nothing that Qubes made.
    Completely,
    /// Something that could not be deleted; a warning named it.
    WithLeftovers,
}

impl Removal {
    /// Takes away what keeps others from removing the qube and not this one.
    fn clear_the_way(self, qubes: &mut Qubes, name: &VmName) {
        if matches!(self, Removal::ByHand | Removal::ByItself) {
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
    /// Removes a halted qube that nothing refers to: from the store, from the hypervisor, from the
    /// disk.
    ///
    /// # Errors
    /// It may not go, or the store cannot be saved. What fails after that is told as a warning.
    pub fn remove(&self, name: &VmName) -> Result<Removed, LifecycleError> {
        self.remove_as(name, Removal::ByHand)
    }

    /// The same for whoever has other rights or duties.
    pub fn remove_as(&self, name: &VmName, removal: Removal) -> Result<Removed, LifecycleError> {
        let mut qubes = self.read()?.into_qubes();
        super::start::find_qube(&qubes, name)?;
        removal.clear_the_way(&mut qubes, name);
        // That nobody can be asked is another reason than that it runs.
        if let Some(record) = Record::load(&self.system, name)?
            && !self.is_cut_off_removal(&record)
        {
            self.query_domain(&record, name)?;
        }
        // What forbids it whatever the state is told before the lock is waited for.
        qubes.plan_removal(name.as_str(), self)?;
        self.convert_if_old(&qubes)?;
        drop(qubes);
        let lock = self.lock_qube(name)?;
        match self.reconcile(&lock)? {
            QubeState::Halted => self.remove_locked(&lock, removal),
            // Settling it has finished a removal that was cut off.
            QubeState::Gone => Ok(self.removed_by_settling(&lock)),
            QubeState::Active(_) => Err(RemovalError::NotHalted(name.to_string()).into()),
        }
    }

    /// The removal itself, for whoever holds the lock and knows that the domain is gone.
    pub(super) fn remove_locked(
        &self,
        lock: &QubeLock,
        removal: Removal,
    ) -> Result<Removed, LifecycleError> {
        let name = lock.name();
        // Opened before the qube is gone from the store: a volume is described there, and in its
        // templates.
        let storage = {
            let qubes = self.read()?;
            let vm = super::start::find_qube(&qubes, name)?;
            // A qube that is broken may go, too, and images that nobody could name any more must
            // not.
            let has_to_go = vm.class.is_local_guest() && removal != Removal::EntryAlone;
            has_to_go
                .then(|| VmStorage::for_removal(&self.system, &qubes, vm, self))
                .transpose()?
        };
        let (vm, effects) = match &storage {
            Some((storage, _)) => self.take_out_of_store_or_make_room(name, removal, storage)?,
            None => self.take_out_of_store(name, removal)?,
        };
        self.system
            .step(|| format!("{name}: removing its domain's definition and its volumes"));
        // From here on nothing takes the removal back, so nothing keeps the next step from being
        // tried.
        let mut problems = Vec::new();
        problems.extend(self.forget_domain(&vm).err().map(|error| error.to_string()));
        if let Some((storage, unknown)) = storage {
            unknown.iter().for_each(|left| {
                self.system
                    .tell(&format!("{name}: {left}: if it has images, they stay"))
            });
            let removed = self.image_owners().and_then(|owners| {
                if removal != Removal::ByItself {
                    self.remove_foreign_images(&storage, &owners)?;
                }
                self.remove_images(&storage, &owners)
            });
            problems.extend(removed.err().map(|error| error.to_string()));
            let kept = self.remove_directories(&vm, &storage, &mut problems);
            // What could not be deleted keeps its directory, and is named anyway. What a package
            // put beside the images goes with the package.
            if !kept.is_empty() && problems.is_empty() && removal != Removal::ByPackage {
                self.system.tell(&format!("{name}: {}", kept.join("; ")));
            }
        }
        problems.extend(
            self.apply_effects(&effects)
                .err()
                .map(|error| error.to_string()),
        );
        // A record, which a removal on a full disk has left, has whoever comes next try again.
        if problems.is_empty() && vm.class.is_local_guest() {
            problems.extend(
                record::remove(&self.system, name)
                    .err()
                    .map(|error| error.to_string()),
            );
        }
        if problems.is_empty() {
            return Ok(Removed::Completely);
        }
        self.system.tell(&format!(
            "{name} is removed, but not all of it could be deleted: {}",
            problems.join("; ")
        ));
        Ok(Removed::WithLeftovers)
    }

    fn take_out_of_store(
        &self,
        name: &VmName,
        removal: Removal,
    ) -> Result<(Vm, Vec<Effect>), LifecycleError> {
        let mut write = self.write()?;
        removal.clear_the_way(&mut write, name);
        let removed = write.remove_if_unused(name.as_str(), self)?;
        match write.save() {
            Err(error) if error.was_saved() => self.system.tell(&error.to_string()),
            saved => drop(saved?),
        }
        Ok(removed)
    }

    /// Takes a qube out of the store. Where that cannot be saved because the disk is full, what
    /// nobody misses goes first; where that is not enough, those images of the qube, which are to
    /// go anyway, that take room on the store's disk.
    fn take_out_of_store_or_make_room(
        &self,
        name: &VmName,
        removal: Removal,
        storage: &VmStorage,
    ) -> Result<(Vm, Vec<Effect>), LifecycleError> {
        let save = || self.take_out_of_store(name, removal);
        let release = |_: &LifecycleError| Ok(storage.remove_spare_images(&self.image_owners()?)?);
        let full = match self.save_or_free_space(name, save, release) {
            Err(error) if error.is_disk_full() => error,
            taken => return taken,
        };
        let mut helping = Vec::new();
        for (volume, driver) in storage.volumes() {
            if self.is_on_store_disk(&driver.images(volume)?) {
                helping.push(volume.name.clone());
            }
        }
        if helping.is_empty() {
            return Err(full);
        }
        if let Err(error) = self.mark_removal(name, storage)
            && !error.is_disk_full()
        {
            return Err(full);
        }
        // Without a record (RUN is on the full disk, too) a crash here leaves a qube whose start
        // says that its image is missing.
        let owners = self.images_of_others(name)?;
        self.remove_images(
            &storage.select(|volume| helping.contains(&volume.name)),
            &owners,
        )?;
        // The record was refused for want of room, and the store may still be.
        let is_marked = self.mark_removal(name, storage).is_ok();
        save().map_err(|error| LifecycleError::ImagesDeleted {
            qube: name.clone(),
            source: Box::new(error),
            next_step: match is_marked {
                true => format!("the next command about {name}, or qubes-recover, removes it"),
                false => format!("run qvm-remove {name} again"),
            },
        })
    }

    /// Notes in the record of a halted qube that its images are about to go, so that whoever comes
    /// after a crash finishes the removal.
    pub(super) fn mark_removal(
        &self,
        name: &VmName,
        storage: &VmStorage,
    ) -> Result<(), LifecycleError> {
        let found = Record::load(&self.system, name)?;
        let uuid = self
            .read()?
            .get(name.as_str())
            .and_then(Vm::uuid)
            .unwrap_or_default();
        let uri = self.hypervisor().uri();
        let record = found.unwrap_or_else(|| Record::new(&self.system, uuid, uri));
        let mut volumes = Vec::new();
        for (volume, driver) in storage.volumes() {
            // A record may name no others. Those that somebody gave it by hand are orphans if this
            // is cut off, as are those beside which lies what stays.
            if is_volume_of_qube(&volume.vid, name)
                && driver
                    .foreign_images(volume)
                    .is_ok_and(|images| images.is_empty())
            {
                volumes.push(Orphan {
                    pool: volume.pool.clone(),
                    vid: volume.vid.clone(),
                });
            }
        }
        Record {
            phase: Phase::Removing,
            volumes,
            ..record
        }
        .store(&self.system, name)
    }

    /// Whether a record says that a removal was cut off, in a system where no hypervisor is asked:
    /// the domain was inactive when the record said so, and no start goes past such a record.
    pub(super) fn is_cut_off_removal(&self, record: &Record) -> bool {
        record.phase == Phase::Removing && self.system.is_offline()
    }

    /// Finishes the removal of a qube whose images a removal on a full disk has deleted before it
    /// was cut off.
    pub(super) fn resume_removal(&self, lock: &QubeLock) -> Result<QubeState, LifecycleError> {
        match self.remove_locked(lock, Removal::ByItself) {
            // What is left was told.
            Ok(Removed::WithLeftovers) => Ok(QubeState::Gone),
            Ok(Removed::Completely) => {
                self.system.tell(&format!(
                    "{}: its removal, which was cut off, is finished now",
                    lock.name()
                ));
                Ok(QubeState::Gone)
            }
            Err(LifecycleError::Removal(refused)) => {
                let name = lock.name();
                let images = "it stays without the images that were deleted";
                self.system.tell(&format!(
                    "{name}: its removal was cut off, and now it cannot go: {refused}; {images}"
                ));
                record::remove(&self.system, name)?;
                Ok(QubeState::Halted)
            }
            Err(error) => Err(error),
        }
    }

    /// What is left of a qube that settling has found gone: its record stays as long as some of its
    /// files do.
    pub(super) fn removed_by_settling(&self, lock: &QubeLock) -> Removed {
        match record::exists(&self.system, lock.name()) {
            true => Removed::WithLeftovers,
            false => Removed::Completely,
        }
    }

    /// Removes the directories of a qube and of its volumes. Returns in words what keeps which of
    /// them there.
    fn remove_directories(
        &self,
        vm: &Vm,
        storage: &VmStorage,
        problems: &mut Vec<String>,
    ) -> Vec<String> {
        let own = self.qube_directory(vm);
        let owner = self.other_owner(&own);
        if let Ok(other) = &owner {
            let removed = self.remove_own_files(&own, other.as_ref());
            problems.extend(removed.err().map(|error| error.to_string()));
        }
        let pools = storage
            .directories()
            .into_iter()
            .filter(|directory| !own.is_called(directory));
        let mut removed: Vec<_> = pools
            .map(|directory| Ok(self.remove_pool_directory(&directory)?))
            .collect();
        removed.push(owner.and_then(|other| self.remove_own_directory(&own, other.as_ref())));
        let mut kept = Vec::new();
        for removed in removed {
            match removed {
                Ok(left) => kept.extend(left),
                Err(error) => problems.push(error.to_string()),
            }
        }
        kept
    }

    /// An error that says what it does unless the qube is halted, with everything settled.
    pub(super) fn require_halted(&self, lock: &QubeLock) -> Result<(), LifecycleError> {
        match self.reconcile(lock)? {
            QubeState::Halted => Ok(()),
            QubeState::Active(_) => Err(RemovalError::NotHalted(lock.name().to_string()).into()),
            QubeState::Gone => Err(LifecycleError::NoSuchQube(lock.name().to_string())),
        }
    }

    /// Takes the definition of a qube that is removed away from the hypervisor. One that is not
    /// there has none to lose, but for a daemon that is down: then the user is told.
    pub(super) fn forget_domain(&self, vm: &Vm) -> Result<(), LifecycleError> {
        let Some(uuid) = vm.uuid().filter(|_| vm.class.is_local_guest()) else {
            return Ok(());
        };
        match self.hypervisor().undefine(uuid) {
            Ok(_) | Err(HypervisorError::Offline(_) | HypervisorError::NoLibrary(_)) => Ok(()),
            Err(error @ HypervisorError::Unreachable { .. }) => {
                let name = &vm.name;
                let how = format!(
                    "{name}: if it is still defined there, 'virsh undefine {uuid}' forgets it: {error}"
                );
                self.system.tell(&how);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}
