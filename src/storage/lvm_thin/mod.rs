//! Driver `lvm_thin`: a thin pool whose volumes share blocks (`docs/spec/r4-storage.md` §7).
//!
//! `names` has the names of a volume's logical volumes, `report` parses the output of `lvs`,
//! `lifecycle` creates, starts, stops and removes volumes, `run_images` tells the logical volumes
//! of a run from foreign ones, and `data` imports, exports, resizes and reverts volumes.
//!
//! Each step is one LVM command, which is atomic and durable in LVM's metadata. Between any two
//! steps, the committed data are in the volume's own logical volume or, if that does not exist, in
//! its newest revision.

mod command;
mod data;
mod lifecycle;
mod names;
mod report;
mod run_images;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use self::command::Lvm;
pub(super) use self::names::LogicalNames;
use self::names::{revision_at, volume_name};
use self::report::{LogicalVolume, Report, fraction};
use super::volume_files::source_vid;
use super::{
    Attachment, CommittedData, Driver, ForeignImage, Image, ImageOwners, ImageWriter, Revision,
    StorageError, Volume, VolumeKind, VolumeLocks,
};
use crate::fs::file_lock::FileLock;

/// A pool of driver `lvm_thin`.
#[derive(Debug)]
pub struct LvmThin {
    name: String,
    group: String,
    thin_pool: String,
    locks: VolumeLocks,
    lvm: Lvm,
    /// The last report, which is dropped with every change that this process makes. For display,
    /// and for what only the holder of the qube's lock changes. Other decisions query LVM again.
    cache: Mutex<Option<Report>>,
}

impl LvmThin {
    /// Creates the pool `name` on the thin pool `thin_pool` of volume group `group`.
    pub fn new(name: &str, group: &str, thin_pool: &str, locks: VolumeLocks) -> LvmThin {
        LvmThin {
            name: name.to_string(),
            group: group.to_string(),
            thin_pool: thin_pool.to_string(),
            locks,
            lvm: Lvm::new(),
            cache: Mutex::new(None),
        }
    }

    /// Queries LVM.
    fn query(&self) -> Result<Report, StorageError> {
        let report = Report::query(&self.lvm, &self.group)?;
        *self.cache.lock().unwrap_or_else(PoisonError::into_inner) = Some(report.clone());
        Ok(report)
    }

    /// Returns the last report, or queries LVM if there is none: one query serves a listing of all
    /// volumes.
    fn cached_report(&self) -> Result<Report, StorageError> {
        let known = self
            .cache
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        known.map_or_else(|| self.query(), Ok)
    }

    /// Runs an LVM command that makes a change.
    fn run(&self, arguments: &[&str]) -> Result<(), StorageError> {
        *self.cache.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.lvm.run(arguments).map(drop)
    }

    fn names(&self, vid: &str) -> Result<LogicalNames, StorageError> {
        LogicalNames::from_vid(vid, &self.group)
    }

    /// Returns the names of a snapshot's source.
    fn source(&self, volume: &Volume) -> Result<LogicalNames, StorageError> {
        self.names(source_vid(volume)?)
    }

    /// Locks the committed data of an origin while they are exchanged. Other volumes cannot be the
    /// source of a snapshot, so they need no lock.
    fn lock(&self, volume: &Volume) -> Result<Option<FileLock>, StorageError> {
        (volume.kind == VolumeKind::Origin)
            .then(|| self.locks.lock_exclusive(&self.name, &volume.vid))
            .transpose()
    }

    /// Refuses an operation that needs space if the pool is full. LVM lets a full pool have new
    /// volumes, and writes to them fail.
    fn refuse_if_full(&self, report: &Report) -> Result<(), StorageError> {
        let pool = self.thin_pool(report)?;
        let metadata = pool.metadata.map_or(0, |(_, filled)| filled);
        if pool.filled.max(metadata) < FULL {
            return Ok(());
        }
        let (name, group, thin_pool) = (&self.name, &self.group, &self.thin_pool);
        Err(StorageError::Refused(format!(
            "pool {name}: thin pool {group}/{thin_pool} is full: remove volumes or revisions, \
             or enlarge it with lvextend {group}/{thin_pool}"
        )))
    }

    /// Adds to an error that the pool is full, if it is. The error itself only says that a write
    /// failed.
    fn explain_full_pool(&self, error: StorageError) -> StorageError {
        match self.query().and_then(|report| self.refuse_if_full(&report)) {
            Err(full) => StorageError::Refused(format!("{error}; {full}")),
            Ok(()) => error,
        }
    }

