//! Adds, removes, changes and describes pools. The place of a new pool is prepared first and the
//! store is saved last, so a crash leaves an empty directory at worst.

use crate::format::list_all_domains;
use crate::lifecycle::{Context, LifecycleError, conversion, reconcile};
use crate::model::rules::pool_change;
use crate::model::{Change, NewPool, Pool, PoolError, PoolUse, Qubes};
use crate::storage::open_driver;
use crate::storage::overlap::find_overlap;
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
    reconcile::change_and_notify(context, |draft| {
        // Another pool may have been added while this one's place was prepared.
        refuse_overlap(context, draft, &pool)?;
        Ok(pool_change::add(draft, pool)?)
    })
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
    let failed = StoreError::format(file);
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
    reconcile::change_and_notify(context, |draft| {
        let change = pool_change::remove(draft, names, context.facts())?;
        refuse_use_by_broken_domain(context, names)?;
        Ok(change)
    })
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
    let Some((first, _)) = options.first() else {
        return Ok(());
    };
    // The option that an error is about: the refused one; the first if nothing can be saved.
    let mut failing = *first;
    let changed = reconcile::change_and_notify(context, |draft| {
        let mut all = Change::default();
        for (option, text) in options {
            failing = option;
            let facts = context.facts();
            all.merge(pool_change::set_option(draft, name, option, text, facts)?);
        }
        failing = first;
        Ok(all)
    });
    changed.map_err(|source| PoolOptionError {
        option: failing.to_owned(),
        source: Box::new(source),
    })
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
