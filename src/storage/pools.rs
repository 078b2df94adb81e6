//! Opens the driver of a pool of the store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::Gid;

use super::{
    DmFile, Driver, LinuxKernel, LvmThin, PoolDirectory, Reflink, StorageError, VolumeLocks,
};
use crate::model::{Pool, Pools};
use crate::system::System;

/// Opens the driver of a pool. A relative `dir_path` begins at `/`, the working directory of
/// upstream's daemon.
pub fn open_driver(system: &System, pool: &Pool) -> Result<Arc<dyn Driver>, StorageError> {
    open_with_group(system, pool, false, || system.qubes_group())
}

/// Opens the driver of a pool whose files belong to `group`.
fn open_with_group(
    system: &System,
    pool: &Pool,
    read_only: bool,
    group: impl FnOnce() -> Option<Gid>,
) -> Result<Arc<dyn Driver>, StorageError> {
    let name = pool.name();
    match pool.driver() {
        "file-reflink" => {
            let directory = pool_directory(pool, system, read_only, group)?;
            Ok(Arc::new(Reflink::new(directory, setup_check(pool)?)))
        }
        "file" => {
            let directory = pool_directory(pool, system, read_only, group)?;
            refuse_many_revisions(pool)?;
            Ok(Arc::new(DmFile::new(directory)))
        }
        "lvm_thin" => {
            let (volume_group, thin_pool) = (
                lvm_name_option(pool, "volume_group")?,
                lvm_name_option(pool, "thin_pool")?,
            );
            let locks = VolumeLocks::new(system.run_dir(), group(), VolumeLocks::DEFAULT_TIMEOUT);
            Ok(Arc::new(LvmThin::new(name, volume_group, thin_pool, locks)))
        }
        "linux-kernel" => Ok(Arc::new(
            LinuxKernel::new(name, directory(pool, system)?).with_root(system.root()),
        )),
        driver => Err(StorageError::Refused(format!(
            "pool {name}: driver '{}' is not supported by this version; it has 'file', \
             'file-reflink', 'lvm_thin' and 'linux-kernel'",
            driver.escape_debug()
        ))),
    }
}

/// Describes the directory of a pool whose files belong to `group`.
fn pool_directory(
    pool: &Pool,
    system: &System,
    read_only: bool,
    group: impl FnOnce() -> Option<Gid>,
) -> Result<PoolDirectory, StorageError> {
    let path = directory(pool, system)?;
    let group = group();
    let locks = VolumeLocks::new(system.run_dir(), group, VolumeLocks::DEFAULT_TIMEOUT);
    let directory = PoolDirectory::new(pool.name(), path, group, locks);
    Ok(directory
        .with_root(system.root(), read_only)
        .with_progress(system.progress()))
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
        // Looking up the group takes longer than reading the metadata of a hundred images.
        let group = || {
            if self.read_only {
                None
            } else {
                self.system.qubes_group()
            }
        };
        let driver = open_with_group(
            self.system,
            self.pools.get(name).ok_or_else(missing)?,
            self.read_only,
            group,
        )?;
        self.open.insert(name.to_string(), driver.clone());
        Ok(driver)
    }
}

/// Returns an option of the pool that must be a valid LVM name.
fn lvm_name_option<'p>(pool: &'p Pool, name: &str) -> Result<&'p str, StorageError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    match pool.option(name) {
        Some(text)
            if !text.is_empty() && text.chars().all(plain) && !text.starts_with(['-', '.']) =>
        {
            Ok(text)
        }
        Some(text) => {
            let text = text.escape_debug();
            Err(StorageError::Refused(format!(
                "pool {}: {name} '{text}' is not a valid LVM name",
                pool.name()
            )))
        }
        None => Err(StorageError::Refused(format!(
            "pool {}: option {name} is missing",
            pool.name()
        ))),
    }
}

/// Returns the directory of the pool, below the root of the system.
pub(super) fn directory(pool: &Pool, system: &System) -> Result<PathBuf, StorageError> {
    match pool.option("dir_path") {
        Some(path) if !path.is_empty() => Ok(system.path_below_root(Path::new("/").join(path))),
        _ => Err(StorageError::Refused(format!(
            "pool {}: option dir_path is missing",
            pool.name()
        ))),
    }
}

/// Refuses a pool of driver `file` that is to keep more than one revision. Upstream refuses it too,
/// also when it loads the store.
fn refuse_many_revisions(pool: &Pool) -> Result<(), StorageError> {
    match pool.option("revisions_to_keep").unwrap_or("1") {
        "-1" | "0" | "1" | "" => Ok(()),
        other => Err(StorageError::Refused(format!(
            "pool {}: driver 'file' keeps one revision at most, and revisions_to_keep is '{}'; \
             set it to 1, 0 or -1",
            pool.name(),
            other.escape_debug()
        ))),
    }
}

/// Returns the option `setup_check`, which takes upstream's spellings of a boolean. The default is
/// yes.
fn setup_check(pool: &Pool) -> Result<bool, StorageError> {
    let Some(text) = pool.option("setup_check") else {
        return Ok(true);
    };
    match text.to_ascii_lowercase().as_str() {
        "1" | "yes" | "true" | "on" => Ok(true),
        "0" | "no" | "false" | "off" => Ok(false),
        _ => {
            let (name, text) = (pool.name(), text.escape_debug());
            Err(StorageError::Refused(format!(
                "pool {name}: setup_check '{text}' is neither yes nor no"
            )))
        }
    }
}
