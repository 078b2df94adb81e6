//! Why a pool cannot be added, removed or changed.

use std::fmt;

use crate::model::pool_driver::DriverSpec;
use crate::model::release::Release;

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
