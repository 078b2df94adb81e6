//! The root image in a template's package: a plain image, or a sparse tar archive, whole or in
//! pieces (`docs/spec/installer.md`, "R4 template package"). Packages are untrusted: only regular
//! files are opened, and only the image is read from an archive.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc;

use crate::fs::list_names;
use crate::lifecycle::LifecycleError;
use crate::lifecycle::template::image_archive::{too_large, unpack};
use crate::storage::{Driver, Progress, ProgressGuard, Volume, copy_file_data};

const IMAGE: &str = "root.img";
/// The largest image that is accepted, bytes: 4 TiB. More is a mistake or an attack.
const MAX_IMAGE_BYTES: u64 = 4 << 40;

/// The source of a template's root volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootData {
    /// A plain image.
    Image(PathBuf),
    /// The pieces of a tar archive, in order.
    Archive(Vec<PathBuf>),
}

impl RootData {
    /// Finds the root image in a package's directory: `root.img.part.NN`, or else `root.img`, or
    /// else `root.img.tar`.
    ///
    /// # Errors
    /// None of them exists, a piece is missing, or one of them is not a regular file.
    pub fn find(directory: &Path) -> Result<RootData, LifecycleError> {
        let pieces = pieces_in(directory)?;
        let (image, archive) = (
            directory.join(IMAGE),
            directory.join(format!("{IMAGE}.tar")),
        );
        let found = if !pieces.is_empty() {
            RootData::Archive(pieces)
        } else if exists(&image) {
            RootData::Image(image)
        } else if exists(&archive) {
            RootData::Archive(vec![archive])
        } else {
            let text = format!(
                "{}: no {IMAGE}, {IMAGE}.tar or {IMAGE}.part.00 found in it",
                directory.display()
            );
            return Err(LifecycleError::Package(text));
        };
        for file in found.files() {
            open_regular_file(file)?;
        }
        Ok(found)
    }

    /// Returns the files that hold the data.
    pub fn files(&self) -> &[PathBuf] {
        match self {
            RootData::Image(image) => std::slice::from_ref(image),
            RootData::Archive(pieces) => pieces,
        }
    }

    /// Whether the image is the very file in which the driver keeps the volume.
    ///
    /// # Errors
    /// The driver cannot tell the volume's file.
    pub fn is_in_place(
        &self,
        volume: &Volume,
        driver: &dyn Driver,
    ) -> Result<bool, LifecycleError> {
        let (RootData::Image(image), Some(place)) = (self, driver.image_file(volume)?) else {
            return Ok(false);
        };
        let same = |a: Metadata, b: Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
        Ok(fs::metadata(image)
            .ok()
            .zip(fs::metadata(place).ok())
            .is_some_and(|(a, b)| same(a, b)))
    }

    /// Fills the volume with the data, atomically. Holes stay holes.
    ///
    /// # Errors
    /// The data cannot be read, or the volume cannot be written.
    pub fn import(
        &self,
        volume: &Volume,
        driver: &dyn Driver,
        progress: &dyn Progress,
    ) -> Result<(), LifecycleError> {
        let mut image = self.open()?;
        let volume = Volume {
            size: image.size().unwrap_or(volume.size),
            ..volume.clone()
        };
        Ok(driver.import_with(&volume, &mut |to| {
            image.write_into(to, &volume.name, progress)
        })?)
    }

    /// Opens the files.
    ///
    /// # Errors
    /// A file cannot be opened or is not a regular file, or the image is too large.
    pub fn open(&self) -> Result<OpenRootData, LifecycleError> {
        match self {
            RootData::Image(path) => {
                let image = open_regular_file(path)?;
                match image.metadata() {
                    Ok(metadata) if metadata.len() > MAX_IMAGE_BYTES => {
                        Err(LifecycleError::Package(format!(
                            "{}: {}",
                            path.display(),
                            too_large(IMAGE, MAX_IMAGE_BYTES)
                        )))
                    }
                    Ok(metadata) => Ok(OpenRootData::Image {
                        image,
                        size: metadata.len(),
                    }),
                    Err(error) => Err(LifecycleError::cannot("look at", &path.display())(error)),
                }
            }
            RootData::Archive(files) => {
                let bytes = files
                    .iter()
                    .filter_map(|file| Some(fs::metadata(file).ok()?.len()))
                    .sum();
                Ok(OpenRootData::Archive {
                    pieces: Some(PieceReader::open(files)?),
                    bytes,
                })
            }
        }
    }
}

