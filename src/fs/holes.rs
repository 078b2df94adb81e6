//! Finds ranges of zeros and turns them into holes: the only user of the ioctl BLKDISCARD.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::stat::{major, minor};

use super::sparse_copy::{GRAIN, is_zero, next_data, offset};

mod ioctl {
    // A plain number of <linux/fs.h>. The argument is the start and the length of the range in
    // bytes.
    nix::ioctl_write_ptr_bad!(blkdiscard, nix::request_code_none!(0x12, 119), [u64; 2]);
}

/// Returns the ranges of allocated zeros that could be holes, in multiples of 64 KiB or of the
/// smallest range that the device can discard. A device does not report holes, so the ranges
/// include them.
pub fn find_zero_runs(file: &File) -> io::Result<Vec<Range<u64>>> {
    let metadata = file.metadata()?;
    let (length, grain) = match metadata.is_file() {
        true => (metadata.len(), GRAIN as u64),
        false => (
            { file }.seek(SeekFrom::End(0))?,
            (GRAIN as u64).max(granularity(metadata.rdev())?),
        ),
    };
    let mut runs: Vec<Range<u64>> = Vec::new();
    let mut buffer = vec![0; usize::try_from(grain).unwrap_or(GRAIN)];
    let mut at = 0;
    while let Some((data, end)) = next_data(file, at, length)? {
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

/// Returns the smallest range in bytes that a device can discard (the kernel's Documentation/ABI,
/// sysfs-block).
fn granularity(device: u64) -> io::Result<u64> {
    let file = format!(
        "/sys/dev/block/{}:{}/queue/discard_granularity",
        major(device),
        minor(device)
    );
    let text = fs::read_to_string(file)?;
    text.trim_end().parse().map_err(io::Error::other)
}

/// Turns ranges that contain only zeros into holes, in a file or a thin device.
pub fn punch_holes(file: &File, zeros: &[Range<u64>]) -> io::Result<()> {
    let is_file = file.metadata()?.is_file();
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    for run in zeros {
        let length = run.end - run.start;
        if is_file {
            fallocate(file, flags, offset(run.start)?, offset(length)?)?;
        } else {
            // SAFETY: the descriptor is open and the two numbers live for the call. A thin device
            // reads as zeros where blocks were discarded, as it did before.
            unsafe { ioctl::blkdiscard(file.as_raw_fd(), &[run.start, length]) }?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
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
        let runs = find_zero_runs(&file).unwrap();
        assert_eq!(runs, [0x10000..0x40000, 0x50000..0xf0000]);
        let before = file.metadata().unwrap().blocks();
        punch_holes(&file, &runs).unwrap();
        file.sync_all().unwrap();
        let mut after = vec![1; 1 << 20];
        file.read_exact_at(&mut after, 0).unwrap();
        assert!(after == bytes);
        assert!(file.metadata().unwrap().blocks() < before);
        assert_eq!(find_zero_runs(&file).unwrap(), []);
    }
}
