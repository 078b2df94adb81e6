//! Reads COW files, in which dm-snapshot keeps blocks (the kernel's
//! `drivers/md/dm-snap-persistent.c`, "on-disk structures"; all numbers are little-endian).
//!
//! The first chunk is the header: magic, validity, version, sectors per chunk. Areas follow: a
//! chunk of pairs (chunk of the device, chunk of this file), then the chunks that they name. A pair
//! whose second number is 0 ends the list.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use crate::fs::directory::OpenMode;
use crate::storage::StorageError;
use crate::storage::pool_files::{self, metadata_if_exists};

/// `SnAp`.
const MAGIC: u32 = 0x7041_6e53;
const SECTOR: u64 = 512;
/// The number of sectors in a chunk, as in upstream: 128 KiB.
pub const CHUNK_SECTORS: u64 = 256;
const CHUNK: u64 = CHUNK_SECTORS * SECTOR;
const PAIR: usize = 16;

/// A block in a COW file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptBlock {
    /// Its offset on the device, in bytes.
    pub device_at: u64,
    /// Its offset in the file, in bytes.
    pub file_at: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// Returns the size of a COW file that suffices for a device of `bytes` bytes: all of its chunks,
/// the pairs that name them, and the header.
pub fn required_size(bytes: u64) -> u64 {
    let chunks = bytes.div_ceil(CHUNK);
    let areas = chunks.div_ceil(CHUNK / PAIR as u64).max(1);
    (chunks + areas + 1) * CHUNK
}

/// Whether the file is a COW file, or an empty one that the kernel has not filled yet.
pub fn is_cow(path: &Path) -> Result<bool, StorageError> {
    let Some(found) = metadata_if_exists(path)? else {
        return Ok(false);
    };
    if found.blocks() == 0 {
        return Ok(true);
    }
    let mut magic = [0; 4];
    let file = pool_files::open(path, OpenMode::Read).map_err(failed(path))?;
    Ok(read(&file, &mut magic, 0).map_err(failed(path))? && u32_at(&magic, 0) == MAGIC)
}

/// Whether the device has been written to: the file has blocks, or is invalid as there was no space
/// for one. False if there is no file.
pub fn has_data(path: &Path) -> Result<bool, StorageError> {
    let Some(cow) = CowFile::open(path)? else {
        return Ok(false);
    };
    Ok(!cow.valid || !cow.blocks(1)?.is_empty())
}

/// Returns all blocks of the file.
pub fn kept_blocks(path: &Path) -> Result<Vec<KeptBlock>, StorageError> {
    CowFile::open(path)?.map_or_else(|| Ok(Vec::new()), |cow| cow.blocks(usize::MAX))
}

/// Whether the kernel has invalidated the file because it was too small. Its blocks are useless.
pub fn is_invalid(path: &Path) -> Result<bool, StorageError> {
    Ok(CowFile::open(path)?.is_some_and(|cow| !cow.valid))
}

/// A COW file with a header.
struct CowFile<'p> {
    path: &'p Path,
    file: File,
    valid: bool,
    chunk: u64,
}

impl<'p> CowFile<'p> {
    /// Opens a COW file; `None` if it does not exist or has no header yet.
    fn open(path: &'p Path) -> Result<Option<CowFile<'p>>, StorageError> {
        let file = match pool_files::open(path, OpenMode::Read) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(path)(e)),
        };
        let mut header = [0; 16];
        if !read(&file, &mut header, 0).map_err(failed(path))? {
            return Ok(None);
        }
        let [magic, valid, version, sectors] = [0, 4, 8, 12].map(|at| u32_at(&header, at));
        if header == [0; 16] {
            return Ok(None);
        }
        if magic != MAGIC
            || version != 1
            || !sectors.is_power_of_two()
            || !(8..=1 << 16).contains(&sectors)
        {
            let text = format!(
                "{} is not a dm-snapshot file of a supported version",
                path.display()
            );
            return Err(StorageError::Refused(text));
        }
        Ok(Some(CowFile {
            path,
            file,
            valid: valid == 1,
            chunk: u64::from(sectors) * SECTOR,
        }))
    }

    /// Returns the first `limit` blocks.
    fn blocks(&self, limit: usize) -> Result<Vec<KeptBlock>, StorageError> {
        let mut kept = Vec::new();
        let per_area = self.chunk / PAIR as u64;
        let mut pairs = vec![0; usize::try_from(self.chunk).unwrap_or_default()];
        for area in 0.. {
            if !read(
                &self.file,
                &mut pairs,
                (1 + area * (per_area + 1)) * self.chunk,
            )
            .map_err(failed(self.path))?
            {
                break;
            }
            for pair in pairs.chunks_exact(PAIR) {
                let [device, file] = [0, 8].map(|at| u64_at(pair, at));
                if file == 0 || kept.len() == limit {
                    return Ok(kept);
                }
                let at = |chunk: u64| {
                    chunk
                        .checked_mul(self.chunk)
                        .ok_or_else(|| self.invalid_block())
                };
                kept.push(KeptBlock {
                    device_at: at(device)?,
                    file_at: at(file)?,
                    length: self.chunk,
                });
            }
        }
        Ok(kept)
    }

    fn invalid_block(&self) -> StorageError {
        StorageError::Refused(format!(
            "{} has block numbers out of range",
            self.path.display()
        ))
    }
}

