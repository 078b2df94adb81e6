//! The elements of an XML text with the positions of all their parts, which the reader reads and
//! the writer patches.

use std::borrow::Cow;
use std::ops::Range;

use super::characters::is_space;
use super::scanner::Scanner;
use super::text::{ValueKind, decode};
use super::token::{Attribute, Span, Token};

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
    pub(super) attributes: (u32, u32),
    /// Index of the first element after the subtree.
    pub(super) next: u32,
    /// Whether the element has comments, instructions, or text after a child.
    pub(super) mixed: bool,
}

/// Index of an element in its tree.
pub(crate) type ElementId = usize;

/// The elements of a text down to a depth. Deeper ones are checked but not kept.
pub(crate) struct Tree<'a> {
    /// The whole file.
    pub bytes: &'a [u8],
    /// The parsed part of the file, and where it begins.
    pub(super) source: &'a str,
    pub(super) base: usize,
    pub(super) elements: Vec<Element>,
    pub(super) attributes: Vec<Attribute>,
}

impl<'a> Tree<'a> {
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
