//! Finds the domains of a file without parsing them.
//!
//! [`build_quick`] looks only for the beginning, the end and the name of each domain, and gives up
//! at the first thing that could mislead it; [`build_strict`] reads every byte. On a well-formed
//! file both give the same answer (a fuzz target checks this). On a damaged file, `build_quick`
//! may still answer if the damage is inside a domain: that domain then has the diagnosis, and all
//! others can be used.
//!
//! This is the one acceleration of the reader. At a thousand qubes the quick index takes 1 ms, the
//! strict one 6 ms, and every command builds one.

use std::borrow::Cow;

use memchr::memmem::Finder;
use memchr::{memchr, memchr2, memchr2_iter};

use super::parse::last_property;
use super::parse_outline;
use super::schema::{Container, DOMAINS, STORE, rank};
use crate::format::MAX_BYTES;
use crate::format::error::{Fault, FormatError};
use crate::format::xml::characters::{check_characters, skip_blank};
use crate::format::xml::document::{check_encoding, has_declaration};
use crate::format::xml::scanner::Scanner;
use crate::format::xml::text::{ValueKind, decode};
use crate::format::xml::token::{Span, Token};
use crate::format::xml::tree::{ElementId, Tree};
use crate::format::xml::tree_builder::MAX_DEPTH;
use crate::model::{Class, NameError, VmName};

/// One `<domain>`: its position, class and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainEntry {
    /// Its position in the file.
    pub span: Span,
    /// Its class.
    pub class: Class,
    /// Its name, or the reason why it has no usable name.
    pub name: Result<VmName, NameError>,
}

/// The children of the root, and the domains in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Index {
    /// The children of the root; `None` for an unknown one, which is kept.
    pub sections: Vec<(Option<Container>, Span)>,
    /// The domains.
    pub domains: Vec<DomainEntry>,
}

/// Builds the index: quickly where that is safe.
///
/// # Errors
/// The bytes are not a well-formed store of R4.
pub fn build(bytes: &[u8]) -> Result<Index, FormatError> {
    match build_quick(bytes) {
        Some(index) => Ok(index),
        None => build_strict(bytes),
    }
}

/// Builds the index by a strict reading.
///
/// # Errors
/// The bytes are not a well-formed store of R4.
pub fn build_strict(bytes: &[u8]) -> Result<Index, FormatError> {
    let outline = parse_outline(bytes)?;
    let mut index = Index::default();
    for section in outline.children(Tree::ROOT) {
        let kind = section_of(outline.name(section));
        index.sections.push((kind, element_span(&outline, section)));
        if kind == Some(DOMAINS) {
            for domain in outline.children_named(section, DOMAINS.item) {
                index.domains.push(
                    parse_entry(bytes, element_span(&outline, domain))
                        .map_err(|f| f.locate(bytes))?,
                );
            }
        }
    }
    Ok(index)
}

/// Returns which child of the root has this name.
pub(crate) fn section_of(name: &[u8]) -> Option<Container> {
    rank(&STORE, name).map(|rank| STORE[rank])
}

fn element_span(tree: &Tree, id: ElementId) -> Span {
    let range = tree.range(id);
    Span::new(range.start, range.end)
}

/// Parses a domain for its entry.
fn parse_entry(bytes: &[u8], span: Span) -> Result<DomainEntry, Fault> {
    let tree = Tree::parse_element(bytes, span.range())?;
    let class = tree.attribute(Tree::ROOT, "class").unwrap_or_default();
    Ok(new_entry(
        span,
        &class,
        last_property(&tree, Tree::ROOT, "name"),
    ))
}

/// Creates the entry of a domain from the texts of its class and name.
fn new_entry(span: Span, class: &str, name: Option<Cow<str>>) -> DomainEntry {
    let class = Class::from_store(class);
    let name = match class {
        Class::AdminVM => Ok(VmName::dom0()),
        _ => VmName::from_store(&name.unwrap_or_default()),
    };
    DomainEntry { span, class, name }
}

