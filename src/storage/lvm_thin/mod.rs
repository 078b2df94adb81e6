//! Driver `lvm_thin`: a thin pool whose volumes share blocks (`docs/spec/r4-storage.md` §7).
//!
//! `report` parses the output of `lvs`, `lifecycle` creates, starts, stops and removes volumes,
//! `run_images` tells the logical volumes of a run from foreign ones, `data` imports, exports and
//! resizes volumes, and `revisions` reverts them.
//!
//! Each step is one LVM command, which is atomic and durable in LVM's metadata. Between any two
//! steps, the committed data are in the volume's own logical volume or, if that does not exist, in
//! its newest revision.

mod command;
mod data;
mod lifecycle;
mod report;
mod revisions;
mod run_images;

use std::sync::{Mutex, PoisonError};

use self::command::Lvm;
use self::report::{LogicalVolume, Report, fraction};
use super::logical_names::{LogicalNames, is_logical_name, volume_name};
use super::pools::PoolOpening;
use super::{Image, PoolSpace, StorageError, Volume, VolumeLocks};
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

    /// Opens a pool of the store.
    pub(super) fn open(opening: &PoolOpening<'_>) -> Result<LvmThin, StorageError> {
        let group = name_option(opening, "volume_group")?;
        let thin_pool = name_option(opening, "thin_pool")?;
        let name = opening.pool.name();
        Ok(LvmThin::new(name, group, thin_pool, opening.locks()))
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

    fn names(&self, volume: &Volume) -> Result<LogicalNames, StorageError> {
        LogicalNames::from_vid(&volume.vid, &self.group)
    }

    /// Returns the names of a snapshot's source.
    fn source(&self, volume: &Volume) -> Result<LogicalNames, StorageError> {
        LogicalNames::from_vid(volume.source_vid()?, &self.group)
    }

    fn lock(&self, volume: &Volume) -> Result<Option<FileLock>, StorageError> {
        self.locks.lock_origin(&self.name, volume)
    }

    /// Refuses an operation that needs space if the pool is full. LVM lets a full pool have new
    /// volumes, and writes to them fail.
    fn refuse_if_full(&self, report: &Report) -> Result<(), StorageError> {
        let pool = self.thin_pool(report)?;
        let metadata = pool.metadata.map_or(0, |(_, filled)| filled);
        if pool.filled.max(metadata) < FULL {
            return Ok(());
        }
        let (group, thin_pool) = (&self.group, &self.thin_pool);
        Err(StorageError::pool(
            &self.name,
            format_args!(
                "thin pool {group}/{thin_pool} is full: remove volumes or revisions, or enlarge it \
                 with lvextend {group}/{thin_pool}"
            ),
        ))
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
            let (group, thin_pool) = (&self.group, &self.thin_pool);
            let why = format_args!("volume group {group} has no thin pool {thin_pool}");
            StorageError::pool(&self.name, why)
        };
        report
            .get(&self.thin_pool)
            .filter(|lv| lv.is_pool)
            .ok_or_else(missing)
    }
}

/// Returns an option of the pool that must be a valid LVM name.
fn name_option<'p>(opening: &PoolOpening<'p>, name: &str) -> Result<&'p str, StorageError> {
    match opening.pool.option(name) {
        Some(text) if is_logical_name(text) => Ok(text),
        Some(text) => Err(opening.refusal(format_args!(
            "{name} '{}' is not a valid LVM name",
            text.escape_debug()
        ))),
        None => Err(opening.refusal(format_args!("option {name} is missing"))),
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

impl PoolSpace for LvmThin {
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
