//! Compares the data of files and devices.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use super::sparse_copy::next_data;

/// The number of bytes compared at once.
const BUFFER: u64 = 1 << 20;

/// Whether two files or devices have the same bytes. Common holes are not read, and the first
/// difference ends the comparison.
pub fn have_same_data(one: &File, other: &File) -> io::Result<bool> {
    let length = file_length(one)?;
    if length != file_length(other)? {
        return Ok(false);
    }
    let (mut at, mut first, mut second) = (0, Vec::new(), Vec::new());
    while let Some(data) = next_data_in_either(one, other, at, length)? {
        let end = data.saturating_add(BUFFER).min(length);
        let bytes = usize::try_from(end - data).unwrap_or_default();
        first.resize(bytes, 0);
        second.resize(bytes, 0);
        one.read_exact_at(&mut first, data)?;
        other.read_exact_at(&mut second, data)?;
        if first != second {
            return Ok(false);
        }
        at = end;
    }
    Ok(true)
}

/// Whether a file or a device has only holes; false where holes are not reported.
pub fn has_only_holes(file: &File) -> io::Result<bool> {
    Ok(next_data(file, 0, file_length(file)?)?.is_none())
}

/// Returns the offset of the next data from `at` on in either file.
fn next_data_in_either(one: &File, other: &File, at: u64, length: u64) -> io::Result<Option<u64>> {
    let found = [next_data(one, at, length)?, next_data(other, at, length)?];
    Ok(found.into_iter().flatten().map(|(data, _end)| data).min())
}

/// Returns the length in bytes of a file or a device.
pub fn file_length(mut file: &File) -> io::Result<u64> {
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
    fn holes_equal_zeros_and_other_bytes_or_lengths_differ() {
        let file = |bytes: &[u8], at: u64| {
            let file = tempfile::tempfile().unwrap();
            file.set_len(3 << 20).unwrap();
            file.write_all_at(bytes, at).unwrap();
            file
        };
        let (data, zeros) = (file(b"data", 2 << 20), file(b"data", 2 << 20));
        zeros.write_all_at(&[0; 70_000], 5).unwrap();
        assert!(have_same_data(&data, &zeros).unwrap());
        assert!(!have_same_data(&data, &file(b"date", 2 << 20)).unwrap());
        assert!(!have_same_data(&data, &file(b"data", 3)).unwrap());
        let longer = file(b"data", 2 << 20);
        longer.set_len((3 << 20) + 1).unwrap();
        assert!(!have_same_data(&data, &longer).unwrap());
        assert!(have_same_data(&file(b"", 0), &file(b"\0", 9)).unwrap());
    }
}
