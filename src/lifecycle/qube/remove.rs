//! Removes a qube: the store is saved first, images are deleted last. If the disk is so full that
//! the store cannot be saved, images of the qube are deleted first and its record says so.

use crate::hypervisor::HypervisorError;
use crate::lifecycle::qube::record::{self, Phase, Record};
use crate::lifecycle::qube::{self, QubeLock, directory};
use crate::lifecycle::reconcile::{self, Orphan, QubeState, SavedChange, is_volume_of_qube};
use crate::lifecycle::volume::{self, images};
use crate::lifecycle::{Context, LifecycleError, conversion};
use crate::model::rules::removal;
use crate::model::{Change, Draft, Qubes, RemovalError, Vm, VmName};
use crate::storage::VmStorage;

/// Who removes a qube, and what is removed with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemovalMode {
    /// A user removes the qube with all images under its names.
    Manual,
    /// No user is involved: a disposable that is removed on stop, or a removal that was cut off.
    /// Images that no start of the qube made stay.
    Automatic,
    /// The package that installed the qube removes it with all its images.
    Package,
    /// R3's package removes the files itself, so the qube leaves only the store and the hypervisor.
    /// As in R3, it is removed even if it is the default template or netvm; the default is unset
    /// then.
    StoreOnly,
}

/// What is left of a qube that was removed from the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "files that could not be deleted make a command fail"]
pub enum RemovalOutcome {
    /// No file that Qubes made is left.
    Complete,
    /// Some file could not be deleted; a warning named it.
    WithLeftovers,
}

impl RemovalMode {
    /// Removes the settings that forbid the removal to everyone but this caller.
    fn lift_restrictions(self, draft: &mut Draft, name: &VmName) -> Change {
        let mut change = Change::default();
        if matches!(self, RemovalMode::Package | RemovalMode::StoreOnly) {
            change.merge(removal::release_from_package(draft, name.as_str()));
        }
        if self == RemovalMode::StoreOnly {
            change.merge(removal::unset_defaults(draft, name.as_str()));
        }
        change
    }
}

/// Removes a halted qube that nothing refers to: from the store, from the hypervisor and,
/// depending on `removal`, from the disk.
///
/// # Errors
/// The qube may not be removed, or the store cannot be saved. Later failures are warnings.
pub fn remove(
    context: &Context,
    name: &VmName,
    removal: RemovalMode,
) -> Result<RemovalOutcome, LifecycleError> {
    let mut draft = Draft::new(context.read()?.into_qubes());
    qube::find(&draft, name)?;
    let _not_saved = removal.lift_restrictions(&mut draft, name);
    // A hypervisor that cannot be reached is reported as such, not as a running qube.
    if let Some(record) = Record::load(&context.system, name)?
        && !is_interrupted_removal(context, &record)
    {
        reconcile::query_domain(context, &record, name)?;
    }
    // Report what forbids the removal in any state before waiting for the lock.
    removal::plan(&draft, name.as_str(), context.facts())?;
    conversion::convert_if_needed(context, &draft)?;
    drop(draft);
    let lock = qube::lock(context, name)?;
    let qubes = context.read()?;
    match reconcile::reconcile_qube_in(context, &qubes, &lock)? {
        QubeState::Halted => remove_locked(context, &qubes, &lock, removal),
        // Reconciling finished a removal that was cut off.
        QubeState::Gone => Ok(resumed_removal_outcome(context, &lock)),
        QubeState::Active(_) => Err(RemovalError::NotHalted(name.to_string()).into()),
    }
}

