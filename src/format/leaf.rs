//! Elements that hold no others, in upstream's own form: what a store mostly consists of.
//! Recognised whole, they make the check before each write cheap.

use std::ops::Range;

use super::index::{DomainEntry, entry};
use super::scan::Span;
use super::text::{Place, after, decode, ordinary, resolve, skip_blank};
use super::tree::unholdable;

/// How many properties a domain in upstream's own form has at most.
const MOST: usize = 1024;

/// The domain at `at`, if it is in upstream's own form and so well-formed: of any other only a tree
/// can tell.
pub(crate) fn plain_domain(bytes: &[u8], at: usize) -> Option<DomainEntry> {
    let id = decoded(bytes, after(bytes, at, b"<domain id=\"")?, b'"', b'<')?;
    let class = after(bytes, id, b"\" class=\"")?;
    let class_end = class + ordinary(&bytes[class..], b'"', b'<');
    let (name, end) = behind_sections(bytes, after(bytes, class_end, b"\">")?)?;
    // Characters that nothing can hold were come upon by now; left are those beyond ASCII.
    let domain = &bytes[at..end];
    if !domain.is_ascii() && (unholdable(domain).is_some() || std::str::from_utf8(domain).is_err())
    {
        return None;
    }
    let text = |range: Range<usize>| std::str::from_utf8(&bytes[range]).ok();
    let name = match name {
        Some(name) => Some(decode(text(name)?, Place::Text)?),
        None => None,
    };
    Some(entry(Span::new(at, end), text(class..class_end)?, name))
}

/// Where the text of the last property `name` stands, and the place behind the domain.
fn behind_sections(bytes: &[u8], mut at: usize) -> Option<(Option<Range<usize>>, usize)> {
    let (mut name, mut count) = (None, 0);
    loop {
        let here = skip_blank(bytes, at);
        at = if let Some(inside) = after(bytes, here, b"<properties>") {
            let is_name = |item: Range<usize>, text: Range<usize>| {
                count += 1;
                if bytes[item.clone()] == *b"name" {
                    name = Some(text);
                }
                // With references it could be any name.
                count <= MOST && !bytes[item].contains(&b'&')
            };
            lines(
                bytes,
                inside,
                b"\n        <property name=\"",
                b"</property>",
                b"</properties>",
                is_name,
            )?
        } else if let Some(inside) = after(bytes, here, b"<features>") {
            lines(
                bytes,
                inside,
                b"\n        <feature name=\"",
                b"</feature>",
                b"</features>",
                |_, _| true,
            )?
        } else if let Some(inside) = after(bytes, here, b"<tags>") {
            section(bytes, inside, b"</tags>", |bytes, at| {
                after(
                    bytes,
                    decoded(bytes, after(bytes, at, b"<tag name=\"")?, b'"', b'<')?,
                    b"\"/>",
                )
            })?
        } else if let Some(inside) = after(bytes, here, b"<volume-config>") {
            section(bytes, inside, b"</volume-config>", volume)?
        } else if let Some(inside) = after(bytes, here, b"<devices class=\"") {
            after(bytes, decoded(bytes, inside, b'"', b'<')?, b"\"/>")?
        } else if let Some(behind) =
            after(bytes, here, b"<features/>").or_else(|| after(bytes, here, b"<tags/>"))
        {
            behind
        } else {
            return Some((name, after(bytes, here, b"</domain>")?));
        };
    }
}

/// Past a section of lines `OPEN name">text CLOSE`, with or without the blanks that `open` begins
/// with. Each name and text is shown to `look`, which may give up.
#[inline]
fn lines<const A: usize, const B: usize, const C: usize>(
    bytes: &[u8],
    mut at: usize,
    open: &[u8; A],
    close: &[u8; B],
    end: &[u8; C],
    mut look: impl FnMut(Range<usize>, Range<usize>) -> bool,
) -> Option<usize> {
    let bare = open.trim_ascii_start();
    loop {
        let inside = after(bytes, at, open).or_else(|| {
            let here = skip_blank(bytes, at);
            bytes[here..].starts_with(bare).then_some(here + bare.len())
        });
        let Some(inside) = inside else {
            return after(bytes, skip_blank(bytes, at), end);
        };
        let name = decoded(bytes, inside, b'"', b'<')?;
        let text = match after(bytes, name, b"\">") {
            Some(text) => text,
            None => {
                at = after(bytes, name, b"\"/>")?;
                look(inside..name, at..at).then_some(())?;
                continue;
            }
        };
        let text_end = decoded(bytes, text, b'<', b']')?;
        look(inside..name, text..text_end).then_some(())?;
        at = after(bytes, text_end, close)?;
    }
}

