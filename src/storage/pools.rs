//! From a pool of the store to the driver that works on it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::Gid;

use super::{DmFile, Driver, LinuxKernel, LvmThin, Reflink, StorageError, VolumeLocks};
use crate::model::{Pool, Pools};
use crate::system::System;

/// The driver of one pool. A relative `dir_path` counts from `/`, where upstream's daemon runs.
pub fn open_driver(system: &System, pool: &Pool) -> Result<Arc<dyn Driver>, StorageError> {
    open_with_group(system, pool, false, || system.qubes_group())
}

/// The driver of one pool, with the group to which belongs what it makes.
fn open_with_group(
    system: &System,
    pool: &Pool,
    read_only: bool,
    group: impl FnOnce() -> Option<Gid>,
) -> Result<Arc<dyn Driver>, StorageError> {
    let name = pool.name();
    match pool.driver() {
        "file-reflink" => {
            let directory = directory(pool, system)?;
            let group = group();
            let locks = VolumeLocks::new(system.run_dir(), group, VolumeLocks::DEFAULT_TIMEOUT);
            let driver = Reflink::new(name, directory, setup_check(pool)?, group, locks);
            let driver = driver.with_root(system.root(), read_only);
            Ok(Arc::new(driver.with_progress(system.watcher())))
        }
        "file" => {
            let directory = directory(pool, system)?;
            refuse_many_revisions(pool)?;
            let group = group();
            let locks = VolumeLocks::new(system.run_dir(), group, VolumeLocks::DEFAULT_TIMEOUT);
            let driver =
                DmFile::new(name, directory, group, locks).with_root(system.root(), read_only);
            Ok(Arc::new(driver.with_progress(system.watcher())))
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
            "pool {name}: driver '{}' is not supported by this version; it has 'file', 'file-reflink', 'lvm_thin' and 'linux-kernel'",
            driver.escape_debug()
        ))),
    }
}

/// The drivers of a store's pools, each opened when first asked for, so that one pool that cannot
/// be used is in nobody else's way.
pub struct PoolDrivers<'a> {
    pools: &'a Pools,
    system: &'a System,
    open: BTreeMap<String, Arc<dyn Driver>>,
    read_only: bool,
}

impl<'a> PoolDrivers<'a> {
    pub fn new(pools: &'a Pools, system: &'a System) -> PoolDrivers<'a> {
        PoolDrivers {
            pools,
            system,
            open: BTreeMap::new(),
            read_only: false,
        }
    }

    /// For who makes nothing that a group could own: looking up the group costs more than looking
    /// at a hundred images.
    pub fn read_only(pools: &'a Pools, system: &'a System) -> PoolDrivers<'a> {
        PoolDrivers {
            read_only: true,
            ..PoolDrivers::new(pools, system)
        }
    }

    /// What names of devices that belong to the whole machine end in, so that a store of its own
    /// does not meet others.
    pub fn device_suffix(&self) -> String {
        self.system.domain_suffix()
    }

    /// The driver of the pool `name`.
    pub fn get(&mut self, name: &str) -> Result<Arc<dyn Driver>, StorageError> {
        if let Some(driver) = self.open.get(name) {
            return Ok(driver.clone());
        }
        let missing =
            || StorageError::Refused(format!("there is no pool '{}'", name.escape_debug()));
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

/// An option that names part of a volume group, so it must be a name LVM could have given.
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
                "pool {}: {name} '{text}' is no name for LVM",
                pool.name()
            )))
        }
        None => Err(StorageError::Refused(format!(
            "pool {}: it has no {name}",
            pool.name()
        ))),
    }
}

pub(super) fn directory(pool: &Pool, system: &System) -> Result<PathBuf, StorageError> {
    match pool.option("dir_path") {
        Some(path) if !path.is_empty() => Ok(system.below_root(Path::new("/").join(path))),
        _ => Err(StorageError::Refused(format!(
            "pool {}: it has no dir_path",
            pool.name()
        ))),
    }
}

/// Driver `file` has one COW of the past at most, and upstream refuses a pool that wants more, also
/// when it loads.
fn refuse_many_revisions(pool: &Pool) -> Result<(), StorageError> {
    match pool.option("revisions_to_keep").unwrap_or("1") {
        "-1" | "0" | "1" | "" => Ok(()),
        other => Err(StorageError::Refused(format!(
            "pool {}: driver 'file' keeps one revision at most, and revisions_to_keep is '{}'; set it to 1, 0 or -1",
            pool.name(),
            other.escape_debug()
        ))),
    }
}

/// The option `setup_check`, in the words that upstream takes for a boolean; yes when unsaid.
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
