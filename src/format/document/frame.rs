//! Scans the text around the domains of a store, and their positions, through a window that moves
//! over the file.

use std::borrow::Cow;
use std::io;

use super::byte_source::{ByteSource, Window};
use super::index::{DomainEntry, Index, Section, new_entry, parse_entry};
use super::lookahead::Lookahead;
use super::{DEPTH_OF_DOMAINS, leaf};
use crate::format::xml::document;
use crate::format::xml::scanner::{Scanner, Span, Token};
use crate::format::xml::text::{ValueKind, decode, skip_blank};
use crate::format::xml::tree::{Tree, TreeBuffers, check_characters};

/// The text outside the domains, and their positions. With each domain put back after its gap, this
/// is the file.
pub(crate) struct Frame {
    pub sections: Sections,
    pub domains: Vec<Span>,
    /// The text before the gap of the first domain.
    pub head: Vec<u8>,
    /// The blanks before each domain, one after the other.
    pub gaps: Vec<u8>,
    /// The text after the last domain.
    pub tail: Vec<u8>,
}

impl Frame {
    /// Creates the frame of a file whose domains are not cut out.
    pub fn from_whole_file(bytes: Vec<u8>, index: &Index) -> Frame {
        let sections = index.sections.clone();
        Frame {
            sections,
            domains: Vec::new(),
            head: bytes,
            gaps: Vec::new(),
            tail: Vec::new(),
        }
    }

    /// Returns the bytes of a section that holds no domains.
    pub fn section(&self, span: Span) -> Option<&[u8]> {
        let tail_start = self
            .domains
            .last()
            .map_or(self.head.len(), |last| last.end as usize);
        match span.start as usize {
            start if start < self.head.len() => self.head.get(span.range()),
            start => self
                .tail
                .get(start.checked_sub(tail_start)?..(span.end as usize).checked_sub(tail_start)?),
        }
    }
}

/// A strict check of each domain while the domains are found.
pub(crate) struct DomainCheck<'c> {
    /// Whether every domain so far is well-formed.
    pub is_passed: &'c mut bool,
    pub buffers: TreeBuffers,
}

impl DomainCheck<'_> {
    /// Checks one domain, unless an earlier one failed.
    fn check_domain(&mut self, domain: &[u8]) {
        if *self.is_passed {
            let buffers = std::mem::take(&mut self.buffers);
            match Tree::check_element(domain, 0..domain.len(), DEPTH_OF_DOMAINS, buffers) {
                Ok(buffers) => self.buffers = buffers,
                Err(_) => *self.is_passed = false,
            }
        }
    }
}

/// Scans the frame of a store and the entries of its domains. Returns `None` where only a strict
/// reading can tell.
///
/// This is sound on every well-formed file. Outside domains it reads tokens. Inside a domain it
/// goes to the first `</domain>` and gives up if `<!` or `<?` occurs before it, so every `<` up to
/// there begins a tag. If a domain contained another element called domain, the end tag of that
/// element would be taken for the end of the domain, and one end tag would be left over: but after
/// a domain only `<domain` or `</domains>` is accepted, and after those only balanced tags. A token
/// that the window cuts off fails, and is read again in a larger window.
pub(crate) fn scan_frame(
    stored: &dyn ByteSource,
    window_size: usize,
    mut check: Option<DomainCheck>,
) -> io::Result<Option<(Frame, Vec<DomainEntry>)>> {
    let mut window = Window::open(stored, window_size)?;
    let (head, tag) = loop {
        match scan_head(window.bytes(), window.is_last()) {
            Some(found) => break found,
            None if window.is_last() || window.bytes().len() > crate::format::MAX_BYTES => {
                return Ok(None);
            }
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
    let Some(tag) = tag else {
        return Ok(check_characters(&frame.head, 0..at)
            .is_ok()
            .then_some((frame, entries)));
    };
    let Some(mut at) = scan_domains(&mut window, at, &mut frame, &mut entries, &mut check)? else {
        return Ok(None);
    };
    while !window.is_last() {
        if window.bytes().len() > crate::format::MAX_BYTES {
            return Ok(None);
        }
        window.advance(at)?;
        at = 0;
    }
    let (bytes, start) = (window.bytes(), window.start());
    frame.tail = bytes[at..].to_vec();
    let known = scan_tail(bytes, at, start, tag, &mut frame.sections).is_some()
        && start + bytes.len() <= crate::format::MAX_BYTES
        && check_characters(&frame.head, 0..frame.head.len()).is_ok()
        && check_characters(&frame.tail, 0..frame.tail.len()).is_ok();
    Ok(known.then_some((frame, entries)))
}

/// The children of the root, with their positions.
type Sections = Vec<(Section, Span)>;

/// Scans the sections up to the first with domains, and the start tag of that one; all sections if
/// none has domains.
fn scan_head(bytes: &[u8], is_whole: bool) -> Option<(Sections, Option<Span>)> {
    let mut scanner = Scanner::new(bytes, document::check_encoding(bytes).ok()?..bytes.len());
    if document::has_declaration(&bytes[scanner.position()..]) {
        // The content of the declaration is already checked.
        scanner.next().ok()?;
    }
    skip_to_root(&mut scanner, bytes)?;
    let mut found = Vec::new();
    let tag = scan_sections(&mut scanner, bytes, 0, &mut found)?;
    if tag.is_none() {
        skip_to_end(&mut scanner, bytes)?;
        is_whole.then_some(())?;
    }
    Some((found, tag))
}

/// Scans the rest of the file from the end tag of the section with domains. `start` is the position
/// of `bytes` in the file.
fn scan_tail(bytes: &[u8], at: usize, start: usize, tag: Span, found: &mut Sections) -> Option<()> {
    let mut scanner = Scanner::new(bytes, skip_blank(bytes, at)..bytes.len());
    match scanner.next().ok()? {
        Token::Close { name, .. } if name.slice(bytes) == b"domains" => {}
        _ => return None,
    }
    found.push((
        Section::Domains,
        Span::new(tag.start as usize, start + scanner.position()),
    ));
    scan_sections(&mut scanner, bytes, start, found)?
        .is_none()
        .then_some(())?;
    skip_to_end(&mut scanner, bytes)
}

/// Collects sections up to one that holds domains, and returns its start tag; `None` at the end of
/// the root. Only one such section is supported.
fn scan_sections(
    scanner: &mut Scanner,
    bytes: &[u8],
    start: usize,
    found: &mut Sections,
) -> Option<Option<Span>> {
    loop {
        match scanner.next().ok()? {
            Token::Open {
                tag, name, empty, ..
            } => {
                let kind = Section::from_name(name.slice(bytes));
                if kind == Section::Domains {
                    found
                        .iter()
                        .all(|(known, _)| *known != Section::Domains)
                        .then_some(())?;
                    if !empty {
                        return Some(Some(tag));
                    }
                } else if !empty {
                    skip_element(scanner, bytes, name)?;
                }
                found.push((
                    kind,
                    Span::new(start + tag.start as usize, start + scanner.position()),
                ));
            }
            Token::Close { name, .. } if name.slice(bytes) == b"qubes" => return Some(None),
            Token::Text { .. } | Token::Comment { .. } | Token::CData { .. } => {}
            Token::Instruction { target, .. } => reject_declaration(target, bytes)?,
            Token::Close { .. } | Token::End => return None,
        }
    }
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
            Token::Text { blank: true, .. } => {}
            Token::Comment { .. } => {}
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
            Token::Text { blank: true, .. } => {}
            Token::Comment { .. } => {}
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
                if name.slice(bytes) != innermost.slice(bytes) {
                    return None;
                }
                open.pop();
            }
            Token::End => return None,
            Token::Instruction { target, .. } => reject_declaration(target, bytes)?,
            _ => {}
        }
        if open.len() > crate::format::xml::tree::MAX_DEPTH - 2 {
            return None;
        }
    }
    Some(())
}

