//! New data for a volume that is there: imported, cloned from another, cleared.
//!
//! The data are copied beside the volume's own while no lock of the qube is held, so it can be
//! listed, even started, meanwhile. Only when they are complete and on the disk the qube is locked,
//! and unless it was started the volume gets them. Until then it has what it had, whatever happens.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::time::Duration;

use super::qube_lock::QubeLock;
use super::reconcile::QubeState;
use super::root_data::OpenRootData;
use super::start::find_qube;
use super::volume_exchange::{Ready, failed_to_look};
use super::volumes::refused;
use super::{LifecycleError, Session};
use crate::fs::file_lock::{Exclusivity, FileLock, FileLockError};
use crate::model::VmName;
use crate::storage::{
    CommittedData, CopyWatcher, Driver, Volume, VolumeKind, Watched, copy_data_with_progress,
    file_length, punch_holes, write_sparse_with_progress,
};

/// How long a volume that gets new data is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewLength {
    /// As long as the data.
    OfTheData,
    /// This many bytes, and so many the data must have: a pipe that breaks shows.
    Bytes(u64),
    /// As long as it is; the data may be shorter, zeros follow them.
    AsItIs,
}

/// What a volume is to have in it.
pub(super) enum NewData<'a> {
    /// What a file, a device or a pipe has, from where it stands.
    From {
        file: &'a File,
        length: NewLength,
    },
    Clone(Option<CommittedData>),
    Package(&'a mut OpenRootData),
    /// What it has, with holes where it has zeros.
    Without {
        data: Option<CommittedData>,
        zeros: Vec<Range<u64>>,
    },
    Nothing,
}

impl Session {
    /// Gives a volume of a halted qube the data that `file` has; atomically.
    ///
    /// # Errors
    /// The qube runs, another import is under way, there are no data or more than the volume may
    /// have, or they cannot all be read and written: the volume has what it had then.
    pub fn import_volume(
        &self,
        name: &VmName,
        volume: &str,
        file: &File,
        length: NewLength,
        watcher: &dyn CopyWatcher,
    ) -> Result<(), LifecycleError> {
        self.replace_data(name, volume, NewData::From { file, length }, watcher)
            .map(drop)
    }

    /// Gives a volume the last committed data of another one.
    ///
    /// # Errors
    /// As [`Session::import_volume`]; the source is no volume that is kept from start to start.
    pub fn clone_volume(
        &self,
        source: (&VmName, &str),
        target: (&VmName, &str),
        watcher: &dyn CopyWatcher,
    ) -> Result<(), LifecycleError> {
        if source == target {
            let (volume, reason) = (
                format!("{}:{}", target.0, target.1),
                "it is the one to clone from".to_string(),
            );
            return Err(LifecycleError::VolumeRefused { volume, reason });
        }
        // Whether it can have them is asked before the source is locked; it is asked again later.
        self.require_volume_halted(target.0)?;
        let data = {
            let lock = self.lock_qube(source.0)?;
            if self.reconcile(&lock)? == QubeState::Gone {
                return Err(LifecycleError::NoSuchQube(source.0.to_string()));
            }
            let qubes = self.read()?;
            let vm = find_qube(&qubes, source.0)?;
            self.with_volume(&qubes, vm, source.1, |volume, driver| {
                Ok(driver.open_committed_data(volume)?)
            })?
        };
        self.replace_data(target.0, target.1, NewData::Clone(Some(data)), watcher)
            .map(drop)
    }

    /// Empties a volume; it stays as large as it is.
    ///
    /// # Errors
    /// As [`Session::import_volume`].
    pub fn clear_volume(&self, name: &VmName, volume: &str) -> Result<(), LifecycleError> {
        let clear = || {
            self.replace_data(name, volume, NewData::Nothing, &crate::storage::Unwatched)
                .map(drop)
        };
        self.save_or_free_space(name, clear, |full| {
            let lock = self.lock_qube(name)?;
            self.require_halted(&lock)?;
            let kept = {
                let qubes = self.read()?;
                self.with_volume(&qubes, find_qube(&qubes, name)?, volume, |volume, _| {
                    Ok(volume.revisions_to_keep)
                })?
            };
            // What the volume has becomes a revision, and the oldest would go for it.
            self.free_volume_space(name, volume, Some(kept.saturating_sub(1)), full)
                .map(drop)
        })
    }

    fn require_volume_halted(&self, name: &VmName) -> Result<(), LifecycleError> {
        let qubes = self.read()?;
        find_qube(&qubes, name)?;
        self.convert_if_old(&qubes)?;
        drop(qubes);
        let lock = self.lock_qube(name)?;
        self.require_halted(&lock)
    }

