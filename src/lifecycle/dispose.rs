//! Disposables: made from a template of their own, gone when they stop (`docs/spec/r4-features.md`
//! §9).

use std::cell::{Cell, RefCell};

use uuid::Uuid;

use crate::hypervisor::{Hypervisor as _, HypervisorError};
use crate::model::{Class, CreationError, NewQube, PoolChoice, Qubes, RemovalError, Vm, VmName};
use crate::storage::pools::open_driver;
use crate::storage::{VmStorage, Volume};

use super::create::{Created, InitialSettings};
use super::images::ExistingImages;
use super::qube_directory::QubeDirectory;
use super::qube_lock::QubeLock;
use super::reconcile::QubeState;
use super::record::Record;
use super::remove::{Removal, Removed};
use super::{LifecycleError, Session};

/// How often another number is tried when somebody else takes the first.
const TRIES: usize = 10;

impl Session {
    /// Makes a disposable called after its number, `disp1234`, that goes when it stops. Without a
    /// template: from the system's default_dispvm.
    pub fn create_disposable(
        &self,
        template: Option<&str>,
        label: &str,
        pools: PoolChoice<'_>,
        settings: InitialSettings<'_>,
    ) -> Result<Created, LifecycleError> {
        let uuid = Uuid::new_v4();
        let mut last = LifecycleError::Creation(CreationError::NoFreeDispid);
        for _ in 0..TRIES {
            let number = self
                .read()?
                .find_free_dispid(&mut |below| fastrand::u16(..below))?;
            let name = format!("disp{number}");
            let new = NewQube {
                class: Class::DispVM,
                name: &name,
                label,
                template,
                pools,
                uuid,
                created_by: VmName::DOM0,
                auto_cleanup: true,
            };
            match self.create_numbered(&new, Some(number), settings) {
                // Of another store's disposables only their directories tell the numbers.
                Err(
                    error @ (LifecycleError::Creation(CreationError::Exists(_))
                    | LifecycleError::DirectoryOwned { .. }),
                ) => last = error,
                other => return other,
            }
        }
        Err(last)
    }

    /// As [`Session::create`], with this number if it is a disposable.
    pub(super) fn create_numbered(
        &self,
        new: &NewQube<'_>,
        dispid: Option<u16>,
        settings: InitialSettings<'_>,
    ) -> Result<Created, LifecycleError> {
        // It is decided several times, and has to be the same each time.
        let first = Cell::new(dispid);
        // What lies there is as large as it is.
        let adopted: RefCell<Vec<(String, u64)>> = RefCell::default();
        let plan = |qubes: &Qubes| {
            let next = Cell::new(first.get());
            let mut vm = qubes.plan_creation(new, self, &mut |below| {
                next.take().unwrap_or_else(|| fastrand::u16(..below))
            })?;
            for (name, size) in &*adopted.borrow() {
                for volume in vm.volumes.iter_mut().filter(|volume| volume.name() == name) {
                    volume.attributes.set("size", &size.to_string());
                }
            }
            first.set(
                vm.properties
                    .get("dispid")
                    .and_then(|id| id.parse().ok())
                    .or(first.get()),
            );
            if dispid.is_some() && first.get() != dispid {
                return Err(CreationError::Exists(new.name.to_string()).into());
            }
            Ok(vm)
        };
        // Asked before the lock, so that a wish that breaks a rule touches nothing.
        let qubes = self.read_for_creation(&new.class)?;
        let planned = plan(&qubes)?;
        let template = qubes
            .template(&planned)?
            .filter(|_| new.class == Class::DispVM)
            .cloned();
        let mut notes = Session::notes_of_creation(&qubes, new.created_by);
        self.convert_if_old(&qubes)?;
        if settings.existing == ExistingImages::Adopt {
            let storage = VmStorage::for_qube(&self.system, &qubes, &planned, self)?;
            adopted.replace(self.adoptable(&storage)?);
        }
        drop(qubes);
        let names: Vec<String> = adopted
            .borrow()
            .iter()
            .map(|(name, _)| name.clone())
            .collect();
        let make = |storage: &VmStorage, directory: Option<&QubeDirectory>| {
            storage.adopt_or_create(&names)?;
            // A disposable may reach what its template may.
            template.iter().try_for_each(|template| {
                self.copy_files(template, &["firewall.xml"], directory, false)
                    .map(drop)
            })
        };
        let effects =
            self.bring_into_being(&planned.name, &new.class, &names, &plan, settings, &make)?;
        notes.extend(self.apply_effects(&effects)?);
        Ok(Created {
            notes,
            name: planned.name,
        })
    }

    /// Whether a qube goes when it stops.
    pub(super) fn goes_when_it_stops(&self, qubes: &Qubes, vm: &Vm) -> bool {
        vm.class == Class::DispVM && qubes.is_on(vm, "auto_cleanup", self)
    }