/// Removes a qube whose lock is held and whose domain is known to be gone, by the store as it was
/// read under the lock.
pub(in crate::lifecycle) fn remove_locked(
    context: &Context,
    qubes: &Qubes,
    lock: &QubeLock,
    removal: RemovalMode,
) -> Result<RemovalOutcome, LifecycleError> {
    let name = lock.name();
    let vm = qube::find(qubes, name)?;
    // Opened while the store still describes the volumes and their templates. A broken qube can be
    // removed, too, and no image may be left that no qube names.
    let storage = (vm.class.is_local_guest() && removal != RemovalMode::StoreOnly)
        .then(|| VmStorage::for_removal(&context.system, qubes, vm, context.facts()))
        .transpose()?;
    let (vm, saved) = match &storage {
        Some((storage, _)) => remove_from_store_freeing_space(context, vm, removal, storage)?,
        None => remove_from_store(context, name, removal)?,
    };
    context
        .system
        .report_step(|| format!("{name}: removing its domain's definition and its volumes"));
    // The removal is not rolled back from here on, so every further step is tried.
    let mut problems = Vec::new();
    problems.extend(
        undefine_domain(context, &vm)
            .err()
            .map(|error| error.to_string()),
    );
    if let Some((storage, unknown)) = storage {
        unknown.iter().for_each(|left| {
            context
                .system
                .notify(&format!("{name}: {left}: its images stay, if it has any"))
        });
        remove_files(context, &vm, &storage, removal, &mut problems);
    }
    problems.extend(
        reconcile::apply_effects(context, saved)
            .err()
            .map(|error| error.to_string()),
    );
    // A record that a removal on a full disk left makes the next command try again.
    if problems.is_empty() && vm.class.is_local_guest() {
        problems.extend(
            record::remove(&context.system, name)
                .err()
                .map(|error| error.to_string()),
        );
    }
    if problems.is_empty() {
        return Ok(RemovalOutcome::Complete);
    }
    context.system.notify(&format!(
        "{name} is removed, but not all of it could be deleted: {}",
        problems.join("; ")
    ));
    Ok(RemovalOutcome::WithLeftovers)
}

/// Removes the images and directories of a qube that has left the store, and collects what
/// fails in `problems`.
fn remove_files(
    context: &Context,
    vm: &Vm,
    storage: &VmStorage,
    removal: RemovalMode,
    problems: &mut Vec<String>,
) {
    let removed = images::find_owners(context).and_then(|owners| {
        if removal != RemovalMode::Automatic {
            images::remove_foreign(context, storage, &owners)?;
        }
        images::remove(context, storage, &owners)
    });
    problems.extend(removed.err().map(|error| error.to_string()));
    let kept = remove_directories(context, vm, storage, problems);
    // Images that could not be deleted keep their directory and are reported as problems. Files
    // that a package put beside the images are removed by the package.
    if !kept.is_empty() && problems.is_empty() && removal != RemovalMode::Package {
        context
            .system
            .notify(&format!("{}: {}", vm.name, kept.join("; ")));
    }
}

/// Removes a qube from the store, if nothing refers to it, and saves the store.
fn remove_from_store(
    context: &Context,
    name: &VmName,
    removal: RemovalMode,
) -> Result<(Vm, SavedChange), LifecycleError> {
    let mut write = context.write()?;
    let mut change = removal.lift_restrictions(write.draft(), name);
    let (vm, removed) = removal::remove_if_unused(write.draft(), name.as_str(), context.facts())?;
    change.merge(removed);
    match write.save() {
        Err(error) if error.was_saved() => context.system.notify(&error.to_string()),
        saved => drop(saved?),
    }
    Ok((vm, SavedChange::new(write.into_qubes(), change)))
}

/// Removes a qube from the store. If the disk is too full to save it, frees space first: by
/// removing images that no qube needs, then by removing the qube's own images on the store's
/// disk.
fn remove_from_store_freeing_space(
    context: &Context,
    vm: &Vm,
    removal: RemovalMode,
    storage: &VmStorage,
) -> Result<(Vm, SavedChange), LifecycleError> {
    let name = &vm.name;
    let save = || remove_from_store(context, name, removal);
    let release =
        |_: &LifecycleError| Ok(storage.remove_spare_images(&images::find_owners(context)?)?);
    let full = match volume::save_or_free_space(context, name, save, release) {
        Err(error) if error.is_disk_full() => error,
        taken => return taken,
    };
    let mut helping = Vec::new();
    for (volume, driver) in storage.volumes() {
        if volume::is_on_store_disk(context, &driver.images(volume)?) {
            helping.push(volume.name.clone());
        }
    }
    if helping.is_empty() {
        return Err(full);
    }
    if let Err(error) = record_removal(context, vm, storage)
        && !error.is_disk_full()
    {
        return Err(full);
    }
    // Without a record (RUN may be on the full disk, too), a crash here leaves a qube whose
    // start reports a missing image.
    let owners = images::find_owners_except(context, name)?;
    images::remove(
        context,
        &storage.select(|volume| helping.contains(&volume.name)),
        &owners,
    )?;
    // The first attempt may have failed because the disk was full. There is space now.
    let is_recorded = record_removal(context, vm, storage).is_ok();
    save().map_err(|error| LifecycleError::ImagesDeleted {
        qube: name.clone(),
        source: Box::new(error),
        is_recorded,
    })
}

