//! Replaces the data of an existing volume: imports, clones and clears it.
//!
//! The new data are copied beside the volume's image without a lock of the qube, which can be
//! listed and even started meanwhile. Only when they are complete and durable is the qube locked,
//! and the volume gets them unless the qube was started. Until then the volume keeps its data,
//! whatever happens.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::time::Duration;

use crate::fs::comparison::file_length;
use crate::fs::file_lock::{FileLock, FileLockError, LockMode};
use crate::fs::holes::punch_holes;
use crate::fs::sparse_copy::write_sparse_with_progress;
use crate::lifecycle::qube::{self, QubeLock};
use crate::lifecycle::reconcile::{self, QubeState};
use crate::lifecycle::template::OpenRootData;
use crate::lifecycle::volume::{self, PreparedImport, cannot_look_at_image, images, refused};
use crate::lifecycle::{Context, LifecycleError, conversion};
use crate::model::VmName;
use crate::storage::{
    CommittedData, Driver, Progress, ProgressGuard, Volume, VolumeKind, copy_file_data,
};

/// The length of a volume after an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportLength {
    /// As long as the data.
    FromData,
    /// This many bytes, which the data must have exactly. This detects a broken pipe.
    Exact(u64),
    /// As long as the volume is now. Shorter data are followed by zeros.
    Unchanged,
}

/// The new data of a volume.
pub(in crate::lifecycle) enum VolumeContent<'a> {
    /// The rest of a file, device or pipe from its current position.
    File {
        file: &'a File,
        length: ImportLength,
    },
    /// The committed data of another volume.
    Clone(Option<CommittedData>),
    /// The root image of a template's package.
    Package(&'a mut OpenRootData),
    /// The volume's own data, with holes in the place of zeros.
    Trimmed {
        data: Option<CommittedData>,
        zeros: Vec<Range<u64>>,
    },
    /// No data: an empty volume.
    Empty,
}

/// Replaces the data of a halted qube's volume with those of `file`, atomically.
///
/// # Errors
/// The qube runs, another import into it is in progress, the data are empty or larger than the
/// volume may be, or they cannot be read or written. The volume keeps its data then.
pub fn import(
    context: &Context,
    name: &VmName,
    volume: &str,
    file: &File,
    length: ImportLength,
    progress: &dyn Progress,
) -> Result<(), LifecycleError> {
    replace_data(
        context,
        name,
        volume,
        VolumeContent::File { file, length },
        progress,
    )
    .map(drop)
}

/// Replaces the data of a volume with the last committed data of another one.
///
/// # Errors
/// As [`import()`]; or the source is not a saved volume.
pub fn clone(
    context: &Context,
    source: (&VmName, &str),
    target: (&VmName, &str),
    progress: &dyn Progress,
) -> Result<(), LifecycleError> {
    if source == target {
        let (volume, reason) = (
            format!("{}:{}", target.0, target.1),
            "it is the one to clone from".to_string(),
        );
        return Err(LifecycleError::VolumeRefused { volume, reason });
    }
    // Checked before the source is locked, and again when the data are complete.
    require_volume_halted(context, target.0)?;
    let data = {
        let lock = qube::lock(context, source.0)?;
        let qubes = context.read()?;
        if reconcile::reconcile_qube_in(context, &qubes, &lock)? == QubeState::Gone {
            return Err(LifecycleError::NoSuchQube(source.0.to_string()));
        }
        let vm = qube::find(&qubes, source.0)?;
        volume::with_volume(context, &qubes, vm, source.1, |volume, driver| {
            Ok(driver.open_committed_data(volume)?)
        })?
    };
    replace_data(
        context,
        target.0,
        target.1,
        VolumeContent::Clone(Some(data)),
        progress,
    )
    .map(drop)
}

/// Empties a volume without changing its size.
///
/// # Errors
/// As [`import()`].
pub fn clear(context: &Context, name: &VmName, volume: &str) -> Result<(), LifecycleError> {
    let clear = || {
        replace_data(
            context,
            name,
            volume,
            VolumeContent::Empty,
            &crate::storage::NoProgress,
        )
        .map(drop)
    };
    volume::save_or_free_space(context, name, clear, |full| {
        let (_lock, qubes) = reconcile::lock_halted(context, name)?;
        let vm = qube::find(&qubes, name)?;
        let kept = volume::with_volume(context, &qubes, vm, volume, |volume, _| {
            Ok(volume.revisions_to_keep)
        })?;
        // The current data become a revision, for which the oldest one would be removed anyway.
        let keep = Some(kept.saturating_sub(1));
        volume::free_volume_space(context, &qubes, vm, volume, keep, full).map(drop)
    })
}

fn require_volume_halted(context: &Context, name: &VmName) -> Result<(), LifecycleError> {
    let qubes = context.read()?;
    qube::find(&qubes, name)?;
    conversion::convert_if_needed(context, &qubes)?;
    drop(qubes);
    reconcile::lock_halted(context, name).map(drop)
}

