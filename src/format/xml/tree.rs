//! The elements of an XML text with the positions of all their parts, which the reader reads and
//! the writer patches.

use std::borrow::Cow;
use std::ops::Range;

use super::scanner::{Attribute, Scanner, Span, Token};
use super::text::{ValueKind, decode, is_space};
use crate::format::error::Fault;

/// Largest nesting depth of elements, the same as in libxml2, upstream's parser.
pub(crate) const MAX_DEPTH: usize = 256;

/// One element. The elements of a tree are in document order, so a subtree is a range of indices.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Element {
    pub name: Span,
    /// The start tag, or the whole element if it is `<empty/>`.
    pub tag: Span,
    /// The end tag; empty, at the end of `tag`, if there is none.
    pub close: Span,
    /// The content before the first child node: the text in upstream's sense.
    pub text: Span,
    attributes: (u32, u32),
    /// Index of the first element after the subtree.
    next: u32,
    /// Whether the element has comments, instructions, or text after a child.
    mixed: bool,
}

/// The length in bytes up to which memory for a tree is reserved at once: that of a qube with many
/// settings.
const USUAL_DOMAIN: usize = 16 << 10;

/// Index of an element in its tree.
pub(crate) type ElementId = usize;

/// What a range of bytes must contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A whole file: a declaration, comments and blanks may surround the root.
    Document,
    /// One element and nothing else.
    Element,
}

/// The elements of a text down to a depth. Deeper ones are checked but not kept.
pub(crate) struct Tree<'a> {
    /// The whole file.
    pub bytes: &'a [u8],
    /// The parsed part of the file, and where it begins.
    source: &'a str,
    base: usize,
    elements: Vec<Element>,
    attributes: Vec<Attribute>,
}

impl<'a> Tree<'a> {
    /// Parses the one element that fills `range`, with all its levels.
    pub fn parse_element(bytes: &'a [u8], range: Range<usize>) -> Result<Tree<'a>, Fault> {
        Tree::parse(bytes, range, Shape::Element, MAX_DEPTH)
    }

    /// Checks that `range` is well-formed, and keeps the elements of the first `keep` levels.
    pub fn parse(
        bytes: &'a [u8],
        range: Range<usize>,
        shape: Shape,
        keep: usize,
    ) -> Result<Tree<'a>, Fault> {
        let mut scanner = Scanner::new(bytes, range.clone());
        // In upstream's form an element has about 40 bytes, and an attribute 30.
        let usual = range.len().min(USUAL_DOMAIN);
        scanner.attributes.reserve(usual / 30);
        let mut builder = Builder {
            tree: Tree {
                bytes,
                source: check_characters(bytes, range.clone())?,
                base: range.start,
                elements: Vec::with_capacity(usual / 40),
                attributes: Vec::new(),
            },
            stack: Vec::new(),
            roots: 0,
            shape,
            keep,
        };
        loop {
            match scanner.next()? {
                Token::End => break,
                token => builder.take(token, &mut scanner.attributes)?,
            }
        }
        builder.finish(range.end, scanner.attributes)
    }

