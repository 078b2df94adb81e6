//! The bytes of a store where they lie, read piece by piece: a thousand qubes have two megabytes,
//! and to fetch all of them into fresh memory takes longer than to look for one.

use std::io;

use super::Bytes;

/// Bytes that can be read from any place on.
pub trait ByteSource: Send + Sync {
    /// Reads what stands from `at` on into `piece`: as much as fits, less where the bytes end.
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

/// All bytes.
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
    /// So much is looked at at once, if nothing asks for more: what the processor's nearest cache
    /// holds.
    pub const DEFAULT_SIZE: usize = 16 << 10;

    /// The first `size` bytes.
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

    pub fn bytes(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    /// Where the window begins.
    pub fn start(&self) -> usize {
        self.start
    }

    /// Whether nothing stands behind the window.
    pub fn is_last(&self) -> bool {
        self.is_last
    }

    /// Lets go of what stands before `at`, counted from the window's beginning, for what comes
    /// next. Where there is nothing to let go of, the window becomes larger.
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
