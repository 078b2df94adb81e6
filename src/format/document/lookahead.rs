//! Finds the end and the name of an ordinary domain without reading all of it.
//!
//! Whatever could change the meaning of a domain is searched for ahead, in long stretches: the
//! search is cheap, and a position once found is kept until the reader passes it.

use std::borrow::Cow;

use memchr::arch::all::packedpair::HeuristicFrequencyRank;
use memchr::memmem::{Finder, FinderBuilder};

use super::index::{DomainEntry, new_entry};
use crate::format::xml::scanner::Span;
use crate::format::xml::text::{ValueKind, decode, skip_blank, skip_literal};

/// Largest number of properties that is scanned; a domain with more is parsed.
const MAX_PROPERTIES: usize = 1024;

/// Start of the end tag of a domain.
const END: &[u8] = b"</domain";

/// Positions found ahead in the bytes of a window; invalid once the window moves.
pub(super) struct Lookahead {
    end: Next<Needle>,
    name: Next<Needle>,
    /// Comments, CDATA sections and instructions: only those can hold a `<` that is not a tag.
    misleading: Next<Search>,
    /// Spellings of `name` other than between double quotation marks.
    odd_name: Next<Search>,
}

impl Lookahead {
    pub fn new() -> Lookahead {
        Lookahead {
            end: Next::new(Needle::new(END, b"dm")),
            name: Next::new(Needle::new(b"\"name\"", b"\"n")),
            misleading: Next::new(find_misleading),
            odd_name: Next::new(find_odd_name),
        }
    }

    pub fn forget(&mut self) {
        (self.end.place, self.name.place) = (None, None);
        (self.misleading.place, self.odd_name.place) = (None, None);
    }

    /// Whether a domain ends after `at`, including the byte after the name of its end tag, which
    /// shows that the element is a domain.
    pub fn has_end(&mut self, bytes: &[u8], at: usize) -> bool {
        self.end.find_from(bytes, at).saturating_add(END.len()) < bytes.len()
    }

    /// Returns the end of the domain that contains `inside`, unless something before that end could
    /// be misread.
    pub fn end_of_domain(&mut self, bytes: &[u8], inside: usize) -> Option<usize> {
        let end = self.end.find_from(bytes, inside);
        (bytes.get(end + 8) == Some(&b'>') && self.misleading.find_from(bytes, inside) > end)
            .then_some(end + 9)
    }

    /// Scans the domain after the blanks at `at`, if its start tag and its properties have
    /// upstream's form.
    pub fn scan_plain_domain(&mut self, bytes: &[u8], at: usize) -> Option<DomainEntry> {
        let start = match skip_literal(bytes, at, b"\n    <domain id=\"domain-") {
            Some(_) => at + 5,
            None => skip_blank(bytes, at),
        };
        let number = skip_literal(bytes, start, b"<domain id=\"domain-")?;
        let number_end = number
            + bytes[number..]
                .iter()
                .take_while(|b| b.is_ascii_digit())
                .count();
        let class = skip_literal(bytes, number_end, b"\" class=\"")?;
        let class_end = class
            + bytes[class..]
                .iter()
                .take_while(|b| b.is_ascii_alphabetic())
                .count();
        let inside = skip_literal(bytes, class_end, b"\">")?;
        let end = self.end_of_domain(bytes, inside)?;
        let name = match self.find_single_name(&bytes[..end], inside, bytes) {
            Some(name) => name,
            None => find_last_name(&bytes[..end], inside)?,
        };
        Some(new_entry(
            Span::new(start, end),
            std::str::from_utf8(&bytes[class..class_end]).ok()?,
            name,
        ))
    }

    /// Returns the text of the property `name` if the word occurs only once in the domain, so that
    /// no other property can have this name. The section must begin the domain. `domain` ends where
    /// the domain ends, `bytes` continue.
    fn find_single_name<'a>(
        &mut self,
        domain: &'a [u8],
        inside: usize,
        bytes: &[u8],
    ) -> Option<Option<Cow<'a, str>>> {
        let end = domain.len();
        if self.odd_name.find_from(bytes, inside) < end {
            return None;
        }
        let word = self.name.find_from(bytes, inside);
        if word >= end {
            return Some(None);
        }
        if self.name.find_from(bytes, word + 1) < end {
            return None;
        }
        let mut at = skip_literal(domain, skip_blank(domain, inside), b"<properties>")?;
        for _ in 0..MAX_PROPERTIES {
            let key = property_key(domain, at)?;
            if key == word + 1 {
                let (text, _) = read_property_text(domain, skip_literal(domain, key, b"name\"")?)?;
                return Some(Some(text));
            }
            at = skip_property(domain, key)?;
        }
        None
    }
}