    fn thin_pool<'r>(&self, report: &'r Report) -> Result<&'r LogicalVolume, StorageError> {
        let missing = || {
            let (name, group, thin_pool) = (&self.name, &self.group, &self.thin_pool);
            StorageError::Refused(format!(
                "pool {name}: volume group {group} has no thin pool {thin_pool}"
            ))
        };
        report
            .get(&self.thin_pool)
            .filter(|lv| lv.is_pool)
            .ok_or_else(missing)
    }
}

/// 100 percent, in hundredths of a percent.
const FULL: u64 = 10_000;

/// Returns the logical volume with the committed data: the volume's own, else its newest revision.
fn committed_volume<'r>(report: &'r Report, names: &LogicalNames) -> Option<&'r LogicalVolume> {
    report.get(&names.own).or_else(|| {
        revision_times(report, names)
            .last()
            .and_then(|time| report.get(&names.revision(*time)))
    })
}

/// Returns the logical volumes of a volume.
fn list_images(report: &Report, names: &LogicalNames) -> Vec<Image> {
    let own = report.iter().filter(|lv| names.owns(&lv.name));
    own.map(|lv| Image::Logical {
        group: names.group.clone(),
        name: lv.name.clone(),
    })
    .collect()
}

/// Returns the times of the revisions, oldest first.
fn revision_times(report: &Report, names: &LogicalNames) -> Vec<i64> {
    let mut times: Vec<i64> = report
        .iter()
        .filter_map(|lv| names.revision_time(&lv.name))
        .collect();
    times.sort_unstable();
    times
}

impl Driver for LvmThin {
    fn setup(&self) -> Result<(), StorageError> {
        self.thin_pool(&self.query()?).map(drop)
    }

    fn capacity(&self) -> Result<Option<(u64, u64)>, StorageError> {
        let report = self.cached_report()?;
        let pool = self.thin_pool(&report)?;
        Ok(Some((pool.size, pool.used())))
    }

    fn metadata_capacity(&self) -> Result<Option<(u64, u64)>, StorageError> {
        let report = self.cached_report()?;
        Ok(self
            .thin_pool(&report)?
            .metadata
            .map(|(size, filled)| (size, fraction(size, filled))))
    }

    fn create(&self, volume: &Volume) -> Result<(), StorageError> {
        self.create_volume(volume)
    }

    fn remove_unowned(
        &self,
        volume: &Volume,
        owners: &ImageOwners,
    ) -> Result<Vec<String>, StorageError> {
        self.remove_volume(volume, owners)
    }

    fn images(&self, volume: &Volume) -> Result<Vec<Image>, StorageError> {
        Ok(list_images(&self.query()?, &self.names(&volume.vid)?))
    }

    fn verify(&self, volume: &Volume) -> Result<(), StorageError> {
        let needed = match volume.kind {
            VolumeKind::Volatile => return Ok(()),
            VolumeKind::Snapshot => self.source(volume)?,
            VolumeKind::Origin => self.names(&volume.vid)?,
        };
        let report = self.cached_report()?;
        let exists = committed_volume(&report, &needed).is_some()
            || (volume.kind == VolumeKind::Origin && report.get(&needed.snap()).is_some());
        match exists {
            true => Ok(()),
            false => {
                let (label, path) = (volume.label(), needed.path(&needed.own));
                Err(StorageError::Refused(format!(
                    "{label}: logical volume {path} is missing"
                )))
            }
        }
    }

    fn start(&self, volume: &Volume) -> Result<(), StorageError> {
        self.start_volume(volume)
    }

    fn stop(&self, volume: &Volume) -> Result<(), StorageError> {
        self.stop_volume(volume)
    }

    fn discard(&self, volume: &Volume) -> Result<(), StorageError> {
        self.discard_volume(volume)
    }

    fn attachment(&self, volume: &Volume) -> Result<Attachment, StorageError> {
        let names = self.names(&volume.vid)?;
        let in_place = volume.kind == VolumeKind::Volatile || volume.has_snapshots_disabled();
        Ok(Attachment::Device(names.device(&if in_place {
            names.own.clone()
        } else {
            names.snap()
        })))
    }

    fn is_dirty(&self, volume: &Volume) -> Result<bool, StorageError> {
        if volume.kind != VolumeKind::Origin || volume.has_snapshots_disabled() {
            return Ok(false);
        }
        Ok(self
            .cached_report()?
            .get(&self.names(&volume.vid)?.snap())
            .is_some())
    }

