//! Whether two images have the same data, or one has none.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use super::sparse_copy::next_data;
use super::volume_files::look;
use super::{StorageError, pool_files};
use crate::fs::directory::OpenMode;

/// How much is compared at once.
const BUFFER: u64 = 1 << 20;

/// Whether two files or devices have the same bytes. What is a hole in both is not read, and the
/// first difference ends it.
fn is_same_data(one: &File, other: &File) -> io::Result<bool> {
    let length = length_of(one)?;
    if length != length_of(other)? {
        return Ok(false);
    }
    let (mut at, mut of_one, mut of_other) = (0, Vec::new(), Vec::new());
    while let Some(data) = next_of_either(one, other, at, length)? {
        let end = data.saturating_add(BUFFER).min(length);
        let bytes = usize::try_from(end - data).unwrap_or_default();
        of_one.resize(bytes, 0);
        of_other.resize(bytes, 0);
        one.read_exact_at(&mut of_one, data)?;
        other.read_exact_at(&mut of_other, data)?;
        if of_one != of_other {
            return Ok(false);
        }
        at = end;
    }
    Ok(true)
}

/// Whether a file or a device has nothing but holes. What does not tell holes has data.
pub fn is_empty(file: &File) -> io::Result<bool> {
    Ok(next_data(file, 0, length_of(file)?)?.is_none())
}

/// Whether one image is a copy of the other that has its time, too.
pub(super) fn is_copy_with_time(one: &Path, other: &Path) -> Result<bool, StorageError> {
    let (Some(of_one), Some(of_other)) = (look(one)?, look(other)?) else {
        return Ok(false);
    };
    if (of_one.mtime(), of_one.mtime_nsec(), of_one.len())
        != (of_other.mtime(), of_other.mtime_nsec(), of_other.len())
    {
        return Ok(false);
    }
    if (of_one.dev(), of_one.ino()) == (of_other.dev(), of_other.ino()) {
        return Ok(true);
    }
    let compared = || {
        is_same_data(
            &pool_files::open(one, OpenMode::Read)?,
            &pool_files::open(other, OpenMode::Read)?,
        )
    };
    compared().map_err(StorageError::io(format!(
        "comparing {} with {}",
        one.display(),
        other.display()
    )))
}

/// Where the first data behind `at` begin that one of the two has.
fn next_of_either(one: &File, other: &File, at: u64, length: u64) -> io::Result<Option<u64>> {
    let found = [next_data(one, at, length)?, next_data(other, at, length)?];
    Ok(found.into_iter().flatten().map(|(data, _end)| data).min())
}

/// Bytes, also of a device.
pub fn length_of(mut file: &File) -> io::Result<u64> {
    if file.metadata()?.is_file() {
        return Ok(file.metadata()?.len());
    }
    let at = file.stream_position()?;
    let end = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(at))?;
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_zeros_and_one_byte_or_another_length_is_a_difference() {
        let file = |bytes: &[u8], at: u64| {
            let file = tempfile::tempfile().unwrap();
            file.set_len(3 << 20).unwrap();
            file.write_all_at(bytes, at).unwrap();
            file
        };
        let (data, zeros) = (file(b"data", 2 << 20), file(b"data", 2 << 20));
        zeros.write_all_at(&[0; 70_000], 5).unwrap();
        assert!(is_same_data(&data, &zeros).unwrap());
        assert!(!is_same_data(&data, &file(b"date", 2 << 20)).unwrap());
        assert!(!is_same_data(&data, &file(b"data", 3)).unwrap());
        let longer = file(b"data", 2 << 20);
        longer.set_len((3 << 20) + 1).unwrap();
        assert!(!is_same_data(&data, &longer).unwrap());
        assert!(is_same_data(&file(b"", 0), &file(b"\0", 9)).unwrap());
    }
}