    fn str(&self, span: Span) -> &'a str {
        // Spans begin and end at ASCII characters of the source, so the slice exists.
        self.source
            .get(span.start as usize - self.base..span.end as usize - self.base)
            .unwrap_or_default()
    }

    pub const ROOT: ElementId = 0;

    /// Returns an element.
    pub fn element(&self, id: ElementId) -> &Element {
        &self.elements[id]
    }

    /// Returns the name of an element.
    pub fn name(&self, id: ElementId) -> &'a [u8] {
        self.elements[id].name.slice(self.bytes)
    }

    /// Returns the child elements that were kept, in order.
    pub fn children(&self, id: ElementId) -> impl Iterator<Item = ElementId> + '_ {
        let end = self.elements[id].next as usize;
        let mut at = id + 1;
        std::iter::from_fn(move || {
            let child = (at < end).then_some(at)?;
            at = self.elements[child].next as usize;
            Some(child)
        })
    }

    /// Returns the number of elements that were kept.
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// Returns an element and its descendants, in document order.
    pub fn subtree(&self, id: ElementId) -> Range<ElementId> {
        id..self.elements[id].next as usize
    }

    /// Returns the child elements of one name.
    pub fn children_named<'t>(
        &'t self,
        id: ElementId,
        name: &'t str,
    ) -> impl Iterator<Item = ElementId> + 't {
        self.children(id)
            .filter(move |c| self.name(*c) == name.as_bytes())
    }

    /// Returns the attributes of an element.
    pub fn attributes(&self, id: ElementId) -> &[Attribute] {
        let (start, end) = self.elements[id].attributes;
        &self.attributes[start as usize..end as usize]
    }

    /// Returns the value of one attribute.
    pub fn attribute(&self, id: ElementId, name: &str) -> Option<Cow<'a, str>> {
        let found = self
            .attributes(id)
            .iter()
            .find(|a| a.name.slice(self.bytes) == name.as_bytes())?;
        Some(self.value(found))
    }

    pub fn attribute_name(&self, attribute: &Attribute) -> &'a str {
        self.str(attribute.name)
    }

    /// Returns the value of an attribute with references resolved.
    pub fn value(&self, attribute: &Attribute) -> Cow<'a, str> {
        let raw = self.str(attribute.value);
        if attribute.is_plain {
            return Cow::Borrowed(raw);
        }
        // The value was checked while parsing, so it can be decoded.
        decode(raw, ValueKind::Attribute).unwrap_or_default()
    }

    /// Returns the text before the first child node, as upstream's parser does; CDATA counts as
    /// text.
    pub fn text(&self, id: ElementId) -> Cow<'a, str> {
        let span = self.elements[id].text;
        let raw = self.str(span);
        if !raw.contains('<') {
            return decode(raw, ValueKind::Text).unwrap_or_default();
        }
        let mut text = String::new();
        let mut scanner = Scanner::new(self.bytes, span.range());
        loop {
            match scanner.next() {
                Ok(Token::Text { span, .. }) => {
                    text.push_str(&decode(self.str(span), ValueKind::Text).unwrap_or_default())
                }
                Ok(Token::CData { inner, .. }) => {
                    text.push_str(&self.str(inner).replace("\r\n", "\n").replace('\r', "\n"));
                }
                _ => return Cow::Owned(text),
            }
        }
    }

    /// Returns the range of the element, from its start tag to its end tag.
    pub fn range(&self, id: ElementId) -> Range<usize> {
        let element = &self.elements[id];
        element.tag.start as usize..element.close.end as usize
    }

    /// Whether the element is written `<empty/>`.
    pub fn is_self_closing(&self, id: ElementId) -> bool {
        self.elements[id].close.is_empty()
    }

    /// Whether the element contains anything but child elements and blanks.
    pub fn has_mixed_content(&self, id: ElementId) -> bool {
        let element = &self.elements[id];
        element.mixed || !element.text.slice(self.bytes).iter().all(|b| is_space(*b))
    }

    /// Returns where the blanks directly before `at` begin.
    pub fn blank_start(&self, at: usize) -> usize {
        self.bytes[..at]
            .iter()
            .rposition(|b| !is_space(*b))
            .map_or(0, |n| n + 1)
    }
}

/// An open element: its name, and its index when it is kept.
struct OpenElement {
    name: Span,
    id: Option<ElementId>,
}

/// A tree under construction.
struct Builder<'a> {
    tree: Tree<'a>,
    stack: Vec<OpenElement>,
    roots: usize,
    shape: Shape,
    keep: usize,
}

/// The end of [`Element::text`] until something ends the text.
const UNENDED: u32 = u32::MAX;

impl<'a> Builder<'a> {
    /// Adds a token to the tree.
    fn take(&mut self, token: Token, attributes: &mut Vec<Attribute>) -> Result<(), Fault> {
        match token {
            Token::Open {
                tag,
                name,
                empty,
                first,
            } => {
                let kept = self.open(tag, name, empty, (first, attributes.len()))?;
                if !kept {
                    attributes.truncate(first);
                }
                Ok(())
            }
            Token::Close { tag, name } => self.close(tag, name),
            Token::Text { span, blank } => self.add_content(span, blank),
            Token::CData { span, .. } => self.add_content(span, false),
            Token::Comment { span } => self.add_misc(span),
            Token::Instruction { span, target } => {
                let reserved = target.slice(self.tree.bytes).eq_ignore_ascii_case(b"xml");
                let first = self.shape == Shape::Document && span.start as usize == self.tree.base;
                if reserved && !(first && target.slice(self.tree.bytes) == b"xml") {
                    return Err(fault(
                        span,
                        "an XML declaration is only allowed at the very beginning",
                    ));
                }
                self.add_misc(span)
            }
            Token::End => Ok(()),
        }
    }

    /// Opens an element; returns whether it is kept.
    fn open(
        &mut self,
        tag: Span,
        name: Span,
        empty: bool,
        attributes: (usize, usize),
    ) -> Result<bool, Fault> {
        if self.stack.is_empty() {
            self.roots += 1;
            if self.roots > 1 {
                return Err(fault(tag, "a second root element"));
            }
        }
        if self.stack.len() >= MAX_DEPTH {
            return Err(fault(tag, "elements nest deeper than 256 levels"));
        }
        self.end_text(tag.start);
        let id = (self.stack.len() < self.keep).then(|| {
            let id = self.tree.elements.len();
            let at_end = Span {
                start: tag.end,
                end: tag.end,
            };
            self.tree.elements.push(Element {
                name,
                tag,
                close: at_end,
                text: if empty {
                    at_end
                } else {
                    Span {
                        start: tag.end,
                        end: UNENDED,
                    }
                },
                attributes: (attributes.0 as u32, attributes.1 as u32),
                next: id as u32 + 1,
                mixed: false,
            });
            id
        });
        if !empty {
            self.stack.push(OpenElement { name, id });
        }
        Ok(id.is_some())
    }

