//! Imports, exports, resizes and reverts volumes.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::sys::stat::{major, minor};

use super::names::LogicalNames;
use super::report::{LogicalVolume, Report};
use super::run_images::Purpose;
use super::{LvmThin, committed_volume, revision_times};
use crate::fs::comparison::file_length;
use crate::fs::sparse_copy::{sparse_copy, sparse_copy_with_progress};
use crate::storage::{CommittedData, ImageWriter, StorageError, Volume, VolumeKind};

impl LvmThin {
    /// Resizes the logical volume of the running qube, else the committed data.
    pub(super) fn resize_volume(&self, volume: &Volume, bytes: u64) -> Result<(), StorageError> {
        let label = volume.label();
        if !volume.rw {
            return Err(StorageError::Refused(format!(
                "{label}: it is read-only and cannot be resized"
            )));
        }
        let names = self.names(&volume.vid)?;
        let _alone = self.lock(volume)?;
        let report = self.query()?;
        let live = report
            .get(&names.snap())
            .or_else(|| committed_volume(&report, &names));
        let Some(live) = live else { return Ok(()) };
        if bytes < live.size {
            return Err(StorageError::Refused(format!(
                "{label}: {bytes} bytes are less than the {} it has; \
                 logical volumes cannot shrink, as the data beyond would be lost",
                live.size
            )));
        }
        match bytes == live.size {
            true => Ok(()),
            false => self.run(&[
                "lvresize",
                "--quiet",
                "-L",
                &format!("{bytes}B"),
                &names.path(&live.name),
            ]),
        }
    }

    /// Implements `Driver::export`.
    pub(super) fn export_volume(&self, volume: &Volume) -> Result<PathBuf, StorageError> {
        let names = self.origin_names(volume, "exported")?;
        let report = self.query()?;
        let Some(now) = committed_volume(&report, &names) else {
            let (label, path) = (volume.label(), names.path(&names.own));
            return Err(StorageError::Refused(format!(
                "{label}: logical volume {path} is missing"
            )));
        };
        if volume.has_snapshots_disabled() && now.is_open {
            let label = volume.label();
            return Err(StorageError::Refused(format!(
                "{label}: it is in use without snapshots (revisions_to_keep is -1); \
                 shut the qube down first"
            )));
        }
        if !now.is_active {
            self.activate(&names, &now.name)?;
        }
        Ok(names.device(&now.name))
    }

    /// Opens the committed data while they are locked. A revision that is open is not pruned.
    pub(super) fn open_committed_volume(
        &self,
        volume: &Volume,
    ) -> Result<CommittedData, StorageError> {
        let unchanged = self.locks.lock_shared(&self.name, &volume.vid)?;
        let device = self.export_volume(volume)?;
        let failed = || StorageError::io(format!("cannot open {}", device.display()));
        let file = File::open(&device).map_err(failed())?;
        let size = file_length(&file).map_err(failed())?;
        let start_lock = volume.has_snapshots_disabled().then_some(unchanged);
        Ok(CommittedData {
            name: volume.name.clone(),
            file,
            size,
            start_lock,
        })
    }

    /// Implements `Driver::import`.
    pub(super) fn import_volume(&self, volume: &Volume, from: &Path) -> Result<(), StorageError> {
        let report = self.query()?;
        let own = self.origin_names(volume, "imported to")?;
        let same_pool = report
            .iter()
            .find(|lv| lv.pool == self.thin_pool && own.device(&lv.name) == from);
        if let Some(lv) = same_pool {
            return self.replace_data(volume, |names| {
                self.snapshot(names, &lv.name, &names.import())
            });
        }
        let failed = |verb: &str| StorageError::io(format!("cannot {verb} {}", from.display()));
        let source = File::open(from).map_err(failed("open"))?;
        let bytes = file_length(&source).map_err(failed("measure"))?;
        self.replace_data(volume, |names| {
            self.fill_import(names, bytes, &mut |device| sparse_copy(&source, device))
        })
    }