/// Returns the text of the last property `name` in the `<properties>` section that begins a domain.
/// The section must have upstream's form, in which every `<` belongs to a property, and must be the
/// only one.
fn find_last_name(domain: &[u8], inside: usize) -> Option<Option<Cow<'_, str>>> {
    let mut name = None;
    let mut at = skip_literal(domain, skip_blank(domain, inside), b"<properties>")?;
    for _ in 0..MAX_PROPERTIES {
        let Some(key) = property_key(domain, at) else {
            let next = skip_literal(domain, skip_blank(domain, at), b"</properties>")?;
            return memchr::memmem::find(&domain[next..], b"<properties")
                .is_none()
                .then_some(name);
        };
        // A name written with references could also be `name`, but only if it begins with `n` or
        // `&`.
        if matches!(domain.get(key), Some(b'n' | b'&')) {
            domain[key..]
                .iter()
                .find(|b| matches!(b, b'"' | b'&'))
                .filter(|b| **b == b'"')?;
        }
        at = match skip_literal(domain, key, b"name\"") {
            Some(value) => {
                let (text, next) = read_property_text(domain, value)?;
                name = Some(text);
                next
            }
            None => skip_property(domain, key)?,
        };
    }
    None
}

/// Returns where the name begins in the property after the blanks at `at`.
fn property_key(bytes: &[u8], at: usize) -> Option<usize> {
    let usual = skip_literal(bytes, at, b"\n        <property name=\"");
    usual.or_else(|| skip_literal(bytes, skip_blank(bytes, at), b"<property name=\""))
}

/// Skips a property. Its tag ends before the next `<`; if that `<` begins the end tag, the property
/// contains no element.
fn skip_property(bytes: &[u8], key: usize) -> Option<usize> {
    skip_literal(
        bytes,
        key + memchr::memchr(b'<', &bytes[key..])?,
        b"</property>",
    )
}

/// Reads the text after the closing quotation mark of a start tag; also returns the end of the
/// property.
fn read_property_text(bytes: &[u8], quote: usize) -> Option<(Cow<'_, str>, usize)> {
    let text = skip_literal(bytes, quote, b">")?;
    let close = text + memchr::memchr(b'<', &bytes[text..])?;
    let next = skip_literal(bytes, close, b"</property>")?;
    Some((
        decode(
            std::str::from_utf8(&bytes[text..close]).ok()?,
            ValueKind::Text,
        )?,
        next,
    ))
}

fn find_misleading(bytes: &[u8]) -> Option<usize> {
    memchr::memchr2_iter(b'!', b'?', bytes).find(|n| *n > 0 && bytes[n - 1] == b'<')
}

fn find_odd_name(bytes: &[u8]) -> Option<usize> {
    memchr::memchr2_iter(b'#', b'\'', bytes).find(|n| match bytes[*n] {
        b'#' => *n > 0 && bytes[n - 1] == b'&',
        _ => bytes[*n..].starts_with(b"'name'"),
    })
}

/// Finds the first occurrence of something.
type Search = fn(&[u8]) -> Option<usize>;

/// A search for the first occurrence of something.
trait Find {
    fn find(&self, bytes: &[u8]) -> Option<usize>;
}

impl Find for Search {
    fn find(&self, bytes: &[u8]) -> Option<usize> {
        self(bytes)
    }
}

struct Needle(Finder<'static>);

impl Needle {
    /// Builds a search for `needle`. `rarest` are the two bytes of it that occur together least
    /// often: the default ranking is made for prose and would stop at every tag.
    fn new(needle: &'static [u8], rarest: &'static [u8; 2]) -> Needle {
        struct Rarest(&'static [u8; 2]);
        impl HeuristicFrequencyRank for Rarest {
            fn rank(&self, byte: u8) -> u8 {
                if self.0.contains(&byte) { 0 } else { u8::MAX }
            }
        }
        Needle(FinderBuilder::new().build_forward_with_ranker(Rarest(rarest), needle))
    }
}

impl Find for Needle {
    fn find(&self, bytes: &[u8]) -> Option<usize> {
        self.0.find(bytes)
    }
}

/// The next occurrence of something, cached until it is passed.
struct Next<F> {
    what: F,
    place: Option<usize>,
}

impl<F: Find> Next<F> {
    fn new(what: F) -> Next<F> {
        Next { what, place: None }
    }

    /// Returns the first occurrence from `at` on, or the end of `bytes` if there is none.
    fn find_from(&mut self, bytes: &[u8], at: usize) -> usize {
        match self.place {
            Some(place) if place >= at => place,
            _ => {
                let rest = bytes.get(at..).unwrap_or_default();
                let place = self.what.find(rest).map_or(bytes.len(), |n| at + n);
                self.place = Some(place);
                place
            }
        }
    }
}
