//! Parses an XML text into a tree, and rejects what is not well-formed.

use std::ops::Range;

use super::characters::check_characters;
use super::scanner::Scanner;
use super::token::{Attribute, Span, Token};
use super::tree::{Element, ElementId, Tree};
use crate::format::error::Fault;

/// Largest nesting depth of elements, the same as in libxml2, upstream's parser.
pub(crate) const MAX_DEPTH: usize = 256;

/// What a range of bytes must contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A whole file: a declaration, comments and blanks may surround the root.
    Document,
    /// One element and nothing else.
    Element,
}

/// The length in bytes up to which memory for a tree is reserved at once: that of a qube with many
/// settings.
const USUAL_DOMAIN: usize = 16 << 10;

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
                reason: "the file has no element",
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