    /// Imports committed data: as a snapshot if they are of this pool, whatever the name of their
    /// logical volume is now, else as a copy.
    pub(super) fn import_committed_volume(
        &self,
        volume: &Volume,
        data: &CommittedData,
        on_progress: &dyn Fn(u64),
    ) -> Result<(), StorageError> {
        let own = self.find_in_pool(volume, data)?;
        self.replace_data(volume, |names| {
            self.import_data(names, volume, own.as_deref(), data, on_progress)
        })
    }

    /// Imports committed data and calls `change` to modify them, after closing `data`.
    pub(super) fn import_modified_volume(
        &self,
        volume: &Volume,
        data: CommittedData,
        change: ImageWriter<'_>,
        on_progress: &dyn Fn(u64),
    ) -> Result<(), StorageError> {
        let own = self.find_in_pool(volume, &data)?;
        self.replace_data(volume, |names| {
            self.import_data(names, volume, own.as_deref(), &data, on_progress)?;
            drop(data);
            self.write_import(names, change)
        })
    }

    /// Returns the logical volume of this pool that has the data, by its current name.
    fn find_in_pool(
        &self,
        volume: &Volume,
        data: &CommittedData,
    ) -> Result<Option<String>, StorageError> {
        let own = self.origin_names(volume, "imported to")?;
        let mapped = mapped_name(&data.file)
            .map_err(StorageError::io("cannot determine the device to copy"))?;
        let report = self.query()?;
        let has_data = |lv: &LogicalVolume| {
            own.device(&lv.name).file_name() == mapped.as_deref().map(OsStr::new)
        };
        Ok(report
            .iter()
            .filter(|lv| lv.pool == self.thin_pool)
            .find(|lv| has_data(lv))
            .map(|lv| lv.name.clone()))
    }

    /// Creates the logical volume of an import: a snapshot of the logical volume `own`, or a copy
    /// of `data`.
    fn import_data(
        &self,
        names: &LogicalNames,
        volume: &Volume,
        own: Option<&str>,
        data: &CommittedData,
        on_progress: &dyn Fn(u64),
    ) -> Result<(), StorageError> {
        match own {
            Some(own) => self.snapshot(names, own, &names.import()),
            None => self.fill_import(names, volume.size.max(data.size), &mut |device| {
                sparse_copy_with_progress(&data.file, device, on_progress)
            }),
        }
    }

    /// Implements `Driver::import_with`.
    pub(super) fn import_volume_with(
        &self,
        volume: &Volume,
        fill: ImageWriter<'_>,
    ) -> Result<(), StorageError> {
        self.replace_data(volume, |names| self.fill_import(names, volume.size, fill))
    }

    /// Makes the logical volume that `make` creates for an import the volume's own.
    fn replace_data(
        &self,
        volume: &Volume,
        make: impl FnOnce(&LogicalNames) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let names = self.origin_names(volume, "imported to")?;
        let report = self.refuse_if_dirty(volume, &names, "importing")?;
        self.remove_if_exists(&report, &names, &names.import())?;
        self.refuse_if_full(&report)?;
        let done = make(&names).and_then(|()| {
            let _alone = self.lock(volume)?;
            self.commit(volume, &names, &names.import())
        });
        done.map_err(|error| {
            // Check the pool before the import is removed, which frees its blocks.
            let error = self.explain_full_pool(error);
            // Report the first error. The next start removes the leftover.
            let _leftover = self
                .query()
                .and_then(|report| self.remove_if_exists(&report, &names, &names.import()));
            error
        })
    }

    /// Implements `Driver::revert`.
    pub(super) fn revert_volume(
        &self,
        volume: &Volume,
        id: Option<&str>,
    ) -> Result<(), StorageError> {
        let names = self.origin_names(volume, "reverted")?;
        let report = self.refuse_if_dirty(volume, &names, "reverting")?;
        let _alone = self.lock(volume)?;
        let chosen = choose_revision(volume, &report, &names, id)?;
        self.remove_if_exists(&report, &names, &names.import())?;
        self.snapshot(&names, &names.revision(chosen), &names.import())?;
        self.commit(volume, &names, &names.import())
    }

