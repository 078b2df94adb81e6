//! Disposables: created from a disposable template and removed when they stop
//! (`docs/spec/r4-features.md` §9).

use std::cell::{Cell, RefCell};

use uuid::Uuid;

use crate::hypervisor::HypervisorError;
use crate::lifecycle::qube::directory::{self, QubeDirectory};
use crate::lifecycle::qube::record::{self, Record, RecordError};
use crate::lifecycle::qube::{
    self, CreatedQube, InitialSettings, QubeLock, QubeParts, RemovalMode, RemovalOutcome,
};
use crate::lifecycle::reconcile::{self, QubeState};
use crate::lifecycle::volume::images::{self, ExistingImages};
use crate::lifecycle::{Context, LifecycleError};
use crate::model::rules::creation;
use crate::model::{
    Class, CreationError, Draft, NewQube, PoolChoice, Qubes, RemovalError, Vm, VmName, property,
};
use crate::storage::pools::open_driver;
use crate::storage::{VmStorage, Volume};
use crate::store::Read;

/// How many numbers are tried when other processes take them.
const MAX_ATTEMPTS: usize = 10;

/// Creates a disposable named after its number, `disp1234`, which is removed when it stops.
/// Without a `template` the system's `default_dispvm` is used.
///
/// # Errors
/// As [`super::create()`]; or no number is free.
pub fn create_disposable(
    context: &Context,
    template: Option<&str>,
    label: &str,
    pools: PoolChoice<'_>,
    settings: InitialSettings<'_>,
) -> Result<CreatedQube, LifecycleError> {
    let uuid = Uuid::new_v4();
    let mut last = LifecycleError::Creation(CreationError::NoFreeDispid);
    for _ in 0..MAX_ATTEMPTS {
        let number =
            creation::find_free_dispid(&*context.read()?, &mut |below| fastrand::u16(..below))?;
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
        match create_with_dispid(context, &new, Some(number), settings) {
            // The numbers that another store's disposables use are known only by their
            // directories.
            Err(
                error @ (LifecycleError::Creation(CreationError::Exists(_))
                | LifecycleError::DirectoryOwned { .. }),
            ) => last = error,
            other => return other,
        }
    }
    Err(last)
}

/// Creates a qube as [`super::create()`] does, with the number `dispid` if it is a
/// disposable.
pub(in crate::lifecycle) fn create_with_dispid(
    context: &Context,
    new: &NewQube<'_>,
    dispid: Option<u16>,
    settings: InitialSettings<'_>,
) -> Result<CreatedQube, LifecycleError> {
    // The plan is made several times and has to get the same number each time.
    let chosen = Cell::new(dispid);
    // An adopted volume keeps the size of its image.
    let adopted: RefCell<Vec<(String, u64)>> = RefCell::default();
    let plan = |qubes: &Qubes| {
        let next = Cell::new(chosen.get());
        let mut vm = creation::plan(qubes, new, context.facts(), &mut |below| {
            next.take().unwrap_or_else(|| fastrand::u16(..below))
        })?;
        for (name, size) in &*adopted.borrow() {
            for volume in vm.volumes.iter_mut().filter(|volume| volume.name() == name) {
                volume.attributes.set("size", &size.to_string());
            }
        }
        chosen.set(
            vm.properties
                .get("dispid")
                .and_then(|id| id.parse().ok())
                .or(chosen.get()),
        );
        if dispid.is_some() && chosen.get() != dispid {
            return Err(CreationError::Exists(new.name.to_string()).into());
        }
        Ok(vm)
    };
    let planned = qube::plan_new_qube(context, &new.class, new.created_by, plan)?;
    let template = property::template(&planned.draft, &planned.vm)?
        .filter(|_| new.class == Class::DispVM)
        .cloned();
    if settings.existing == ExistingImages::Adopt {
        let (qubes, vm) = (&planned.draft, &planned.vm);
        let storage = VmStorage::for_qube(&context.system, qubes, vm, context.facts())?;
        adopted.replace(images::adoptable_volumes(&storage)?);
    }
    let (name, mut notes) = (planned.vm.name, planned.notes);
    drop(planned.draft);
    let make = |storage: &VmStorage, adopted: &[String], directory: Option<&QubeDirectory>| {
        storage.adopt_or_create(adopted)?;
        // A disposable has the firewall rules of its template.
        template.iter().try_for_each(|template| {
            qube::copy_directory_files(context, template, &["firewall.xml"], directory, false)
                .map(drop)
        })
    };
    let names = |_: &VmStorage| {
        let adopted = adopted.borrow();
        Ok(adopted.iter().map(|(name, _)| name.clone()).collect())
    };
    let apply = |draft: &mut Draft, name: &VmName| settings.apply(draft, name, context);
    let parts = QubeParts::with_settings(settings, &plan, &names, &make, &apply);
    let (saved, _adopted) = qube::build(context, &name, &new.class, &parts)?;
    notes.extend(reconcile::apply_effects(context, saved)?);
    Ok(CreatedQube { name, notes })
}

/// Whether a qube is removed when it stops.
pub(in crate::lifecycle) fn is_removed_on_stop(context: &Context, qubes: &Qubes, vm: &Vm) -> bool {
    vm.class == Class::DispVM && property::is_on(qubes, vm, "auto_cleanup", context.facts())
}

