//! Changes of pools: adding one, removing one, changing its options (`docs/spec/r4-storage.md` §4).

mod error;
mod options;

use crate::model::draft::Draft;
use crate::model::effect::Change;
use crate::model::facts::Facts;
use crate::model::pool::Pool;
use crate::model::pool_driver::DriverSpec;
use crate::model::property;
use crate::model::property::{ValueType, global_properties};
use crate::model::qubes::Qubes;
use crate::model::text_map::TextMap;
use crate::model::vm::Vm;
use crate::model::volume;

pub use error::{PoolError, PoolUse};
pub(in crate::model) use options::{boolean, revisions};
use options::{check_text, optional_value};

/// A request for a new pool.
#[derive(Debug, Clone, Copy)]
pub struct NewPool<'a> {
    /// The name of the pool.
    pub name: &'a str,
    /// The name of the driver.
    pub driver: &'a str,
    /// Pairs of option and value.
    pub options: &'a [(&'a str, &'a str)],
}

/// Plans a new pool. Changes nothing. The caller prepares its directory or volume group and
/// then adds it ([`add`]).
///
/// # Errors
/// The name is taken or invalid, or the driver does not accept the options.
pub fn plan(qubes: &Qubes, new: &NewPool<'_>, facts: &dyn Facts) -> Result<Pool, PoolError> {
    if !is_valid_name(new.name) {
        return Err(PoolError::InvalidName(new.name.to_owned()));
    }
    if qubes.pools.get(new.name).is_some() {
        return Err(PoolError::Exists(new.name.to_owned()));
    }
    let driver = DriverSpec::find(new.driver)
        .ok_or_else(|| PoolError::NoSuchDriver(new.driver.to_owned()))?;
    if let Some((unknown, _)) = new
        .options
        .iter()
        .find(|(name, _)| driver.option(name).is_none())
    {
        return Err(PoolError::NoSuchOption {
            driver: driver.name,
            option: (*unknown).to_owned(),
            known: driver.option_names().collect(),
        });
    }
    // Of an option that occurs twice the last value counts.
    let option_value = |option: &str| {
        new.options
            .iter()
            .rev()
            .find(|(name, _)| *name == option)
            .map(|(_, text)| *text)
    };
    let mut attributes = TextMap::from_iter([("name", new.name)]);
    for option in driver.required_options() {
        let missing = || PoolError::MissingOption {
            driver: driver.name,
            option: option.name,
        };
        let text = option_value(option.name).ok_or_else(missing)?;
        check_text(option, text)?;
        attributes.set(option.name, text);
    }
    attributes.set("driver", driver.name);
    for option in driver.options.iter().filter(|option| !option.is_required()) {
        let stored = optional_value(driver, option, option_value(option.name), facts)?;
        if let Some(text) = stored {
            attributes.set(option.name, &text);
        }
    }
    Ok(Pool { attributes })
}

/// Returns whether the text is a valid pool name: characters that upstream's API accepts, and
/// nothing that looks like an option or a hidden file.
fn is_valid_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=63).contains(&name.len()) && name.chars().all(plain) && !name.starts_with(['-', '.'])
}

/// Adds a pool that is set up.
///
/// # Errors
/// The name was taken meanwhile.
pub fn add(draft: &mut Draft, mut pool: Pool) -> Result<Change, PoolError> {
    if draft.pools.get(pool.name()).is_some() {
        return Err(PoolError::Exists(pool.name().to_owned()));
    }
    pool.attributes.remove("setup_check");
    draft.qubes.pools.0.push(pool);
    Ok(Change::STORE_ONLY)
}

/// Removes all of these pools, or none if one is in use or does not exist.
///
/// # Errors
/// Nothing was changed.
pub fn remove(draft: &mut Draft, names: &[&str], facts: &dyn Facts) -> Result<Change, PoolError> {
    let qubes = &mut draft.qubes;
    for name in names {
        if qubes.pools.get(name).is_none() {
            return Err(PoolError::NoSuchPool((*name).to_owned()));
        }
        let uses = find_uses(qubes, name, facts);
        if !uses.is_empty() {
            return Err(PoolError::InUse {
                pool: (*name).to_owned(),
                uses,
            });
        }
    }
    qubes.pools.0.retain(|pool| !names.contains(&pool.name()));
    Ok(Change::STORE_ONLY)
}

/// Lists the uses of a pool: the default properties that evaluate to it, then the volumes in
/// it.
pub fn find_uses(qubes: &Qubes, name: &str, facts: &dyn Facts) -> Vec<PoolUse> {
    let is_pool = |property: &str| {
        property::global_value_by_name(qubes, property, facts)
            .is_ok_and(|value| value.to_string() == name)
    };
    let defaults =
        global_properties().filter(|p| matches!(p.value_type, ValueType::Pool) && is_pool(p.name));
    let mut uses: Vec<PoolUse> = defaults
        .map(|p| PoolUse::Default { property: p.name })
        .collect();
    for vm in qubes.iter() {
        let volumes = volume::names(vm).filter(|volume| is_in_pool(qubes, vm, volume, name, facts));
        let to_use = |volume: &str| PoolUse::Volume {
            vm: vm.name.to_string(),
            volume: volume.to_owned(),
        };
        uses.extend(volumes.map(to_use));
    }
    uses
}

/// Returns whether a volume is in a pool. For a volume that cannot be resolved, its own
/// attribute decides.
fn is_in_pool(qubes: &Qubes, vm: &Vm, volume: &str, pool: &str, facts: &dyn Facts) -> bool {
    match volume::resolve(qubes, vm, volume, facts) {
        Ok(volume) => volume.pool == pool,
        Err(_) => vm
            .volume(volume)
            .is_some_and(|own| own.attributes.get("pool") == Some(pool)),
    }
}

/// Sets an option of a pool: `revisions_to_keep` or `ephemeral_volatile`. Existing volumes keep
/// their own `revisions_to_keep`.
///
/// # Errors
/// There is no such pool, it has no such option, or the value breaks a rule.
pub fn set_option(
    draft: &mut Draft,
    name: &str,
    option: &str,
    text: &str,
    facts: &dyn Facts,
) -> Result<Change, PoolError> {
    let qubes = &mut draft.qubes;
    let pool = qubes
        .pools
        .get(name)
        .ok_or_else(|| PoolError::NoSuchPool(name.to_owned()))?;
    let fixed = || PoolError::OptionNotSettable {
        pool: name.to_owned(),
        option: option.to_owned(),
    };
    let driver = pool.driver_spec().ok_or_else(fixed)?;
    let settable = driver.option(option).filter(|option| option.is_settable);
    let stored = optional_value(driver, settable.ok_or_else(fixed)?, Some(text), facts)?;
    for pool in qubes.pools.0.iter_mut().filter(|pool| pool.name() == name) {
        match &stored {
            Some(text) => pool.attributes.set(option, text),
            None => drop(pool.attributes.remove(option)),
        }
    }
    Ok(Change::STORE_ONLY)
}
