//! Creates, starts, stops and removes volumes.

use std::ops::ControlFlow;
use std::time::Duration;

use super::report::Report;
use super::run_images::{Purpose, RUN_TAG};
use super::{LvmThin, committed_volume, list_images, revision_times};
use crate::storage::grace::{still_open, wait_until_closed};
use crate::storage::logical_names::LogicalNames;
use crate::storage::{
    Attachment, ForeignImage, Image, ImageOwners, StorageError, Volume, VolumeKind, VolumeLife,
    run_images,
};

impl VolumeLife for LvmThin {
    fn create(&self, volume: &Volume) -> Result<(), StorageError> {
        let names = self.names(volume)?;
        let _alone = self.lock(volume)?;
        self.remove_all(volume, &names)?;
        match volume.kind() {
            VolumeKind::Origin => {
                self.refuse_if_full(&self.query()?)?;
                self.make_empty(&names, &names.own, volume.size, Purpose::Persistent)
            }
            VolumeKind::Snapshot | VolumeKind::Volatile => Ok(()),
        }
    }

    fn remove_unowned(
        &self,
        volume: &Volume,
        owners: &ImageOwners,
    ) -> Result<Vec<String>, StorageError> {
        let names = self.names(volume)?;
        let _alone = self.lock(volume)?;
        let mut kept = Vec::new();
        let mut unowned = Vec::new();
        let report = self.query()?;
        let foreign = self.list_foreign(&report, volume, &names);
        for image in list_images(&report, &names) {
            let is_foreign = |foreign: &&ForeignImage| foreign.image == image;
            match (owners.find_owner(&image)?, foreign.iter().find(is_foreign)) {
                (Some(owner), _) => kept.push(run_images::describe_owned(&image, owner)),
                (None, Some(foreign)) => kept.push(run_images::describe_foreign(volume, foreign)),
                (None, None) => unowned.push(image),
            }
        }
        if kept.is_empty() {
            return self.remove_all(volume, &names).map(|()| kept);
        }
        for image in unowned {
            if let Image::Logical { name, .. } = image {
                self.remove_logical(&names, &name)?;
            }
        }
        Ok(kept)
    }

    fn start(&self, volume: &Volume) -> Result<(), StorageError> {
        let names = self.names(volume)?;
        if volume.kind() == VolumeKind::Snapshot {
            return self.start_snapshot(volume, &names);
        }
        let report = self.query()?;
        run_images::refuse_foreign(volume, &self.list_foreign(&report, volume, &names))?;
        if report.get(&names.import()).is_some_and(|lv| lv.is_open) {
            return Err(
                volume.refusal("data are being imported to it; start the qube when that is done")
            );
        }
        self.remove_if_exists(&report, &names, &names.import())?;
        self.refuse_if_full(&report)?;
        match volume.kind() {
            VolumeKind::Volatile => {
                self.remove_if_exists(&report, &names, &names.own)?;
                self.make_empty(&names, &names.own, volume.size, Purpose::Run)
            }
            VolumeKind::Origin if volume.has_snapshots_disabled() => {
                self.start_in_place(volume, &names)
            }
            // After a crash the guest continues with what it has written.
            VolumeKind::Origin if report.get(&names.snap()).is_some() => {
                self.activate(&names, &names.snap())
            }
            VolumeKind::Origin | VolumeKind::Snapshot => {
                self.snapshot_committed(volume, &report, &names, &names)
            }
        }
    }

    fn stop(&self, volume: &Volume) -> Result<(), StorageError> {
        let names = self.names(volume)?;
        let report = self.wait_until_closed(volume, &names)?;
        match volume.kind() {
            VolumeKind::Volatile | VolumeKind::Snapshot => {
                match self.run_volume(&report, volume, &names) {
                    Some(name) => self.remove_logical(&names, &name),
                    None => Ok(()),
                }
            }
            VolumeKind::Origin if report.get(&names.snap()).is_none() => Ok(()),
            VolumeKind::Origin => {
                let _alone = self.lock(volume)?;
                self.commit(volume, &names, &names.snap())
            }
        }
    }

    fn discard(&self, volume: &Volume) -> Result<(), StorageError> {
        let names = self.names(volume)?;
        let report = self.wait_until_closed(volume, &names)?;
        // The snapshot is redundant only if its origin still exists.
        match volume.kind() {
            VolumeKind::Origin if report.get(&names.own).is_some() => {
                self.remove_if_exists(&report, &names, &names.snap())
            }
            _ => self.stop(volume),
        }
    }

    fn images(&self, volume: &Volume) -> Result<Vec<Image>, StorageError> {
        Ok(list_images(&self.query()?, &self.names(volume)?))
    }

