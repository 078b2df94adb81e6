//! Recognises elements without children in upstream's form, which make up most of a store, so that
//! the check before each write is cheap.

use std::ops::Range;

use super::index::{DomainEntry, new_entry};
use crate::format::xml::scanner::Span;
use crate::format::xml::text::{
    ValueKind, count_ordinary, decode, resolve_reference, skip_blank, skip_literal,
};
use crate::format::xml::tree::find_noncharacter;

/// Largest number of properties of a domain in upstream's form.
const MAX_PROPERTIES: usize = 1024;

/// Scans the domain at `at` if it has upstream's form, and so is well-formed; `None` where only a
/// tree can tell.
pub(crate) fn scan_plain_domain(bytes: &[u8], at: usize) -> Option<DomainEntry> {
    let id = skip_decoded(
        bytes,
        skip_literal(bytes, at, b"<domain id=\"")?,
        b'"',
        b'<',
    )?;
    let class = skip_literal(bytes, id, b"\" class=\"")?;
    let class_end = class + count_ordinary(&bytes[class..], b'"', b'<');
    let (name, end) = scan_sections(bytes, skip_literal(bytes, class_end, b"\">")?)?;
    // Control characters were rejected above; this checks the characters beyond ASCII.
    let domain = &bytes[at..end];
    if !domain.is_ascii()
        && (find_noncharacter(domain).is_some() || std::str::from_utf8(domain).is_err())
    {
        return None;
    }
    let text = |range: Range<usize>| std::str::from_utf8(&bytes[range]).ok();
    let name = match name {
        Some(name) => Some(decode(text(name)?, ValueKind::Text)?),
        None => None,
    };
    Some(new_entry(Span::new(at, end), text(class..class_end)?, name))
}

/// Scans the sections of a domain; returns the range of the text of its last property `name`, and
/// its end.
fn scan_sections(bytes: &[u8], mut at: usize) -> Option<(Option<Range<usize>>, usize)> {
    let (mut name, mut count) = (None, 0);
    loop {
        let here = skip_blank(bytes, at);
        at = if let Some(inside) = skip_literal(bytes, here, b"<properties>") {
            let is_name = |item: Range<usize>, text: Range<usize>| {
                count += 1;
                if bytes[item.clone()] == *b"name" {
                    name = Some(text);
                }
                // A name with references could be any name.
                count <= MAX_PROPERTIES && !bytes[item].contains(&b'&')
            };
            scan_items(
                bytes,
                inside,
                b"\n        <property name=\"",
                b"</property>",
                b"</properties>",
                is_name,
            )?
        } else if let Some(inside) = skip_literal(bytes, here, b"<features>") {
            scan_items(
                bytes,
                inside,
                b"\n        <feature name=\"",
                b"</feature>",
                b"</features>",
                |_, _| true,
            )?
        } else if let Some(inside) = skip_literal(bytes, here, b"<tags>") {
            scan_elements(bytes, inside, b"</tags>", |bytes, at| {
                skip_literal(
                    bytes,
                    skip_decoded(bytes, skip_literal(bytes, at, b"<tag name=\"")?, b'"', b'<')?,
                    b"\"/>",
                )
            })?
        } else if let Some(inside) = skip_literal(bytes, here, b"<volume-config>") {
            scan_elements(bytes, inside, b"</volume-config>", skip_volume)?
        } else if let Some(inside) = skip_literal(bytes, here, b"<devices class=\"") {
            skip_literal(bytes, skip_decoded(bytes, inside, b'"', b'<')?, b"\"/>")?
        } else if let Some(next) = skip_literal(bytes, here, b"<features/>")
            .or_else(|| skip_literal(bytes, here, b"<tags/>"))
        {
            next
        } else {
            return Some((name, skip_literal(bytes, here, b"</domain>")?));
        };
    }
}

/// Skips a section of items `OPEN name">text CLOSE`, with or without the blanks that `open` begins
/// with. `look` is called with each name and text, and may give up.
#[inline]
fn scan_items<const A: usize, const B: usize, const C: usize>(
    bytes: &[u8],
    mut at: usize,
    open: &[u8; A],
    close: &[u8; B],
    end: &[u8; C],
    mut look: impl FnMut(Range<usize>, Range<usize>) -> bool,
) -> Option<usize> {
    let bare = open.trim_ascii_start();
    loop {
        let inside = skip_literal(bytes, at, open).or_else(|| {
            let here = skip_blank(bytes, at);
            bytes[here..].starts_with(bare).then_some(here + bare.len())
        });
        let Some(inside) = inside else {
            return skip_literal(bytes, skip_blank(bytes, at), end);
        };
        let name = skip_decoded(bytes, inside, b'"', b'<')?;
        let text = match skip_literal(bytes, name, b"\">") {
            Some(text) => text,
            None => {
                at = skip_literal(bytes, name, b"\"/>")?;
                look(inside..name, at..at).then_some(())?;
                continue;
            }
        };
        let text_end = skip_decoded(bytes, text, b'<', b']')?;
        look(inside..name, text..text_end).then_some(())?;
        at = skip_literal(bytes, text_end, close)?;
    }
}

/// Skips a section of elements.
#[inline]
fn scan_elements<const N: usize>(
    bytes: &[u8],
    mut at: usize,
    end: &[u8; N],
    element: impl Fn(&[u8], usize) -> Option<usize>,
) -> Option<usize> {
    loop {
        let here = skip_blank(bytes, at);
        match element(bytes, here) {
            Some(next) => at = next,
            None => return skip_literal(bytes, here, end),
        }
    }
}

