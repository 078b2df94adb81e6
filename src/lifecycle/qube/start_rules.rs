//! What forbids a start.

use crate::lifecycle::qube::StartError;
use crate::lifecycle::{Context, LifecycleError};
use crate::model::{Class, Facts, Qubes, Vm, Volume, property, volume};
use crate::storage::StorageError;

/// Checks the rules that forbid a start whatever the state.
///
/// # Errors
/// The qube is prohibited from starting, is being restored, or its template is not one for
/// disposables any more.
pub(super) fn check_start_allowed(
    qubes: &Qubes,
    vm: &Vm,
    facts: &dyn Facts,
) -> Result<(), LifecycleError> {
    let stated = vm.features.get("prohibit-start").filter(|r| !r.is_empty());
    let restored = vm
        .has_tag("backup-restore-in-progress")
        .then_some("it is being restored from a backup (tag backup-restore-in-progress)");
    if let Some(reason) = stated.or(restored) {
        return Err(StartError::Prohibited {
            qube: vm.name.clone(),
            reason: reason.to_string(),
        }
        .into());
    }
    if vm.class == Class::DispVM
        && !property::template(qubes, vm)?
            .is_some_and(|t| property::is_template_for_dispvms(qubes, t, facts))
    {
        let reason = "its template does not allow disposables: template_for_dispvms is not True";
        return Err(StartError::failed(&vm.name, reason));
    }
    Ok(())
}

/// Refuses a start that would copy an image while its owner writes to it. A volume that keeps
/// no snapshots has only the one image that a running guest writes to
/// (`docs/spec/r4-storage.md` §3).
pub(super) fn refuse_live_images(
    context: &Context,
    qubes: &Qubes,
    vm: &Vm,
) -> Result<(), LifecycleError> {
    let refused = |reason: String| Err(StartError::failed(&vm.name, reason));
    let volumes = volume::resolve_all(qubes, vm, context.facts()).map_err(StorageError::from)?;
    for volume in volumes.iter().filter(|volume| volume.source.is_some()) {
        let (owner, origin) = volume::find_origin(qubes, vm, &volume.name, context.facts())
            .map_err(StorageError::from)?;
        if origin.has_snapshots_disabled() && context.facts().power_state(owner).is_active() {
            let name = &volume.name;
            return refused(format!(
                "its volume {name} is based on that of {owner}, which runs and keeps no \
                 snapshots of it (revisions_to_keep is -1): shut {owner} down first",
                owner = owner.name
            ));
        }
    }
    if volumes.iter().any(Volume::has_snapshots_disabled)
        && let Some(user) = property::disposables_of(qubes, &vm.name)
            .find(|user| context.facts().power_state(user).is_active())
    {
        return refused(format!(
            "disposable {} is based on its volumes and runs, and it keeps no snapshots of them \
             (revisions_to_keep is -1): shut that disposable down first",
            user.name
        ));
    }
    Ok(())
}