/// Builds the index without reading the inside of the domains; `None` where only a strict reading
/// can tell.
///
/// This is sound on every well-formed file. Outside domains it reads tokens. Inside a domain it
/// goes to the first `</domain>` and gives up if `<!` or `<?` occurs before it, so every `<` up to
/// there begins a tag. If a domain contained another element called domain, the end tag of that
/// element would be taken for the end of the domain, and one end tag would be left over: but after
/// a domain only `<domain` or `</domains>` is accepted, and after those only balanced tags.
pub fn build_quick(bytes: &[u8]) -> Option<Index> {
    (bytes.len() <= MAX_BYTES).then_some(())?;
    let mut scanner = Scanner::new(bytes, check_encoding(bytes).ok()?..bytes.len());
    if has_declaration(&bytes[scanner.position()..]) {
        // The content of the declaration is already checked.
        scanner.next().ok()?;
    }
    skip_to_root(&mut scanner, bytes)?;
    let mut index = Index::default();
    let mut domains = bytes.len()..bytes.len();
    loop {
        match scanner.next().ok()? {
            Token::Open {
                tag, name, empty, ..
            } => {
                let kind = section_of(name.slice(bytes));
                // Only one section with domains is supported.
                let is_second = index.sections.iter().any(|(known, _)| *known == kind);
                if kind == Some(DOMAINS) {
                    (!is_second).then_some(())?;
                    if !empty {
                        domains.start = scanner.position();
                        domains.end = scan_domains(&mut scanner, bytes, &mut index.domains)?;
                    }
                } else if !empty {
                    skip_element(&mut scanner, bytes, name)?;
                }
                let span = Span::new(tag.start as usize, scanner.position());
                index.sections.push((kind, span));
            }
            Token::Close { name, .. } if name.slice(bytes) == b"qubes" => break,
            Token::Text { .. } | Token::Comment { .. } | Token::CData { .. } => {}
            Token::Instruction { target, .. } => reject_declaration(target, bytes)?,
            Token::Close { .. } | Token::End => return None,
        }
    }
    skip_to_end(&mut scanner, bytes)?;
    check_characters(bytes, 0..domains.start).ok()?;
    check_characters(bytes, domains.end..bytes.len()).ok()?;
    Some(index)
}

/// Rejects an XML declaration that is not at the beginning.
fn reject_declaration(target: Span, bytes: &[u8]) -> Option<()> {
    (!target.slice(bytes).eq_ignore_ascii_case(b"xml")).then_some(())
}

/// Skips the start tag of the root element `qubes`.
fn skip_to_root(scanner: &mut Scanner, bytes: &[u8]) -> Option<()> {
    loop {
        match scanner.next().ok()? {
            Token::Open {
                name, empty: false, ..
            } if name.slice(bytes) == b"qubes" => return Some(()),
            Token::Text { blank: true, .. } | Token::Comment { .. } => {}
            Token::Instruction { target, .. } => reject_declaration(target, bytes)?,
            _ => return None,
        }
    }
}

/// Skips comments, instructions and blanks after the root, up to the end of the file.
fn skip_to_end(scanner: &mut Scanner, bytes: &[u8]) -> Option<()> {
    loop {
        match scanner.next().ok()? {
            Token::End => return Some(()),
            Token::Text { blank: true, .. } | Token::Comment { .. } => {}
            Token::Instruction { target, .. } => reject_declaration(target, bytes)?,
            _ => return None,
        }
    }
}

/// Skips the rest of an element whose start tag was read.
fn skip_element(scanner: &mut Scanner, bytes: &[u8], name: Span) -> Option<()> {
    let mut open = vec![name];
    while let Some(innermost) = open.last() {
        match scanner.next().ok()? {
            Token::Open {
                name, empty: false, ..
            } => open.push(name),
            Token::Close { name, .. } => {
                (name.slice(bytes) == innermost.slice(bytes)).then_some(())?;
                open.pop();
            }
            Token::End => return None,
            Token::Instruction { target, .. } => reject_declaration(target, bytes)?,
            _ => {}
        }
        (open.len() <= MAX_DEPTH - 2).then_some(())?;
    }
    Some(())
}

