//! Clones a qube from its last committed state. The source may run: its volumes are opened under
//! its lock and copied without the lock. The volumes of the clone come first, under the lock of the
//! new name, and the store is saved last. A crash leaves orphan volumes at worst, which the next
//! creation of that name clears and `qubes-recover` lists.

use std::cell::RefCell;

use crate::fs::replace::Access;
use crate::lifecycle::qube::directory::{self, QUBE_FILES, QubeDirectory};
use crate::lifecycle::qube::{self, InitialSettings, QubeParts};
use crate::lifecycle::reconcile::{self, QubeState};
use crate::lifecycle::{Context, LifecycleError};
use crate::model::rules::cloning;
use crate::model::{
    Change, Class, Draft, NewClone, Qubes, UnclonedSetting, Vm, VmName, VolumeError, volume,
};
use crate::storage::{CommittedData, PoolDrivers, Progress, StorageError, VmStorage, VolumeKind};

/// A clone that was created.
#[derive(Debug)]
pub struct ClonedQube {
    /// The name of the clone.
    pub name: VmName,
    /// Settings of the source that the clone does not have, with the reasons.
    pub left_out: Vec<String>,
    /// Warnings for the user.
    pub notes: Vec<String>,
}

/// Clones a qube with its settings, its firewall, its notes and its saved volumes, and reports
/// each copy to `progress`.
///
/// # Errors
/// The source does not exist, the request breaks a rule, or something cannot be copied. There
/// is no clone then.
pub fn clone(
    context: &Context,
    request: &NewClone<'_>,
    settings: InitialSettings<'_>,
    progress: &dyn Progress,
) -> Result<ClonedQube, LifecycleError> {
    let plan_clone = |qubes: &Qubes| {
        cloning::plan(qubes, request, context.facts(), &mut |below| {
            fastrand::u16(..below)
        })
    };
    let missing = || LifecycleError::NoSuchQube(request.source.to_string());
    let class: Class = match request.class {
        Some(class) => class.clone(),
        None => context
            .read()?
            .class(request.source)
            .ok_or_else(missing)?
            .clone(),
    };
    let planned = qube::plan_new_qube(context, &class, request.created_by, |qubes| {
        Ok(plan_clone(qubes)?.vm)
    })?;
    let source = planned.draft.get(request.source).ok_or_else(missing)?;
    let (source, clone, mut notes) = (source.clone(), planned.vm, planned.notes);
    drop(planned.draft);
    let data = open_source_volumes(context, &source.name, &clone, request.empty)?;
    let planned_changes = RefCell::new((Change::default(), Vec::new()));
    let files_left_out = RefCell::new(Vec::new());
    let plan = |qubes: &Qubes| {
        let mut planned = plan_clone(qubes)?;
        set_volume_sizes(&mut planned.vm, &data);
        *planned_changes.borrow_mut() = (planned.change, planned.left_out);
        Ok(planned.vm)
    };
    let make = |storage: &VmStorage, _: &[String], directory: Option<&QubeDirectory>| {
        storage.create_from(&data, progress)?;
        files_left_out.replace(copy_directory_files(
            context,
            &source,
            &QUBE_FILES,
            directory,
            request.ignore_errors,
        )?);
        Ok(())
    };
    let apply = |draft: &mut Draft, name: &VmName| settings.apply(draft, name, context);
    let parts = QubeParts::with_settings(settings, &plan, &|_| Ok(Vec::new()), &make, &apply);
    let (mut saved, _adopted) = qube::build(context, &clone.name, &class, &parts)?;
    let (change, not_cloned) = planned_changes.into_inner();
    saved.merge(change);
    let mut left_out: Vec<String> = not_cloned.iter().map(UnclonedSetting::to_string).collect();
    left_out.extend(files_left_out.into_inner());
    notes.extend(reconcile::apply_effects(context, saved)?);
    Ok(ClonedQube {
        left_out,
        notes,
        name: clone.name,
    })
}

/// Opens the committed data of the volumes that the clone keeps. Holds the source's lock while
/// it does, and first finishes what a crash left undone.
fn open_source_volumes(
    context: &Context,
    source: &VmName,
    clone: &Vm,
    empty: &[&str],
) -> Result<Vec<CommittedData>, LifecycleError> {
    if !clone.class.is_local_guest() {
        return Ok(Vec::new());
    }
    let lock = qube::lock(context, source)?;
    context
        .system
        .report_step(|| format!("{source}: opening its volumes"));
    let qubes = context.read()?;
    if reconcile::reconcile_qube_in(context, &qubes, &lock)? == QubeState::Gone {
        return Err(LifecycleError::NoSuchQube(source.to_string()));
    }
    let source = qube::find(&qubes, source)?;

    let mut origins = Vec::new();
    for volume in volume::resolve_all(&qubes, clone, context.facts()).map_err(StorageError::from)? {
        if !volume.save_on_stop || empty.contains(&&*volume.name) {
            continue;
        }
        match volume::find_origin(&qubes, source, &volume.name, context.facts()) {
            Ok((_, origin)) => origins.push(origin.require_supported()?),
            // The clone's class or template has a volume that the source does not have.
            Err(VolumeError::NoSuchVolume { .. }) => {}
            Err(error) => return Err(StorageError::from(error).into()),
        }
    }
    // Volume locks are taken in the order of the volume ids.
    origins.sort_by(|a, b| (&a.pool, &a.vid).cmp(&(&b.pool, &b.vid)));
    let mut drivers = PoolDrivers::new(&qubes.pools, &context.system);
    let kept = origins
        .iter()
        .filter(|origin| origin.kind() == VolumeKind::Origin);
    kept.map(|origin| Ok(drivers.get(&origin.pool)?.open_committed_data(origin)?))
        .collect()
}

/// Copies `files` from the directory of the source into `to`. With `ignore_errors`, returns one
/// line for each file that cannot be copied.
pub(in crate::lifecycle) fn copy_directory_files(
    context: &Context,
    source: &Vm,
    files: &[&str],
    to: Option<&QubeDirectory>,
    ignore_errors: bool,
) -> Result<Vec<String>, LifecycleError> {
    let mut left_out = Vec::new();
    let access = Access::shared(context.system.qubes_group());
    let Some(to) = to.filter(|_| source.class.is_local_guest()) else {
        return Ok(left_out);
    };
    let from = directory::open(context, source);
    for name in files {
        let copied = from
            .read(name)
            .and_then(|read| read.map_or(Ok(()), |bytes| to.write(name, access, &bytes)));
        let from = from.display_path(name);
        match copied {
            Ok(()) => {}
            Err(error) if ignore_errors => {
                left_out.push(format!(
                    "Failed to copy {from}: {}",
                    crate::fs::errno_text(&error)
                ));
            }
            Err(error) => return Err(LifecycleError::cannot("copy", &from)(error)),
        }
    }
    Ok(left_out)
}

/// Gives each volume of the clone the size of the data it is filled with.
fn set_volume_sizes(clone: &mut Vm, data: &[CommittedData]) {
    for data in data {
        for volume in clone
            .volumes
            .iter_mut()
            .filter(|volume| volume.name() == data.name)
        {
            volume.attributes.set("size", &data.size.to_string());
        }
    }
}
