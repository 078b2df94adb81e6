//! Changes of pools: adding one, removing one, changing its options (`docs/spec/r4-storage.md` §4).

use std::fmt;

use crate::model::draft::Draft;
use crate::model::effect::Change;
use crate::model::facts::Facts;
use crate::model::pool::Pool;
use crate::model::pool_driver::{DriverOption, DriverSpec, OptionValue};
use crate::model::property;
use crate::model::property::{ValueType, global_properties, parse_bool};
use crate::model::qubes::Qubes;
use crate::model::release::Release;
use crate::model::text_map::TextMap;
use crate::model::vm::Vm;
use crate::model::volume;

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

/// One use of a pool.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PoolUse {
    /// This global property evaluates to the pool.
    Default {
        /// The name of the global property: `default_pool`, `default_pool_private`, ….
        property: &'static str,
    },
    /// This volume is in the pool.
    Volume {
        /// The name of the qube, or the line of its domain if that cannot be loaded.
        vm: String,
        /// The name of the volume: `root`, `private`, ….
        volume: String,
    },
}

impl fmt::Display for PoolUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PoolUse::Default { property } => write!(f, "it is {property}"),
            PoolUse::Volume { vm, volume } => write!(f, "{vm}:{volume} is in it"),
        }
    }
}

/// Why a pool cannot be added, removed or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// The store has no pool of this name.
    #[error("No such pools: ['{0}']")]
    NoSuchPool(String),
    /// A pool of this name exists. The message is upstream's.
    #[error("Storage pool is in use: '{0}'")]
    Exists(String),
    /// The name of a new pool breaks the rules that the message states.
    #[error(
        "'{}' is not a valid pool name: use 1 to 63 letters, digits, '-', '_' and '.', \
         and do not begin with '-' or '.'",
        .0.escape_debug()
    )]
    InvalidName(String),
    /// Qubes OS has no storage driver of this name.
    #[error("driver '{}' does not exist; the drivers are {}", .0.escape_debug(), driver_names())]
    NoSuchDriver(String),
    /// The driver of a new pool does not have the option.
    #[error(
        "driver {driver} has no option '{}'; it has {}",
        option.escape_debug(),
        known.join(", ")
    )]
    NoSuchOption {
        /// The name of the driver.
        driver: &'static str,
        /// The unknown option.
        option: String,
        /// The options that pools of the driver have.
        known: Vec<&'static str>,
    },
    /// The request for a new pool lacks an option that the driver requires.
    #[error("driver {driver} needs option {option}")]
    MissingOption {
        /// The name of the driver.
        driver: &'static str,
        /// The required option.
        option: &'static str,
    },
    /// The value of an option has the wrong form or is out of range.
    #[error("{option} '{}' is {rule}", text.escape_debug())]
    InvalidValue {
        /// The name of the option.
        option: String,
        /// The refused value.
        text: String,
        /// What the value is, for the message: `not a number`.
        rule: String,
    },
    /// The driver does not have the option, or it is fixed once the pool exists.
    #[error("Setting option {option} is not supported for pool {pool}")]
    OptionNotSettable {
        /// The name of the pool.
        pool: String,
        /// The name of the option.
        option: String,
    },
    /// The release of the store does not support the option, or not with this value.
    #[error("{option} is not supported by Qubes OS {release}, for which the store is written")]
    TooNew {
        /// The option, with its value if only that is too new: `revisions_to_keep -1`.
        option: &'static str,
        /// The release that the store is written for.
        release: Release,
    },
    /// A new pool would have images in common with an existing one; the text says where.
    #[error("{0}; two pools in one place would delete each other's images")]
    Overlaps(String),
    /// The directory of a new pool holds files of the system.
    #[error(
        "dir_path '{}' is a system directory; choose one that holds only images",
        .0.escape_debug()
    )]
    SystemDirectory(String),
    /// A pool to remove is a default or has volumes.
    #[error("Storage pool is in use: '{pool}': {}", list_uses(uses))]
    InUse {
        /// The name of the pool.
        pool: String,
        /// The uses of the pool, at least one.
        uses: Vec<PoolUse>,
    },
}

fn driver_names() -> String {
    DriverSpec::names().collect::<Vec<_>>().join(", ")
}