/// Collects the domains, and reads the end tag of their section; returns where that tag begins.
fn scan_domains(
    scanner: &mut Scanner,
    bytes: &[u8],
    domains: &mut Vec<DomainEntry>,
) -> Option<usize> {
    let (end_tag, name_value) = (Finder::new(b"</domain"), Finder::new(b"\"name\""));
    loop {
        scanner.attributes.clear();
        match scanner.next().ok()? {
            Token::Text { blank: true, .. } => {}
            Token::Open {
                tag, name, empty, ..
            } if name.slice(bytes) == b"domain" => {
                let inside = tag.end as usize;
                let end = if empty {
                    inside
                } else {
                    find_end(bytes, inside, &end_tag)?
                };
                let span = Span::new(tag.start as usize, end);
                let class = class_of(scanner, bytes)?;
                domains.push(match find_name(&bytes[..end], inside, &name_value) {
                    Some(name) => new_entry(span, &class, name),
                    None => parse_entry(bytes, span).ok()?,
                });
                scanner.seek(end);
            }
            Token::Close { tag, name } if name.slice(bytes) == b"domains" => {
                return Some(tag.start as usize);
            }
            _ => return None,
        }
    }
}

/// Reads the class from the start tag that was read last; empty if it has none.
fn class_of<'a>(scanner: &Scanner, bytes: &'a [u8]) -> Option<Cow<'a, str>> {
    let mut attributes = scanner.attributes.iter();
    match attributes.find(|a| a.name.slice(bytes) == b"class") {
        Some(attribute) => decode(
            std::str::from_utf8(attribute.value.slice(bytes)).ok()?,
            ValueKind::Attribute,
        ),
        None => Some(Cow::Borrowed("")),
    }
}

/// Returns the end of the domain that contains `inside`. Only comments, CDATA sections and
/// instructions can hold a `<` that does not begin a tag; with one of them the end is unknown.
fn find_end(bytes: &[u8], inside: usize, end_tag: &Finder) -> Option<usize> {
    let end = inside + end_tag.find(&bytes[inside..])?;
    let after = end + end_tag.needle().len();
    let is_misleading = |n: usize| bytes[inside + n - 1] == b'<';
    let mut marks = memchr2_iter(b'!', b'?', &bytes[inside..end]);
    (bytes.get(after) == Some(&b'>') && !marks.any(|n| n > 0 && is_misleading(n)))
        .then_some(after + 1)
}

/// Returns the last property `name` in the section `<properties>` that begins the domain; `None` if
/// the domain may have a later one.
fn find_name<'a>(
    domain: &'a [u8],
    inside: usize,
    name_value: &Finder,
) -> Option<Option<Cow<'a, str>>> {
    const OPEN: &[u8] = b"<properties>";
    let mut at = skip_blank(domain, inside);
    let mut name = None;
    if domain[at..].starts_with(OPEN) {
        at += OPEN.len();
        while let Some((key, text, next)) = plain_property(domain, at) {
            if key == b"name" {
                name = Some(decode(std::str::from_utf8(text).ok()?, ValueKind::Text)?);
            }
            at = next;
        }
    }
    let rest = &domain[at..];
    let mut odd_spellings = memchr2_iter(b'#', b'\'', rest).filter(|n| match rest[*n] {
        b'#' => *n > 0 && rest[n - 1] == b'&',
        _ => rest[*n..].starts_with(b"'name'"),
    });
    (odd_spellings.next().is_none() && name_value.find(rest).is_none()).then_some(name)
}

/// Returns name, text and end of the property after the blanks at `at`, if it has upstream's form
/// and its name has no references. The next `<` begins the end tag, so the property contains no
/// element.
fn plain_property(domain: &[u8], at: usize) -> Option<(&[u8], &[u8], usize)> {
    let rest = domain[skip_blank(domain, at)..].strip_prefix(b"<property name=\"")?;
    let (key, rest) = rest.split_at(memchr2(b'"', b'&', rest)?);
    let rest = rest.strip_prefix(b"\">")?;
    let (text, rest) = rest.split_at(memchr(b'<', rest)?);
    let rest = rest.strip_prefix(b"</property>")?;
    Some((key, text, domain.len() - rest.len()))
}
