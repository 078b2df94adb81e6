//! Describes pools: their options, their space, and the pool that contains them.

use std::path::{Path, PathBuf};

use crate::lifecycle::Context;
use crate::model::VolumeIds;
use crate::model::boolean::boolean_text;
use crate::model::{DriverSpec, Pool, Qubes};
use crate::storage::fullness::{self, SpaceUsage};
use crate::storage::{StorageError, find_thin_pool, open_driver};

/// A pool with its options and the space of its place, for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolDetails {
    /// The pool's name.
    pub name: String,
    /// The driver's name, as the store has it.
    pub driver: String,
    /// The pool's options, with the effective values of those that the store does not set.
    pub options: Vec<(String, String)>,
    /// Size and use of the pool's place in bytes; `None` if unknown.
    pub space: Option<SpaceUsage>,
    /// Size and use of the pool's metadata in bytes, for drivers that keep them separately.
    pub metadata_space: Option<SpaceUsage>,
    /// The pool that contains this one's place.
    pub included_in: Option<String>,
    /// Warnings that the pool is nearly full.
    pub warnings: Vec<String>,
    /// Why the space is unknown.
    pub unknown_reason: Option<String>,
}

impl PoolDetails {
    /// Returns the space as tables show it. As with upstream, an unknown space is shown as 0 for
    /// three drivers and not at all for the others.
    pub fn listed_space(&self) -> Option<SpaceUsage> {
        match DriverSpec::find(&self.driver) {
            Some(driver) if driver.volume_ids == VolumeIds::Kernel => None,
            Some(driver) if driver.lists_unknown_size => {
                Some(self.space.unwrap_or(SpaceUsage { size: 0, used: 0 }))
            }
            _ => self.space,
        }
    }
}

/// Returns the details of a pool; `None` if the store has no such pool.
pub fn details(context: &Context, qubes: &Qubes, name: &str) -> Option<PoolDetails> {
    let pool = qubes.pools.get(name)?;
    let mut options: Vec<(String, String)> = pool
        .attributes
        .iter()
        .filter(|(name, _)| {
            !matches!(
                *name,
                "name" | "driver" | "revisions_to_keep" | "ephemeral_volatile"
            )
        })
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .collect();
    if pool
        .driver_spec()
        .is_none_or(|driver| driver.max_revisions.is_some())
    {
        options.push((
            "revisions_to_keep".to_owned(),
            pool.revisions_to_keep().to_string(),
        ));
        let ephemeral = boolean_text(pool.ephemeral_volatile());
        options.push(("ephemeral_volatile".to_owned(), ephemeral.to_owned()));
    }
    let mut details = PoolDetails {
        name: name.to_owned(),
        driver: pool.driver().to_owned(),
        options,
        space: None,
        metadata_space: None,
        included_in: containing_pool(context, qubes, pool),
        warnings: Vec::new(),
        unknown_reason: None,
    };
    if let Err(error) = measure_space(context, pool, &mut details) {
        details.unknown_reason = Some(error.to_string());
    }
    Some(details)
}

fn measure_space(
    context: &Context,
    pool: &Pool,
    details: &mut PoolDetails,
) -> Result<(), StorageError> {
    if pool.has_kernels() {
        return Ok(());
    }
    let driver = open_driver(&context.system, pool)?;
    details.space = driver.capacity()?.map(SpaceUsage::from);
    details.metadata_space = driver.metadata_capacity()?.map(SpaceUsage::from);
    details.warnings =
        fullness::warnings(pool.name(), &*driver, context.system.nearly_full_percent())?;
    Ok(())
}

/// Returns the pool that contains `pool`: the first other one whose directory is above its own,
/// or else the thin pool of the volume that holds its directory
/// (`docs/spec/r4-storage.md` §4).
pub fn containing_pool(context: &Context, qubes: &Qubes, pool: &Pool) -> Option<String> {
    let own = pool_directory(context, pool)?;
    let holds = |other: &&Pool| {
        other.name() != pool.name()
            && pool_directory(context, other).is_some_and(|place| own.starts_with(place))
    };
    if let Some(above) = qubes.pools.iter().find(holds) {
        return Some(above.name().to_owned());
    }
    // With `--root`, the logical volumes are the host's and not part of the listed system.
    let thin = context
        .system
        .root()
        .is_none()
        .then(|| find_thin_pool(&own))
        .flatten()?;
    let is_thin_pool = |other: &&Pool| {
        other.option("volume_group") == Some(&thin.group)
            && other.option("thin_pool") == Some(&thin.name)
    };
    qubes
        .pools
        .iter()
        .find(is_thin_pool)
        .map(|above| above.name().to_owned())
}

/// Returns the directory of a file pool, with symbolic links resolved as far as it exists.
fn pool_directory(context: &Context, pool: &Pool) -> Option<PathBuf> {
    let path = context
        .system
        .path_below_root(Path::new("/").join(pool.option("dir_path")?));
    Some(path.canonicalize().unwrap_or(path))
}