/// The source of a template's root volume, opened for being read once.
pub enum OpenRootData {
    /// A plain image.
    Image {
        /// The image file, open for reading.
        image: File,
        /// Size of the image in bytes.
        size: u64,
    },
    /// A tar archive, whole or in pieces.
    Archive {
        /// The reader of the pieces; `None` once the archive was read.
        pieces: Option<PieceReader>,
        /// Total size of the pieces in bytes, for the progress.
        bytes: u64,
    },
}

impl OpenRootData {
    /// Returns the size of the image in bytes, if it is known before the data are read.
    pub fn size(&self) -> Option<u64> {
        match self {
            OpenRootData::Image { size, .. } => Some(*size),
            OpenRootData::Archive { .. } => None,
        }
    }

    /// Writes the image into an empty file. The progress counts the bytes read from the package's
    /// files.
    pub fn write_into(
        &mut self,
        to: &File,
        volume: &str,
        progress: &dyn Progress,
    ) -> io::Result<()> {
        match self {
            OpenRootData::Image { image, size } => {
                let guard = ProgressGuard::start(progress, volume, Some(*size));
                copy_file_data(image, to, &|at| guard.update(at))
            }
            OpenRootData::Archive { pieces, bytes } => {
                let pieces = pieces
                    .take()
                    .ok_or_else(|| io::Error::other("the archive was read already"))?;
                let guard = ProgressGuard::start(progress, volume, Some(*bytes));
                unpack(
                    CountingReader {
                        from: pieces,
                        bytes_read: 0,
                        report: &|at| guard.update(at),
                    },
                    IMAGE,
                    to,
                    MAX_IMAGE_BYTES,
                )
            }
        }
    }
}

/// A reader that reports how many bytes it has read.
struct CountingReader<'a, R> {
    from: R,
    bytes_read: u64,
    report: &'a dyn Fn(u64),
}

impl<R: Read> Read for CountingReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.from.read(buffer)?;
        self.bytes_read += got as u64;
        (self.report)(self.bytes_read);
        Ok(got)
    }
}

/// Returns `root.img.part.00`, `root.img.part.01`, … in order.
fn pieces_in(directory: &Path) -> Result<Vec<PathBuf>, LifecycleError> {
    let failed = LifecycleError::cannot("read directory", &directory.display());
    let mut numbers: Vec<(usize, PathBuf)> = Vec::new();
    for name in list_names(directory).map_err(failed)? {
        let digits = name
            .to_str()
            .and_then(|n| n.strip_prefix(IMAGE)?.strip_prefix(".part."));
        let number = digits
            .filter(|d| (2..=4).contains(&d.len()))
            .and_then(|d| d.parse().ok());
        numbers.extend(number.map(|n| (n, directory.join(&name))));
    }
    numbers.sort();
    match numbers
        .iter()
        .enumerate()
        .find(|(at, (number, _))| at != number)
    {
        Some((at, _)) => {
            let text = format!(
                "{}: piece {IMAGE}.part.{at:02} is missing",
                directory.display()
            );
            Err(LifecycleError::Package(text))
        }
        None => Ok(numbers.into_iter().map(|(_, path)| path).collect()),
    }
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Opens a regular file. Follows no symbolic link and does not block on a pipe.
pub(super) fn open_regular_file(path: &Path) -> Result<File, LifecycleError> {
    let failed = LifecycleError::cannot("open", &path.display());
    let mut options = File::options();
    options
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = crate::fs::retry_leased(|| options.open(path)).map_err(&failed)?;
    match file.metadata().map_err(&failed)?.is_file() {
        true => Ok(file),
        false => Err(LifecycleError::Package(format!(
            "{} is not a regular file",
            path.display()
        ))),
    }
}

/// The pieces of an archive, read as one file.
pub struct PieceReader {
    files: std::vec::IntoIter<File>,
    current: Option<File>,
}

impl PieceReader {
    fn open(paths: &[PathBuf]) -> Result<PieceReader, LifecycleError> {
        let files = paths
            .iter()
            .map(|path| open_regular_file(path))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(PieceReader {
            files: files.into_iter(),
            current: None,
        })
    }
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(file) = &mut self.current {
                let got = file.read(buffer)?;
                if got > 0 || buffer.is_empty() {
                    return Ok(got);
                }
            }
            match self.files.next() {
                Some(next) => self.current = Some(next),
                None => return Ok(0),
            }
        }
    }
}

#[cfg(test)]
mod tests;
