//! Imports, exports and resizes volumes.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

use nix::sys::stat::{major, minor};

use super::lifecycle::missing;
use super::report::{LogicalVolume, Report};
use super::run_images::Purpose;
use super::{LvmThin, committed_volume};
use crate::fs::comparison::file_length;
use crate::fs::sparse_copy::sparse_copy_with_progress;
use crate::storage::logical_names::LogicalNames;
use crate::storage::{CommittedData, ImageWriter, StorageError, Volume, VolumeData, VolumeKind};

impl VolumeData for LvmThin {
    fn size(&self, volume: &Volume) -> Result<u64, StorageError> {
        let (report, names) = (self.cached_report()?, self.names(volume)?);
        let source = || match volume.kind() {
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
        let (report, names) = (self.cached_report()?, self.names(volume)?);
        Ok(report
            .get(&names.snap())
            .or_else(|| committed_volume(&report, &names))
            .map_or(0, LogicalVolume::used))
    }

    /// Resizes the logical volume of the running qube, else the committed data.
    fn resize(&self, volume: &Volume, bytes: u64) -> Result<(), StorageError> {
        volume.require_writable()?;
        let names = self.names(volume)?;
        let _alone = self.lock(volume)?;
        let report = self.query()?;
        let live = report
            .get(&names.snap())
            .or_else(|| committed_volume(&report, &names));
        let Some(live) = live else { return Ok(()) };
        if bytes < live.size {
            return Err(volume.refusal(format_args!(
                "{bytes} bytes are less than the {} it has; logical volumes cannot shrink, as the \
                 data beyond would be lost",
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

    fn export(&self, volume: &Volume) -> Result<PathBuf, StorageError> {
        let names = self.origin_names(volume, "exported")?;
        let report = self.query()?;
        let now = committed_volume(&report, &names).ok_or_else(|| missing(volume, &names))?;
        if volume.has_snapshots_disabled() && now.is_open {
            return Err(volume.refusal(
                "it is in use without snapshots (revisions_to_keep is -1); shut the qube down \
                 first",
            ));
        }
        if !now.is_active {
            self.activate(&names, &now.name)?;
        }
        Ok(names.device(&now.name))
    }

    /// Opens the committed data while they are locked. A revision that is open is not pruned.
    fn open_committed_data(&self, volume: &Volume) -> Result<CommittedData, StorageError> {
        let unchanged = self.locks.lock_shared(&self.name, &volume.vid)?;
        let device = self.export(volume)?;
        let failed = || StorageError::on("open", &device);
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

    fn import_with(&self, volume: &Volume, fill: ImageWriter<'_>) -> Result<(), StorageError> {
        self.replace_data(volume, |names| self.fill_import(names, volume.size, fill))
    }

    /// Imports committed data: as a snapshot if they are of this pool, whatever the name of their
    /// logical volume is now, else as a copy.
    fn import_committed_data(
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
    fn import_modified(
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
}

impl LvmThin {
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

    /// Makes the logical volume that `make` creates for an import the volume's own.
    fn replace_data(
        &self,
        volume: &Volume,
        make: impl FnOnce(&LogicalNames) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let names = self.origin_names(volume, "imported to")?;
        let report = self.refuse_if_dirty(volume, &names, "before importing")?;
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
        let target = File::options()
            .read(true)
            .write(true)
            .open(&device)
            .map_err(StorageError::on("open", &device))?;
        fill(&target)
            .and_then(|()| target.sync_all())
            .map_err(StorageError::on("write", &device))
    }

    /// Refuses a volume that is in use or has data that are not committed. The qube has to be shut
    /// down `when`.
    pub(super) fn refuse_if_dirty(
        &self,
        volume: &Volume,
        names: &LogicalNames,
        when: &str,
    ) -> Result<Report, StorageError> {
        let report = self.query()?;
        let in_use =
            volume.has_snapshots_disabled() && report.get(&names.own).is_some_and(|lv| lv.is_open);
        if report.get(&names.snap()).is_some() || in_use {
            return Err(volume.in_use(when));
        }
        Ok(report)
    }

    /// Returns the names of a persistent volume. For others, the error says that they cannot be
    /// `verb`.
    pub(super) fn origin_names(
        &self,
        volume: &Volume,
        verb: &str,
    ) -> Result<LogicalNames, StorageError> {
        volume.require_origin(verb)?;
        self.names(volume)
    }
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
