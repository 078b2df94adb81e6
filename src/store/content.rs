//! The content of a file in memory that costs little to get: for a store of a thousand qubes the page faults of fresh
//! memory take longer than the copying.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::ops::Range;

use memmap2::{Advice, MmapMut};

use crate::format::Bytes;

/// The size of a huge page; where the processor has others, nothing but speed is lost.
const HUGE_PAGE: usize = 2 << 20;

/// Smaller files are read into ordinary memory.
const BIG: usize = HUGE_PAGE / 2;

/// Anonymous memory in huge pages, as far as the system gives any.
struct HugePages {
    map: MmapMut,
    used: Range<usize>,
}

impl AsRef<[u8]> for HugePages {
    fn as_ref(&self) -> &[u8] {
        &self.map[self.used.clone()]
    }
}

/// Reads `file`, which is said to have `size` bytes, from where it stands to its end.
pub(super) fn read_whole(file: &File, size: usize) -> io::Result<Bytes> {
    let mut bytes = match size {
        BIG.. => match read_into_huge_pages(file, size)? {
            Content::Whole(pages) => return Ok(Bytes::new(pages)),
            Content::Begun(bytes) => bytes,
        },
        _ => Vec::with_capacity(size + 1),
    };
    let mut reader = file;
    reader.read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

enum Content {
    Whole(HugePages),
    /// The file is longer than it was said to be, or there is no such memory.
    Begun(Vec<u8>),
}

fn read_into_huge_pages(mut file: &File, size: usize) -> io::Result<Content> {
    // One byte more shows that the end was reached; one page more leaves room to begin where a huge page can.
    let room = size + 1;
    let Ok(mut map) = MmapMut::map_anon(room.next_multiple_of(HUGE_PAGE) + HUGE_PAGE) else {
        return Ok(Content::Begun(Vec::new()));
    };
    let _in_small_pages = map.advise(Advice::HugePage).is_err();
    let start = (map.as_ptr() as usize).wrapping_neg() % HUGE_PAGE;
    let mut used = start..start;
    while used.end < start + room {
        match file.read(&mut map[used.end..start + room]) {
            Ok(0) => return Ok(Content::Whole(HugePages { map, used })),
            Ok(read) => used.end += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Content::Begun(map[used].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_the_file_whatever_its_size_is_said_to_be() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for size in [0, 1, BIG - 1, BIG, HUGE_PAGE - 1, HUGE_PAGE, HUGE_PAGE + 1, 2 * HUGE_PAGE + 5] {
            let content: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            std::fs::write(&path, &content).unwrap();
            for said in [size, size / 2, size + 7, 2 * size] {
                let read = read_whole(&File::open(&path).unwrap(), said).unwrap();
                assert!(*read == *content, "{size} bytes, said to be {said}");
            }
        }
    }
}