/// Past a section of elements.
#[inline]
fn section<const N: usize>(
    bytes: &[u8],
    mut at: usize,
    end: &[u8; N],
    element: impl Fn(&[u8], usize) -> Option<usize>,
) -> Option<usize> {
    loop {
        let here = skip_blank(bytes, at);
        match element(bytes, here) {
            Some(behind) => at = behind,
            None => return after(bytes, here, end),
        }
    }
}

/// Where the text or value ends that begins at `at`: at `end`, with references and blanks that may
/// stand in it. `other` must not.
#[inline]
fn decoded(bytes: &[u8], mut at: usize, end: u8, other: u8) -> Option<usize> {
    loop {
        at += ordinary(&bytes[at..], end, other);
        match *bytes.get(at)? {
            found if found == end => return Some(at),
            b'&' => {
                let inner = &bytes[at + 1..];
                let length = inner.iter().take(64).position(|b| *b == b';')?;
                resolve(&inner[..length])?;
                at += length + 2;
            }
            b'\n' | b'\t' | b'\r' => at += 1,
            _ => return None,
        }
    }
}

/// The place behind all such elements from `at` on and the blanks before each: for who only checks,
/// and needs no tokens of them.
pub(crate) fn behind_all(bytes: &[u8], mut at: usize) -> usize {
    while let Some(end) = end_of(bytes, skip_blank(bytes, at)) {
        at = end;
    }
    at
}

/// The place behind the element at `at`, if it is one of those and well-formed; which characters
/// are allowed in a store was checked before.
fn end_of(bytes: &[u8], at: usize) -> Option<usize> {
    named(bytes, at, b"<property name=\"", b"</property>")
        .or_else(|| volume(bytes, at))
        .or_else(|| named(bytes, at, b"<feature name=\"", b"</feature>"))
        .or_else(|| {
            after(
                bytes,
                value(bytes, after(bytes, at, b"<tag name=\"")?)?,
                b"/>",
            )
        })
}

/// `OPEN name">text CLOSE`.
fn named<const A: usize, const B: usize>(
    bytes: &[u8],
    at: usize,
    open: &[u8; A],
    close: &[u8; B],
) -> Option<usize> {
    let text = after(bytes, value(bytes, after(bytes, at, open)?)?, b">")?;
    after(bytes, text + ordinary(&bytes[text..], b'<', b']'), close)
}

/// The place behind the quotation mark that ends the value at `at`, if nothing in it needs a second
/// look.
fn value(bytes: &[u8], at: usize) -> Option<usize> {
    after(bytes, at + ordinary(&bytes[at..], b'"', b'<'), b"\"")
}

/// `<volume …/>` with the attributes that upstream writes, in its order: so none comes twice.
fn volume(bytes: &[u8], at: usize) -> Option<usize> {
    let at = after(bytes, at, b"<volume")?;
    let at = attribute(bytes, at, b" name=\"")?;
    let at = attribute(bytes, at, b" pool=\"")?;
    let at = attribute(bytes, at, b" vid=\"")?;
    let at = attribute(bytes, at, b" revisions_to_keep=\"")?;
    let at = attribute(bytes, at, b" rw=\"")?;
    let at = attribute(bytes, at, b" save_on_stop=\"")?;
    let at = attribute(bytes, at, b" snap_on_start=\"")?;
    let at = attribute(bytes, at, b" size=\"")?;
    let at = attribute(bytes, at, b" source=\"")?;
    let at = attribute(bytes, at, b" ephemeral=\"")?;
    after(bytes, at, b"/>")
}

/// Past an attribute, if it stands here.
#[inline]
fn attribute<const N: usize>(bytes: &[u8], at: usize, opening: &[u8; N]) -> Option<usize> {
    match after(bytes, at, opening) {
        Some(inside) => value(bytes, inside),
        None => Some(at),
    }
}

#[cfg(test)]
mod tests {
    use crate::format::tree::{MAX_DEPTH, Shape, Tree, TreeBuffers};

    #[test]
    fn a_check_that_skips_leaves_finds_the_same_faults_as_one_that_keeps_them() {
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
