//! Elements that hold no others, in upstream's own form: what a store mostly consists of. Recognised whole, they make
//! the check before each write cheap.

use super::text::{after, ordinary, resolve, skip_blank};
use super::tree::check_characters;

/// Whether this is a domain in upstream's own form, and so well-formed. Of any other only a tree can tell.
pub(crate) fn is_plain_domain(domain: &[u8]) -> bool {
    check_characters(domain, 0..domain.len()).is_ok() && end_of_domain(domain) == Some(domain.len())
}

fn end_of_domain(bytes: &[u8]) -> Option<usize> {
    let class = decoded(bytes, after(bytes, 0, b"<domain id=\"")?, b'"', b'<')?;
    let mut at = after(bytes, decoded(bytes, after(bytes, class, b"\" class=\"")?, b'"', b'<')?, b"\">")?;
    loop {
        let here = skip_blank(bytes, at);
        at = if let Some(inside) = after(bytes, here, b"<properties>") {
            lines(bytes, inside, b"\n        <property name=\"", b"</property>", b"</properties>")?
        } else if let Some(inside) = after(bytes, here, b"<features>") {
            lines(bytes, inside, b"\n        <feature name=\"", b"</feature>", b"</features>")?
        } else if let Some(inside) = after(bytes, here, b"<tags>") {
            section(bytes, inside, b"</tags>", |bytes, at| {
                after(bytes, decoded(bytes, after(bytes, at, b"<tag name=\"")?, b'"', b'<')?, b"\"/>")
            })?
        } else if let Some(inside) = after(bytes, here, b"<volume-config>") {
            section(bytes, inside, b"</volume-config>", volume)?
        } else if let Some(inside) = after(bytes, here, b"<devices class=\"") {
            after(bytes, decoded(bytes, inside, b'"', b'<')?, b"\"/>")?
        } else if let Some(behind) = after(bytes, here, b"<features/>").or_else(|| after(bytes, here, b"<tags/>")) {
            behind
        } else {
            return after(bytes, here, b"</domain>");
        };
    }
}

/// Past a section of lines `OPEN name">text CLOSE`, with or without the blanks that `open` begins with.
#[inline]
fn lines<const A: usize, const B: usize, const C: usize>(
    bytes: &[u8],
    mut at: usize,
    open: &[u8; A],
    close: &[u8; B],
    end: &[u8; C],
) -> Option<usize> {
    let bare = open.trim_ascii_start();
    loop {
        let inside = after(bytes, at, open).or_else(|| {
            let here = skip_blank(bytes, at);
            bytes[here..].starts_with(bare).then_some(here + bare.len())
        });
        let Some(inside) = inside else { return after(bytes, skip_blank(bytes, at), end) };
        let name = decoded(bytes, inside, b'"', b'<')?;
        let text = match after(bytes, name, b"\">") {
            Some(text) => text,
            None => {
                at = after(bytes, name, b"\"/>")?;
                continue;
            }
        };
        at = after(bytes, decoded(bytes, text, b'<', b']')?, close)?;
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

/// Where the text or value ends that begins at `at`: at `end`, with references and blanks that may stand in it. `other`
/// must not.
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

/// The place behind all such elements from `at` on and the blanks before each: for who only checks, and needs no tokens
/// of them.
pub(crate) fn behind_all(bytes: &[u8], mut at: usize) -> usize {
    while let Some(end) = end_of(bytes, skip_blank(bytes, at)) {
        at = end;
    }
    at
}

/// The place behind the element at `at`, if it is one of those and well-formed; which characters are allowed in a
/// store was checked before.
fn end_of(bytes: &[u8], at: usize) -> Option<usize> {
    named(bytes, at, b"<property name=\"", b"</property>")
        .or_else(|| volume(bytes, at))
        .or_else(|| named(bytes, at, b"<feature name=\"", b"</feature>"))
        .or_else(|| after(bytes, value(bytes, after(bytes, at, b"<tag name=\"")?)?, b"/>"))
}

/// `OPEN name">text CLOSE`.
fn named<const A: usize, const B: usize>(bytes: &[u8], at: usize, open: &[u8; A], close: &[u8; B]) -> Option<usize> {
    let text = after(bytes, value(bytes, after(bytes, at, open)?)?, b">")?;
    after(bytes, text + ordinary(&bytes[text..], b'<', b']'), close)
}

/// The place behind the quotation mark that ends the value at `at`, if nothing in it needs a second look.
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
    use crate::format::tree::{MAX_DEPTH, Parts, Shape, Tree};

    #[test]
    fn a_check_that_skips_leaves_finds_the_same_faults_as_one_that_keeps_them() {
        let mut random = fastrand::Rng::with_seed(20261122);
        let odd = b"<>\"'&/=! ?-]x\n\r\t\0\xc3\xa9";
        let ends = |bytes: &[u8], keep: usize| {
            let tree = Tree::parse(bytes, 0..bytes.len(), Shape::Document, keep, Parts::default());
            tree.map(drop).map_err(|fault| (fault.at, fault.reason))
        };
        for sample in ["small.xml", "r40-small.xml", "random-1.xml"] {
            let sample = std::fs::read(format!("{}/tests/data/r4/{sample}", env!("CARGO_MANIFEST_DIR"))).unwrap();
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
