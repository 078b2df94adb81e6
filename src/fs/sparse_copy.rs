//! Copies images where blocks cannot be shared: only data are copied, and holes stay holes.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::fcntl::copy_file_range;
use nix::unistd::{Whence, lseek};

use super::clone_range::{CloneOutcome, clone_file};

/// How many bytes one copy_file_range(2) call copies: few enough for several progress reports a
/// second.
const STEP: usize = 64 << 20;
/// The size in bytes of the buffer that is used where copy_file_range(2) does not work.
const BUFFER: usize = 1 << 20;
/// The granularity of holes in bytes: the largest block size in common use on the file systems of
/// images.
pub(super) const GRAIN: usize = 1 << 16;

/// Copies `from` from its start into `to`, an empty file or a new thin device. In a regular file,
/// holes are found with lseek(2) SEEK_DATA and data are copied by the kernel. Of a device or a
/// pipe, every byte is read and zeros are not written. Calls `on_progress` with the number of bytes
/// done.
pub fn sparse_copy_with_progress(
    from: &File,
    to: &File,
    on_progress: &dyn Fn(u64),
) -> io::Result<()> {
    sparse_copy_checked(from, to, &never_cancel(on_progress))
}

/// Copies like [`sparse_copy_with_progress`] and calls `reached` with the number of bytes done. An
/// error that it returns ends the copy.
pub fn sparse_copy_checked(from: &File, to: &File, reached: ProgressCheck<'_>) -> io::Result<()> {
    if !from.metadata()?.is_file() {
        return set_length(to, write_from(from, to, 0, reached)?);
    }
    let length = from.metadata()?.len();
    set_length(to, length)?;
    let mut at = 0;
    while let Some((data, end)) = next_data(from, at, length)? {
        copy_data(from, to, data, end, reached)?;
        at = end;
    }
    reached(length)
}

/// Copies the data of a file to an empty one, and calls `on_progress` with the number of bytes
/// done. Blocks are shared where the file system can.
pub fn copy_file_data(from: &File, to: &File, on_progress: &dyn Fn(u64)) -> io::Result<()> {
    match clone_file(from, to)? {
        CloneOutcome::Shared => Ok(()),
        CloneOutcome::Impossible => sparse_copy_with_progress(from, to, on_progress),
    }
}

/// A function that is called with the number of bytes done and can end the copy with an error.
type ProgressCheck<'a> = &'a dyn Fn(u64) -> io::Result<()>;

fn never_cancel(on_progress: &dyn Fn(u64)) -> impl Fn(u64) -> io::Result<()> {
    move |at| {
        on_progress(at);
        Ok(())
    }
}

/// Sets the length of a file. A device has a fixed length, which is sufficient, and reads as zeros
/// where nothing was written.
fn set_length(to: &File, length: u64) -> io::Result<()> {
    if to.metadata()?.is_file() {
        to.set_len(length)
    } else {
        Ok(())
    }
}

/// Returns the start and the end of the next data from `at` on; `None` if only a hole follows.
pub(super) fn next_data(from: &File, at: u64, length: u64) -> io::Result<Option<(u64, u64)>> {
    if at >= length {
        return Ok(None);
    }
    let data = match lseek(from, offset(at)?, Whence::SeekData) {
        Ok(data) => data as u64,
        Err(Errno::ENXIO) => return Ok(None),
        // The file system does not report holes, so everything counts as data.
        Err(Errno::EINVAL | Errno::EOPNOTSUPP) => return Ok(Some((at, length))),
        Err(errno) => return Err(errno.into()),
    };
    let end = lseek(from, offset(data)?, Whence::SeekHole)? as u64;
    Ok((data < length).then_some((data, end.min(length))))
}

