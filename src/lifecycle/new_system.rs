//! A new system: the directories of its pools, then its store.

use crate::model::plan_new_system;
use crate::storage::PoolDrivers;
use crate::store::{StoreError, Write};

use super::qube_lock::make_shared_directory;
use super::{LifecycleError, Session};

impl Session {
    /// Makes a store with labels, the first pools and dom0, and prepares the pools' places.
    ///
    /// # Errors
    /// There is a store already: nothing is touched.
    pub fn create_system(&self) -> Result<(), LifecycleError> {
        let place = self.store_place();
        // Looked at before anything is made; the creation looks again.
        if std::fs::symlink_metadata(&place.file).is_ok() {
            return Err(StoreError::Exists { path: place.file }.into());
        }
        let base = self.system.below_root("/var/lib/qubes");
        for directory in [
            base.as_path(),
            crate::fs::replace::directory_of(&place.file),
        ] {
            make_shared_directory(directory, &self.system)?;
        }
        let qubes = plan_new_system(self);
        let mut drivers = PoolDrivers::new(&qubes.pools, &self.system);
        for pool in qubes.pools.iter() {
            drivers.get(pool.name())?.setup()?;
        }
        Write::create(&place, &qubes)
            .map(drop)
            .map_err(LifecycleError::from)
    }
}
