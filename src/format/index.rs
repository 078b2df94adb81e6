//! Where each domain lies in the bytes, found without parsing domains.
//!
//! [`quick`] looks only at what must be looked at, through a small window, and gives up at the first thing that could
//! mislead it; [`careful`] reads every byte. On a well-formed file both give the same answer (a fuzz target holds them to it). On one that is
//! not, `quick` may still answer when the damage lies inside a domain: that domain then carries the diagnosis.

use std::borrow::Cow;
use std::io;

use memchr::arch::all::packedpair::HeuristicFrequencyRank;
use memchr::memmem::{Finder, FinderBuilder};

use super::error::{Fault, FormatError};
use super::full;
use super::reader::last_property;
use super::scan::{Scanner, Span, Token};
use super::stored::{Stored, Window};
use super::text::{Place, after, decode, skip_blank};
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
pub fn quick(bytes: &[u8]) -> Option<Index> {
    quick_through(bytes, Window::ROOM)
}

/// The same, looking at `room` bytes at once.
pub fn quick_through(bytes: &[u8], room: usize) -> Option<Index> {
    let (frame, domains) = frame(&bytes, room, &mut |_| {}).ok()??;
    Some(Index { sections: frame.sections, domains })
}

/// Everything outside the domains, and where those lie. With each domain put back in its place behind its gap, this is
/// the file.
pub(crate) struct Frame {
    pub sections: Vec<(Section, Span)>,
    pub domains: Vec<Span>,
    /// What stands before the first domain's gap.
    pub head: Vec<u8>,
    /// The blanks before each domain, one behind the other.
    pub gaps: Vec<u8>,
    /// What stands behind the last domain.
    pub tail: Vec<u8>,
}

impl Frame {
    /// Of a file whose domains are not cut out.
    pub fn uncut(bytes: Vec<u8>, index: &Index) -> Frame {
        let sections = index.sections.clone();
        Frame { sections, domains: Vec::new(), head: bytes, gaps: Vec::new(), tail: Vec::new() }
    }

    /// The bytes of a section that holds no domains.
    pub fn section(&self, span: Span) -> Option<&[u8]> {
        let behind = self.domains.last().map_or(self.head.len(), |last| last.end as usize);
        match span.start as usize {
            start if start < self.head.len() => self.head.get(span.range()),
            start => self.tail.get(start.checked_sub(behind)?..(span.end as usize).checked_sub(behind)?),
        }
    }
}

/// The frame of a store and the entries of its domains, or `None` where only a strict reading can tell. Each domain is
/// shown to `look`.
///
/// Why this is sound on every well-formed file: outside domains it reads tokens. Inside a domain it goes to the first
/// `</domain>` and gives up if `<!` or `<?` stands before that, so every `<` up to there is a tag. If a domain held
/// another element called domain, that element's end tag would be taken for the domain's, and one end tag too many
/// would be left over: but after a domain only `<domain` or `</domains>` is accepted, and after those only what
/// balances. What the window cuts off fails, and is looked at again in a window that holds more.
pub(crate) fn frame(
    stored: &dyn Stored,
    room: usize,
    look: &mut dyn FnMut(&[u8]),
) -> io::Result<Option<(Frame, Vec<Entry>)>> {
    let mut window = Window::open(stored, room)?;
    let (head, tag) = loop {
        match before_domains(window.bytes(), window.is_last()) {
            Some(found) => break found,
            None if window.is_last() || window.bytes().len() > super::MAX_BYTES => return Ok(None),
            None => window.advance(0)?,
        }
    };
    let at = tag.map_or(window.bytes().len(), |tag| tag.end as usize);
    let mut frame = Frame {
        sections: head,
        domains: Vec::new(),
        head: window.bytes()[..at].to_vec(),
        gaps: Vec::new(),
        tail: Vec::new(),
    };
    let mut entries = Vec::new();
    let Some(tag) = tag else { return Ok(check_characters(&frame.head, 0..at).is_ok().then_some((frame, entries))) };
    let Some(mut at) = domains(&mut window, at, &mut frame, &mut entries, look)? else { return Ok(None) };
    while !window.is_last() {
        if window.bytes().len() > super::MAX_BYTES {
            return Ok(None);
        }
        window.advance(at)?;
        at = 0;
    }
    let (bytes, start) = (window.bytes(), window.start());
    frame.tail = bytes[at..].to_vec();
    let known = behind_domains(bytes, at, start, tag, &mut frame.sections).is_some()
        && start + bytes.len() <= super::MAX_BYTES
        && check_characters(&frame.head, 0..frame.head.len()).is_ok()
        && check_characters(&frame.tail, 0..frame.tail.len()).is_ok();
    Ok(known.then_some((frame, entries)))
}