fn copy_data(
    from: &File,
    to: &File,
    mut at: u64,
    end: u64,
    reached: ProgressCheck<'_>,
) -> io::Result<()> {
    while at < end {
        reached(at)?;
        let (mut source, mut target) = (offset(at)?, offset(at)?);
        let length = usize::try_from(end - at).unwrap_or(STEP).min(STEP);
        match copy_file_range(from, Some(&mut source), to, Some(&mut target), length) {
            // The source was truncated meanwhile. Its missing end reads as zeros in the copy.
            Ok(0) => return Ok(()),
            Ok(copied) => at += copied as u64,
            Err(Errno::EINTR) => {}
            Err(
                Errno::EXDEV
                | Errno::EINVAL
                | Errno::EOPNOTSUPP
                | Errno::ENOSYS
                | Errno::EPERM
                | Errno::EBADF,
            ) => {
                return copy_through_memory(from, to, at, end, reached);
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

fn copy_through_memory(
    from: &File,
    to: &File,
    mut at: u64,
    end: u64,
    reached: ProgressCheck<'_>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    while at < end {
        let length = usize::try_from(end - at).unwrap_or(BUFFER).min(BUFFER);
        let got = from.read_at(&mut buffer[..length], at)?;
        if got == 0 {
            break;
        }
        write_unless_zero(to, &buffer[..got], at)?;
        at += got as u64;
        reached(at)?;
    }
    Ok(())
}

/// Writes the bytes of `from` into the empty file `to`; zeros become holes.
pub fn write_sparse(from: impl Read, to: &File) -> io::Result<()> {
    write_sparse_with_progress(from, to, &|_| ())
}

/// Writes like [`write_sparse`] and calls `on_progress` with the number of bytes done.
pub fn write_sparse_with_progress(
    from: impl Read,
    to: &File,
    on_progress: &dyn Fn(u64),
) -> io::Result<()> {
    set_length(to, write_from(from, to, 0, &never_cancel(on_progress))?)
}

/// Writes the bytes of `from` at offset `at` of a file that has a hole there; zeros become holes.
/// Returns the offset of their end.
pub fn write_sparse_at(from: impl Read, to: &File, at: u64) -> io::Result<u64> {
    write_from(from, to, at, &|_| Ok(()))
}

fn write_from(
    mut from: impl Read,
    to: &File,
    mut at: u64,
    reached: ProgressCheck<'_>,
) -> io::Result<u64> {
    let mut buffer = Vec::with_capacity(BUFFER);
    loop {
        buffer.clear();
        let got = from.by_ref().take(BUFFER as u64).read_to_end(&mut buffer)?;
        if got == 0 {
            return Ok(at);
        }
        write_unless_zero(to, &buffer, at)?;
        at += got as u64;
        reached(at)?;
    }
}

fn write_unless_zero(to: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    let mut at = at;
    for grain in bytes.chunks(GRAIN) {
        if !is_zero(grain) {
            to.write_all_at(grain, at)?;
        }
        at += grain.len() as u64;
    }
    Ok(())
}

/// Whether all bytes are zero. Comparing a slice with itself shifted by one is one memcmp, which is
/// fast in debug builds too.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    bytes
        .first()
        .is_none_or(|first| *first == 0 && bytes[1..] == bytes[..bytes.len() - 1])
}

/// Converts an offset for lseek(2), which takes a signed one.
pub(super) fn offset(at: u64) -> io::Result<i64> {
    i64::try_from(at).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn data_keep_their_offsets_and_holes_take_no_space() {
        let dir = tempfile::tempdir().unwrap();
        let from = File::create_new(dir.path().join("from")).unwrap();
        from.set_len(64 << 20).unwrap();
        from.write_all_at(b"first", 3).unwrap();
        from.write_all_at(b"last", (64 << 20) - 4).unwrap();
        from.sync_all().unwrap();
        let sparse_copy = |from: &File, to: &File| sparse_copy_with_progress(from, to, &|_| ());
        for copy in [sparse_copy, |from: &File, to: &File| write_sparse(from, to)] {
            let from = File::open(dir.path().join("from")).unwrap();
            let copied = dir.path().join("to");
            copy(&from, &File::create(&copied).unwrap()).unwrap();
            let to = File::open(&copied).unwrap();
            to.sync_all().unwrap();
            let metadata = to.metadata().unwrap();
            assert_eq!(metadata.len(), 64 << 20);
            assert!(
                metadata.blocks() * 512 <= 256 << 10,
                "{} blocks",
                metadata.blocks()
            );
            let mut bytes = vec![0; 64 << 20];
            to.read_exact_at(&mut bytes, 0).unwrap();
            assert_eq!(&bytes[..9], b"\0\0\0first\0");
            assert_eq!(&bytes[bytes.len() - 5..], b"\0last");
            assert!(is_zero(&bytes[8..bytes.len() - 4]));
        }
    }

    #[test]
    fn bytes_are_zero_only_if_all_are() {
        assert!(is_zero(b"") && is_zero(b"\0") && is_zero(&[0; 4096]));
        assert!(!is_zero(b"\0\0x") && !is_zero(b"xxx") && !is_zero(b"x\0"));
    }
}
