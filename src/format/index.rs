//! Where each domain lies in the bytes, found without parsing domains.
//!
//! [`quick`] looks only at what must be looked at and gives up at the first thing that could mislead it; [`careful`]
//! reads every byte. On a well-formed file both give the same answer (a fuzz target holds them to it). On one that is
//! not, `quick` may still answer when the damage lies inside a domain: that domain then carries the diagnosis.

use std::borrow::Cow;

use memchr::arch::all::packedpair::HeuristicFrequencyRank;
use memchr::memmem::{Finder, FinderBuilder};

use super::error::{Fault, FormatError};
use super::full;
use super::reader::last_property;
use super::scan::{Scanner, Span, Token};
use super::text::{Place, decode, is_space};
use super::tree::{Id, Tree, check_characters};
use crate::model::{Class, NameError, VmName};

/// What a child of the root element is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    Labels,
    Pools,
    Properties,
    Domains,
    /// Not ours; kept.
    Unknown,
}

impl Section {
    pub(crate) fn of_name(name: &[u8]) -> Section {
        match name {
            b"labels" => Section::Labels,
            b"pools" => Section::Pools,
            b"properties" => Section::Properties,
            b"domains" => Section::Domains,
            _ => Section::Unknown,
        }
    }
}

/// One `<domain>` as far as the index knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub span: Span,
    pub class: Class,
    /// Its name, or why it has none that can be used.
    pub name: Result<VmName, NameError>,
}

/// The children of the root, and the domains in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Index {
    pub sections: Vec<(Section, Span)>,
    pub domains: Vec<Entry>,
}

/// The index of `bytes`: quickly where that is safe.
pub fn index(bytes: &[u8]) -> Result<Index, FormatError> {
    match quick(bytes) {
        Some(index) => Ok(index),
        None => careful(bytes),
    }
}

/// Reads everything strictly.
pub fn careful(bytes: &[u8]) -> Result<Index, FormatError> {
    let outline = full::outline(bytes)?;
    let mut index = Index::default();
    for section in outline.children(Tree::ROOT) {
        let kind = Section::of_name(outline.name(section));
        index.sections.push((kind, span_of(&outline, section)));
        if kind == Section::Domains {
            for domain in outline.children_named(section, b"domain") {
                index.domains.push(parsed_entry(bytes, span_of(&outline, domain)).map_err(|f| f.locate(bytes))?);
            }
        }
    }
    Ok(index)
}

fn span_of(tree: &Tree, id: Id) -> Span {
    let range = tree.whole(id);
    Span::new(range.start, range.end)
}

/// The entry of a domain that is parsed for it.
fn parsed_entry(bytes: &[u8], span: Span) -> Result<Entry, Fault> {
    let tree = Tree::of_element(bytes, span.range())?;
    let class = tree.attribute(Tree::ROOT, "class").unwrap_or_default();
    Ok(entry(span, &class, last_property(&tree, Tree::ROOT, "name")))
}

fn entry(span: Span, class: &str, name: Option<Cow<str>>) -> Entry {
    let class = Class::from_store(class);
    let name = match class {
        Class::AdminVM => Ok(VmName::dom0()),
        _ => VmName::from_store(&name.unwrap_or_default()),
    };
    Entry { span, class, name }
}

/// The index, or `None` where only a strict reading can tell.
///
/// Why this is sound on every well-formed file: outside domains it reads tokens. Inside a domain it goes to the first
/// `</domain>` and gives up if `<!` or `<?` stands before that, so every `<` up to there is a tag. If a domain held
/// another element called domain, that element's end tag would be taken for the domain's, and one end tag too many
/// would be left over: but after a domain only `<domain` or `</domains>` is accepted, and after those only what
/// balances.
pub fn quick(bytes: &[u8]) -> Option<Index> {
    if bytes.len() > super::MAX_BYTES {
        return None;
    }
    let mut scanner = Scanner::new(bytes, full::check_encoding(bytes).ok()?..bytes.len());
    if full::has_declaration(&bytes[scanner.position()..]) {
        // Its content was checked with the encoding.
        scanner.next().ok()?;
    }
    to_root(&mut scanner, bytes)?;
    let mut index = Index::default();
    let mut seen_domains = false;
    loop {
        match scanner.next().ok()? {
            Token::Open { tag, name, empty, .. } => {
                let kind = Section::of_name(name.of(bytes));
                if kind == Section::Domains {
                    if seen_domains {
                        return None;
                    }
                    seen_domains = true;
                }
                match (empty, kind) {
                    (true, _) => {}
                    (false, Section::Domains) => domains(&mut scanner, bytes, &mut index.domains)?,
                    (false, _) => skip_element(&mut scanner, bytes, name)?,
                }
                index.sections.push((kind, Span::new(tag.start as usize, scanner.position())));
            }
            Token::Close { name, .. } if name.of(bytes) == b"qubes" => break,
            Token::Text { .. } | Token::Comment { .. } | Token::CData { .. } => {}
            Token::Instruction { target, .. } => not_a_declaration(target, bytes)?,
            Token::Close { .. } | Token::End => return None,
        }
    }
    to_end(&mut scanner, bytes)?;
    // Domains are looked at when they are parsed; all around them now.
    let around = index.sections.iter().find(|(kind, _)| *kind == Section::Domains);
    let domains = around.map_or(bytes.len()..bytes.len(), |(_, span)| span.range());
    check_characters(bytes, 0..domains.start).ok()?;
    check_characters(bytes, domains.end..bytes.len()).ok()?;
    Some(index)
}

