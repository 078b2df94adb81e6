//! Creating a new system: the directories of its pools, then its store.

use super::{Context, LifecycleError};
use crate::lifecycle::qube::create_shared_directory;
use crate::model::plan_new_system;
use crate::storage::PoolDrivers;
use crate::store::{StoreError, Write};

/// Creates a store with labels, the first pools and dom0, and sets up the pools.
///
/// # Errors
/// A store exists already (then nothing is changed), or a directory, a pool or the store cannot
/// be created.
pub fn create(context: &Context) -> Result<(), LifecycleError> {
    let place = context.store_place();
    // Check before anything is created; creating the store checks again.
    if std::fs::symlink_metadata(&place.file).is_ok() {
        return Err(StoreError::Exists { path: place.file }.into());
    }
    let base = context.system.path_below_root("/var/lib/qubes");
    for directory in [
        base.as_path(),
        crate::fs::replace::parent_directory(&place.file),
    ] {
        create_shared_directory(directory, &context.system)?;
    }
    let qubes = plan_new_system(context.facts());
    let mut drivers = PoolDrivers::new(&qubes.pools, &context.system);
    for pool in qubes.pools.iter() {
        drivers.get(pool.name())?.setup()?;
    }
    Write::create(&place, &qubes)
        .map(drop)
        .map_err(LifecycleError::from)
}
