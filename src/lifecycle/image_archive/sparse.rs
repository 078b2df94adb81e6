//! A file with holes, in each of the forms that GNU tar has for them.

use std::fs::File;
use std::io::{self, Read};

use tar::{GnuSparseHeader, PaxExtensions};

use super::members::BLOCK;
use crate::storage::write_sparse_at;

/// More pieces than this are a mistake or an attack; a file system has seldom more in one file.
const MOST_PIECES: usize = 1 << 20;

/// How a POSIX archive describes a file with holes.
#[derive(Debug, Default)]
pub(super) struct Sparse {
    /// The file's own name, where the entry has another.
    pub name: Option<Vec<u8>>,
    /// Bytes, holes among them.
    pub size: u64,
    /// Form 1.0: the map stands before the data.
    pub is_map_in_data: bool,
    /// Where each piece of data begins and how long it is.
    pub pieces: Vec<(u64, u64)>,
}

impl Sparse {
    /// None of a member without such a description.
    pub fn of(extensions: &[u8]) -> io::Result<Option<Sparse>> {
        let (mut sparse, mut found, mut size) = (Sparse::default(), false, None);
        let (mut begin, mut version) = (None, (0, 0));
        for extension in PaxExtensions::new(extensions) {
            let extension = extension?;
            let Some(key) = extension.key_bytes().strip_prefix(b"GNU.sparse.") else {
                continue;
            };
            found = true;
            let value = extension.value_bytes();
            match key {
                b"name" => sparse.name = Some(value.to_vec()),
                b"realsize" | b"size" => size = Some(number(value)?),
                b"major" => version.0 = number(value)?,
                b"minor" => version.1 = number(value)?,
                // Form 0.0: the two take turns.
                b"offset" => begin = Some(number(value)?),
                b"numbytes" => {
                    let begin = begin
                        .take()
                        .ok_or_else(|| contradiction("a piece has no beginning"))?;
                    sparse.add(begin, number(value)?)?;
                }
                // Form 0.1: both in one list.
                b"map" => {
                    let numbers = value
                        .split(|byte| *byte == b',')
                        .map(number)
                        .collect::<io::Result<Vec<u64>>>()?;
                    for pair in numbers.chunks(2) {
                        let &[begin, length] = pair else {
                            return Err(contradiction("a piece has no length"));
                        };
                        sparse.add(begin, length)?;
                    }
                }
                // How many pieces follow; they say so themselves.
                b"numblocks" => {}
                _ => return Err(contradiction("it has a form that is not known")),
            }
        }
        if !found {
            return Ok(None);
        }
        sparse.is_map_in_data = match version {
            (0, 0 | 1) => false,
            (1, 0) => true,
            (major, minor) => {
                return Err(contradiction(&format!(
                    "its form {major}.{minor} is not known"
                )));
            }
        };
        sparse.size = size.ok_or_else(|| contradiction("the size is not said"))?;
        Ok(Some(sparse))
    }

    fn add(&mut self, begin: u64, length: u64) -> io::Result<()> {
        let end_of_last = self
            .pieces
            .last()
            .map_or(0, |(begin, length)| begin + length);
        if begin < end_of_last
            || begin.checked_add(length).is_none()
            || self.pieces.len() >= MOST_PIECES
        {
            return Err(contradiction("pieces of it overlap, or are too many"));
        }
        self.pieces.push((begin, length));
        Ok(())
    }

    /// Adds pieces as the form of old GNU has them; one without a beginning is none.
    pub fn add_old(&mut self, pieces: &[GnuSparseHeader]) -> io::Result<()> {
        pieces
            .iter()
            .filter(|piece| !piece.is_empty())
            .try_for_each(|piece| self.add(piece.offset()?, piece.length()?))
    }

    /// Writes the pieces where they belong; returns how far the data and the holes reach.
    pub fn write(mut self, entry: &mut impl Read, to: &File) -> io::Result<u64> {
        if self.is_map_in_data {
            self.read_map(entry)?;
        }
        let end = self
            .pieces
            .last()
            .map_or(0, |(begin, length)| begin + length);
        if end > self.size {
            return Err(contradiction("a piece lies behind its end"));
        }
        for (begin, length) in &self.pieces {
            let reached = write_sparse_at(entry.by_ref().take(*length), to, *begin)?;
            if reached != begin + length {
                return Ok(reached);
            }
        }
        to.set_len(self.size)?;
        Ok(self.size)
    }

    /// The map of form 1.0: the number of pieces, then where each begins and how long it is, a line
    /// each; zeros fill its last block.
    fn read_map(&mut self, entry: &mut impl Read) -> io::Result<()> {
        let mut passed = 0_u64;
        let mut next = || {
            let mut line = Vec::new();
            loop {
                let mut byte = [0];
                entry.read_exact(&mut byte)?;
                passed += 1;
                match byte[0] {
                    b'\n' => return number(&line),
                    _ if line.len() < 20 => line.push(byte[0]),
                    _ => return Err(contradiction("a number of its map has no end")),
                }
            }
        };
        for _ in 0..next()? {
            let (begin, length) = (next()?, next()?);
            self.add(begin, length)?;
        }
        let filling = passed.next_multiple_of(BLOCK) - passed;
        io::copy(&mut entry.by_ref().take(filling), &mut io::sink()).map(drop)
    }
}

pub(super) fn number(text: &[u8]) -> io::Result<u64> {
    let digits = text
        .iter()
        .all(u8::is_ascii_digit)
        .then(|| std::str::from_utf8(text).ok()?.parse().ok())
        .flatten();
    digits.ok_or_else(|| contradiction("what should be a number is none"))
}

pub(super) fn contradiction(why: &str) -> io::Error {
    io::Error::other(format!(
        "the holes of a file in the archive are not described as GNU tar does it: {why}"
    ))
}
