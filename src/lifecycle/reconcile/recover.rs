//! Recovery after a crash: reconciling every qube that needs it, and finding orphan volumes.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::lifecycle::volume::images;
use crate::model::VmName;
use crate::storage::image::ImageIdentity;
use crate::storage::pools::open_driver;
use crate::storage::{Driver, ImageOwners, StorageError, Volume};

use crate::lifecycle::qube::RemovalOutcome;
use crate::lifecycle::qube::record;
use crate::lifecycle::reconcile::QubeState;
use crate::lifecycle::{Context, LifecycleError, conversion, qube, reconcile};
use crate::storage::VmStorage;

/// A volume in a pool that belongs to no qube of the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Orphan {
    /// The name of the pool.
    pub pool: String,
    /// The volume id within the pool.
    pub vid: String,
}

/// An orphan volume with its images.
#[derive(Debug, Clone)]
pub struct OrphanImages {
    /// The volume.
    pub orphan: Orphan,
    /// The files or logical volumes that belong to no qube, as text.
    pub images: Vec<String>,
}

/// The orphan volumes of all pools.
#[derive(Debug, Default)]
pub struct Orphans {
    /// The orphan volumes, sorted by pool and id.
    pub orphans: Vec<OrphanImages>,
    /// The pools that could not be listed, each with the reason.
    pub unlisted_pools: Vec<String>,
    /// The volumes of the store whose images cannot be located, each with the reason. While there
    /// are any, an image that looks like an orphan may be theirs.
    pub unlocated_volumes: Vec<String>,
}

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
        crate::lifecycle::qube::create_run_directories(&context.system)?;
    }
    record::clear_stale_files(&context.system);
    let mut names: Vec<VmName> =
        record::names(&context.system).map_err(|source| LifecycleError::Io {
            what: format!(
                "cannot list the records in {}",
                context.system.run_dir().path().display()
            ),
            source,
        })?;
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

/// Finds the volumes in pools that no volume of the store uses. They are compared by their
/// images, not by the text of their ids.
///
/// # Errors
/// The store cannot be read as a whole.
pub fn find_orphans(context: &Context) -> Result<Orphans, LifecycleError> {
    let qubes = context.read()?;
    conversion::require_converted(context, &qubes)?;
    let owners = images::find_owners_in(context, &qubes)?;
    let mut found = Orphans {
        unlocated_volumes: owners.unresolved.clone(),
        ..Orphans::default()
    };
    // Two pools over one directory list the same images; report each once.
    let mut seen = HashSet::new();
    for pool in qubes.pools.iter().filter(|p| !p.has_kernels()) {
        let Ok(driver) = open_driver(&context.system, pool) else {
            continue;
        };
        let in_pool = find_orphans_in_pool(pool.name(), &*driver, &owners, &mut seen);
        match in_pool {
            Ok(orphans) => found.orphans.extend(orphans),
            Err(error) => found
                .unlisted_pools
                .push(format!("pool {}: {error}", pool.name())),
        }
    }
    found.orphans.sort_by(|a, b| a.orphan.cmp(&b.orphan));
    Ok(found)
}

/// Finds the orphans of one pool whose images are not in `seen`, and adds their images to it.
fn find_orphans_in_pool(
    pool: &str,
    driver: &dyn Driver,
    owners: &ImageOwners,
    seen: &mut HashSet<ImageIdentity>,
) -> Result<Vec<OrphanImages>, StorageError> {
    let mut orphans = Vec::new();
    for vid in driver.volume_ids()? {
        let mut images = Vec::new();
        for image in driver.images(&Volume::orphan(pool, &vid))? {
            if owners.find_owner(&image)?.is_none() && seen.insert(image.identity()?) {
                images.push(image.to_string());
            }
        }
        if !images.is_empty() {
            orphans.push(OrphanImages {
                orphan: Orphan {
                    pool: pool.to_string(),
                    vid,
                },
                images,
            });
        }
    }
    Ok(orphans)
}

/// Removes an orphan volume, under the lock of the qube that its id names: a qube that is being
/// created has volumes before it is in the store.
///
/// # Errors
/// [`LifecycleError::OrphansUnknown`] if the images of some volume of the store cannot be
/// located: the orphan may be one of them.
pub fn remove_orphan(context: &Context, orphan: &Orphan) -> Result<(), LifecycleError> {
    let _lock = qube_of_volume_id(&orphan.vid)
        .map(|name| qube::lock(context, &name))
        .transpose()?;
    let qubes = context.read()?;
    let owners = images::find_owners_in(context, &qubes)?;
    if let Some(reason) = owners.unresolved.first() {
        return Err(LifecycleError::OrphansUnknown {
            reason: reason.clone(),
        });
    }
    let Some(pool) = qubes.pools.get(&orphan.pool) else {
        return Ok(());
    };
    let driver = open_driver(&context.system, pool)?;
    let volume = Volume::orphan(&orphan.pool, &orphan.vid);
    Ok(images::remove_unowned(context, &*driver, &volume, &owners)?)
}

/// Returns whether a volume id names the qube `name`.
pub(in crate::lifecycle) fn is_volume_of_qube(vid: &str, name: &VmName) -> bool {
    let is_plain = vid.split('/').all(|part| !matches!(part, "" | "." | ".."));
    is_plain && qube_of_volume_id(vid).is_some_and(|qube| qube == *name)
}

/// Returns the qube that a volume id names: `appvms/QUBE/VOLUME`, or `GROUP/vm-QUBE-VOLUME` for
/// logical volumes.
fn qube_of_volume_id(vid: &str) -> Option<VmName> {
    let mut parts = vid.split('/').skip(1);
    let name = match (parts.next()?, parts.next()) {
        (qube, Some(_volume)) => qube,
        (logical, None) => logical.strip_prefix("vm-")?.rsplit_once('-')?.0,
    };
    VmName::from_store(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_id_names_its_qube() {
        let qube = |vid: &str| qube_of_volume_id(vid).map(|name| name.to_string());
        assert_eq!(qube("appvms/work/private").as_deref(), Some("work"));
        assert_eq!(
            qube("qubes_dom0/vm-sys-net-private").as_deref(),
            Some("sys-net")
        );
        assert_eq!((qube("qubes_dom0/root"), qube("stray")), (None, None));
    }
}