    fn close(&mut self, tag: Span, name: Span) -> Result<(), Fault> {
        self.end_text(tag.start);
        let bytes = self.tree.bytes;
        match self.stack.pop() {
            Some(open) if open.name.slice(bytes) == name.slice(bytes) => {
                let next = self.tree.elements.len() as u32;
                if let Some(id) = open.id {
                    let element = &mut self.tree.elements[id];
                    element.close = tag;
                    element.next = next;
                }
                Ok(())
            }
            Some(_) => Err(fault(
                tag,
                "an end tag that does not match the open element",
            )),
            None => Err(fault(tag, "an end tag without a start tag")),
        }
    }

    fn add_content(&mut self, span: Span, blank: bool) -> Result<(), Fault> {
        match self.stack.last() {
            Some(OpenElement { id: Some(id), .. }) if !blank => {
                let element = &mut self.tree.elements[*id];
                element.mixed |= element.text.end != UNENDED;
                Ok(())
            }
            Some(_) => Ok(()),
            None if self.shape == Shape::Document && blank => Ok(()),
            None => Err(fault(span, "text outside the root element")),
        }
    }

    /// Handles a comment or an instruction.
    fn add_misc(&mut self, span: Span) -> Result<(), Fault> {
        self.end_text(span.start);
        match self.stack.last() {
            Some(OpenElement { id: Some(id), .. }) => self.tree.elements[*id].mixed = true,
            None if self.shape == Shape::Element => {
                return Err(fault(span, "a comment outside the element"));
            }
            _ => {}
        }
        Ok(())
    }

    fn end_text(&mut self, at: u32) {
        if let Some(OpenElement { id: Some(id), .. }) = self.stack.last() {
            let text = &mut self.tree.elements[*id].text;
            if text.end == UNENDED {
                text.end = at;
            }
        }
    }

    fn finish(mut self, end: usize, attributes: Vec<Attribute>) -> Result<Tree<'a>, Fault> {
        if !self.stack.is_empty() {
            return Err(Fault {
                at: end,
                reason: "the file ends before every element is closed",
            });
        }
        if self.roots == 0 {
            return Err(Fault {
                at: end,
                reason: "there is no element",
            });
        }
        self.tree.attributes = attributes;
        Ok(self.tree)
    }
}

fn fault(span: Span, reason: &'static str) -> Fault {
    Fault {
        at: span.start as usize,
        reason,
    }
}

/// Returns the text of `range`.
///
/// # Errors
/// It is not UTF-8 or contains a character that XML does not allow.
pub(crate) fn check_characters(bytes: &[u8], range: Range<usize>) -> Result<&str, Fault> {
    let text = check_utf8(bytes, range.clone())?;
    // No early exit inside a block, so that the compiler can vectorise the loop.
    for (n, block) in text.as_bytes().chunks(64).enumerate() {
        if block.iter().fold(false, |found, b| found | is_control(*b)) {
            let inside = block
                .iter()
                .position(|b| is_control(*b))
                .unwrap_or_default();
            let at = range.start + n * 64 + inside;
            return Err(Fault {
                at,
                reason: "a control character, such as NUL",
            });
        }
    }
    Ok(text)
}

/// Whether a byte is a control character that XML does not allow.
pub(crate) fn is_control(byte: u8) -> bool {
    byte < 0x20 && !is_space(byte)
}

/// Returns the text of a range; checks everything that [`check_characters`] does, except control
/// characters.
fn check_utf8(bytes: &[u8], range: Range<usize>) -> Result<&str, Fault> {
    let piece = &bytes[range.clone()];
    let at = |n: usize| range.start + n;
    let text = std::str::from_utf8(piece).map_err(|error| Fault {
        at: at(error.valid_up_to()),
        reason: "not UTF-8",
    })?;
    match find_noncharacter(piece) {
        Some(n) => Err(Fault {
            at: at(n),
            reason: "a character that XML does not allow",
        }),
        None => Ok(text),
    }
}

/// Returns where U+FFFE or U+FFFF occurs.
pub(crate) fn find_noncharacter(text: &[u8]) -> Option<usize> {
    memchr::memchr_iter(0xEF, text)
        .find(|n| matches!(text.get(n + 1..n + 3), Some([0xBF, 0xBE | 0xBF])))
}
