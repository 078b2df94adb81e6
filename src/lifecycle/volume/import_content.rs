//! The new data of a volume: where they come from, how long they are, and writing them.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileTypeExt;

use crate::fs::holes::punch_holes;
use crate::fs::sparse_copy::write_sparse_with_progress;
use crate::lifecycle::LifecycleError;
use crate::lifecycle::template::OpenRootData;
use crate::storage::{CommittedData, Driver, Progress, ProgressGuard, Volume, copy_file_data};

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
                let available = remaining_bytes(file)
                    .map_err(LifecycleError::cannot("look at", &"the data to import"))?;
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
    pub(super) fn take_base(&mut self) -> Option<CommittedData> {
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
    let bytes_read = Cell::new(0);
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
    bytes_read: &'a Cell<u64>,
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

/// Makes the error for an import that changed nothing.
pub(in crate::lifecycle) fn not_imported(volume: &Volume, reason: &str) -> LifecycleError {
    LifecycleError::NotImported {
        volume: volume.full_name(),
        reason: reason.to_string(),
        source: None,
    }
}