/// Lists the first few uses; there may be hundreds.
fn list_uses(uses: &[PoolUse]) -> String {
    const SHOWN: usize = 5;
    let mut words = uses
        .iter()
        .take(SHOWN)
        .map(PoolUse::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    if let Some(more) = uses.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        words.push_str(&format!(", and {more} more"));
    }
    words
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

/// Returns whether the text is a valid pool name: characters that upstream's API accepts, and
/// nothing that looks like an option or a hidden file.
fn is_valid_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=63).contains(&name.len()) && name.chars().all(plain) && !name.starts_with(['-', '.'])
}

/// Returns what is stored of an option of a new pool that need not be set; `None` leaves it out.
fn optional_value(
    driver: &DriverSpec,
    option: &DriverOption,
    text: Option<&str>,
    facts: &dyn Facts,
) -> Result<Option<String>, PoolError> {
    let name = option.name;
    match (option.value, text) {
        (OptionValue::Revisions, text) => {
            let most = driver.max_revisions.unwrap_or_default();
            let number =
                text.map_or(Ok(1), |text| revisions(text, most, facts.host().release()))?;
            Ok(Some(number.to_string()))
        }
        (OptionValue::SetupFlag, Some(text)) => {
            let text = if boolean(name, text)? { "yes" } else { "no" };
            Ok(Some(text.to_owned()))
        }
        (OptionValue::Flag, Some(text)) if boolean(name, text)? => {
            refuse_too_new(name, facts.host().release())?;
            Ok(Some("True".to_owned()))
        }
        _ => Ok(None),
    }
}

/// Checks the text of a required option. A directory must be an absolute path.
fn check_text(option: &DriverOption, text: &str) -> Result<(), PoolError> {
    let bad = |rule: &str| {
        Err(PoolError::InvalidValue {
            option: option.name.to_owned(),
            text: text.to_owned(),
            rule: rule.to_owned(),
        })
    };
    let is_directory = option.value == OptionValue::Directory;
    if text.is_empty() || text.chars().any(char::is_control) {
        return bad("empty, or has control characters");
    }
    if is_directory && !text.starts_with('/') {
        return bad("not an absolute path");
    }
    if is_directory && text.split('/').any(|part| part == "..") {
        return bad("a path with '..'; write the resolved path");
    }
    if is_directory && is_system_directory(text) {
        return Err(PoolError::SystemDirectory(text.to_owned()));
    }
    Ok(())
}

/// Returns whether a pool in this directory would mix its images with files of the system.
fn is_system_directory(path: &str) -> bool {
    const SYSTEM_TREES: [&str; 9] = [
        "etc", "usr", "boot", "dev", "proc", "sys", "bin", "sbin", "lib",
    ];
    const SYSTEM_DIRECTORIES: [&str; 9] = [
        "", "home", "root", "var", "var/lib", "var/log", "run", "tmp", "opt",
    ];
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let is_below = parts
        .first()
        .is_some_and(|first| SYSTEM_TREES.contains(first));
    is_below || SYSTEM_DIRECTORIES.contains(&parts.join("/").as_str())
}

/// Parses a number of revisions: −1 (no snapshots at all), 0, or a number up to `most`.
pub(in crate::model) fn revisions(
    text: &str,
    most: i64,
    release: Release,
) -> Result<i64, PoolError> {
    let option = || "revisions_to_keep".to_owned();
    let bad = |rule: String| PoolError::InvalidValue {
        option: option(),
        text: text.to_owned(),
        rule,
    };
    let number: i64 = text
        .trim()
        .parse()
        .map_err(|_| bad("not a number".to_owned()))?;
    match number {
        ..-1 => Err(bad("less than -1 (no snapshots at all)".to_owned())),
        -1 if release < Release::R4_3 => Err(PoolError::TooNew {
            option: "revisions_to_keep -1",
            release,
        }),
        number if number > most => Err(bad(format!(
            "more than the {most} that the pool's driver can keep"
        ))),
        number => Ok(number),
    }
}

/// Parses a boolean option.
pub(in crate::model) fn boolean(option: &str, text: &str) -> Result<bool, PoolError> {
    parse_bool(text).ok_or_else(|| PoolError::InvalidValue {
        option: option.to_owned(),
        text: text.to_owned(),
        rule: "neither True nor False".to_owned(),
    })
}

fn refuse_too_new(option: &'static str, release: Release) -> Result<(), PoolError> {
    match option {
        "ephemeral_volatile" if !release.has_ephemeral_volumes() => {
            Err(PoolError::TooNew { option, release })
        }
        _ => Ok(()),
    }
}
