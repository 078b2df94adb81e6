//! Locks of single volumes, for the moments in which two qubes use one volume: one takes a snapshot
//! of what the other commits.
//!
//! The lock is shared to take a snapshot, and exclusive to change which image is the clean one. The
//! holder of one waits for nothing else. An operation that needs several takes them in the order of
//! their ids. So there is no deadlock.

use std::time::Duration;

use nix::unistd::Gid;
use uuid::Uuid;

use super::{StorageError, Volume, VolumeKind};
use crate::fs::file_lock::{FileLock, FileLockError, LockMode};
use crate::fs::run_directory::RunDirectory;

/// The location of the volume locks and the time to wait for one.
#[derive(Debug, Clone)]
pub struct VolumeLocks {
    run_dir: RunDirectory,
    group: Option<Gid>,
    wait: Duration,
}

impl VolumeLocks {
    /// The default time to wait: as long as copying a large image takes where blocks cannot be
    /// shared.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

    /// Creates locks in `run_dir/lock`, a directory that is created at first use.
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

    /// Locks the committed data of an origin while they are exchanged or a run of it begins. Other
    /// volumes cannot be the source of a snapshot, so they need no lock.
    pub(super) fn lock_origin(
        &self,
        pool: &str,
        volume: &Volume,
    ) -> Result<Option<FileLock>, StorageError> {
        (volume.kind() == VolumeKind::Origin)
            .then(|| self.lock_exclusive(pool, &volume.vid))
            .transpose()
    }

    /// Keeps the clean image of the volume from being replaced.
    pub fn lock_shared(&self, pool: &str, vid: &str) -> Result<FileLock, StorageError> {
        self.acquire(pool, vid, LockMode::Shared)
    }

    /// Keeps all others from using the clean image of the volume.
    pub fn lock_exclusive(&self, pool: &str, vid: &str) -> Result<FileLock, StorageError> {
        self.acquire(pool, vid, LockMode::Exclusive)
    }

    /// Keeps all others from creating or removing mapped devices of volumes.
    pub fn lock_mapped_devices(&self) -> Result<FileLock, StorageError> {
        let subject = "the mapped devices of volumes are";
        self.lock_file("mapped-devices", LockMode::Exclusive, subject)
    }

    /// Returns the name of a volume's lock file: its id as upstream writes ids in file names
    /// (`docs/spec/r4-storage.md` §1).
    fn name(pool: &str, vid: &str) -> String {
        let escaped = format!("{pool}:{vid}").replace('-', "--").replace('/', "-");
        let name = match escaped.len() {
            // A file name has at most 255 bytes, and pool and volume names may be that long
            // themselves.
            0..=200 => escaped,
            _ => Uuid::new_v5(&Uuid::NAMESPACE_URL, escaped.as_bytes())
                .simple()
                .to_string(),
        };
        format!("volume-{name}")
    }

    fn acquire(&self, pool: &str, vid: &str, mode: LockMode) -> Result<FileLock, StorageError> {
        let subject = format!("volume {vid} of pool {pool} is");
        self.lock_file(&VolumeLocks::name(pool, vid), mode, &subject)
    }

    /// Takes the lock `name`. `subject` is how the message about another holder begins.
    fn lock_file(
        &self,
        name: &str,
        mode: LockMode,
        subject: &str,
    ) -> Result<FileLock, StorageError> {
        let locked = self.run_dir.lock(name, mode, self.wait, self.group);
        locked.map_err(|error| match error {
            FileLockError::Io { file, source } => {
                StorageError::io(format!("cannot lock {}", file.display()))(source)
            }
            FileLockError::Held { holder } => {
                StorageError::Refused(format!("{subject} locked by {holder}; try again later"))
            }
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
