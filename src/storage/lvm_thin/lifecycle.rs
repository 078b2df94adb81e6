//! From create over start and stop to remove.

use std::thread;
use std::time::{Duration, Instant};

use super::names::Names;
use super::report::Report;
use super::runs::{Purpose, RUN_TAG};
use super::{LvmThin, current, images_in, revisions};
use crate::storage::volume_files::kept_for;
use crate::storage::{ForeignImage, Image, ImageOwners, Kind, StorageError, Volume, runs};

/// How long a device may still be open after the domain has gone: the backend and udev let go a
/// moment later.
const GRACE: Duration = Duration::from_secs(10);

impl LvmThin {
    pub(super) fn create_volume(&self, volume: &Volume) -> Result<(), StorageError> {
        let names = self.names(&volume.vid)?;
        let _alone = self.lock(volume)?;
        self.remove_all(volume, &names)?;
        match volume.kind {
            Kind::Origin => {
                self.refuse_if_full(&self.ask()?)?;
                self.make_empty(&names, &names.own, volume.size, Purpose::ToKeep)
            }
            Kind::Snapshot | Kind::Volatile => Ok(()),
        }
    }

    pub(super) fn remove_volume(
        &self,
        volume: &Volume,
        owners: &ImageOwners,
    ) -> Result<Vec<String>, StorageError> {
        let names = self.names(&volume.vid)?;
        let _alone = self.lock(volume)?;
        let mut kept = Vec::new();
        let mut unowned = Vec::new();
        let report = self.ask()?;
        let foreign = self.foreign_in(&report, volume, &names);
        for image in images_in(&report, &names) {
            let is_foreign = |foreign: &&ForeignImage| foreign.image == image;
            match (owners.owner(&image)?, foreign.iter().find(is_foreign)) {
                (Some(owner), _) => kept.push(kept_for(&image, owner)),
                (None, Some(foreign)) => kept.push(runs::kept_beside(volume, foreign)),
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

    pub(super) fn start_volume(&self, volume: &Volume) -> Result<(), StorageError> {
        let names = self.names(&volume.vid)?;
        if volume.kind == Kind::Snapshot {
            return self.start_snapshot(volume, &names);
        }
        let report = self.ask()?;
        runs::refuse_beside(volume, &self.foreign_in(&report, volume, &names))?;
        if report.get(&names.import()).is_some_and(|lv| lv.is_open) {
            let label = volume.label();
            let text =
                format!("{label}: data are being imported to it; start the qube when that is done");
            return Err(StorageError::Refused(text));
        }
        self.remove_if_there(&report, &names, &names.import())?;
        self.refuse_if_full(&report)?;
        match volume.kind {
            Kind::Volatile => {
                self.remove_if_there(&report, &names, &names.own)?;
                self.make_empty(&names, &names.own, volume.size, Purpose::Run)
            }
            Kind::Origin if volume.snapshots_disabled() => self.start_in_place(volume, &names),
            // After a crash the guest goes on with what it wrote.
            Kind::Origin if report.get(&names.snap()).is_some() => {
                self.activate(&names, &names.snap())
            }
            Kind::Origin | Kind::Snapshot => {
                self.snapshot_of_current(volume, &report, &names, &names)
            }
        }
    }

    fn start_snapshot(&self, volume: &Volume, names: &Names) -> Result<(), StorageError> {
        let source = self.source(volume)?;
        let _unchanged = self
            .locks
            .shared(&self.name, &format!("{}/{}", source.group, source.own))?;
        let report = self.ask()?;
        runs::refuse_beside(volume, &self.foreign_in(&report, volume, names))?;
        self.refuse_if_full(&report)?;
        self.remove_if_there(&report, names, &names.snap())?;
        self.snapshot_of_current(volume, &report, &source, names)
    }

    pub(super) fn stop_volume(&self, volume: &Volume) -> Result<(), StorageError> {
        let names = self.names(&volume.vid)?;
        let report = self.closed(volume, &names)?;
        match volume.kind {
            Kind::Volatile | Kind::Snapshot => match self.of_run(&report, volume, &names) {
                Some(name) => self.remove_logical(&names, &name),
                None => Ok(()),
            },
            Kind::Origin if report.get(&names.snap()).is_none() => Ok(()),
            Kind::Origin => {
                let _alone = self.lock(volume)?;
                self.commit(volume, &names, &names.snap())
            }
        }
    }

    pub(super) fn discard_volume(&self, volume: &Volume) -> Result<(), StorageError> {
        let names = self.names(&volume.vid)?;
        let report = self.closed(volume, &names)?;
        // The snapshot is superfluous only where what it was made of is still there.
        match volume.kind {
            Kind::Origin if report.get(&names.own).is_some() => {
                self.remove_if_there(&report, &names, &names.snap())
            }
            _ => self.stop_volume(volume),
        }
    }

    /// Makes the logical volume `from` the volume's own, and what that was a revision. The volume
    /// is locked.
    pub(super) fn commit(
        &self,
        volume: &Volume,
        names: &Names,
        from: &str,
    ) -> Result<(), StorageError> {
        let report = self.ask()?;
        let is_open = |name: &str| report.get(name).is_some_and(|lv| lv.is_open);
        let mut kept: Vec<(i64, bool)> = revisions(&report, names)
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

    /// Removes all but the newest of these revisions, told by their times and whether somebody has
    /// them open. One that somebody reads (a copy of it is under way) is left to the next commit.
    fn prune(
        &self,
        volume: &Volume,
        names: &Names,
        revisions: &[(i64, bool)],
    ) -> Result<(), StorageError> {
        let keep = usize::try_from(volume.revisions_to_keep).unwrap_or(0);
        let superfluous = &revisions[..revisions.len().saturating_sub(keep)];
        let closed = superfluous.iter().filter(|(_, is_open)| !is_open);
        closed
            .map(|(time, _)| names.revision(*time))
            .try_for_each(|name| self.remove_logical(names, &name))
    }

    /// The guest gets the volume's own data; nothing of before stays.
    fn start_in_place(&self, volume: &Volume, names: &Names) -> Result<(), StorageError> {
        let _alone = self.lock(volume)?;
        let report = self.ask()?;
        if report.get(&names.own).is_none() {
            // A commit that a crash cut short: its newest revision is the current state.
            let newest = current(&report, names).map(|lv| lv.name.clone());
            let newest = newest.ok_or_else(|| missing(volume, names))?;
            self.rename(names, &newest, &names.own)?;
        }
        let report = self.ask()?;
        for time in revisions(&report, names) {
            self.remove_logical(names, &names.revision(time))?;
        }
        self.activate(names, &names.own)
    }

    /// A running copy for `names` of the committed data of `source`.
    fn snapshot_of_current(
        &self,
        volume: &Volume,
        report: &Report,
        source: &Names,
        names: &Names,
    ) -> Result<(), StorageError> {
        let origin = current(report, source).ok_or_else(|| missing(volume, source))?;
        self.snapshot(names, &origin.name, &names.snap())
    }

    /// A thin snapshot `new` of the logical volume `of` of the same group. Its device appears at
    /// once and at each boot.
    pub(super) fn snapshot(&self, names: &Names, of: &str, new: &str) -> Result<(), StorageError> {
        self.change(&[
            "lvcreate",
            "--quiet",
            "-kn",
            "-ay",
            "-s",
            &names.path(of),
            "-n",
            new,
        ])
    }

    pub(super) fn make_empty(
        &self,
        names: &Names,
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
        self.change(&arguments)
    }

    pub(super) fn activate(&self, names: &Names, name: &str) -> Result<(), StorageError> {
        self.change(&["lvchange", "--quiet", "-kn", "-ay", &names.path(name)])
    }

    pub(super) fn rename(&self, names: &Names, from: &str, to: &str) -> Result<(), StorageError> {
        self.change(&["lvrename", "--quiet", &names.path(from), &names.path(to)])
    }

    pub(super) fn remove_logical(&self, names: &Names, name: &str) -> Result<(), StorageError> {
        self.change(&["lvremove", "--quiet", "--force", &names.path(name)])
    }

    pub(super) fn remove_if_there(
        &self,
        report: &Report,
        names: &Names,
        name: &str,
    ) -> Result<(), StorageError> {
        report
            .get(name)
            .map_or(Ok(()), |_| self.remove_logical(names, name))
    }

    fn remove_all(&self, volume: &Volume, names: &Names) -> Result<(), StorageError> {
        let report = self.closed(volume, names)?;
        let mine = report.iter().filter(|lv| names.is_mine(&lv.name));
        mine.map(|lv| lv.name.clone())
            .try_for_each(|name| self.remove_logical(names, &name))
    }

    /// What LVM knows once nobody has the running copy open any more.
    fn closed(&self, volume: &Volume, names: &Names) -> Result<Report, StorageError> {
        let in_place = volume.kind == Kind::Volatile || volume.snapshots_disabled();
        let deadline = Instant::now() + GRACE;
        loop {
            let report = self.ask()?;
            let open = report.get(&names.snap()).filter(|lv| lv.is_open);
            let open = open.or_else(|| report.get(&names.own).filter(|lv| in_place && lv.is_open));
            let Some(open) = open.map(|lv| names.device(&lv.name)) else {
                return Ok(report);
            };
            if Instant::now() >= deadline {
                let label = volume.label();
                return Err(StorageError::Refused(format!(
                    "{label}: {} is still open; end what uses it first",
                    open.display()
                )));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

fn missing(volume: &Volume, names: &Names) -> StorageError {
    StorageError::Refused(format!(
        "{}: logical volume {} is missing",
        volume.label(),
        names.path(&names.own)
    ))
}
