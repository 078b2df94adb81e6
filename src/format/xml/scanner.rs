//! Splits an XML text into tokens with the position of every part, and rejects what is not
//! well-formed.
//!
//! Why not a parser crate: the writer changes single bytes inside a file that it otherwise keeps,
//! so it needs the position of every name, value and tag; and before a save the whole file is
//! checked as strictly as upstream's parser will. A test compares the answers with those of
//! libxml2, which is that parser. The events of quick-xml alone, with the attributes it finds but
//! none of these checks, take longer for a thousand qubes (5.2 ms) than the checked tree (3.3 ms);
//! names, attributes, values and references would still be read and checked here.

use std::collections::HashSet;

use super::characters::{is_name_char, is_name_start, is_space};
use super::text::resolve_reference;
use super::token::{Attribute, Span, Token};
use crate::format::error::Fault;

/// Reads tokens from a position to the end of `bytes`. Nesting is checked by the caller.
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The attributes of all start tags so far; a caller that does not need them clears them.
    pub attributes: Vec<Attribute>,
}

/// Up to this number, comparing all names with each other is faster than hashing them.
const FEW_ATTRIBUTES: usize = 12;

/// Whether an ASCII name may begin with the byte.
fn begins_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':')
}

/// Whether the byte may occur in an ASCII name.
fn is_in_name(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b':' | b'-' | b'.')
}