/// The sections up to the first that holds domains, and that one's start tag; where there is none, all of them.
fn before_domains(bytes: &[u8], is_whole: bool) -> Option<(Vec<(Section, Span)>, Option<Span>)> {
    let mut scanner = Scanner::new(bytes, full::check_encoding(bytes).ok()?..bytes.len());
    if full::has_declaration(&bytes[scanner.position()..]) {
        // Its content was checked with the encoding.
        scanner.next().ok()?;
    }
    to_root(&mut scanner, bytes)?;
    let mut found = Vec::new();
    let tag = sections(&mut scanner, bytes, 0, &mut found)?;
    if tag.is_none() {
        to_end(&mut scanner, bytes)?;
        is_whole.then_some(())?;
    }
    Some((found, tag))
}

/// The rest from the end tag of the section with domains on; `start` is where `bytes` begin in the file.
fn behind_domains(bytes: &[u8], at: usize, start: usize, tag: Span, found: &mut Vec<(Section, Span)>) -> Option<()> {
    let mut scanner = Scanner::new(bytes, skip_blank(bytes, at)..bytes.len());
    match scanner.next().ok()? {
        Token::Close { name, .. } if name.of(bytes) == b"domains" => {}
        _ => return None,
    }
    found.push((Section::Domains, Span::new(tag.start as usize, start + scanner.position())));
    sections(&mut scanner, bytes, start, found)?.is_none().then_some(())?;
    to_end(&mut scanner, bytes)
}

/// Collects sections up to one that holds domains, whose start tag is returned, or past the end of the root. There can
/// be one such section: a second is not ours to understand.
fn sections(
    scanner: &mut Scanner,
    bytes: &[u8],
    start: usize,
    found: &mut Vec<(Section, Span)>,
) -> Option<Option<Span>> {
    loop {
        match scanner.next().ok()? {
            Token::Open { tag, name, empty, .. } => {
                let kind = Section::of_name(name.of(bytes));
                if kind == Section::Domains {
                    found.iter().all(|(known, _)| *known != Section::Domains).then_some(())?;
                    if !empty {
                        return Some(Some(tag));
                    }
                } else if !empty {
                    skip_element(scanner, bytes, name)?;
                }
                found.push((kind, Span::new(start + tag.start as usize, start + scanner.position())));
            }
            Token::Close { name, .. } if name.of(bytes) == b"qubes" => return Some(None),
            Token::Text { .. } | Token::Comment { .. } | Token::CData { .. } => {}
            Token::Instruction { target, .. } => not_a_declaration(target, bytes)?,
            Token::Close { .. } | Token::End => return None,
        }
    }
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

/// Collects the domains from `at` on; returns where the last one ends. The window moves on.
fn domains(
    window: &mut Window,
    mut at: usize,
    frame: &mut Frame,
    entries: &mut Vec<Entry>,
    look: &mut dyn FnMut(&[u8]),
) -> io::Result<Option<usize>> {
    let needles = Needles { end: finder(b"</domain"), properties: finder(b"<properties") };
    loop {
        let (bytes, start) = (window.bytes(), window.start());
        match domain_at(bytes, at, &needles) {
            Some(Some(mut entry)) => {
                let here = entry.span.range();
                look(&bytes[here.clone()]);
                frame.gaps.extend_from_slice(&bytes[at..here.start]);
                at = here.end;
                entry.span = Span::new(start + here.start, start + here.end);
                frame.domains.push(entry.span);
                entries.push(entry);
            }
            Some(None) => return Ok(Some(at)),
            None if window.is_last() || start + bytes.len() > super::MAX_BYTES => return Ok(None),
            // It may be the window's end that cut something off.
            None if at > 0 || needles.end.find(bytes).is_none() => {
                window.advance(at)?;
                at = 0;
            }
            None => return Ok(None),
        }
    }
}

/// The domain behind the blanks at `at`, or nothing where the section ends.
fn domain_at(bytes: &[u8], at: usize, needles: &Needles) -> Option<Option<Entry>> {
    if let Some(domain) = plain_domain(bytes, at, needles) {
        return Some(Some(domain));
    }
    let at = skip_blank(bytes, at);
    let mut scanner = Scanner::new(bytes, at..bytes.len());
    match scanner.next().ok()? {
        Token::Open { tag, name, empty, .. } if name.of(bytes) == b"domain" => {
            let class = class_of(&scanner, bytes)?;
            if empty {
                return Some(Some(entry(tag, &class, None)));
            }
            let span = Span::new(at, end_of_domain(bytes, tag.end as usize, needles)?);
            parsed_entry(bytes, span).ok().map(Some)
        }
        Token::Close { name, .. } if name.of(bytes) == b"domains" => Some(None),
        _ => None,
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
