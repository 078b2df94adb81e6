//! The characters of XML: which are allowed, which are blanks, and which make names.

use std::ops::Range;

use crate::format::error::Fault;

/// Whether a byte is a blank of XML.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\t' | b'\r')
}

/// Returns the position of the first byte from `at` on that is not a blank.
pub(crate) fn skip_blank(bytes: &[u8], at: usize) -> usize {
    at + bytes[at..]
        .iter()
        .position(|b| !is_space(*b))
        .unwrap_or(bytes.len() - at)
}

/// Whether XML 1.0 allows the character at all (§2.2, Char).
pub(crate) fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..)
}

/// Whether a name may begin with the character (§2.3, NameStartChar).
pub(crate) fn is_name_start(c: char) -> bool {
    matches!(
        c,
        ':' | 'A'..='Z'
            | '_' | 'a'..='z'
            | '\u{C0}'..='\u{D6}'
            | '\u{D8}'..='\u{F6}'
            | '\u{F8}'..='\u{2FF}'
            | '\u{370}'..='\u{37D}'
            | '\u{37F}'..='\u{1FFF}'
            | '\u{200C}'..='\u{200D}'
            | '\u{2070}'..='\u{218F}'
            | '\u{2C00}'..='\u{2FEF}'
            | '\u{3001}'..='\u{D7FF}'
            | '\u{F900}'..='\u{FDCF}'
            | '\u{FDF0}'..='\u{FFFD}'
            | '\u{10000}'..='\u{EFFFF}'
    )
}

/// Whether the character may occur inside a name (§2.3, NameChar).
pub(crate) fn is_name_char(c: char) -> bool {
    is_name_start(c)
        || matches!(
            c,
            '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}'
        )
}

/// Whether `text` is an XML name.
pub(crate) fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(is_name_start) && chars.all(is_name_char)
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

/// Returns the reference to a character that XML could take for something else. Line breaks and
/// tabs are among them: parsers turn those of attributes into spaces.
pub(crate) fn character_reference(character: char) -> Option<&'static str> {
    Some(match character {
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        '"' => "&quot;",
        '\'' => "&apos;",
        '\r' => "&#13;",
        '\n' => "&#10;",
        '\t' => "&#9;",
        _ => return None,
    })
}
