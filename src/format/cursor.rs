//! Bytes of a domain, read from left to right: names, values, blanks.

use std::borrow::Cow;

use super::text::{Place, decode, ordinary};
use super::tree::is_control;
use crate::model::SharedText;

/// A way through a domain in upstream's own form. What is not as it asks for, it leaves to the
/// tree.
pub(super) struct Cursor<'a> {
    pub file: &'a SharedText,
    /// The file up to the end of the domain.
    pub bytes: &'a [u8],
    pub position: usize,
}

/// A name or a value: where it stands in the file.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    pub start: u32,
    pub end: u32,
    /// Where it stands if not all its bytes mean themselves.
    pub odd: Option<Place>,
}

impl<'a> Cursor<'a> {
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }

    /// The next `length` bytes, which are passed.
    #[inline]
    pub fn piece(&mut self, length: usize, odd: Option<Place>) -> Piece {
        let start = self.position as u32;
        self.position += length;
        Piece {
            start,
            end: self.position as u32,
            odd,
        }
    }

    /// The letters of a piece.
    #[inline]
    pub fn letters(&self, piece: Piece) -> &'a str {
        self.file
            .get(piece.start as usize..piece.end as usize)
            .unwrap_or_default()
    }

    /// What a piece means.
    #[inline]
    pub fn meaning(&self, piece: Piece) -> Option<Cow<'a, str>> {
        let letters = self.letters(piece);
        match piece.odd {
            None => Some(Cow::Borrowed(letters)),
            // Of all other pieces every byte is known. Without a way out in between, many are
            // looked at together.
            Some(_)
                if letters
                    .bytes()
                    .fold(false, |found, b| found | is_control(b)) =>
            {
                None
            }
            Some(place) => decode(letters, place),
        }
    }

    /// Goes past `expected` if it stands here.
    #[inline]
    pub fn take<const N: usize>(&mut self, expected: &[u8; N]) -> bool {
        let found = self.rest().first_chunk() == Some(expected);
        if found {
            self.position += N;
        }
        found
    }

    #[inline(always)]
    pub fn blanks(&mut self) {
        // As upstream indents what stands in a section.
        if self.take(b"\n        ") && self.rest().first() == Some(&b'<') {
            return;
        }
        self.position += self
            .rest()
            .iter()
            .take_while(|b| matches!(b, b' ' | b'\n' | b'\t'))
            .count();
    }

    /// Past ` name="value"`.
    pub fn attribute(&mut self) -> Option<(Piece, Piece)> {
        self.take(b" ").then_some(())?;
        let length = self
            .rest()
            .iter()
            .take_while(|b| b.is_ascii_lowercase() || matches!(b, b'_' | b'-'))
            .count();
        let begins = self.rest().first()?.is_ascii_lowercase();
        let name = self.piece(length, None);
        (begins && self.take(b"=\"")).then_some(())?;
        Some((name, self.quoted()?))
    }

    /// The value up to the closing quote, which is passed.
    #[inline(always)]
    pub fn quoted(&mut self) -> Option<Piece> {
        let mut length = ordinary(self.rest(), b'"', b'<');
        let mut odd = None;
        if self.bytes.get(self.position + length) != Some(&b'"') {
            odd = Some(Place::Attribute);
            length += memchr::memchr2(b'"', b'<', self.rest().get(length..)?)?;
        }
        let value = self.piece(length, odd);
        (self.bytes.get(self.position) == Some(&b'"')).then_some(())?;
        self.position += 1;
        Some(value)
    }

    /// The text up to the next tag. A `]` could be part of what must not stand in a text.
    #[inline(always)]
    pub fn text(&mut self) -> Option<Piece> {
        let mut length = ordinary(self.rest(), b'<', b']');
        let mut odd = None;
        if self.bytes.get(self.position + length) != Some(&b'<') {
            odd = Some(Place::Text);
            length += memchr::memchr2(b'<', b']', self.rest().get(length..)?)?;
        }
        let text = self.piece(length, odd);
        (self.bytes.get(self.position) != Some(&b']')).then_some(text)
    }
}
