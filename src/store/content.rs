//! The content of the store's file: fetched piece by piece, and put together from pieces of the old file and what is new.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::fcntl::copy_file_range;

use crate::format::{Bytes, Changed, Part};

/// What is copied at once where the kernel does not copy by itself.
const PIECE: usize = 32 << 10;

/// Reads a piece of `file`: as much as fits, less where the file ends.
pub(super) fn read_piece(file: &File, piece: &mut [u8], at: usize) -> io::Result<usize> {
    loop {
        match file.read_at(piece, at as u64) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Reads `file`, which is said to have `size` bytes, from where it stands to its end.
pub(super) fn read_whole(mut file: &File, size: usize) -> io::Result<Bytes> {
    let mut bytes = Vec::with_capacity(size + 1);
    file.read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

/// Writes what was `changed` in `old` to the end of `new`.
pub(super) fn write_changed(changed: &Changed, old: &File, new: &mut File) -> io::Result<()> {
    for part in changed.parts() {
        match part {
            Part::Kept(range) => copy(old, range, new)?,
            Part::New(text) => new.write_all(text.as_bytes())?,
        }
    }
    Ok(())
}

/// Copies a range of `old`, or what there is of it before the end. Where the kernel can, it does not leave the kernel.
fn copy(old: &File, range: Range<usize>, new: &mut File) -> io::Result<()> {
    let mut at = range.start as i64;
    while (at as usize) < range.end {
        let wanted = (range.end - at as usize).min(1 << 30);
        match copy_file_range(old, Some(&mut at), &*new, None, wanted) {
            Ok(0) | Err(Errno::EXDEV | Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP | Errno::EBADF) => {
                return copy_by_hand(old, at as usize..range.end, new);
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn copy_by_hand(old: &File, range: Range<usize>, new: &mut File) -> io::Result<()> {
    let mut piece = vec![0; PIECE.min(range.len())];
    let mut at = range.start;
    while at < range.end {
        let wanted = piece.len().min(range.end - at);
        match read_piece(old, &mut piece[..wanted], at)? {
            0 if range.end == usize::MAX => break,
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            read => {
                new.write_all(&piece[..read])?;
                at += read;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom};

    use super::*;

    #[test]
    fn what_is_copied_is_the_range_by_the_kernel_and_by_hand() {
        let content: Vec<u8> = (0..3 * PIECE + 7).map(|n| (n % 251) as u8).collect();
        let mut old = tempfile::tempfile().unwrap();
        old.write_all(&content).unwrap();
        for copy in [copy, copy_by_hand] {
            let mut new = tempfile::tempfile().unwrap();
            new.write_all(b"begin").unwrap();
            copy(&old, 5..5, &mut new).unwrap();
            copy(&old, 3..PIECE + 9, &mut new).unwrap();
            copy(&old, 2 * PIECE..usize::MAX, &mut new).unwrap();
            let mut there = Vec::new();
            new.seek(SeekFrom::Start(0)).unwrap();
            new.read_to_end(&mut there).unwrap();
            assert!(there == [b"begin", &content[3..PIECE + 9], &content[2 * PIECE..]].concat());
            assert!(copy(&old, 5..content.len() + 1, &mut new).is_err(), "a file that is shorter than it was");
        }
    }
}
