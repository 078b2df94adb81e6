//! Pools: their place is prepared first, and the store is saved last. A crash leaves an empty
//! directory at worst.

use std::path::{Path, PathBuf};

use super::{LifecycleError, Session};
use crate::format::list_all_domains;
use crate::model::{NewPool, Pool, PoolDriver, PoolError, PoolUse, Qubes};
use crate::storage::fullness::{self, SpaceUsage};
use crate::storage::overlap::find_overlap;
use crate::storage::{StorageError, find_thin_pool, open_driver};
use crate::store::{StoreError, read_bytes};

impl Session {
    /// Prepares the place of a new pool and adds it.
    ///
    /// # Errors
    /// The name is taken, the driver does not know such a pool, or the place cannot hold one.
    pub fn add_pool(&self, new: &NewPool<'_>) -> Result<(), LifecycleError> {
        let qubes = self.read()?;
        // Asked before anything is made, so that a wish that breaks a rule touches nothing.
        let pool = qubes.plan_pool(new, self)?;
        let driver = open_driver(&self.system, &pool)?;
        self.refuse_overlap(&qubes, &pool)?;
        self.convert_if_old(&qubes)?;
        drop(qubes);
        driver.setup()?;
        let mut write = self.write()?;
        // Another one may have been added meanwhile.
        self.refuse_overlap(&write, &pool)?;
        write.add_pool(pool)?;
        write.save()?;
        Ok(())
    }

    /// An error where the pool would have an image in common with one that is there.
    fn refuse_overlap(&self, qubes: &Qubes, pool: &Pool) -> Result<(), LifecycleError> {
        for other in qubes.pools.iter() {
            if let Some(how) = find_overlap(pool, other, &self.system)? {
                return Err(PoolError::Overlaps(how).into());
            }
        }
        Ok(())
    }

    /// An error where a domain that is not among the qubes, because it cannot be used, has a volume
    /// in one of these pools.
    fn refuse_hidden_uses(&self, names: &[&str]) -> Result<(), LifecycleError> {
        let file = self.system.store_file();
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

    /// Takes pools out of the store, all of them or none. What lies in their places stays there.
    ///
    /// # Errors
    /// One does not exist, a volume is in it, or it is a default.
    pub fn remove_pools(&self, names: &[&str]) -> Result<(), LifecycleError> {
        let mut write = self.write()?;
        write.remove_pools(names, self)?;
        self.refuse_hidden_uses(names)?;
        write.save()?;
        Ok(())
    }

    /// Changes options of a pool, all of them or none.
    ///
    /// # Errors
    /// There is no such pool, or one of the values breaks a rule.
    pub fn set_pool_options(
        &self,
        name: &str,
        options: &[(&str, &str)],
    ) -> Result<(), OptionNotSet> {
        let not_set = |option: &str| {
            let option = option.to_owned();
            move |source: LifecycleError| OptionNotSet {
                option,
                source: Box::new(source),
            }
        };
        let Some((first, _)) = options.first() else {
            return Ok(());
        };
        let mut write = self.write().map_err(not_set(first))?;
        for (option, text) in options {
            write
                .set_pool_option(name, option, text, self)
                .map_err(|e| not_set(option)(e.into()))?;
        }
        write.save().map_err(|e| not_set(first)(e.into()))?;
        Ok(())
    }
}

/// Why a pool's option could not be set, and which.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct OptionNotSet {
    pub option: String,
    pub source: Box<LifecycleError>,
}

impl OptionNotSet {
    /// Whether the pool has no such option that could be changed.
    pub fn is_not_to_be_set(&self) -> bool {
        matches!(
            &*self.source,
            LifecycleError::Pool(PoolError::OptionNotSettable { .. })
        )
    }
}

/// A pool as tools show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolShown {
    pub name: String,
    pub driver: String,
    /// Its options with what is in effect where it says nothing.
    pub options: Vec<(String, String)>,
    /// How large its place is; none where that cannot be told.
    pub room: Option<SpaceUsage>,
    /// The same of its bookkeeping, where that has a place of its own.
    pub metadata: Option<SpaceUsage>,
    /// The pool whose place it lies in.
    pub included_in: Option<String>,
    /// What a person should hear before it is full.
    pub warnings: Vec<String>,
    /// Why its room cannot be told.
    pub why_unknown: Option<String>,
}

impl PoolShown {
    /// The room as tables show it: upstream's shows 0 of a pool that is not there, but for two
    /// drivers nothing.
    pub fn room_in_tables(&self) -> Option<SpaceUsage> {
        match self.driver.as_str() {
            "linux-kernel" => None,
            "file" | "lvm_thin" | "zfs" => {
                Some(self.room.unwrap_or(SpaceUsage { size: 0, used: 0 }))
            }
            _ => self.room,
        }
    }
}

impl Session {
    /// Looks at a pool and its place; none when the store has no such pool.
    pub fn show_pool(&self, qubes: &Qubes, name: &str) -> Option<PoolShown> {
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
        if PoolDriver::find(pool.driver()).is_none_or(|driver| driver.max_revisions.is_some()) {
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
        let mut shown = PoolShown {
            name: name.to_owned(),
            driver: pool.driver().to_owned(),
            options,
            room: None,
            metadata: None,
            included_in: self.pool_around(qubes, pool),
            warnings: Vec::new(),
            why_unknown: None,
        };
        if let Err(error) = self.look_at_room(pool, &mut shown) {
            shown.why_unknown = Some(error.to_string());
        }
        Some(shown)
    }

    fn look_at_room(&self, pool: &Pool, shown: &mut PoolShown) -> Result<(), StorageError> {
        if pool.driver() == "linux-kernel" {
            return Ok(());
        }
        let driver = open_driver(&self.system, pool)?;
        shown.room = driver.capacity()?.map(SpaceUsage::from);
        shown.metadata = driver.metadata_capacity()?.map(SpaceUsage::from);
        shown.warnings = fullness::warnings(pool.name(), &*driver, self.system.nearly_full())?;
        Ok(())
    }

    /// The first other pool in whose directory this one's lies, else the pool of the thin volume
    /// that holds it (`docs/spec/r4-storage.md` §4).
    pub fn pool_around(&self, qubes: &Qubes, pool: &Pool) -> Option<String> {
        let own = self.place_of(pool)?;
        let holds = |other: &&Pool| {
            other.name() != pool.name()
                && self
                    .place_of(other)
                    .is_some_and(|place| own.starts_with(place))
        };
        if let Some(above) = qubes.pools.iter().find(holds) {
            return Some(above.name().to_owned());
        }
        // A listing below a root of its own says nothing of the machine's volumes.
        let thin = self
            .system
            .root()
            .is_none()
            .then(|| find_thin_pool(&own))
            .flatten()?;
        let is_it = |other: &&Pool| {
            other.option("volume_group") == Some(&thin.group)
                && other.option("thin_pool") == Some(&thin.name)
        };
        qubes
            .pools
            .iter()
            .find(is_it)
            .map(|above| above.name().to_owned())
    }

    /// Where a pool of files lies, links resolved as far as it exists.
    fn place_of(&self, pool: &Pool) -> Option<PathBuf> {
        let path = self
            .system
            .below_root(Path::new("/").join(pool.option("dir_path")?));
        Some(path.canonicalize().unwrap_or(path))
    }
}
