//! Giving back the room of what is nothing but zeros.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use nix::fcntl::{FallocateFlags, fallocate};

use super::sparse_copy::{GRAIN, is_zero, next_data, offset};

/// Where a regular file has zeros written down that could be holes, in whole pieces of 64 KiB. Of a device none is
/// found: copying leaves its zeros out.
pub fn zero_runs(file: &File) -> io::Result<Vec<Range<u64>>> {
    let metadata = file.metadata()?;
    let mut runs: Vec<Range<u64>> = Vec::new();
    if !metadata.is_file() {
        return Ok(runs);
    }
    let length = metadata.len();
    let mut buffer = vec![0; GRAIN];
    let mut at = 0;
    while let Some((data, end)) = next_data(file, at, length)? {
        let grain = GRAIN as u64;
        let mut piece = data.next_multiple_of(grain);
        while piece + grain <= end {
            file.read_exact_at(&mut buffer, piece)?;
            if is_zero(&buffer) {
                match runs.last_mut() {
                    Some(last) if last.end == piece => last.end += grain,
                    _ => runs.push(piece..piece + grain),
                }
            }
            piece += grain;
        }
        at = end;
    }
    Ok(runs)
}

/// Makes holes of parts of a regular file that have nothing but zeros; of a device nothing.
pub fn dig_holes(file: &File, zeros: &[Range<u64>]) -> io::Result<()> {
    if !file.metadata()?.is_file() {
        return Ok(());
    }
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    for run in zeros {
        fallocate(file, flags, offset(run.start)?, offset(run.end - run.start)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn zeros_become_holes_and_nothing_else_changes() {
        let file = tempfile::tempfile().unwrap();
        let mut bytes = vec![0; 1 << 20];
        bytes[5] = 1;
        bytes[300_000] = 2;
        *bytes.last_mut().unwrap() = 3;
        file.write_all_at(&bytes, 0).unwrap();
        file.sync_all().unwrap();
        let runs = zero_runs(&file).unwrap();
        assert_eq!(runs, [0x10000..0x40000, 0x50000..0xf0000]);
        let before = file.metadata().unwrap().blocks();
        dig_holes(&file, &runs).unwrap();
        file.sync_all().unwrap();
        let mut after = vec![1; 1 << 20];
        file.read_exact_at(&mut after, 0).unwrap();
        assert!(after == bytes);
        assert!(file.metadata().unwrap().blocks() < before);
        assert_eq!(zero_runs(&file).unwrap(), []);
    }
}