/// Collects the domains from `at` on and moves the window along. Returns where the last domain
/// ends.
fn scan_domains(
    window: &mut Window,
    mut at: usize,
    frame: &mut Frame,
    entries: &mut Vec<DomainEntry>,
    check: &mut Option<DomainCheck>,
) -> io::Result<Option<usize>> {
    let mut ahead = Lookahead::new();
    loop {
        let (bytes, start) = (window.bytes(), window.start());
        let checked = check
            .as_ref()
            .and_then(|_| leaf::scan_plain_domain(bytes, skip_blank(bytes, at)));
        let is_checked = checked.is_some();
        let found = match checked {
            Some(entry) => Some(Some(entry)),
            None => scan_domain(bytes, at, &mut ahead),
        };
        match found {
            Some(Some(mut entry)) => {
                let here = entry.span.range();
                if let Some(check) = check.as_mut().filter(|_| !is_checked) {
                    check.check_domain(&bytes[here.clone()]);
                }
                frame.gaps.extend_from_slice(&bytes[at..here.start]);
                at = here.end;
                entry.span = Span::new(start + here.start, start + here.end);
                frame.domains.push(entry.span);
                entries.push(entry);
            }
            Some(None) => return Ok(Some(at)),
            None if window.is_last() || start + bytes.len() > crate::format::MAX_BYTES => {
                return Ok(None);
            }
            // The end of the window may have cut off a token.
            None if at > 0 || !ahead.has_end(bytes, 0) => {
                window.advance(at)?;
                ahead.forget();
                at = 0;
            }
            None => return Ok(None),
        }
    }
}

/// Scans the domain after the blanks at `at`; `Some(None)` at the end of the section.
fn scan_domain(bytes: &[u8], at: usize, ahead: &mut Lookahead) -> Option<Option<DomainEntry>> {
    if let Some(domain) = ahead.scan_plain_domain(bytes, at) {
        return Some(Some(domain));
    }
    let at = skip_blank(bytes, at);
    let mut scanner = Scanner::new(bytes, at..bytes.len());
    match scanner.next().ok()? {
        Token::Open {
            tag, name, empty, ..
        } if name.slice(bytes) == b"domain" => {
            let class = class_of(&scanner, bytes)?;
            if empty {
                return Some(Some(new_entry(tag, &class, None)));
            }
            let span = Span::new(at, ahead.end_of_domain(bytes, tag.end as usize)?);
            parse_entry(bytes, span).ok().map(Some)
        }
        Token::Close { name, .. } if name.slice(bytes) == b"domains" => Some(None),
        _ => None,
    }
}

/// Reads the class from a start tag; empty if it has none.
fn class_of<'a>(scanner: &Scanner, bytes: &'a [u8]) -> Option<Cow<'a, str>> {
    match scanner
        .attributes
        .iter()
        .find(|a| a.name.slice(bytes) == b"class")
    {
        Some(attribute) => decode(
            std::str::from_utf8(attribute.value.slice(bytes)).ok()?,
            ValueKind::Attribute,
        ),
        None => Some(Cow::Borrowed("")),
    }
}
