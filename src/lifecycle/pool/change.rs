//! Adds, removes, changes and describes pools. The place of a new pool is prepared first and the
//! store is saved last, so a crash leaves an empty directory at worst.

use std::path::{Path, PathBuf};

use crate::format::list_all_domains;
use crate::lifecycle::{Context, LifecycleError, conversion};
use crate::model::VolumeIds;
use crate::model::rules::pool_change;
use crate::model::{DriverSpec, NewPool, Pool, PoolError, PoolUse, Qubes};
use crate::storage::fullness::{self, SpaceUsage};
use crate::storage::overlap::find_overlap;
use crate::storage::{StorageError, find_thin_pool, open_driver};
use crate::store::{StoreError, read_bytes};

/// Prepares the place of a new pool and adds the pool to the store.
///
/// # Errors
/// The name is taken, the driver does not support such a pool, or the place cannot hold one.
pub fn add(context: &Context, new: &NewPool<'_>) -> Result<(), LifecycleError> {
    let qubes = context.read()?;
    // Planned before anything is created, so that a request that breaks a rule changes nothing.
    let pool = pool_change::plan(&qubes, new, context.facts())?;
    let driver = open_driver(&context.system, &pool)?;
    refuse_overlap(context, &qubes, &pool)?;
    conversion::convert_if_needed(context, &qubes)?;
    drop(qubes);
    driver.setup()?;
    let mut write = context.write()?;
    // Another pool may have been added while this one's place was prepared.
    refuse_overlap(context, &write, &pool)?;
    pool_change::add(&mut write, pool)?;
    write.save()?;
    Ok(())
}

/// Refuses a pool that would have an image in common with an existing one.
fn refuse_overlap(context: &Context, qubes: &Qubes, pool: &Pool) -> Result<(), LifecycleError> {
    for other in qubes.pools.iter() {
        if let Some(shared) = find_overlap(pool, other, &context.system)? {
            return Err(PoolError::Overlaps(shared).into());
        }
    }
    Ok(())
}

/// Refuses the removal of pools in which a domain that cannot be loaded has a volume.
fn refuse_use_by_broken_domain(context: &Context, names: &[&str]) -> Result<(), LifecycleError> {
    let file = context.system.store_file();
    let failed = |source| StoreError::Format {
        path: file.to_path_buf(),
        source,
    };
    let domains = list_all_domains(&read_bytes(file)?).map_err(failed)?;
    for domain in domains.iter().filter(|domain| domain.qube.is_none()) {
        for volume in &domain.volumes {
            let Some(pool) = volume.get("pool").filter(|pool| names.contains(pool)) else {
                continue;
            };
            let vm = format!("the domain at line {}", domain.line);
            let volume = volume.get("name").unwrap_or_default().to_owned();
            let uses = vec![PoolUse::Volume { vm, volume }];
            return Err(PoolError::InUse {
                pool: pool.to_owned(),
                uses,
            }
            .into());
        }
    }
    Ok(())
}

/// Removes pools from the store, all of them or none. Their images stay.
///
/// # Errors
/// A pool does not exist, a volume is in it, or it is a default.
pub fn remove(context: &Context, names: &[&str]) -> Result<(), LifecycleError> {
    let mut write = context.write()?;
    pool_change::remove(&mut write, names, context.facts())?;
    refuse_use_by_broken_domain(context, names)?;
    write.save()?;
    Ok(())
}

/// Changes options of a pool, all of them or none.
///
/// # Errors
/// The pool does not exist, or one of the values breaks a rule.
pub fn set_options(
    context: &Context,
    name: &str,
    options: &[(&str, &str)],
) -> Result<(), PoolOptionError> {
    let not_set = |option: &str| {
        let option = option.to_owned();
        move |source: LifecycleError| PoolOptionError {
            option,
            source: Box::new(source),
        }
    };
    let Some((first, _)) = options.first() else {
        return Ok(());
    };
    let mut write = context.write().map_err(not_set(first))?;
    for (option, text) in options {
        pool_change::set_option(&mut write, name, option, text, context.facts())
            .map_err(|e| not_set(option)(e.into()))?;
    }
    write.save().map_err(|e| not_set(first)(e.into()))?;
    Ok(())
}

/// A pool's option that could not be set, and the reason.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct PoolOptionError {
    /// The option's name.
    pub option: String,
    /// The reason.
    pub source: Box<LifecycleError>,
}

impl PoolOptionError {
    /// Whether the option does not exist or can never be changed.
    pub fn is_not_settable(&self) -> bool {
        matches!(
            &*self.source,
            LifecycleError::Pool(PoolError::OptionNotSettable { .. })
        )
    }
}

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
        let ephemeral = if pool.ephemeral_volatile() {
            "True"
        } else {
            "False"
        };
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