    /// Implements `Driver::revision_size`.
    pub(super) fn size_of_revision(
        &self,
        volume: &Volume,
        id: Option<&str>,
    ) -> Result<u64, StorageError> {
        let (names, report) = (self.origin_names(volume, "reverted")?, self.query()?);
        let chosen = names.revision(choose_revision(volume, &report, &names, id)?);
        Ok(report
            .get(&chosen)
            .map_or(volume.size, |revision| revision.size))
    }

    /// Creates the logical volume of an import with `bytes` bytes, and lets `fill` write to it.
    fn fill_import(
        &self,
        names: &LogicalNames,
        bytes: u64,
        fill: ImageWriter<'_>,
    ) -> Result<(), StorageError> {
        self.make_empty(names, &names.import(), bytes, Purpose::Persistent)?;
        self.write_import(names, fill)
    }

    /// Lets `fill` write to the logical volume of an import.
    fn write_import(
        &self,
        names: &LogicalNames,
        fill: ImageWriter<'_>,
    ) -> Result<(), StorageError> {
        let device = names.device(&names.import());
        let failed = |verb: &str| StorageError::io(format!("cannot {verb} {}", device.display()));
        let target = File::options()
            .read(true)
            .write(true)
            .open(&device)
            .map_err(failed("open"))?;
        fill(&target)
            .and_then(|()| target.sync_all())
            .map_err(failed("write"))
    }

    fn refuse_if_dirty(
        &self,
        volume: &Volume,
        names: &LogicalNames,
        verb: &str,
    ) -> Result<Report, StorageError> {
        let report = self.query()?;
        let in_use =
            volume.has_snapshots_disabled() && report.get(&names.own).is_some_and(|lv| lv.is_open);
        if report.get(&names.snap()).is_some() || in_use {
            let label = volume.label();
            return Err(StorageError::Refused(format!(
                "{label}: it is in use or was not stopped cleanly; shut the qube down before {verb}"
            )));
        }
        Ok(report)
    }

    /// Returns the names of a persistent volume. For others, the error says that they cannot be
    /// `verb`.
    fn origin_names(&self, volume: &Volume, verb: &str) -> Result<LogicalNames, StorageError> {
        match volume.kind {
            VolumeKind::Origin => self.names(&volume.vid),
            VolumeKind::Snapshot | VolumeKind::Volatile => {
                let label = volume.label();
                Err(StorageError::Refused(format!(
                    "{label}: it is not kept from start to start and cannot be {verb}"
                )))
            }
        }
    }
}

/// Returns the time of the revision `id`; without an id, of the newest one that differs from the
/// volume's data. If a commit was interrupted before the volume had its new data, the newest
/// revision is the volume's data.
fn choose_revision(
    volume: &Volume,
    report: &Report,
    names: &LogicalNames,
    id: Option<&str>,
) -> Result<i64, StorageError> {
    let times = revision_times(report, names);
    let copies = usize::from(report.get(&names.own).is_none());
    let chosen = match id {
        Some(id) => times.iter().find(|time| format!("{time}-back") == id),
        None => times.iter().rev().nth(copies).or(times.last()),
    };
    chosen.copied().ok_or_else(|| {
        let label = volume.label();
        let known = times
            .iter()
            .map(|time| format!("{time}-back"))
            .collect::<Vec<_>>()
            .join(", ");
        StorageError::Refused(match id {
            Some(id) if !times.is_empty() => {
                format!(
                    "{label}: it has no revision '{}'; it has {known}",
                    id.escape_debug()
                )
            }
            _ => format!("{label}: it has no revision to revert to"),
        })
    })
}

/// Returns the device mapper's name of an open device (`/sys/dev/block/MAJOR:MINOR/dm/name`);
/// `None` for other files.
fn mapped_name(device: &File) -> io::Result<Option<String>> {
    let metadata = device.metadata()?;
    if !metadata.file_type().is_block_device() {
        return Ok(None);
    }
    let number = metadata.rdev();
    let name = format!("/sys/dev/block/{}:{}/dm/name", major(number), minor(number));
    match fs::read_to_string(name) {
        Ok(name) => Ok(Some(name.trim_end().to_string())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
