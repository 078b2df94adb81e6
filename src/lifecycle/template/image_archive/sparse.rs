//! Sparse files, in each form that GNU tar has for them.

use std::fs::File;
use std::io::{self, Read};

use tar::{GnuSparseHeader, PaxExtensions};

use crate::fs::sparse_copy::write_sparse_at;

/// The size of a tar block, bytes.
pub(super) const BLOCK: u64 = 512;

/// The most pieces that are accepted. More is a mistake or an attack; file systems seldom have as
/// many in one file.
const MAX_PIECES: usize = 1 << 20;

/// The description of a sparse file in a POSIX archive.
#[derive(Debug, Default)]
pub(super) struct SparseMap {
    /// The file's own name, if that of the member differs.
    pub name: Option<Vec<u8>>,
    /// Bytes, including holes.
    pub size: u64,
    /// Whether the map precedes the data (form 1.0).
    pub is_map_in_data: bool,
    /// Offset and length of each piece, bytes.
    pub pieces: Vec<(u64, u64)>,
}

impl SparseMap {
    /// Reads the description from a member's extensions; `None` if they have none.
    ///
    /// # Errors
    /// The description is invalid.
    pub fn from_extensions(extensions: &[u8]) -> io::Result<Option<SparseMap>> {
        let (mut sparse, mut found, mut size) = (SparseMap::default(), false, None);
        let (mut offset, mut version) = (None, (0, 0));
        for extension in PaxExtensions::new(extensions) {
            let extension = extension?;
            let Some(key) = extension.key_bytes().strip_prefix(b"GNU.sparse.") else {
                continue;
            };
            found = true;
            let value = extension.value_bytes();
            match key {
                b"name" => sparse.name = Some(value.to_vec()),
                b"realsize" | b"size" => size = Some(parse_number(value)?),
                b"major" => version.0 = parse_number(value)?,
                b"minor" => version.1 = parse_number(value)?,
                // Form 0.0: offset and length alternate.
                b"offset" => offset = Some(parse_number(value)?),
                b"numbytes" => {
                    let offset = offset
                        .take()
                        .ok_or_else(|| invalid_map("a piece has no offset"))?;
                    sparse.add(offset, parse_number(value)?)?;
                }
                // Form 0.1: both in one list.
                b"map" => {
                    let numbers = value
                        .split(|byte| *byte == b',')
                        .map(parse_number)
                        .collect::<io::Result<Vec<u64>>>()?;
                    for pair in numbers.chunks(2) {
                        let &[offset, length] = pair else {
                            return Err(invalid_map("a piece has no length"));
                        };
                        sparse.add(offset, length)?;
                    }
                }
                // The number of pieces is implied by the pieces.
                b"numblocks" => {}
                _ => return Err(invalid_map("its form is unknown")),
            }
        }
        if !found {
            return Ok(None);
        }
        sparse.is_map_in_data = match version {
            (0, 0 | 1) => false,
            (1, 0) => true,
            (major, minor) => {
                return Err(invalid_map(&format!("its form {major}.{minor} is unknown")));
            }
        };
        sparse.size = size.ok_or_else(|| invalid_map("it has no size"))?;
        Ok(Some(sparse))
    }

    /// Adds a piece. Pieces must be in order and must not overlap.
    fn add(&mut self, offset: u64, length: u64) -> io::Result<()> {
        let last_end = self
            .pieces
            .last()
            .map_or(0, |(offset, length)| offset + length);
        if offset < last_end
            || offset.checked_add(length).is_none()
            || self.pieces.len() >= MAX_PIECES
        {
            return Err(invalid_map("its pieces overlap, or there are too many"));
        }
        self.pieces.push((offset, length));
        Ok(())
    }

    /// Adds pieces in old GNU form. Empty entries are skipped.
    pub fn add_old(&mut self, pieces: &[GnuSparseHeader]) -> io::Result<()> {
        pieces
            .iter()
            .filter(|piece| !piece.is_empty())
            .try_for_each(|piece| self.add(piece.offset()?, piece.length()?))
    }

    /// Writes the pieces to their offsets. Returns how many bytes were filled, including holes.
    pub fn write(mut self, entry: &mut impl Read, to: &File) -> io::Result<u64> {
        if self.is_map_in_data {
            self.read_map(entry)?;
        }
        let end = self
            .pieces
            .last()
            .map_or(0, |(offset, length)| offset + length);
        if end > self.size {
            return Err(invalid_map("a piece is behind its end"));
        }
        for (offset, length) in &self.pieces {
            let reached = write_sparse_at(entry.by_ref().take(*length), to, *offset)?;
            if reached != offset + length {
                return Ok(reached);
            }
        }
        to.set_len(self.size)?;
        Ok(self.size)
    }

    /// Reads the map of form 1.0: the number of pieces, then the offset and the length of each, one
    /// number per line, padded to a block with zeros.
    fn read_map(&mut self, entry: &mut impl Read) -> io::Result<()> {
        let mut bytes_read = 0_u64;
        let mut next = || {
            let mut line = Vec::new();
            loop {
                let mut byte = [0];
                entry.read_exact(&mut byte)?;
                bytes_read += 1;
                match byte[0] {
                    b'\n' => return parse_number(&line),
                    _ if line.len() < 20 => line.push(byte[0]),
                    _ => return Err(invalid_map("a number in its map is too long")),
                }
            }
        };
        for _ in 0..next()? {
            let (offset, length) = (next()?, next()?);
            self.add(offset, length)?;
        }
        let padding = bytes_read.next_multiple_of(BLOCK) - bytes_read;
        io::copy(&mut entry.by_ref().take(padding), &mut io::sink()).map(drop)
    }
}

/// Parses a decimal number.
pub(super) fn parse_number(text: &[u8]) -> io::Result<u64> {
    let digits = text
        .iter()
        .all(u8::is_ascii_digit)
        .then(|| std::str::from_utf8(text).ok()?.parse().ok())
        .flatten();
    digits.ok_or_else(|| invalid_map("a value is not a number"))
}

/// Makes the error for an invalid description, with the reason.
pub(super) fn invalid_map(why: &str) -> io::Error {
    io::Error::other(format!(
        "invalid description of a sparse file in the archive: {why}"
    ))
}
