//! Bytes of a domain, read from left to right: names, values, blanks.

use std::borrow::Cow;

use super::text::{ValueKind, count_ordinary, decode};
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
pub(super) struct RawValue {
    pub start: u32,
    pub end: u32,
    /// Where it stands if not all its bytes mean themselves.
    pub escaped: Option<ValueKind>,
}

impl<'a> Cursor<'a> {
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }

    /// The next `length` bytes, which are passed.
    #[inline]
    pub fn advance(&mut self, length: usize, escaped: Option<ValueKind>) -> RawValue {
        let start = self.position as u32;
        self.position += length;
        RawValue {
            start,
            end: self.position as u32,
            escaped,
        }
    }

    /// The raw of a value.
    #[inline]
    pub fn raw(&self, value: RawValue) -> &'a str {
        self.file
            .get(value.start as usize..value.end as usize)
            .unwrap_or_default()
    }

    /// What a piece means.
    #[inline]
    pub fn decoded(&self, value: RawValue) -> Option<Cow<'a, str>> {
        let raw = self.raw(value);
        match value.escaped {
            None => Some(Cow::Borrowed(raw)),
            // Of all other pieces every byte is known. Without a way out in between, many are
            // looked at together.
            Some(_) if raw.bytes().fold(false, |found, b| found | is_control(b)) => None,
            Some(place) => decode(raw, place),
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
    pub fn skip_blanks(&mut self) {
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
    pub fn read_attribute(&mut self) -> Option<(RawValue, RawValue)> {
        self.take(b" ").then_some(())?;
        let length = self
            .rest()
            .iter()
            .take_while(|b| b.is_ascii_lowercase() || matches!(b, b'_' | b'-'))
            .count();
        let begins = self.rest().first()?.is_ascii_lowercase();
        let name = self.advance(length, None);
        (begins && self.take(b"=\"")).then_some(())?;
        Some((name, self.read_quoted()?))
    }

    /// The value up to the closing quote, which is passed.
    #[inline(always)]
    pub fn read_quoted(&mut self) -> Option<RawValue> {
        let mut length = count_ordinary(self.rest(), b'"', b'<');
        let mut escaped = None;
        if self.bytes.get(self.position + length) != Some(&b'"') {
            escaped = Some(ValueKind::Attribute);
            length += memchr::memchr2(b'"', b'<', self.rest().get(length..)?)?;
        }
        let value = self.advance(length, escaped);
        (self.bytes.get(self.position) == Some(&b'"')).then_some(())?;
        self.position += 1;
        Some(value)
    }

    /// The text up to the next tag. A `]` could be part of what must not stand in a text.
    #[inline(always)]
    pub fn read_text(&mut self) -> Option<RawValue> {
        let mut length = count_ordinary(self.rest(), b'<', b']');
        let mut escaped = None;
        if self.bytes.get(self.position + length) != Some(&b'<') {
            escaped = Some(ValueKind::Text);
            length += memchr::memchr2(b'<', b']', self.rest().get(length..)?)?;
        }
        let text = self.advance(length, escaped);
        (self.bytes.get(self.position) != Some(&b']')).then_some(text)
    }
}