/// Returns the end of the text or value that begins at `at`: the position of `end`. References and
/// blanks are allowed in it, `other` is not.
#[inline]
fn skip_decoded(bytes: &[u8], mut at: usize, end: u8, other: u8) -> Option<usize> {
    loop {
        at += count_ordinary(&bytes[at..], end, other);
        match *bytes.get(at)? {
            found if found == end => return Some(at),
            b'&' => {
                let inner = &bytes[at + 1..];
                let length = inner.iter().take(64).position(|b| *b == b';')?;
                resolve_reference(&inner[..length])?;
                at += length + 2;
            }
            b'\n' | b'\t' | b'\r' => at += 1,
            _ => return None,
        }
    }
}

/// Skips all leaf elements from `at` on, with the blanks before each, for a caller that only checks
/// and needs no tokens.
pub(crate) fn skip_leaves(bytes: &[u8], mut at: usize) -> usize {
    while let Some(end) = skip_leaf(bytes, skip_blank(bytes, at)) {
        at = end;
    }
    at
}

/// Skips the leaf element at `at`, if it is one and well-formed. The characters were checked
/// before.
fn skip_leaf(bytes: &[u8], at: usize) -> Option<usize> {
    skip_named_item(bytes, at, b"<property name=\"", b"</property>")
        .or_else(|| skip_volume(bytes, at))
        .or_else(|| skip_named_item(bytes, at, b"<feature name=\"", b"</feature>"))
        .or_else(|| {
            skip_literal(
                bytes,
                skip_value(bytes, skip_literal(bytes, at, b"<tag name=\"")?)?,
                b"/>",
            )
        })
}

/// Skips `OPEN name">text CLOSE`.
fn skip_named_item<const A: usize, const B: usize>(
    bytes: &[u8],
    at: usize,
    open: &[u8; A],
    close: &[u8; B],
) -> Option<usize> {
    let text = skip_literal(
        bytes,
        skip_value(bytes, skip_literal(bytes, at, open)?)?,
        b">",
    )?;
    skip_literal(
        bytes,
        text + count_ordinary(&bytes[text..], b'<', b']'),
        close,
    )
}

/// Skips a value and its closing quotation mark, if the value has nothing to decode.
fn skip_value(bytes: &[u8], at: usize) -> Option<usize> {
    skip_literal(bytes, at + count_ordinary(&bytes[at..], b'"', b'<'), b"\"")
}

/// Skips `<volume …/>` with the attributes that upstream writes, in its order: so none occurs
/// twice.
fn skip_volume(bytes: &[u8], at: usize) -> Option<usize> {
    let at = skip_literal(bytes, at, b"<volume")?;
    let at = skip_attribute(bytes, at, b" name=\"")?;
    let at = skip_attribute(bytes, at, b" pool=\"")?;
    let at = skip_attribute(bytes, at, b" vid=\"")?;
    let at = skip_attribute(bytes, at, b" revisions_to_keep=\"")?;
    let at = skip_attribute(bytes, at, b" rw=\"")?;
    let at = skip_attribute(bytes, at, b" save_on_stop=\"")?;
    let at = skip_attribute(bytes, at, b" snap_on_start=\"")?;
    let at = skip_attribute(bytes, at, b" size=\"")?;
    let at = skip_attribute(bytes, at, b" source=\"")?;
    let at = skip_attribute(bytes, at, b" ephemeral=\"")?;
    skip_literal(bytes, at, b"/>")
}

/// Skips an attribute if it is next.
#[inline]
fn skip_attribute<const N: usize>(bytes: &[u8], at: usize, opening: &[u8; N]) -> Option<usize> {
    match skip_literal(bytes, at, opening) {
        Some(inside) => skip_value(bytes, inside),
        None => Some(at),
    }
}

#[cfg(test)]
mod tests {
    use crate::format::xml::tree::{MAX_DEPTH, Shape, Tree, TreeBuffers};

    #[test]
    fn skipping_leaves_finds_the_same_faults_as_keeping_them() {
        let mut random = fastrand::Rng::with_seed(20261122);
        let odd = b"<>\"'&/=! ?-]x\n\r\t\0\xc3\xa9";
        let ends = |bytes: &[u8], keep: usize| {
            let tree = Tree::parse(
                bytes,
                0..bytes.len(),
                Shape::Document,
                keep,
                TreeBuffers::default(),
            );
            tree.map(drop).map_err(|fault| (fault.at, fault.reason))
        };
        for sample in ["small.xml", "r40-small.xml", "random-1.xml"] {
            let sample = std::fs::read(format!(
                "{}/tests/data/r4/{sample}",
                env!("CARGO_MANIFEST_DIR")
            ))
            .unwrap();
            assert_eq!(ends(&sample, 3), Ok(()));
            for _ in 0..150 {
                let mut bytes = sample.clone();
                let at = random.usize(..bytes.len());
                match random.u8(..3) {
                    0 => bytes[at] = odd[random.usize(..odd.len())],
                    1 => bytes.insert(at, odd[random.usize(..odd.len())]),
                    _ => drop(bytes.remove(at)),
                }
                assert_eq!(ends(&bytes, 3), ends(&bytes, MAX_DEPTH), "byte {at}");
            }
        }
    }
}
