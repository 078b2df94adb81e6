//! Recovery after a crash: reconciling every qube that needs it, and finding orphan volumes.

use std::collections::HashSet;

use crate::lifecycle::qube::{self, RemovalOutcome, record};
use crate::lifecycle::reconcile::{self, QubeState};
use crate::lifecycle::volume::images;
use crate::lifecycle::{Context, LifecycleError};
use crate::model::VmName;
use crate::storage::VmStorage;

/// The result of the recovery of one qube.
pub struct RecoveredQube {
    /// The qube.
    pub name: VmName,
    /// The state of the qube now, or why it could not be reconciled.
    pub outcome: Result<QubeState, LifecycleError>,
    /// Whether the qube was removed but some of its files could not be deleted, which was reported.
    pub has_leftovers: bool,
}

/// Reconciles every qube that has a record, a dirty volume or images of a finished run. At
/// boot, when nothing was started yet, also removes every disposable that is removed when it
/// stops. A qube that cannot be reconciled does not stop the others.
///
/// # Errors
/// The store or the records cannot be read.
pub fn recover(context: &Context, at_boot: bool) -> Result<Vec<RecoveredQube>, LifecycleError> {
    if at_boot {
        // Members of group qubes cannot create RUN themselves.
        qube::create_run_directories(&context.system)?;
    }
    record::clear_stale_files(&context.system);
    let records = context.system.run_dir().path().display();
    let failed = LifecycleError::cannot("list the records in", &records);
    let mut names: Vec<VmName> = record::names(&context.system).map_err(failed)?;
    let (unrecorded, remaining_images) = find_unrecorded_runs(context, &names, at_boot)?;
    names.extend(unrecorded);
    // Images beside a qube that needs no recovery are reported here; reconciling reports the
    // others.
    remaining_images
        .iter()
        .for_each(|image| context.system.notify(image));
    let recover = |name| recover_qube(context, name, at_boot);
    Ok(names.into_iter().map(recover).collect())
}

/// Finds the qubes without a record that need recovery. Also returns the reports about foreign
/// images beside the other qubes.
fn find_unrecorded_runs(
    context: &Context,
    recorded: &[VmName],
    at_boot: bool,
) -> Result<(Vec<VmName>, Vec<String>), LifecycleError> {
    let recorded: HashSet<&VmName> = recorded.iter().collect();
    let (mut names, mut remaining_images) = (Vec::new(), Vec::new());
    let qubes = context.read()?;
    // A store of R1 to R3 was never started from here, and its images are not ours yet.
    let qubes_of_r4 = qubes.iter().filter(|_| !qubes.needs_conversion);
    for vm in qubes_of_r4.filter(|vm| vm.class.is_local_guest() && !recorded.contains(&vm.name)) {
        let inspect = || -> Result<Option<Vec<String>>, LifecycleError> {
            let storage = VmStorage::for_qube(&context.system, &qubes, vm, context.facts())?;
            if storage.is_dirty()? || storage.has_stale_run()? {
                return Ok(None);
            }
            storage
                .foreign_images(|| images::find_owners_in(context, &qubes))
                .map(Some)
        };
        match inspect() {
            Ok(Some(images)) if !(at_boot && qube::is_removed_on_stop(context, &qubes, vm)) => {
                remaining_images.extend(images)
            }
            // A qube whose storage cannot be inspected is listed with the reason.
            Ok(_) | Err(_) => names.push(vm.name.clone()),
        }
    }
    Ok((names, remaining_images))
}

/// Reconciles one qube under its lock; at boot also removes a halted disposable.
fn recover_qube(context: &Context, name: VmName, at_boot: bool) -> RecoveredQube {
    let reconciled = qube::lock(context, &name).and_then(|lock| {
        let state = if at_boot {
            qube::remove_disposable_if_halted(context, &lock)
        } else {
            reconcile::reconcile_qube(context, &lock)
        }?;
        let has_leftovers = state == QubeState::Gone
            && qube::resumed_removal_outcome(context, &lock) == RemovalOutcome::WithLeftovers;
        Ok((state, has_leftovers))
    });
    let has_leftovers = reconciled
        .as_ref()
        .is_ok_and(|(_, has_leftovers)| *has_leftovers);
    RecoveredQube {
        name,
        outcome: reconciled.map(|(state, _)| state),
        has_leftovers,
    }
}
