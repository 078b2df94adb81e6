//! Reads the bytes of a store in pieces: a thousand qubes have two megabytes, and reading all of
//! them into new memory takes longer than finding one.

use std::io;

use crate::format::Bytes;

/// Bytes that can be read from any position.
pub trait ByteSource: Send + Sync {
    /// Reads from `at` on into `piece`: as much as fits, less at the end of the bytes.
    ///
    /// # Errors
    /// The source cannot be read.
    fn read_at(&self, piece: &mut [u8], at: usize) -> io::Result<usize>;
}

impl ByteSource for [u8] {
    fn read_at(&self, piece: &mut [u8], at: usize) -> io::Result<usize> {
        let rest = self.get(at..).unwrap_or_default();
        let length = rest.len().min(piece.len());
        piece[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }
}

impl ByteSource for &[u8] {
    fn read_at(&self, piece: &mut [u8], at: usize) -> io::Result<usize> {
        (**self).read_at(piece, at)
    }
}

impl ByteSource for Bytes {
    fn read_at(&self, piece: &mut [u8], at: usize) -> io::Result<usize> {
        (**self).read_at(piece, at)
    }
}

/// Reads as many bytes from `at` on as `buffer` holds.
///
/// # Errors
/// The source cannot be read; [`io::ErrorKind::UnexpectedEof`] if it ends before.
pub(super) fn read_exact_at(
    source: &dyn ByteSource,
    buffer: &mut [u8],
    at: usize,
) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read_at(&mut buffer[filled..], at + filled)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => filled += read,
        }
    }
    Ok(())
}

/// Reads all bytes.
pub(super) fn read_all(stored: &dyn ByteSource) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 1 << 16];
    let mut length = 0;
    loop {
        match stored.read_at(&mut bytes[length..], length)? {
            0 => {
                bytes.truncate(length);
                return Ok(bytes);
            }
            read => length += read,
        }
        if length == bytes.len() {
            bytes.resize(2 * length, 0);
        }
    }
}

/// A part of the bytes that moves from their beginning to their end.
pub(super) struct Window<'s> {
    stored: &'s dyn ByteSource,
    buffer: Vec<u8>,
    start: usize,
    filled: usize,
    is_last: bool,
}

impl<'s> Window<'s> {
    /// Size of the window unless more is needed: it fits in the nearest cache of the processor.
    pub const DEFAULT_SIZE: usize = 16 << 10;

    /// Opens a window over the first `size` bytes.
    pub fn open(stored: &'s dyn ByteSource, size: usize) -> io::Result<Window<'s>> {
        let mut window = Window {
            stored,
            buffer: vec![0; size.max(1)],
            start: 0,
            filled: 0,
            is_last: false,
        };
        window.fill()?;
        Ok(window)
    }

    /// Returns the bytes in the window.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    /// Returns where the window begins.
    pub fn start(&self) -> usize {
        self.start
    }

    /// Whether the window reaches the end of the bytes.
    pub fn is_last(&self) -> bool {
        self.is_last
    }

    /// Drops the bytes before `at`, counted from the beginning of the window, and reads further
    /// ones. If there is nothing to drop, the window becomes larger.
    pub fn advance(&mut self, at: usize) -> io::Result<()> {
        self.buffer.copy_within(at..self.filled, 0);
        self.start += at;
        self.filled -= at;
        if self.filled == self.buffer.len() {
            self.buffer.resize(2 * self.filled, 0);
        }
        self.fill()
    }

    fn fill(&mut self) -> io::Result<()> {
        while self.filled < self.buffer.len() {
            match self
                .stored
                .read_at(&mut self.buffer[self.filled..], self.start + self.filled)?
            {
                0 => {
                    self.is_last = true;
                    break;
                }
                read => self.filled += read,
            }
        }
        Ok(())
    }
}
