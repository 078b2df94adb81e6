//! Orphan volumes: those in a pool that no qube of the store uses.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::lifecycle::volume::images;
use crate::lifecycle::{Context, LifecycleError, conversion, qube};
use crate::model::VmName;
use crate::storage::image::ImageIdentity;
use crate::storage::pools::open_driver;
use crate::storage::{Driver, ImageOwners, StorageError, Volume};

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