/// Removes a disposable that stopped. If another qube refers to it by now, it stays as a halted
/// qube and the result is `None`. The record names the images that are about to be removed, so
/// that a removal that is cut off is finished later.
pub(in crate::lifecycle) fn remove_disposable(
    context: &Context,
    qubes: &Qubes,
    lock: &QubeLock,
    storage: &VmStorage,
) -> Result<Option<RemovalOutcome>, LifecycleError> {
    qube::record_removal(context, qube::find(qubes, lock.name())?, storage)?;
    match qube::remove_locked(context, qubes, lock, RemovalMode::Automatic) {
        Ok(removed) => Ok(Some(removed)),
        Err(LifecycleError::Removal(RemovalError::InUse { .. })) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Finishes the removal of a disposable that left the store before its removal was cut off.
pub(in crate::lifecycle) fn finish_disposable_removal(
    context: &Context,
    qubes: &Read,
    lock: &QubeLock,
    record: &Record,
) -> Result<(), LifecycleError> {
    let name = lock.name();
    match context.hypervisor_at(&record.uri).undefine(record.domain) {
        Ok(_) | Err(HypervisorError::Offline(_) | HypervisorError::NoLibrary(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let owners = images::find_owners_in(context, qubes)?;
    for orphan in &record.volumes {
        let Some(pool) = qubes
            .pools
            .get(&orphan.pool)
            .filter(|pool| !pool.has_kernels())
        else {
            continue;
        };
        let driver = open_driver(&context.system, pool)?;
        images::remove_unowned(
            context,
            &*driver,
            &Volume::orphan(&orphan.pool, &orphan.vid),
            &owners,
        )?;
    }
    let directory = QubeDirectory::open(&context.system, &Class::DispVM, name);
    let other = directory::other_owner(context, &directory)?;
    directory::remove_own_files(context, &directory, other.as_ref())?;
    if let Some(left) = directory::remove_own_directory(&directory, other.as_ref())? {
        context.system.notify(&format!("{name}: {left}"));
    }
    Ok(())
}

/// Removes a disposable whose start failed, if it is removed when it stops, and returns
/// `error`. The qube stays if the hypervisor cannot be asked about its domain.
pub(in crate::lifecycle) fn remove_after_failed_start(
    context: &Context,
    name: &VmName,
    error: LifecycleError,
) -> LifecycleError {
    let may_run = |error: &LifecycleError| {
        matches!(
            error,
            LifecycleError::Hypervisor(_)
                | LifecycleError::Locked { .. }
                | LifecycleError::Record(RecordError::StateUnknown { .. })
        )
    };
    let remove = || -> Result<(), LifecycleError> {
        let qubes = context.read()?;
        let Some(vm) = qubes
            .get(name.as_str())
            .filter(|vm| is_removed_on_stop(context, &qubes, vm))
        else {
            return Ok(());
        };
        // A domain that was refused does not exist. A hypervisor that does not answer may have
        // one.
        let uuid = vm.uuid().unwrap_or_default();
        if may_run(&error) && context.hypervisor().state(uuid).is_err() {
            return Ok(());
        }
        let lock = qube::lock(context, name)?;
        remove_disposable_if_halted(context, &lock).map(drop)
    };
    match remove() {
        Ok(()) => error,
        Err(_left_to_qubes_recover) => error,
    }
}

/// Removes a disposable that is removed on stop and does not run. Returns the state in which
/// the qube ends.
pub(in crate::lifecycle) fn remove_disposable_if_halted(
    context: &Context,
    lock: &QubeLock,
) -> Result<QubeState, LifecycleError> {
    let qubes = context.read()?;
    let settled = reconcile::reconcile_qube_in(context, &qubes, lock)?;
    if settled != QubeState::Halted {
        return Ok(settled);
    }
    let Some(vm) = qubes
        .get(lock.name().as_str())
        .filter(|vm| is_removed_on_stop(context, &qubes, vm))
    else {
        return Ok(settled);
    };
    let storage = VmStorage::for_qube(&context.system, &qubes, vm, context.facts())?;
    if let Some(removed) = remove_disposable(context, &qubes, lock, &storage)? {
        return reconcile::remove_record_unless_leftovers(context, lock, removed)
            .map(|()| QubeState::Gone);
    }
    record::remove(&context.system, lock.name())?;
    Ok(QubeState::Halted)
}

/// Creates `TEMPLATE-dvm` and makes it the default disposable template. An existing qube of
/// that name is used if it is an AppVM of `template`. Replaces R3's qvm-create-default-dvm,
/// which saved a running machine (`docs/spec/r3-start.md` §14).
///
/// # Errors
/// A qube of that name exists and is not an AppVM of this template, or it cannot be created.
pub fn create_default_dispvm(
    context: &Context,
    template: &str,
    images: ExistingImages,
) -> Result<VmName, LifecycleError> {
    let name = format!("{template}-dvm");
    let qubes = context.read()?;
    let existing = match qubes.get(&name) {
        Some(vm) if vm.class == Class::AppVM && vm.properties.get("template") == Some(template) => {
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
            qube::create(
                context,
                &new,
                InitialSettings {
                    existing: images,
                    ..InitialSettings::default()
                },
            )?
            .name
        }
    };
    qube::set_property(context, &name, "template_for_dispvms", "True")?;
    qube::set_feature(context, &name, "appmenus-dispvm", "1")?;
    qube::set_global(context, "default_dispvm", name.as_str())?;
    Ok(name)
}