/// Replaces the data of a volume. Returns the qube's lock, so that the caller can go on with
/// the qube unchanged.
pub(in crate::lifecycle) fn replace_data(
    context: &Context,
    name: &VmName,
    volume: &str,
    mut data: VolumeContent<'_>,
    progress: &dyn Progress,
) -> Result<QubeLock, LifecycleError> {
    require_volume_halted(context, name)?;
    let _import_lock = lock_for_import(context, name)?;
    let qubes = context.read()?;
    let vm = qube::find(&qubes, name)?;
    images::require_own_image(context, &qubes, vm, volume, "replace the data of")?;
    volume::with_volume(context, &qubes, vm, volume, |volume, driver| {
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
        let prepared = RefCell::new(None);
        let base = data.take_base();
        let mut fill = |to: &File| {
            if let Err(error) = data.write_into(to, size, &volume.name, progress) {
                // Report an error in the data themselves without the name of the file they are
                // written to.
                if error.raw_os_error().is_none() {
                    prepared.replace(Some(Err(not_imported(volume, &error.to_string()))));
                }
                return Err(error);
            }
            let ready = lock_for_commit(context, name, volume, to).and_then(|lock| {
                // Saved before the data are exchanged, so that a failed save changes nothing.
                let size = file_length(to).map_err(cannot_look_at_image)?;
                volume::save_size(context, name, volume, size)?;
                Ok(PreparedImport { lock, size })
            });
            let is_ready = ready.is_ok();
            prepared.replace(Some(ready));
            if is_ready {
                Ok(())
            } else {
                Err(io::Error::other("the volume keeps its data"))
            }
        };
        let done = match base {
            // The base may be the only image of another volume, whose start waits until it is
            // closed: it is copied and closed before waiting for the lock.
            Some(base) => {
                let guard = ProgressGuard::start(progress, &volume.name, Some(base.size));
                driver.import_modified(&wanted, base, &mut fill, &|at| guard.update(at))
            }
            None => driver.import_with(&wanted, &mut fill),
        };
        let ready = match prepared.into_inner() {
            Some(ready) => Some(ready?),
            None => None,
        };
        volume::finish_import(context, name, (volume, driver), done, ready)
    })
}

/// Locks the qube and checks that neither it nor the volume changed since `initial`.
///
/// # Errors
/// The qube was started or removed, or the volume's options were changed.
fn lock_for_commit(
    context: &Context,
    name: &VmName,
    initial: &Volume,
    image: &File,
) -> Result<QubeLock, LifecycleError> {
    let lock = qube::lock(context, name)?;
    let qubes = context.read()?;
    match reconcile::reconcile_qube_in(context, &qubes, &lock)? {
        QubeState::Halted => {}
        QubeState::Active(_) => {
            return Err(not_imported(initial, "the qube was started meanwhile"));
        }
        QubeState::Gone => return Err(not_imported(initial, "the qube was removed meanwhile")),
    }
    // A start removes this file if it takes it for the leftover of an import that crashed.
    if image
        .metadata()
        .is_ok_and(|image| image.is_file() && image.nlink() == 0)
    {
        return Err(not_imported(
            initial,
            "the qube was started or removed meanwhile",
        ));
    }
    volume::with_volume(
        context,
        &qubes,
        qube::find(&qubes, name)?,
        &initial.name,
        |now, _| match now == initial {
            true => Ok(()),
            false => Err(not_imported(
                initial,
                "the volume's options were changed meanwhile",
            )),
        },
    )?;
    Ok(lock)
}

/// Takes the lock of imports into this qube. Two at once would each remove the other's
/// unfinished image as a leftover.
fn lock_for_import(context: &Context, name: &VmName) -> Result<FileLock, LifecycleError> {
    let (run, group) = (context.system.run_dir(), context.system.qubes_group());
    let lock = run.lock(
        &format!("import-{name}"),
        LockMode::Exclusive,
        Duration::ZERO,
        group,
    );
    lock.map_err(|error| match error {
        FileLockError::Held { holder } => LifecycleError::Locked {
            qube: name.clone(),
            reason: format!("another import into it is in progress ({holder})"),
        },
        FileLockError::Io { file, source } => LifecycleError::Io {
            what: format!("cannot lock {}", file.display()),
            source,
        },
    })
}

/// Makes the error for an import that changed nothing.
pub(in crate::lifecycle) fn not_imported(volume: &Volume, reason: &str) -> LifecycleError {
    LifecycleError::NotImported {
        volume: volume.full_name(),
        reason: reason.to_string(),
        source: None,
    }
}