fn not_a_declaration(target: Span, bytes: &[u8]) -> Option<()> {
    (!target.of(bytes).eq_ignore_ascii_case(b"xml")).then_some(())
}

/// Past the start tag of the root element `qubes`.
fn to_root(scanner: &mut Scanner, bytes: &[u8]) -> Option<()> {
    loop {
        match scanner.next().ok()? {
            Token::Open { name, empty: false, .. } if name.of(bytes) == b"qubes" => return Some(()),
            Token::Text { blank: true, .. } => {}
            Token::Comment { .. } => {}
            Token::Instruction { target, .. } => not_a_declaration(target, bytes)?,
            _ => return None,
        }
    }
}

/// Behind the root only comments, instructions and blanks may stand.
fn to_end(scanner: &mut Scanner, bytes: &[u8]) -> Option<()> {
    loop {
        match scanner.next().ok()? {
            Token::End => return Some(()),
            Token::Text { blank: true, .. } => {}
            Token::Comment { .. } => {}
            Token::Instruction { target, .. } => not_a_declaration(target, bytes)?,
            _ => return None,
        }
    }
}

/// Past the end tag of an element whose start tag was read.
fn skip_element(scanner: &mut Scanner, bytes: &[u8], name: Span) -> Option<()> {
    let mut open = vec![name];
    while let Some(innermost) = open.last() {
        match scanner.next().ok()? {
            Token::Open { name, empty: false, .. } => open.push(name),
            Token::Close { name, .. } => {
                if name.of(bytes) != innermost.of(bytes) {
                    return None;
                }
                open.pop();
            }
            Token::End => return None,
            Token::Instruction { target, .. } => not_a_declaration(target, bytes)?,
            _ => {}
        }
        if open.len() > super::tree::MAX_DEPTH - 2 {
            return None;
        }
    }
    Some(())
}

/// What is searched for in every domain.
struct Needles {
    end: Finder<'static>,
    properties: Finder<'static>,
}

