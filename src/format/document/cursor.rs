//! Reads names, values and blanks of a domain from left to right.

use std::borrow::Cow;

use crate::format::xml::text::{ValueKind, count_ordinary, decode};
use crate::format::xml::tree::is_control;
use crate::model::SharedText;

/// A position in a domain in upstream's form. Anything of another form is left to the tree.
pub(super) struct Cursor<'a> {
    pub file: &'a SharedText,
    /// The file up to the end of the domain.
    pub bytes: &'a [u8],
    pub position: usize,
}

/// A name or a value, as a range of the file.
#[derive(Clone, Copy)]
pub(super) struct RawValue {
    pub start: u32,
    pub end: u32,
    /// How to decode the value; `None` if every byte stands for itself.
    pub escaped: Option<ValueKind>,
}

impl<'a> Cursor<'a> {
    /// Returns the bytes that are left.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }

    /// Passes the next `length` bytes and returns them.
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

    /// Returns a value as it is in the file.
    #[inline]
    pub fn raw(&self, value: RawValue) -> &'a str {
        self.file
            .get(value.start as usize..value.end as usize)
            .unwrap_or_default()
    }

    /// Returns a value with references and line ends resolved, or `None` if it is not valid.
    #[inline]
    pub fn decoded(&self, value: RawValue) -> Option<Cow<'a, str>> {
        let raw = self.raw(value);
        match value.escaped {
            None => Some(Cow::Borrowed(raw)),
            // Only a value with something to decode can hold a control character. There is no early
            // exit, so that the compiler can vectorise the loop.
            Some(_) if raw.bytes().fold(false, |found, b| found | is_control(b)) => None,
            Some(place) => decode(raw, place),
        }
    }

    /// Passes `expected` if it comes next.
    #[inline]
    pub fn take<const N: usize>(&mut self, expected: &[u8; N]) -> bool {
        let found = self.rest().first_chunk() == Some(expected);
        if found {
            self.position += N;
        }
        found
    }

    /// Skips blanks.
    #[inline(always)]
    pub fn skip_blanks(&mut self) {
        // The indentation that upstream uses inside a section.
        if self.take(b"\n        ") && self.rest().first() == Some(&b'<') {
            return;
        }
        self.position += self
            .rest()
            .iter()
            .take_while(|b| matches!(b, b' ' | b'\n' | b'\t'))
            .count();
    }

    /// Reads ` name="value"`.
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

    /// Reads a value and its closing quotation mark.
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

    /// Reads the text up to the next tag. A `]` could begin `]]>`, which is not allowed in text.
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
