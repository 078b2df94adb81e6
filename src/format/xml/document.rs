//! Parses a whole file strictly: where the quick index cannot be used, and before every write.

use super::scanner::Scanner;
use super::token::Span;
use super::tree::Tree;
use super::tree_builder::Shape;
use crate::format::MAX_BYTES;
use crate::format::error::{Fault, FormatError};

/// Checks every byte of a document, and keeps its first `keep` levels.
///
/// # Errors
/// The document is empty, too large, or not well-formed.
pub(crate) fn parse_document(bytes: &[u8], keep: usize) -> Result<Tree<'_>, FormatError> {
    if bytes.len() > MAX_BYTES {
        return Err(FormatError::TooLarge {
            bytes: bytes.len() as u64,
        });
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(FormatError::Empty);
    }
    let start = check_encoding(bytes).map_err(|f| f.locate(bytes))?;
    Tree::parse(bytes, start..bytes.len(), Shape::Document, keep).map_err(|f| f.locate(bytes))
}

/// Checks byte order mark and XML declaration; returns where the document begins.
pub(crate) fn check_encoding(bytes: &[u8]) -> Result<usize, Fault> {
    let other = Fault {
        at: 0,
        reason: "the encoding is not UTF-8",
    };
    if [
        &b"\xFE\xFF"[..],
        b"\xFF\xFE",
        b"\0\0\xFE\xFF",
        b"\0<",
        b"<\0",
    ]
    .iter()
    .any(|mark| bytes.starts_with(mark))
    {
        return Err(other);
    }
    let start = if bytes.starts_with(b"\xEF\xBB\xBF") {
        3
    } else {
        0
    };
    let rest = &bytes[start..];
    if !has_declaration(rest) {
        return Ok(start);
    }
    let bad = Fault {
        at: start,
        reason: "the XML declaration is not well-formed",
    };
    let length = memchr::memmem::find(rest, b"?>").ok_or(bad)?;
    let scanner = Scanner::new(bytes, start + 5..start + length);
    let attributes = scanner.declaration_attributes().map_err(|_| bad)?;
    let text = |span: Span| String::from_utf8_lossy(span.slice(bytes));
    let mut expected = ["version", "encoding", "standalone"].into_iter();
    for attribute in &attributes {
        let name = text(attribute.name);
        let value = text(attribute.value);
        if !expected.any(|e| e == name) {
            return Err(bad);
        }
        match &*name {
            "version" if !is_version(&value) => return Err(bad),
            "encoding" if !value.eq_ignore_ascii_case("utf-8") => {
                return Err(Fault {
                    at: attribute.value.start as usize,
                    ..other
                });
            }
            "standalone" if value != "yes" && value != "no" => return Err(bad),
            _ => {}
        }
    }
    match attributes.first() {
        Some(first) if text(first.name) == "version" => Ok(start),
        _ => Err(bad),
    }
}

/// Whether an XML version is `1.` and digits: any 1.x is read as 1.0 (XML 1.0 §2.8).
fn is_version(value: &str) -> bool {
    value
        .strip_prefix("1.")
        .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether a document begins with an XML declaration.
pub(crate) fn has_declaration(document: &[u8]) -> bool {
    document.starts_with(b"<?xml")
        && document
            .get(5)
            .is_some_and(|b| b.is_ascii_whitespace() || *b == b'?')
}
