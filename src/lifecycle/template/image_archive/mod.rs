//! Extracts one image from a tar archive of unknown origin. Holes may be described in each form
//! that GNU tar knows (its manual, "Storing Sparse Files"): the old GNU form and three forms of
//! POSIX archives.
//!
//! Headers are read one by one, and each only after its size was checked: a compressed package may
//! unpack to a header of any length.

mod members;
mod sparse;

use std::fs::File;
use std::io::{self, Read};

use crate::fs::sparse_copy::write_sparse;

use members::{Members, too_long};
use sparse::BLOCK;

/// Writes the member `name` of an archive, at most `largest` bytes, into an empty file.
///
/// # Errors
/// The archive has no such member, the member is incomplete or described inconsistently, or headers
/// are too long.
pub fn unpack(archive: impl Read, name: &str, to: &File, largest: u64) -> io::Result<()> {
    let fail = |text: String| Err(io::Error::other(text));
    let mut members = Members::new(archive);
    while let Some(member) = members.next()? {
        if member.path.strip_prefix(b"./").unwrap_or(&member.path) != name.as_bytes() {
            members.skip(
                member
                    .stored
                    .checked_next_multiple_of(BLOCK)
                    .ok_or_else(too_long)?,
            )?;
            continue;
        }
        if !(member.kind.is_file() || member.kind.is_gnu_sparse()) {
            return fail(format!("{name} in the archive is not a file"));
        }
        let size = member
            .sparse
            .as_ref()
            .map_or(member.stored, |sparse| sparse.size);
        if size > largest {
            return fail(too_large(name, largest));
        }
        let mut data = members.archive.by_ref().take(member.stored);
        let written = match member.sparse {
            None => write_sparse(&mut data, to).and_then(|()| Ok(to.metadata()?.len()))?,
            Some(sparse) => sparse.write(&mut data, to)?,
        };
        return match written == size {
            true => Ok(()),
            false => fail(format!(
                "{name} in the archive ends after {written} of {size} bytes"
            )),
        };
    }
    fail(format!("no {name} found in the archive"))
}

/// Returns the reason to refuse an image of more than `largest` bytes.
pub fn too_large(name: &str, largest: u64) -> String {
    format!("{name} has more than {} TiB", largest >> 40)
}

#[cfg(test)]
mod tests;