impl<'a> Scanner<'a> {
    pub fn new(bytes: &'a [u8], range: std::ops::Range<usize>) -> Scanner<'a> {
        let end = range.end.min(bytes.len());
        Scanner {
            bytes: &bytes[..end],
            at: range.start.min(end),
            attributes: Vec::new(),
        }
    }

    /// Returns the position of the next token.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Continues at another position, where a token begins.
    pub fn seek(&mut self, at: usize) {
        self.at = at;
    }

    /// Reads the next token.
    ///
    /// # Errors
    /// The text is not well-formed here.
    pub fn next(&mut self) -> Result<Token, Fault> {
        let start = self.at;
        match self.peek(0) {
            None => Ok(Token::End),
            Some(b'<') => match self.peek(1) {
                Some(b'/') => self.read_close_tag(start),
                Some(b'!') => self.read_markup(start),
                Some(b'?') => self.read_instruction(start),
                _ => self.read_open_tag(start),
            },
            Some(_) => self.read_text(start),
        }
    }

    fn read_open_tag(&mut self, start: usize) -> Result<Token, Fault> {
        let first = self.attributes.len();
        self.at = start + 1;
        let name = self.read_name("a name must follow '<'; a literal '<' is written &lt;")?;
        loop {
            let before = self.at;
            self.skip_space();
            match self.peek(0) {
                Some(b'>') => {
                    self.at += 1;
                    break;
                }
                Some(b'/') if self.peek(1) == Some(b'>') => {
                    self.at += 2;
                    let tag = Span::new(start, self.at);
                    return self.reject_duplicates(
                        Token::Open {
                            tag,
                            name,
                            empty: true,
                            first,
                        },
                        first,
                    );
                }
                Some(_) if self.at > before => self.read_attribute()?,
                Some(_) => return Err(self.fault("a blank, '>' or '/>' is missing in a tag")),
                None => {
                    return Err(Fault {
                        at: start,
                        reason: "the file ends inside a tag",
                    });
                }
            }
        }
        self.reject_duplicates(
            Token::Open {
                tag: Span::new(start, self.at),
                name,
                empty: false,
                first,
            },
            first,
        )
    }

    fn read_attribute(&mut self) -> Result<(), Fault> {
        let name = self.read_name("this is not a valid name of an attribute")?;
        self.skip_space();
        if self.peek(0) != Some(b'=') {
            return Err(self.fault("'=' is missing after the name of an attribute"));
        }
        self.at += 1;
        self.skip_space();
        let quote = match self.peek(0) {
            Some(quote @ (b'"' | b'\'')) => quote,
            _ => return Err(self.fault("the value of an attribute must be in quotation marks")),
        };
        self.at += 1;
        let start = self.at;
        let mut is_plain = true;
        loop {
            self.skip_while(|b| !matches!(b, b'<' | b'&' | b'"' | b'\'' | b'\n' | b'\r' | b'\t'));
            match self.peek(0) {
                Some(other) if other == quote => break,
                Some(b'<') => {
                    return Err(self.fault("'<' in the value of an attribute is written &lt;"));
                }
                Some(b'&') => {
                    is_plain = false;
                    self.read_reference()?;
                }
                Some(other) => {
                    is_plain &= matches!(other, b'"' | b'\'');
                    self.at += 1;
                }
                None => {
                    return Err(Fault {
                        at: start,
                        reason: "the file ends inside the value of an attribute",
                    });
                }
            }
        }
        self.attributes.push(Attribute {
            name,
            value: Span::new(start, self.at),
            is_plain,
        });
        self.at += 1;
        Ok(())
    }

    /// Reads the content of an XML declaration as attributes.
    pub fn declaration_attributes(mut self) -> Result<Vec<Attribute>, Fault> {
        loop {
            let before = self.at;
            self.skip_space();
            match self.peek(0) {
                None => return Ok(self.attributes),
                Some(_) if self.at > before => self.read_attribute()?,
                Some(_) => return Err(self.fault("a blank is missing in the XML declaration")),
            }
        }
    }

    /// Rejects a tag in which two attributes have one name.
    fn reject_duplicates(&self, token: Token, first: usize) -> Result<Token, Fault> {
        let attributes = &self.attributes[first..];
        if attributes.len() < 2 {
            return Ok(token);
        }
        let name = |a: &Attribute| a.name.slice(self.bytes);
        let duplicate = if attributes.len() <= FEW_ATTRIBUTES {
            let is_second = |(n, a): &(usize, &Attribute)| {
                attributes[..*n].iter().any(|other| name(other) == name(a))
            };
            attributes
                .iter()
                .enumerate()
                .find(is_second)
                .map(|(_, a)| a)
        } else {
            let mut names = HashSet::new();
            attributes.iter().find(|a| !names.insert(name(a)))
        };
        match duplicate {
            None => Ok(token),
            Some(a) => Err(Fault {
                at: a.name.start as usize,
                reason: "a second attribute of the same name in one tag",
            }),
        }
    }

    fn read_close_tag(&mut self, start: usize) -> Result<Token, Fault> {
        self.at = start + 2;
        let name = self.read_name("a name must follow '</'")?;
        self.skip_space();
        if self.peek(0) != Some(b'>') {
            return Err(self.fault("'>' is missing in an end tag"));
        }
        self.at += 1;
        Ok(Token::Close {
            tag: Span::new(start, self.at),
            name,
        })
    }

    fn read_text(&mut self, start: usize) -> Result<Token, Fault> {
        self.skip_space();
        if matches!(self.peek(0), Some(b'<') | None) {
            return Ok(Token::Text {
                span: Span::new(start, self.at),
                blank: true,
            });
        }
        loop {
            self.skip_while(|b| !matches!(b, b'<' | b'&' | b']'));
            match self.peek(0) {
                Some(b'&') => self.read_reference()?,
                Some(b']') if self.bytes[self.at..].starts_with(b"]]>") => {
                    return Err(self.fault("']]>' in text is written ]]&gt;"));
                }
                Some(b']') => self.at += 1,
                _ => {
                    return Ok(Token::Text {
                        span: Span::new(start, self.at),
                        blank: false,
                    });
                }
            }
        }
    }

    /// Reads the reference at `&`; only references that need no DOCTYPE are valid.
    fn read_reference(&mut self) -> Result<(), Fault> {
        let inner = &self.bytes[self.at + 1..];
        // The longest valid reference is a number; leading zeros may make it longer, within reason.
        let end = inner.iter().take(64).position(|b| *b == b';');
        match end.and_then(|end| resolve_reference(&inner[..end]).map(|_| end)) {
            Some(end) => {
                self.at += end + 2;
                Ok(())
            }
            None => {
                Err(self
                    .fault("'&' does not begin a known reference; a literal '&' is written &amp;"))
            }
        }
    }

    fn read_markup(&mut self, start: usize) -> Result<Token, Fault> {
        let rest = &self.bytes[start..];
        let whole = |length: usize| Span::new(start, start + length);
        if rest.starts_with(b"<!--") {
            let length = memchr::memmem::find(&rest[4..], b"--").map(|n| n + 4);
            return match length {
                Some(n) if rest.get(n + 2) == Some(&b'>') => {
                    self.at = start + n + 3;
                    Ok(Token::Comment { span: whole(n + 3) })
                }
                Some(n) => Err(Fault {
                    at: start + n,
                    reason: "'--' inside a comment",
                }),
                None => Err(Fault {
                    at: start,
                    reason: "a comment without an end",
                }),
            };
        }
        if rest.starts_with(b"<![CDATA[") {
            return match memchr::memmem::find(&rest[9..], b"]]>") {
                Some(n) => {
                    self.at = start + n + 12;
                    Ok(Token::CData {
                        span: whole(n + 12),
                        inner: Span::new(start + 9, start + 9 + n),
                    })
                }
                None => Err(Fault {
                    at: start,
                    reason: "a CDATA section without an end",
                }),
            };
        }
        if rest.starts_with(b"<!DOCTYPE") {
            return Err(Fault {
                at: start,
                reason: "a DOCTYPE is not accepted in a store (it could define entities)",
            });
        }
        Err(Fault {
            at: start,
            reason: "'<!' begins neither a comment nor a CDATA section",
        })
    }

    fn read_instruction(&mut self, start: usize) -> Result<Token, Fault> {
        self.at = start + 2;
        let target = self.read_name("a name must follow '<?'")?;
        let rest = &self.bytes[self.at..];
        if !rest.starts_with(b"?>") && !rest.first().is_some_and(|b| is_space(*b)) {
            return Err(self.fault("a blank or '?>' is missing in a processing instruction"));
        }
        match memchr::memmem::find(rest, b"?>") {
            Some(n) => {
                self.at += n + 2;
                Ok(Token::Instruction {
                    span: Span::new(start, self.at),
                    target,
                })
            }
            None => Err(Fault {
                at: start,
                reason: "a processing instruction without an end",
            }),
        }
    }

    fn read_name(&mut self, missing: &'static str) -> Result<Span, Fault> {
        let start = self.at;
        if !self.peek(0).is_some_and(begins_name) {
            return self.read_non_ascii_name(missing);
        }
        self.skip_while(is_in_name);
        if self.peek(0).is_some_and(|b| b >= 0x80) {
            self.at = start;
            return self.read_non_ascii_name(missing);
        }
        Ok(Span::new(start, self.at))
    }

    /// Reads a name with letters outside ASCII. This is rare, so it need not be fast.
    fn read_non_ascii_name(&mut self, missing: &'static str) -> Result<Span, Fault> {
        let start = self.at;
        let rest = &self.bytes[start..];
        let length = rest
            .iter()
            .position(|b| *b < 0x80 && !is_in_name(*b))
            .unwrap_or(rest.len());
        let text = std::str::from_utf8(&rest[..length]).map_err(|_| self.fault("not UTF-8"))?;
        let mut chars = text.char_indices();
        match chars.next() {
            Some((_, first)) if is_name_start(first) => {}
            _ => return Err(self.fault(missing)),
        }
        self.at += chars
            .find(|(_, c)| !is_name_char(*c))
            .map_or(length, |(n, _)| n);
        Ok(Span::new(start, self.at))
    }

    fn skip_space(&mut self) {
        self.skip_while(is_space);
    }

    fn skip_while(&mut self, is_skipped: impl Fn(u8) -> bool) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at += rest
            .iter()
            .position(|b| !is_skipped(*b))
            .unwrap_or(rest.len());
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn fault(&self, reason: &'static str) -> Fault {
        Fault {
            at: self.at,
            reason,
        }
    }
}