    /// Removes a disposable that stopped, unless somebody refers to it by now: then it stays as a
    /// halted qube, and nothing is returned. The record says what is about to go, so that who comes
    /// after a crash finishes it.
    pub(super) fn remove_disposable(
        &self,
        lock: &QubeLock,
        storage: &VmStorage,
    ) -> Result<Option<Removed>, LifecycleError> {
        self.mark_removal(lock.name(), storage)?;
        match self.remove_locked(lock, Removal::ByItself) {
            Ok(removed) => Ok(Some(removed)),
            Err(LifecycleError::Removal(RemovalError::InUse { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Finishes the removal of a disposable that left the store before its removal was cut off.
    pub(super) fn finish_removal(
        &self,
        lock: &QubeLock,
        record: &Record,
    ) -> Result<(), LifecycleError> {
        let name = lock.name();
        match self.hypervisor_at(&record.uri).undefine(record.domain) {
            Ok(_) | Err(HypervisorError::Offline(_) | HypervisorError::NoLibrary(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let qubes = self.read()?;
        let owners = self.image_owners()?;
        for orphan in &record.volumes {
            let Some(pool) = qubes
                .pools
                .get(&orphan.pool)
                .filter(|pool| pool.driver() != "linux-kernel")
            else {
                continue;
            };
            let driver = open_driver(&self.system, pool)?;
            self.remove_unowned(
                &*driver,
                &Volume::orphan(&orphan.pool, &orphan.vid),
                &owners,
            )?;
        }
        let directory = QubeDirectory::open(&self.system, &Class::DispVM, name);
        let other = self.other_owner(&directory)?;
        self.remove_own_files(&directory, other.as_ref())?;
        if let Some(left) = self.remove_own_directory(&directory, other.as_ref())? {
            self.system.tell(&format!("{name}: {left}"));
        }
        Ok(())
    }

    /// After a start that failed: a disposable that goes when it stops goes now. The error stays
    /// what it was; whoever cannot be asked about the domain keeps the qube.
    pub(super) fn dispose_of_failed_start(
        &self,
        name: &VmName,
        error: LifecycleError,
    ) -> LifecycleError {
        let may_run = |error: &LifecycleError| {
            matches!(
                error,
                LifecycleError::Hypervisor(_)
                    | LifecycleError::Locked { .. }
                    | LifecycleError::StateUnknown { .. }
            )
        };
        let disposed = || -> Result<(), LifecycleError> {
            let qubes = self.read()?;
            let Some(vm) = qubes
                .get(name.as_str())
                .filter(|vm| self.goes_when_it_stops(&qubes, vm))
            else {
                return Ok(());
            };
            // A domain that was refused is not there; a hypervisor that does not answer may have
            // one.
            let uuid = vm.uuid().unwrap_or_default();
            if may_run(&error) && self.hypervisor().state(uuid).is_err() {
                return Ok(());
            }
            let lock = self.lock_qube(name)?;
            self.dispose_if_halted(&lock).map(drop)
        };
        match disposed() {
            Ok(()) => error,
            Err(_it_stays_for_qubes_recover) => error,
        }
    }

    /// Removes a disposable that goes when it stops and does not run. What a look at it found in
    /// the end.
    pub(super) fn dispose_if_halted(&self, lock: &QubeLock) -> Result<QubeState, LifecycleError> {
        let settled = self.reconcile(lock)?;
        if settled != QubeState::Halted {
            return Ok(settled);
        }
        let qubes = self.read()?;
        let Some(vm) = qubes
            .get(lock.name().as_str())
            .filter(|vm| self.goes_when_it_stops(&qubes, vm))
        else {
            return Ok(settled);
        };
        let storage = VmStorage::for_qube(&self.system, &qubes, vm, self)?;
        if let Some(removed) = self.remove_disposable(lock, &storage)? {
            return self
                .remove_record_unless_leftovers(lock, removed)
                .map(|()| QubeState::Gone);
        }
        super::record::remove(&self.system, lock.name())?;
        Ok(QubeState::Halted)
    }

    /// Makes `TEMPLATE-dvm`, or takes the one that is there, as what disposables are made from
    /// unless something else is said: what R3's qvm-create-default-dvm did with a saved machine
    /// (`docs/spec/r3-start.md` §14).
    ///
    /// # Errors
    /// There is a qube of that name that is no AppVM of this template.
    pub fn make_default_dispvm(
        &self,
        template: &str,
        images: ExistingImages,
    ) -> Result<VmName, LifecycleError> {
        let name = format!("{template}-dvm");
        let qubes = self.read()?;
        let existing = match qubes.get(&name) {
            Some(vm)
                if vm.class == Class::AppVM && vm.properties.get("template") == Some(template) =>
            {
                Some(vm.name.clone())
            }
            Some(_) => {
                return Err(LifecycleError::WrongTemplate {
                    qube: name,
                    template: template.to_string(),
                });
            }
            None => None,
        };
        drop(qubes);
        let name = match existing {
            Some(name) => name,
            None => {
                let new = NewQube {
                    class: Class::AppVM,
                    name: &name,
                    label: "gray",
                    template: Some(template),
                    pools: PoolChoice::default(),
                    uuid: Uuid::new_v4(),
                    created_by: VmName::DOM0,
                    auto_cleanup: false,
                };
                self.create(
                    &new,
                    InitialSettings {
                        existing: images,
                        ..InitialSettings::default()
                    },
                )?
                .name
            }
        };
        self.set_property(&name, "template_for_dispvms", "True")?;
        self.set_feature(&name, "appmenus-dispvm", "1")?;
        self.set_global("default_dispvm", name.as_str())?;
        Ok(name)
    }
}
