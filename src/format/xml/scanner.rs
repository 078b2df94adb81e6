//! Splits an XML text into tokens with the position of every part, and rejects what is not
//! well-formed.
//!
//! Why not a parser crate: the writer changes single bytes inside a file that it otherwise keeps,
//! so it needs the position of every name, value and tag; and before a save the whole file is
//! checked as strictly as upstream's parser will. A test compares the answers with those of
//! libxml2, which is that parser.

use std::collections::HashSet;

use super::text::{is_name_char, is_name_start, is_space, resolve_reference};
use crate::format::error::Fault;

/// A range of the file: offsets of its first byte and of the byte after its last. A store has at
/// most [`crate::format::MAX_BYTES`], so 32 bits are enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset of the byte after the last one.
    pub end: u32,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Span {
        Span {
            start: start as u32,
            end: end as u32,
        }
    }

    /// Returns the range as `usize`.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Returns these bytes of `bytes`.
    pub fn slice(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.range()]
    }

    /// Returns the number of bytes.
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether there are no bytes.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// One attribute of a start tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attribute {
    pub name: Span,
    /// The value, without quotation marks.
    pub value: Span,
    /// Whether the raw value needs no decoding: no references, nothing to normalise.
    pub is_plain: bool,
}

/// One token of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// A start tag; its attributes are in [`Scanner::attributes`] from `first` on.
    Open {
        tag: Span,
        name: Span,
        empty: bool,
        first: usize,
    },
    Close {
        tag: Span,
        name: Span,
    },
    Text {
        span: Span,
        /// Whether the text is only blanks.
        blank: bool,
    },
    /// A CDATA section; `inner` is the text between `<![CDATA[` and `]]>`.
    CData {
        span: Span,
        inner: Span,
    },
    Comment {
        span: Span,
    },
    /// A processing instruction; `target` is its name.
    Instruction {
        span: Span,
        target: Span,
    },
    End,
}

/// Reads tokens from a position to the end of `bytes`. Nesting is checked by the caller.
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The attributes of all start tags so far; a caller that does not need them clears them.
    pub attributes: Vec<Attribute>,
}

const NAME_START: u8 = 1;
const NAME: u8 = 2;
/// `<`, `&`, `]`: bytes that end or complicate text.
const TEXT_STOP: u8 = 4;
/// `<`, `&`, `"`, `'` and blanks other than the space: bytes that end or complicate an attribute
/// value.
const VALUE_STOP: u8 = 8;

const BYTE_CLASSES: [u8; 256] = {
    let mut class = [0u8; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b.is_ascii_alphabetic() || b == b'_' || b == b':' {
            class[byte] |= NAME_START | NAME;
        }
        if b.is_ascii_digit() || b == b'-' || b == b'.' {
            class[byte] |= NAME;
        }
        if b == b'<' || b == b'&' {
            class[byte] |= TEXT_STOP | VALUE_STOP;
        }
        if b == b']' {
            class[byte] |= TEXT_STOP;
        }
        if b == b'"' || b == b'\'' || b == b'\n' || b == b'\r' || b == b'\t' {
            class[byte] |= VALUE_STOP;
        }
        byte += 1;
    }
    class
};

/// Whether a byte has one of the classes.
fn has_class(byte: u8, class: u8) -> bool {
    BYTE_CLASSES[byte as usize] & class != 0
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
            self.skip_until(VALUE_STOP);
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
        // Length, first and last byte nearly always distinguish the names of a tag, so that none
        // need be compared.
        let mut marks = 0u64;
        let is_distinct = attributes.iter().all(|a| {
            let name = a.name.slice(self.bytes);
            let (first, last) = (name[0] as usize, name[name.len() - 1] as usize);
            let mark = 1u64 << ((name.len() ^ (first * 7) ^ last) % 64);
            let fresh = marks & mark == 0;
            marks |= mark;
            fresh
        });
        if is_distinct {
            Ok(token)
        } else {
            self.compare_names(token, attributes)
        }
    }

    /// Compares the names of the attributes of a tag.
    fn compare_names(&self, token: Token, attributes: &[Attribute]) -> Result<Token, Fault> {
        let mut names = HashSet::new();
        match attributes
            .iter()
            .find(|a| !names.insert(a.name.slice(self.bytes)))
        {
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
            self.skip_until(TEXT_STOP);
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
        if !self.peek(0).is_some_and(|b| has_class(b, NAME_START)) {
            return self.read_non_ascii_name(missing);
        }
        let rest = &self.bytes[start..];
        self.at += rest
            .iter()
            .position(|b| !has_class(*b, NAME))
            .unwrap_or(rest.len());
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
            .position(|b| *b < 0x80 && !has_class(*b, NAME))
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
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at += rest
            .iter()
            .position(|b| !is_space(*b))
            .unwrap_or(rest.len());
    }

    fn skip_until(&mut self, stop: u8) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at += rest
            .iter()
            .position(|b| has_class(*b, stop))
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
