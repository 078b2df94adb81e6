//! One image out of a tar that somebody else made, whose holes may be described in each of the
//! forms that GNU tar has (its manual, "Storing Sparse Files"): that of old GNU, and the three of
//! POSIX archives.
//!
//! Headers are read one by one, and none of them whole before its size is known to be reasonable: a
//! compressed package may unpack to a header of any length.

mod members;
mod sparse;

use std::fs::File;
use std::io::{self, Read};

use crate::storage::write_sparse;

use members::{BLOCK, Members, too_long};

/// Writes the file called `name` of an archive, of at most `largest` bytes, into an empty file.
///
/// # Errors
/// There is no such file, it is not whole, its description contradicts itself, or headers are too
/// long.
pub fn unpack(archive: impl Read, name: &str, to: &File, largest: u64) -> io::Result<()> {
    let wrong = |text: String| Err(io::Error::other(text));
    let mut members = Members::of(archive);
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
            return wrong(format!("{name} in the archive is no file"));
        }
        let size = member
            .sparse
            .as_ref()
            .map_or(member.stored, |sparse| sparse.size);
        if size > largest {
            return wrong(too_large(name, largest));
        }
        let mut data = members.archive.by_ref().take(member.stored);
        let written = match member.sparse {
            None => write_sparse(&mut data, to).and_then(|()| Ok(to.metadata()?.len()))?,
            Some(sparse) => sparse.write(&mut data, to)?,
        };
        return match written == size {
            true => Ok(()),
            false => wrong(format!(
                "{name} in the archive ends after {written} of {size} bytes"
            )),
        };
    }
    wrong(format!("there is no {name} in the archive"))
}

pub fn too_large(name: &str, largest: u64) -> String {
    format!("{name} has more than {} TiB", largest >> 40)
}

#[cfg(test)]
mod tests;
