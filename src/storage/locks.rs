//! Leaf locks of volumes: for the moments in which two qubes meet at one volume, because one takes
//! a snapshot of what the other commits.
//!
//! Shared to snapshot, exclusive to change which image is the clean one. Whoever holds one waits
//! for nothing else, and who needs several takes them in the order of their ids, so nobody waits in
//! a circle.

use std::time::Duration;

use nix::unistd::Gid;
use uuid::Uuid;

use super::StorageError;
use crate::fs::file_lock::{Exclusivity, FileLock, FileLockError};
use crate::fs::run_directory::RunDirectory;

/// Where the locks of volumes are and how long to wait for one.
#[derive(Debug, Clone)]
pub struct VolumeLocks {
    run_dir: RunDirectory,
    group: Option<Gid>,
    wait: Duration,
}

impl VolumeLocks {
    /// How long a lock can be held in good order: as long as it takes to copy a large image where
    /// blocks cannot be shared.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

    /// Locks in `run_dir/lock`, which is made when first needed.
    pub fn new(
        run_dir: impl Into<RunDirectory>,
        group: Option<Gid>,
        wait: Duration,
    ) -> VolumeLocks {
        VolumeLocks {
            run_dir: run_dir.into(),
            group,
            wait,
        }
    }

    /// Keeps the volume's clean image what it is.
    pub fn lock_shared(&self, pool: &str, vid: &str) -> Result<FileLock, StorageError> {
        self.acquire(pool, vid, Exclusivity::Shared)
    }

    /// Keeps everybody else from the volume's clean image.
    pub fn lock_exclusive(&self, pool: &str, vid: &str) -> Result<FileLock, StorageError> {
        self.acquire(pool, vid, Exclusivity::Exclusive)
    }

    /// Keeps everybody else from making or taking down mapped devices of volumes.
    pub fn lock_mapped_devices(&self) -> Result<FileLock, StorageError> {
        let locked = self.run_dir.lock(
            "mapped-devices",
            Exclusivity::Exclusive,
            self.wait,
            self.group,
        );
        locked.map_err(|error| match error {
            FileLockError::Io { file, source } => {
                StorageError::io(format!("cannot lock {}", file.display()))(source)
            }
            FileLockError::Held { holder } => StorageError::Refused(format!(
                "the mapped devices of volumes are locked by {holder}; try again later"
            )),
        })
    }

    /// The name of a volume's lock file: its id as upstream writes ids in file names
    /// (`docs/spec/r4-storage.md` §1).
    fn name(pool: &str, vid: &str) -> String {
        let escaped = format!("{pool}:{vid}").replace('-', "--").replace('/', "-");
        let name = match escaped.len() {
            // The longest name of a file is 255 bytes, and names in a store may be that long
            // themselves.
            0..=200 => escaped,
            _ => Uuid::new_v5(&Uuid::NAMESPACE_URL, escaped.as_bytes())
                .simple()
                .to_string(),
        };
        format!("volume-{name}")
    }

    fn acquire(
        &self,
        pool: &str,
        vid: &str,
        exclusivity: Exclusivity,
    ) -> Result<FileLock, StorageError> {
        let locked = self.run_dir.lock(
            &VolumeLocks::name(pool, vid),
            exclusivity,
            self.wait,
            self.group,
        );
        locked.map_err(|error| match error {
            FileLockError::Io { file, source } => {
                StorageError::io(format!("cannot lock {}", file.display()))(source)
            }
            FileLockError::Held { holder } => StorageError::Refused(format!(
                "volume {vid} of pool {pool} is locked by {holder}; try again later"
            )),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_locked_by_its_id_and_others_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run/qubes");
        let locks = VolumeLocks::new(run, None, Duration::ZERO);
        let name = VolumeLocks::name("vm-pool", "appvms/sys-net/private");
        assert_eq!(name, "volume-vm--pool:appvms-sys--net-private");
        let long = VolumeLocks::name("p", &"a".repeat(300));
        assert!(long.len() < 100 && long != VolumeLocks::name("p", &"a".repeat(301)));

        let snapshots = [
            locks.lock_shared("p", "v").unwrap(),
            locks.lock_shared("p", "v").unwrap(),
        ];
        let refused = locks.lock_exclusive("p", "v").unwrap_err().to_string();
        assert!(
            refused.starts_with("volume v of pool p is locked by "),
            "{refused}"
        );
        let _other = locks.lock_exclusive("p", "w").unwrap();
        drop(snapshots);
        let _commit = locks.lock_exclusive("p", "v").unwrap();
        assert!(locks.lock_shared("p", "v").is_err());
    }
}