    fn verify(&self, volume: &Volume) -> Result<(), StorageError> {
        let needed = match volume.kind() {
            VolumeKind::Volatile => return Ok(()),
            VolumeKind::Snapshot => self.source(volume)?,
            VolumeKind::Origin => self.names(volume)?,
        };
        let report = self.cached_report()?;
        let exists = committed_volume(&report, &needed).is_some()
            || (volume.kind() == VolumeKind::Origin && report.get(&needed.snap()).is_some());
        match exists {
            true => Ok(()),
            false => Err(missing(volume, &needed)),
        }
    }

    fn attachment(&self, volume: &Volume) -> Result<Attachment, StorageError> {
        let names = self.names(volume)?;
        let in_place = volume.kind() == VolumeKind::Volatile || volume.has_snapshots_disabled();
        Ok(Attachment::Device(names.device(&if in_place {
            names.own.clone()
        } else {
            names.snap()
        })))
    }

    fn is_dirty(&self, volume: &Volume) -> Result<bool, StorageError> {
        if volume.kind() != VolumeKind::Origin || volume.has_snapshots_disabled() {
            return Ok(false);
        }
        Ok(self
            .cached_report()?
            .get(&self.names(volume)?.snap())
            .is_some())
    }

    fn has_run_images(&self, volume: &Volume) -> Result<bool, StorageError> {
        Ok(self
            .run_volume(&self.cached_report()?, volume, &self.names(volume)?)
            .is_some())
    }

    fn foreign_images(&self, volume: &Volume) -> Result<Vec<ForeignImage>, StorageError> {
        Ok(self.list_foreign(&self.cached_report()?, volume, &self.names(volume)?))
    }

    fn is_outdated(&self, volume: &Volume) -> Result<bool, StorageError> {
        if volume.kind() != VolumeKind::Snapshot {
            return Ok(false);
        }
        let (report, names) = (self.cached_report()?, self.names(volume)?);
        let now = committed_volume(&report, &self.source(volume)?).map(|lv| lv.name.clone());
        Ok(report
            .get(&names.snap())
            .zip(now)
            .is_some_and(|(snap, now)| snap.origin != now))
    }
}

impl LvmThin {
    fn start_snapshot(&self, volume: &Volume, names: &LogicalNames) -> Result<(), StorageError> {
        let source = self.source(volume)?;
        let _unchanged = self
            .locks
            .lock_shared(&self.name, &format!("{}/{}", source.group, source.own))?;
        let report = self.query()?;
        run_images::refuse_foreign(volume, &self.list_foreign(&report, volume, names))?;
        self.refuse_if_full(&report)?;
        self.remove_if_exists(&report, names, &names.snap())?;
        self.snapshot_committed(volume, &report, &source, names)
    }

    /// Makes the logical volume `from` the volume's own, and the former own one a revision. The
    /// caller holds the volume's lock.
    pub(super) fn commit(
        &self,
        volume: &Volume,
        names: &LogicalNames,
        from: &str,
    ) -> Result<(), StorageError> {
        let report = self.query()?;
        let is_open = |name: &str| report.get(name).is_some_and(|lv| lv.is_open);
        let mut kept: Vec<(i64, bool)> = revision_times(&report, names)
            .into_iter()
            .map(|time| (time, is_open(&names.revision(time))))
            .collect();
        if report.get(&names.own).is_some() {
            let last = kept.last().map_or(0, |(time, _)| *time);
            let time = crate::clock::now_utc().as_second().max(last + 1);
            self.rename(names, &names.own, &names.revision(time))?;
            kept.push((time, is_open(&names.own)));
        }
        self.rename(names, from, &names.own)?;
        self.prune(volume, names, &kept)
    }

    /// Removes all but the newest of `revisions`, each its time and whether it is open. An open
    /// one, which is being copied, is left to the next commit.
    fn prune(
        &self,
        volume: &Volume,
        names: &LogicalNames,
        revisions: &[(i64, bool)],
    ) -> Result<(), StorageError> {
        let keep = usize::try_from(volume.revisions_to_keep).unwrap_or(0);
        let obsolete = &revisions[..revisions.len().saturating_sub(keep)];
        let closed = obsolete.iter().filter(|(_, is_open)| !is_open);
        closed
            .map(|(time, _)| names.revision(*time))
            .try_for_each(|name| self.remove_logical(names, &name))
    }