impl VolumeContent<'_> {
    /// Returns the future length of the volume in bytes, if it is known.
    ///
    /// # Errors
    /// The data do not fit.
    pub(in crate::lifecycle) fn check(
        &mut self,
        volume: &Volume,
        driver: &dyn Driver,
    ) -> Result<Option<u64>, LifecycleError> {
        match self {
            VolumeContent::Empty => Ok(Some(driver.size(volume)?)),
            VolumeContent::Clone(data) | VolumeContent::Trimmed { data, .. } => {
                Ok(data.as_ref().map(|data| data.size))
            }
            VolumeContent::Package(image) => Ok(image.size()),
            VolumeContent::File { file, length } => {
                let failed = |source| LifecycleError::Io {
                    what: "cannot look at the data to import".to_string(),
                    source,
                };
                let available = remaining_bytes(file).map_err(failed)?;
                let wanted = match length {
                    ImportLength::FromData => available,
                    ImportLength::Exact(bytes) => Some(*bytes),
                    ImportLength::Unchanged => Some(driver.size(volume)?),
                };
                match (available, wanted) {
                    (Some(0), _) => Err(not_imported(volume, NO_DATA)),
                    (_, Some(0)) => {
                        Err(not_imported(volume, "a volume must have at least one byte"))
                    }
                    (Some(available), Some(wanted)) if available > wanted => {
                        Err(not_imported(volume, &too_long(available, wanted)))
                    }
                    (Some(available), Some(wanted))
                        if available < wanted && matches!(length, ImportLength::Exact(_)) =>
                    {
                        Err(not_imported(volume, &too_short(available, wanted)))
                    }
                    _ => Ok(wanted),
                }
            }
        }
    }

    /// Writes the data into an empty image, which gets `size` bytes if that is known.
    pub(in crate::lifecycle) fn write_into(
        &mut self,
        to: &File,
        size: Option<u64>,
        name: &str,
        progress: &dyn Progress,
    ) -> io::Result<()> {
        match self {
            VolumeContent::Empty => {}
            // The image already has the data of the other volume.
            VolumeContent::Clone(_) => {}
            VolumeContent::Trimmed { zeros, .. } => punch_holes(to, zeros)?,
            VolumeContent::Package(image) => image.write_into(to, name, progress)?,
            VolumeContent::File { file, length } => {
                let is_exact = matches!(length, ImportLength::Exact(_));
                write_from(file, to, ExpectedLength { size, is_exact }, name, progress)?;
            }
        }
        match size {
            // A device has its final length from the beginning.
            Some(size) if to.metadata()?.is_file() => to.set_len(size),
            _ => Ok(()),
        }
    }

    /// Takes the committed data that the new image begins as a copy of.
    fn take_base(&mut self) -> Option<CommittedData> {
        match self {
            VolumeContent::Clone(data) | VolumeContent::Trimmed { data, .. } => data.take(),
            VolumeContent::File { .. } | VolumeContent::Package(_) | VolumeContent::Empty => None,
        }
    }
}

/// The end of the reason of a [`LifecycleError::NotImported`] whose data have no bytes.
pub const NO_DATA: &str = "there are no data";

fn too_long(available: u64, wanted: u64) -> String {
    format!("the data have {available} bytes, but the volume gets {wanted}")
}

fn too_short(available: u64, wanted: u64) -> String {
    format!("not enough data ({available} bytes, expected {wanted})")
}

/// The length that is expected of the data.
#[derive(Clone, Copy)]
struct ExpectedLength {
    /// The most bytes there may be, if limited.
    size: Option<u64>,
    /// Whether there must be exactly `size` bytes.
    is_exact: bool,
}

/// Copies the data of `file` into the image, and checks their length.
fn write_from(
    mut file: &File,
    to: &File,
    expected: ExpectedLength,
    name: &str,
    progress: &dyn Progress,
) -> io::Result<()> {
    let size = expected.size;
    let available = remaining_bytes(file)?;
    let guard = ProgressGuard::start(progress, name, available.or(size));
    let report = |at: u64| guard.update(at);
    if file.metadata()?.is_file() && file.stream_position()? == 0 {
        return copy_file_data(file, to, &report);
    }
    let bytes_read = std::cell::Cell::new(0);
    write_sparse_with_progress(
        BoundedReader {
            from: file,
            bytes_read: &bytes_read,
            limit: size,
        },
        to,
        &report,
    )?;
    match bytes_read.get() {
        0 => Err(io::Error::other(NO_DATA)),
        bytes_read => match size.filter(|size| expected.is_exact && bytes_read < *size) {
            Some(size) => Err(io::Error::other(too_short(bytes_read, size))),
            None => Ok(()),
        },
    }
}

/// Returns how many bytes can be read from the current position; `None` for a pipe.
fn remaining_bytes(mut file: &File) -> io::Result<Option<u64>> {
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

/// A reader that counts bytes and fails after `limit` of them.
struct BoundedReader<'a, R> {
    from: R,
    bytes_read: &'a std::cell::Cell<u64>,
    limit: Option<u64>,
}

impl<R: Read> Read for BoundedReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.from.read(buffer)?;
        self.bytes_read.set(self.bytes_read.get() + got as u64);
        match self.limit {
            Some(limit) if self.bytes_read.get() > limit => Err(io::Error::other(format!(
                "the data have more than the {limit} bytes that the volume gets"
            ))),
            _ => Ok(got),
        }
    }
}