/// A searcher that knows what is common in a store: what every tag has. The usual guess, made for prose, would stop
/// at every `</`.
fn finder(needle: &'static [u8]) -> Finder<'static> {
    struct InTags;
    impl HeuristicFrequencyRank for InTags {
        fn rank(&self, byte: u8) -> u8 {
            match byte {
                b'<' | b'>' | b'/' | b'"' | b'=' | b' ' | b'\n' | b'e' => 255,
                b'p' | b'r' | b'o' | b't' | b's' | b'a' | b'n' => 200,
                b'd' | b'm' => 50,
                _ => 100,
            }
        }
    }
    FinderBuilder::new().build_forward_with_ranker(InTags, needle)
}

/// Past `</domains>`, collecting the domains on the way.
fn domains(scanner: &mut Scanner, bytes: &[u8], found: &mut Vec<Entry>) -> Option<()> {
    let needles = Needles { end: finder(b"</domain"), properties: finder(b"<properties") };
    // Domains have some 1900 bytes; a little too much costs less than growing.
    found.reserve((bytes.len() - scanner.position()) / 1024);
    loop {
        if let Some(domain) = plain_domain(bytes, scanner.position(), &needles) {
            scanner.seek(domain.span.end as usize);
            found.push(domain);
            continue;
        }
        let at = skip_blank(bytes, scanner.position());
        scanner.seek(at);
        scanner.attributes.clear();
        match scanner.next().ok()? {
            Token::Open { tag, name, empty, .. } if name.of(bytes) == b"domain" => {
                let class = class_of(scanner, bytes)?;
                if empty {
                    found.push(entry(tag, &class, None));
                    continue;
                }
                let span = Span::new(at, end_of_domain(bytes, tag.end as usize, &needles)?);
                found.push(parsed_entry(bytes, span).ok()?);
                scanner.seek(span.end as usize);
            }
            Token::Close { name, .. } if name.of(bytes) == b"domains" => return Some(()),
            _ => return None,
        }
    }
}

/// Where the domain ends that `inside` lies in, if nothing up to there could mislead.
fn end_of_domain(bytes: &[u8], inside: usize, needles: &Needles) -> Option<usize> {
    let end = inside + needles.end.find(&bytes[inside..])?;
    (bytes.get(end + 8) == Some(&b'>') && !misleads(&bytes[inside..end])).then_some(end + 9)
}

/// Whether a comment, a CDATA section or an instruction stands here: only those may hold a `<` that is no tag.
fn misleads(piece: &[u8]) -> bool {
    memchr::memchr2_iter(b'!', b'?', piece).any(|n| n > 0 && piece[n - 1] == b'<')
}

fn class_of<'a>(scanner: &Scanner, bytes: &'a [u8]) -> Option<Cow<'a, str>> {
    match scanner.attributes.iter().find(|a| a.name.of(bytes) == b"class") {
        Some(attribute) => decode(std::str::from_utf8(attribute.value.of(bytes)).ok()?, Place::Attribute),
        None => Some(Cow::Borrowed("")),
    }
}

fn skip_blank(bytes: &[u8], at: usize) -> usize {
    at + bytes[at..].iter().position(|b| !is_space(*b)).unwrap_or(bytes.len() - at)
}

/// The place behind `expected`, if that stands at `at`.
fn after<const N: usize>(bytes: &[u8], at: usize, expected: &[u8; N]) -> Option<usize> {
    (bytes.get(at..)?.first_chunk() == Some(expected)).then_some(at + N)
}

/// The domain behind the blanks at `at`, if its start tag and its properties are written the way upstream writes them.
fn plain_domain(bytes: &[u8], at: usize, needles: &Needles) -> Option<Entry> {
    let start = match after(bytes, at, b"\n    <domain id=\"domain-") {
        Some(_) => at + 5,
        None => skip_blank(bytes, at),
    };
    let number = after(bytes, start, b"<domain id=\"domain-")?;
    let number_end = number + bytes[number..].iter().take_while(|b| b.is_ascii_digit()).count();
    let class = after(bytes, number_end, b"\" class=\"")?;
    let class_end = class + bytes[class..].iter().take_while(|b| b.is_ascii_alphabetic()).count();
    let (name, behind) = plain_name(bytes, after(bytes, class_end, b"\">")?)?;
    let end = end_of_domain(bytes, behind, needles)?;
    // A second section could hold a later name.
    needles.properties.find(&bytes[behind..end]).is_none().then_some(())?;
    Some(entry(Span::new(start, end), std::str::from_utf8(&bytes[class..class_end]).ok()?, name))
}

/// The text of the last property `name` in the section `<properties>` behind `inside`, and where that section ends:
/// for a section written the way upstream writes it, in which every `<` belongs to a property.
fn plain_name(bytes: &[u8], inside: usize) -> Option<(Option<Cow<'_, str>>, usize)> {
    let mut name = None;
    let mut at = after(bytes, skip_blank(bytes, inside), b"<properties>")?;
    loop {
        let usual = after(bytes, at, b"\n        <property name=\"");
        let Some(key) = usual.or_else(|| after(bytes, skip_blank(bytes, at), b"<property name=\"")) else {
            return Some((name, after(bytes, skip_blank(bytes, at), b"</properties>")?));
        };
        // Written with references, a name could mean this one too; but only if it begins so.
        if matches!(bytes.get(key), Some(b'n' | b'&')) {
            bytes[key..].iter().find(|b| matches!(b, b'"' | b'&')).filter(|b| **b == b'"')?;
        }
        // The tag ends before the next `<`, and when that closes the property, no element stood inside.
        let close = key + memchr::memchr(b'<', &bytes[key..])?;
        at = after(bytes, close, b"</property>")?;
        if let Some(value) = after(bytes, key, b"name\"") {
            let value = after(bytes, value, b">")?;
            name = Some(decode(std::str::from_utf8(bytes.get(value..close)?).ok()?, Place::Text)?);
        }
    }
}