/// Fills the buffer. Returns false if the file ends before.
fn read(file: &File, buffer: &mut [u8], at: u64) -> io::Result<bool> {
    match file.read_exact_at(buffer, at) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes
        .iter()
        .skip(at)
        .take(4)
        .rev()
        .fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes
        .iter()
        .skip(at)
        .take(8)
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> StorageError {
    StorageError::io(format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates a file as the kernel writes it, with chunks of 4 KiB and more blocks than one area
    /// can name.
    fn written(valid: u32, kept: u64) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(4 << 20).unwrap();
        let write = |bytes: &[u8], at| file.as_file().write_all_at(bytes, at).unwrap();
        for (at, number) in [(0, MAGIC), (4, valid), (8, 1), (12, 8)] {
            write(&number.to_le_bytes(), at);
        }
        for number in 0..kept {
            let (area, place) = (number / 256, number % 256);
            let metadata = (1 + area * 257) * 4096 + place * 16;
            write(&(number * 3).to_le_bytes(), metadata);
            write(&(1 + area * 257 + 1 + place).to_le_bytes(), metadata + 8);
        }
        file
    }

    #[test]
    fn blocks_of_all_areas_are_found() {
        let file = written(1, 300);
        let kept = kept_blocks(file.path()).unwrap();
        assert_eq!(kept.len(), 300);
        assert_eq!(
            kept[2],
            KeptBlock {
                device_at: 6 * 4096,
                file_at: 4 * 4096,
                length: 4096
            }
        );
        assert_eq!(
            kept[299],
            KeptBlock {
                device_at: 897 * 4096,
                file_at: (1 + 257 + 1 + 43) * 4096,
                length: 4096
            }
        );
        assert!(is_cow(file.path()).unwrap());
        assert!(has_data(file.path()).unwrap() && !is_invalid(file.path()).unwrap());
        let invalid = written(0, 0);
        assert!(is_invalid(invalid.path()).unwrap() && has_data(invalid.path()).unwrap());
    }

    #[test]
    fn files_without_blocks_have_no_data() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cow");
        assert!(!has_data(&path).unwrap());
        let file = File::create(&path).unwrap();
        assert!(!has_data(&path).unwrap());
        file.set_len(1 << 20).unwrap();
        assert!(!has_data(&path).unwrap());
        assert!(!has_data(written(1, 0).path()).unwrap());
        assert!(is_cow(&path).unwrap() && !is_cow(&dir.path().join("none")).unwrap());
        file.write_all_at(b"ext4", 0).unwrap();
        assert!(!is_cow(&path).unwrap());
        let refused = has_data(&path).unwrap_err().to_string();
        assert!(
            refused.ends_with("cow is not a dm-snapshot file of a supported version"),
            "{refused}"
        );
    }

    #[test]
    fn required_size_counts_blocks_and_metadata() {
        assert_eq!(required_size(0), 2 * CHUNK);
        assert_eq!(required_size(1), 3 * CHUNK);
        assert_eq!(required_size(8192 * CHUNK), (8192 + 2) * CHUNK);
        assert_eq!(required_size(8193 * CHUNK), (8193 + 3) * CHUNK);
    }
}