    /// Replaces a volume's data. Whoever needs the qube as it is then goes on under the lock that
    /// is returned.
    pub(super) fn replace_data(
        &self,
        name: &VmName,
        volume: &str,
        mut data: NewData<'_>,
        watcher: &dyn CopyWatcher,
    ) -> Result<QubeLock, LifecycleError> {
        self.require_volume_halted(name)?;
        let _alone = self.lock_for_import(name)?;
        let qubes = self.read()?;
        let vm = find_qube(&qubes, name)?;
        self.require_own_image(&qubes, vm, volume, "replace the data of")?;
        self.with_volume(&qubes, vm, volume, |volume, driver| {
            if volume.kind != VolumeKind::Origin {
                return Err(refused(
                    volume,
                    "it is not kept from start to start, so there is nothing to put data into",
                ));
            }
            let size = data.check(volume, driver)?;
            let wanted = Volume {
                size: size.unwrap_or(volume.size),
                ..volume.clone()
            };
            let outcome = RefCell::new(None);
            let base = data.base();
            let mut fill = |to: &File| {
                if let Err(error) = data.write_into(to, size, &volume.name, watcher) {
                    // What is wrong with the data is told without the file they were to be written
                    // to.
                    if error.raw_os_error().is_none() {
                        outcome.replace(Some(Err(not_imported(volume, &error.to_string()))));
                    }
                    return Err(error);
                }
                let ready = self.lock_for_commit(name, volume, to).and_then(|lock| {
                    // Before the data are exchanged: who cannot save has changed nothing then.
                    let size = file_length(to).map_err(failed_to_look)?;
                    self.save_size(name, volume, size)?;
                    Ok(Ready { lock, size })
                });
                let goes_on = ready.is_ok();
                outcome.replace(Some(ready));
                if goes_on {
                    Ok(())
                } else {
                    Err(io::Error::other("the volume keeps what it has"))
                }
            };
            let done = match base {
                // It may be another volume's only image, whose start waits for it to be let go: it
                // is before the lock is waited for.
                Some(base) => {
                    let watched = Watched::begin(watcher, &volume.name, Some(base.size));
                    driver.import_modified(&wanted, base, &mut fill, &|at| watched.reached(at))
                }
                None => driver.import_with(&wanted, &mut fill),
            };
            let ready = match outcome.into_inner() {
                Some(ready) => Some(ready?),
                None => None,
            };
            self.end_import(name, (volume, driver), done, ready)
        })
    }

    /// The lock of a qube that is still what it was when the copying began.
    fn lock_for_commit(
        &self,
        name: &VmName,
        began: &Volume,
        image: &File,
    ) -> Result<QubeLock, LifecycleError> {
        let lock = self.lock_qube(name)?;
        match self.reconcile(&lock)? {
            QubeState::Halted => {}
            QubeState::Active(_) => {
                return Err(not_imported(began, "the qube was started meanwhile"));
            }
            QubeState::Gone => return Err(not_imported(began, "the qube was removed meanwhile")),
        }
        // A start clears what it takes for the rest of an import that crashed.
        if image
            .metadata()
            .is_ok_and(|image| image.is_file() && image.nlink() == 0)
        {
            return Err(not_imported(
                began,
                "the qube was started or removed meanwhile",
            ));
        }
        let qubes = self.read()?;
        self.with_volume(
            &qubes,
            find_qube(&qubes, name)?,
            &began.name,
            |now, _| match now == began {
                true => Ok(()),
                false => Err(not_imported(
                    began,
                    "the volume's options were changed meanwhile",
                )),
            },
        )?;
        Ok(lock)
    }

    /// Two imports into one qube at once would each take what the other has begun for a leftover.
    fn lock_for_import(&self, name: &VmName) -> Result<FileLock, LifecycleError> {
        let (run, group) = (self.system.run_dir(), self.system.qubes_group());
        let lock = run.lock(
            &format!("import-{name}"),
            Exclusivity::Exclusive,
            Duration::ZERO,
            group,
        );
        lock.map_err(|error| match error {
            FileLockError::Held { holder } => LifecycleError::Locked {
                qube: name.clone(),
                reason: format!("another import into it is under way ({holder})"),
            },
            FileLockError::Io { file, source } => LifecycleError::Io {
                what: format!("cannot lock {}", file.display()),
                source,
            },
        })
    }
}

pub(super) fn not_imported(volume: &Volume, reason: &str) -> LifecycleError {
    LifecycleError::NotImported {
        volume: volume.full_name(),
        reason: reason.to_string(),
        source: None,
    }
}