    fn has_run_images(&self, volume: &Volume) -> Result<bool, StorageError> {
        Ok(self
            .run_volume(&self.cached_report()?, volume, &self.names(&volume.vid)?)
            .is_some())
    }

    fn foreign_images(&self, volume: &Volume) -> Result<Vec<ForeignImage>, StorageError> {
        Ok(self.list_foreign(&self.cached_report()?, volume, &self.names(&volume.vid)?))
    }

    fn is_outdated(&self, volume: &Volume) -> Result<bool, StorageError> {
        if volume.kind != VolumeKind::Snapshot {
            return Ok(false);
        }
        let (report, names) = (self.cached_report()?, self.names(&volume.vid)?);
        let now = committed_volume(&report, &self.source(volume)?).map(|lv| lv.name.clone());
        Ok(report
            .get(&names.snap())
            .zip(now)
            .is_some_and(|(snap, now)| snap.origin != now))
    }

    fn revisions(&self, volume: &Volume) -> Result<Vec<Revision>, StorageError> {
        if volume.kind != VolumeKind::Origin {
            return Ok(Vec::new());
        }
        let times = revision_times(&self.cached_report()?, &self.names(&volume.vid)?);
        Ok(times.into_iter().map(revision_at).collect())
    }

    fn revert(&self, volume: &Volume, revision: Option<&str>) -> Result<(), StorageError> {
        self.revert_volume(volume, revision)
    }

    fn revision_size(&self, volume: &Volume, revision: Option<&str>) -> Result<u64, StorageError> {
        self.size_of_revision(volume, revision)
    }

    fn resize(&self, volume: &Volume, bytes: u64) -> Result<(), StorageError> {
        self.resize_volume(volume, bytes)
    }

    fn export(&self, volume: &Volume) -> Result<PathBuf, StorageError> {
        self.export_volume(volume)
    }

    fn import(&self, volume: &Volume, from: &Path) -> Result<(), StorageError> {
        self.import_volume(volume, from)
    }

    fn open_committed_data(&self, volume: &Volume) -> Result<CommittedData, StorageError> {
        self.open_committed_volume(volume)
    }

    fn import_with(&self, volume: &Volume, fill: ImageWriter<'_>) -> Result<(), StorageError> {
        self.import_volume_with(volume, fill)
    }

    fn import_committed_data(
        &self,
        volume: &Volume,
        data: &CommittedData,
        on_progress: &dyn Fn(u64),
    ) -> Result<(), StorageError> {
        self.import_committed_volume(volume, data, on_progress)
    }

    fn import_modified(
        &self,
        volume: &Volume,
        data: CommittedData,
        change: ImageWriter<'_>,
        on_progress: &dyn Fn(u64),
    ) -> Result<(), StorageError> {
        self.import_modified_volume(volume, data, change, on_progress)
    }

    /// Returns `None`: the data are in no file.
    fn image_file(&self, _volume: &Volume) -> Result<Option<PathBuf>, StorageError> {
        Ok(None)
    }

    fn adopt(&self, volume: &Volume) -> Result<(), StorageError> {
        let (label, pool) = (volume.label(), &self.name);
        Err(StorageError::Refused(format!(
            "{label}: pool {pool} has no image files that could be adopted"
        )))
    }

    fn size(&self, volume: &Volume) -> Result<u64, StorageError> {
        let (report, names) = (self.cached_report()?, self.names(&volume.vid)?);
        let source = || match volume.kind {
            VolumeKind::Snapshot => self
                .source(volume)
                .ok()
                .and_then(|source| committed_volume(&report, &source)),
            _ => None,
        };
        let live = report
            .get(&names.snap())
            .or_else(|| committed_volume(&report, &names))
            .or_else(source);
        Ok(live.map_or(volume.size, |lv| lv.size))
    }

    fn usage(&self, volume: &Volume) -> Result<u64, StorageError> {
        let (report, names) = (self.cached_report()?, self.names(&volume.vid)?);
        Ok(report
            .get(&names.snap())
            .or_else(|| committed_volume(&report, &names))
            .map_or(0, LogicalVolume::used))
    }

    fn volume_ids(&self) -> Result<Vec<String>, StorageError> {
        let report = self.cached_report()?;
        let own = report
            .iter()
            .filter(|lv| lv.pool == self.thin_pool && lv.name.starts_with("vm-"));
        let mut vids: Vec<String> = own
            .map(|lv| format!("{}/{}", self.group, volume_name(&lv.name)))
            .collect();
        vids.sort();
        vids.dedup();
        Ok(vids)
    }
}