    /// Gives the guest the volume's own data. The revisions are removed.
    fn start_in_place(&self, volume: &Volume, names: &LogicalNames) -> Result<(), StorageError> {
        let _alone = self.lock(volume)?;
        let report = self.query()?;
        if report.get(&names.own).is_none() {
            // A crash has interrupted a commit: the newest revision is the current state.
            let newest = committed_volume(&report, names).map(|lv| lv.name.clone());
            let newest = newest.ok_or_else(|| missing(volume, names))?;
            self.rename(names, &newest, &names.own)?;
        }
        let report = self.query()?;
        for time in revision_times(&report, names) {
            self.remove_logical(names, &names.revision(time))?;
        }
        self.activate(names, &names.own)
    }

    /// Creates a snapshot of the committed data of `source` for a run of `names`.
    fn snapshot_committed(
        &self,
        volume: &Volume,
        report: &Report,
        source: &LogicalNames,
        names: &LogicalNames,
    ) -> Result<(), StorageError> {
        let origin = committed_volume(report, source).ok_or_else(|| missing(volume, source))?;
        self.snapshot(names, &origin.name, &names.snap())
    }

    /// Creates the thin snapshot `new` of the logical volume `origin` in the same group. Its device
    /// is activated now and at each boot.
    pub(super) fn snapshot(
        &self,
        names: &LogicalNames,
        origin: &str,
        new: &str,
    ) -> Result<(), StorageError> {
        self.run(&[
            "lvcreate",
            "--quiet",
            "-kn",
            "-ay",
            "-s",
            &names.path(origin),
            "-n",
            new,
        ])
    }

    /// Creates the empty logical volume `name` of `bytes` bytes.
    pub(super) fn make_empty(
        &self,
        names: &LogicalNames,
        name: &str,
        bytes: u64,
        purpose: Purpose,
    ) -> Result<(), StorageError> {
        let (pool, size) = (
            format!("{}/{}", names.group, self.thin_pool),
            format!("{bytes}B"),
        );
        let mut arguments = vec![
            "lvcreate", "--quiet", "-T", &pool, "-kn", "-ay", "-n", name, "-V", &size,
        ];
        if purpose == Purpose::Run {
            arguments.extend(["--addtag", RUN_TAG]);
        }
        self.run(&arguments)
    }

    /// Creates the device of a logical volume.
    pub(super) fn activate(&self, names: &LogicalNames, name: &str) -> Result<(), StorageError> {
        self.run(&["lvchange", "--quiet", "-kn", "-ay", &names.path(name)])
    }

    /// Renames a logical volume.
    pub(super) fn rename(
        &self,
        names: &LogicalNames,
        from: &str,
        to: &str,
    ) -> Result<(), StorageError> {
        self.run(&["lvrename", "--quiet", &names.path(from), &names.path(to)])
    }

    /// Removes a logical volume.
    pub(super) fn remove_logical(
        &self,
        names: &LogicalNames,
        name: &str,
    ) -> Result<(), StorageError> {
        self.run(&["lvremove", "--quiet", "--force", &names.path(name)])
    }

    /// Removes a logical volume if the report has it.
    pub(super) fn remove_if_exists(
        &self,
        report: &Report,
        names: &LogicalNames,
        name: &str,
    ) -> Result<(), StorageError> {
        report
            .get(name)
            .map_or(Ok(()), |_| self.remove_logical(names, name))
    }

    fn remove_all(&self, volume: &Volume, names: &LogicalNames) -> Result<(), StorageError> {
        let report = self.wait_until_closed(volume, names)?;
        let own = report.iter().filter(|lv| names.owns(&lv.name));
        own.map(|lv| lv.name.clone())
            .try_for_each(|name| self.remove_logical(names, &name))
    }

    /// Waits until the running copy is not open any more, and returns the report of LVM.
    fn wait_until_closed(
        &self,
        volume: &Volume,
        names: &LogicalNames,
    ) -> Result<Report, StorageError> {
        let in_place = volume.kind() == VolumeKind::Volatile || volume.has_snapshots_disabled();
        wait_until_closed(Duration::from_millis(100), || {
            let report = self.query()?;
            let open = report.get(&names.snap()).filter(|lv| lv.is_open);
            let open = open.or_else(|| report.get(&names.own).filter(|lv| in_place && lv.is_open));
            Ok(match open.map(|lv| names.device(&lv.name)) {
                Some(device) => ControlFlow::Continue(still_open(volume, &device)),
                None => ControlFlow::Break(report),
            })
        })
    }
}

/// Returns the error that a volume has no committed data.
pub(super) fn missing(volume: &Volume, names: &LogicalNames) -> StorageError {
    volume.refusal(format_args!(
        "logical volume {} is missing",
        names.path(&names.own)
    ))
}