impl NewData<'_> {
    /// How long the volume will be, where that can be told; an error where the data do not fit.
    pub(super) fn check(
        &mut self,
        volume: &Volume,
        driver: &dyn Driver,
    ) -> Result<Option<u64>, LifecycleError> {
        match self {
            NewData::Nothing => Ok(Some(driver.size(volume)?)),
            NewData::Clone(data) | NewData::Without { data, .. } => {
                Ok(data.as_ref().map(|data| data.size))
            }
            NewData::Package(image) => Ok(image.size()),
            NewData::From { file, length } => {
                let failed = |source| LifecycleError::Io {
                    what: "looking at the data to import".to_string(),
                    source,
                };
                let available = remaining(file).map_err(failed)?;
                let wanted = match length {
                    NewLength::OfTheData => available,
                    NewLength::Bytes(bytes) => Some(*bytes),
                    NewLength::AsItIs => Some(driver.size(volume)?),
                };
                match (available, wanted) {
                    (Some(0), _) => Err(not_imported(volume, NO_DATA)),
                    (_, Some(0)) => Err(not_imported(volume, "a volume has at least one byte")),
                    (Some(available), Some(wanted)) if available > wanted => {
                        Err(not_imported(volume, &too_long(available, wanted)))
                    }
                    (Some(available), Some(wanted))
                        if available < wanted && matches!(length, NewLength::Bytes(_)) =>
                    {
                        Err(not_imported(volume, &too_short(available, wanted)))
                    }
                    _ => Ok(wanted),
                }
            }
        }
    }

    /// Writes the data into an empty image, which will have `size` bytes where that is known.
    pub(super) fn write_into(
        &mut self,
        to: &File,
        size: Option<u64>,
        name: &str,
        watcher: &dyn CopyWatcher,
    ) -> io::Result<()> {
        match self {
            NewData::Nothing => {}
            // What they have to begin with is there already.
            NewData::Clone(_) => {}
            NewData::Without { zeros, .. } => punch_holes(to, zeros)?,
            NewData::Package(image) => image.write_into(to, name, watcher)?,
            NewData::From { file, length } => {
                let is_exact = matches!(length, NewLength::Bytes(_));
                write_from(file, to, Extent { size, is_exact }, name, watcher)?;
            }
        }
        match size {
            // A device has its length from when it was made.
            Some(size) if to.metadata()?.is_file() => to.set_len(size),
            _ => Ok(()),
        }
    }

    /// The data of another volume that these begin with.
    fn base(&mut self) -> Option<CommittedData> {
        match self {
            NewData::Clone(data) | NewData::Without { data, .. } => data.take(),
            NewData::From { .. } | NewData::Package(_) | NewData::Nothing => None,
        }
    }
}

const NO_DATA: &str = "there are no data; qvm-volume clear empties a volume";

fn too_long(available: u64, wanted: u64) -> String {
    format!("the data have {available} bytes, and the volume is to have {wanted}")
}

fn too_short(available: u64, wanted: u64) -> String {
    format!("not enough data ({available} bytes, expected {wanted})")
}

/// How many bytes there may be, and whether there must be so many.
#[derive(Clone, Copy)]
struct Extent {
    size: Option<u64>,
    is_exact: bool,
}

fn write_from(
    mut file: &File,
    to: &File,
    extent: Extent,
    name: &str,
    watcher: &dyn CopyWatcher,
) -> io::Result<()> {
    let size = extent.size;
    let available = remaining(file)?;
    let watched = Watched::begin(watcher, name, available.or(size));
    let told = |at: u64| watched.reached(at);
    if file.metadata()?.is_file() && file.stream_position()? == 0 {
        return copy_data_with_progress(file, to, &told);
    }
    let passed = std::cell::Cell::new(0);
    write_sparse_with_progress(
        Bounded {
            from: file,
            passed: &passed,
            most: size,
        },
        to,
        &told,
    )?;
    match passed.get() {
        0 => Err(io::Error::other(NO_DATA)),
        passed => match size.filter(|size| extent.is_exact && passed < *size) {
            Some(size) => Err(io::Error::other(too_short(passed, size))),
            None => Ok(()),
        },
    }
}

/// How many bytes can be read from here on; unknown of a pipe.
fn remaining(mut file: &File) -> io::Result<Option<u64>> {
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        let at = file.stream_position()?;
        return Ok(Some(file.metadata()?.len().saturating_sub(at)));
    }
    if kind.is_block_device() {
        let at = file.stream_position()?;
        let end = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(at))?;
        return Ok(Some(end.saturating_sub(at)));
    }
    match kind.is_dir() {
        true => Err(io::ErrorKind::IsADirectory.into()),
        false => Ok(None),
    }
}

/// What comes out of a pipe, counted; an error instead of more than there may be.
struct Bounded<'a, R> {
    from: R,
    passed: &'a std::cell::Cell<u64>,
    most: Option<u64>,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.from.read(buffer)?;
        self.passed.set(self.passed.get() + got as u64);
        match self.most {
            Some(most) if self.passed.get() > most => Err(io::Error::other(format!(
                "the data have more than the {most} bytes that the volume is to have"
            ))),
            _ => Ok(got),
        }
    }
}
