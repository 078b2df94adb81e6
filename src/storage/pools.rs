//! Opens the driver of a pool of the store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::Gid;

use super::example::Example;
use super::{
    DmFile, Driver, LinuxKernel, LvmThin, PoolDirectory, Reflink, StorageError, VolumeLocks,
};
use crate::model::pool_driver::{EXAMPLE, FILE, FILE_REFLINK, LINUX_KERNEL, LVM_THIN};
use crate::model::{Pool, Pools};
use crate::system::System;

/// Opens a pool with one driver.
type Open = fn(&PoolOpening<'_>) -> Result<Arc<dyn Driver>, StorageError>;

/// How to open a pool with each driver: the rows of [`crate::model::pool_driver`] that can be used.
const OPENED: [(&str, Open); 5] = [
    (FILE, |opening| Ok(Arc::new(DmFile::open(opening)?))),
    (FILE_REFLINK, |opening| {
        Ok(Arc::new(Reflink::open(opening)?))
    }),
    (LVM_THIN, |opening| Ok(Arc::new(LvmThin::open(opening)?))),
    (LINUX_KERNEL, |opening| {
        Ok(Arc::new(LinuxKernel::open(opening)?))
    }),
    (EXAMPLE, |opening| Ok(Arc::new(Example::open(opening)?))),
];

/// Opens the driver of a pool. A relative `dir_path` begins at `/`, the working directory of
/// upstream's daemon.
pub fn open_driver(system: &System, pool: &Pool) -> Result<Arc<dyn Driver>, StorageError> {
    PoolOpening {
        pool,
        system,
        read_only: false,
    }
    .open()
}

/// A pool that is being opened.
pub struct PoolOpening<'a> {
    /// The pool in the store.
    pub pool: &'a Pool,
    /// The system that the pool belongs to.
    pub system: &'a System,
    /// Whether the caller only reads.
    pub read_only: bool,
}

impl PoolOpening<'_> {
    fn open(&self) -> Result<Arc<dyn Driver>, StorageError> {
        let driver = self.pool.driver();
        match OPENED.iter().find(|(name, _)| *name == driver) {
            Some((_, open)) => open(self),
            None => {
                let names = OPENED.map(|(name, _)| format!("'{name}'"));
                let [others @ .., last] = &names;
                Err(self.refusal(format_args!(
                    "driver '{}' is not supported by this version; it has {} and {last}",
                    driver.escape_debug(),
                    others.join(", ")
                )))
            }
        }
    }

    /// Describes the directory of the pool.
    pub fn directory(&self) -> Result<PoolDirectory, StorageError> {
        let directory = PoolDirectory::new(
            self.pool.name(),
            directory(self.pool, self.system)?,
            self.group(),
            self.locks(),
        );
        Ok(directory
            .with_root(self.system.root(), self.read_only)
            .with_progress(self.system.progress()))
    }

    /// Returns the locks of the pool's volumes.
    pub fn locks(&self) -> VolumeLocks {
        let run = self.system.run_dir();
        VolumeLocks::new(run, self.group(), VolumeLocks::DEFAULT_TIMEOUT)
    }

    /// Returns the group of new files. Looking it up takes longer than reading the metadata of a
    /// hundred images.
    fn group(&self) -> Option<Gid> {
        match self.read_only {
            true => None,
            false => self.system.qubes_group(),
        }
    }

    /// Returns the refusal of a pool that cannot be opened.
    pub fn refusal(&self, why: impl std::fmt::Display) -> StorageError {
        StorageError::pool(self.pool.name(), why)
    }
}

/// The drivers of a store's pools. Each is opened at its first use, so that an unusable pool
/// affects only the qubes that use it.
pub struct PoolDrivers<'a> {
    pools: &'a Pools,
    system: &'a System,
    open: BTreeMap<String, Arc<dyn Driver>>,
    read_only: bool,
}

impl<'a> PoolDrivers<'a> {
    /// Creates the drivers of all pools without opening any.
    pub fn new(pools: &'a Pools, system: &'a System) -> PoolDrivers<'a> {
        PoolDrivers {
            pools,
            system,
            open: BTreeMap::new(),
            read_only: false,
        }
    }

    /// Creates the drivers of all pools for a caller that only reads.
    pub fn read_only(pools: &'a Pools, system: &'a System) -> PoolDrivers<'a> {
        PoolDrivers {
            read_only: true,
            ..PoolDrivers::new(pools, system)
        }
    }

    /// Returns the suffix of device names, which are global to the machine: it differs for each
    /// store but the system's.
    pub fn device_suffix(&self) -> String {
        self.system.domain_suffix()
    }

    /// Returns the driver of the pool `name`.
    pub fn get(&mut self, name: &str) -> Result<Arc<dyn Driver>, StorageError> {
        if let Some(driver) = self.open.get(name) {
            return Ok(driver.clone());
        }
        let missing =
            || StorageError::Refused(format!("pool '{}' does not exist", name.escape_debug()));
        let opening = PoolOpening {
            pool: self.pools.get(name).ok_or_else(missing)?,
            system: self.system,
            read_only: self.read_only,
        };
        let driver = opening.open()?;
        self.open.insert(name.to_string(), driver.clone());
        Ok(driver)
    }
}

/// Returns the directory of the pool, below the root of the system.
pub(super) fn directory(pool: &Pool, system: &System) -> Result<PathBuf, StorageError> {
    match pool.option("dir_path") {
        Some(path) if !path.is_empty() => Ok(system.path_below_root(Path::new("/").join(path))),
        _ => Err(StorageError::pool(
            pool.name(),
            "option dir_path is missing",
        )),
    }
}