/// Writes into the record of a halted qube that its images are about to be removed, so that a
/// removal that is cut off is finished later.
pub(in crate::lifecycle) fn record_removal(
    context: &Context,
    vm: &Vm,
    storage: &VmStorage,
) -> Result<(), LifecycleError> {
    let name = &vm.name;
    let found = Record::load(&context.system, name)?;
    let (uuid, uri) = (vm.uuid().unwrap_or_default(), context.hypervisor().uri());
    let record = found.unwrap_or_else(|| Record::new(&context.system, uuid, uri));
    let mut volumes = Vec::new();
    for (volume, driver) in storage.volumes() {
        // A record may name only volumes filed under the qube's name. Volumes with other ids,
        // and those beside which foreign images lie, are orphans if this is cut off.
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
    .save(&context.system, name)
}

/// Whether the record says that a removal was cut off, on a system where no hypervisor is
/// asked. Its domain was inactive when the record was written, and no start proceeds past it.
pub(in crate::lifecycle) fn is_interrupted_removal(context: &Context, record: &Record) -> bool {
    record.phase == Phase::Removing && context.system.is_offline()
}

/// Finishes a removal that was cut off after it had deleted images on a full disk.
pub(in crate::lifecycle) fn resume_removal(
    context: &Context,
    qubes: &Qubes,
    lock: &QubeLock,
) -> Result<QubeState, LifecycleError> {
    match remove_locked(context, qubes, lock, RemovalMode::Automatic) {
        // A warning named what is left.
        Ok(RemovalOutcome::WithLeftovers) => Ok(QubeState::Gone),
        Ok(RemovalOutcome::Complete) => {
            context.system.notify(&format!(
                "{}: finished a removal that was cut off",
                lock.name()
            ));
            Ok(QubeState::Gone)
        }
        Err(refused @ LifecycleError::Removal(_)) => {
            let name = lock.name();
            let refused = context.system.describe_error(&refused);
            let images = "the qube stays without its deleted images";
            context.system.notify(&format!(
                "{name}: cannot finish a removal that was cut off: {refused}; {images}"
            ));
            record::remove(&context.system, name)?;
            Ok(QubeState::Halted)
        }
        Err(error) => Err(error),
    }
}

/// Returns what is left of a qube that reconciling found gone. Its record exists as long as
/// some of its files do.
pub(in crate::lifecycle) fn resumed_removal_outcome(
    context: &Context,
    lock: &QubeLock,
) -> RemovalOutcome {
    match record::exists(&context.system, lock.name()) {
        true => RemovalOutcome::WithLeftovers,
        false => RemovalOutcome::Complete,
    }
}

/// Removes the directories of a qube and of its volumes. Returns one text for each directory
/// that stays, with what keeps it.
fn remove_directories(
    context: &Context,
    vm: &Vm,
    storage: &VmStorage,
    problems: &mut Vec<String>,
) -> Vec<String> {
    let own = directory::open(context, vm);
    let owner = directory::other_owner(context, &own);
    if let Ok(other) = &owner {
        let removed = directory::remove_own_files(context, &own, other.as_ref());
        problems.extend(removed.err().map(|error| error.to_string()));
    }
    let pools = storage
        .directories()
        .into_iter()
        .filter(|directory| !own.has_path(directory));
    let mut removed: Vec<_> = pools
        .map(|directory| Ok(directory::remove_pool_directory(context, &directory)?))
        .collect();
    removed.push(owner.and_then(|other| directory::remove_own_directory(&own, other.as_ref())));
    let mut kept = Vec::new();
    for removed in removed {
        match removed {
            Ok(left) => kept.extend(left),
            Err(error) => problems.push(error.to_string()),
        }
    }
    kept
}

/// Removes the definition of a removed qube from the hypervisor. A hypervisor that does not
/// exist has none. One that cannot be reached may have one: the user is told how to remove it.
pub(in crate::lifecycle) fn undefine_domain(
    context: &Context,
    vm: &Vm,
) -> Result<(), LifecycleError> {
    let Some(uuid) = vm.uuid().filter(|_| vm.class.is_local_guest()) else {
        return Ok(());
    };
    match context.hypervisor().undefine(uuid) {
        Ok(_) | Err(HypervisorError::Offline(_) | HypervisorError::NoLibrary(_)) => Ok(()),
        Err(error @ HypervisorError::Unreachable { .. }) => {
            let name = &vm.name;
            let hint = format!(
                "{name}: its domain may still be defined; run 'virsh undefine {uuid}' there: \
                 {error}"
            );
            context.system.notify(&hint);
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
