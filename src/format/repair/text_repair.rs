//! Repairs the characters of a damaged text without losing anything: another encoding, zeros and
//! control characters, a wrong declaration, an `&` that begins no reference.

use std::borrow::Cow;

use memchr::memmem;

use super::salvaged::SalvageStep;
use crate::format::xml::characters::is_control;
use crate::format::xml::document;
use crate::format::xml::lines::line_of;
use crate::format::xml::text::resolve_reference;

/// Turns the bytes into a text that XML can represent, and records what was changed.
pub(super) fn repair_characters<'a>(
    bytes: &'a [u8],
    steps: &mut Vec<SalvageStep>,
) -> Option<Cow<'a, str>> {
    let mut text = decode(bytes, steps)?;
    remove_control_characters(&mut text, steps);
    remove_wrong_declaration(&mut text, steps);
    escape_bare_ampersands(&mut text, steps);
    Some(text)
}

fn step(line: Option<usize>, problem: impl Into<String>, action: &str) -> SalvageStep {
    SalvageStep {
        line,
        problem: problem.into(),
        action: action.into(),
    }
}

/// Decodes UTF-8, UTF-16 or ISO 8859-1; `None` if the bytes are not a text.
fn decode<'a>(bytes: &'a [u8], steps: &mut Vec<SalvageStep>) -> Option<Cow<'a, str>> {
    if let Some(text) = decode_utf16(bytes) {
        steps.push(step(None, "the file is in UTF-16", "write it in UTF-8"));
        return Some(Cow::Owned(text));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(Cow::Borrowed(text)),
        // Random bytes are not a text in another encoding.
        Err(_) if memmem::find(bytes, b"<domain").is_none() => None,
        Err(error) => {
            steps.push(step(
                Some(line_of(bytes, error.valid_up_to())),
                "there are bytes that are not UTF-8",
                "read them as ISO 8859-1",
            ));
            Some(Cow::Owned(decode_latin1(bytes)))
        }
    }
}

/// Removes zeros and other characters that XML does not allow.
fn remove_control_characters(text: &mut Cow<str>, steps: &mut Vec<SalvageStep>) {
    let is_unwritable =
        |c: char| (c.is_ascii() && is_control(c as u8)) || matches!(c, '\u{FFFE}' | '\u{FFFF}');
    let Some(first) = text.find(is_unwritable) else {
        return;
    };
    let count = text.chars().filter(|c| is_unwritable(*c)).count();
    let what = if text[first..].starts_with('\0') {
        "zeros (NUL), as a power loss leaves them"
    } else {
        "control characters"
    };
    steps.push(step(
        Some(line_of(text.as_bytes(), first)),
        format!("{count} bytes are {what}"),
        "remove them",
    ));
    *text = Cow::Owned(text.replace(is_unwritable, ""));
}

/// Removes an XML declaration that is wrong or names another encoding.
fn remove_wrong_declaration(text: &mut Cow<str>, steps: &mut Vec<SalvageStep>) {
    let Some(end) = text.strip_prefix("<?xml").and_then(|rest| rest.find("?>")) else {
        return;
    };
    if document::check_encoding(text.as_bytes()).is_ok() {
        return;
    }
    steps.push(step(
        Some(1),
        "the XML declaration is wrong, or names another encoding",
        "remove it",
    ));
    let end = end + b"<?xml?>".len();
    *text = Cow::Owned(text[end..].trim_start_matches('\n').to_owned());
}

/// Escapes each `&` that does not begin a reference, unless it may be in a CDATA section.
fn escape_bare_ampersands(text: &mut Cow<str>, steps: &mut Vec<SalvageStep>) {
    if text.contains("<![CDATA[") {
        return;
    }
    let bare = find_bare_ampersands(text);
    let Some(first) = bare.first() else {
        return;
    };
    steps.push(step(
        Some(line_of(text.as_bytes(), *first)),
        format!("'&' that does not begin a reference ({})", bare.len()),
        "write it as &amp;",
    ));
    let mut escaped = String::with_capacity(text.len() + 4 * bare.len());
    let mut from = 0;
    for at in bare {
        escaped.push_str(&text[from..at]);
        escaped.push_str("&amp;");
        from = at + 1;
    }
    escaped.push_str(&text[from..]);
    *text = Cow::Owned(escaped);
}

/// Returns the positions of each `&` that does not begin a reference known without a DOCTYPE.
fn find_bare_ampersands(text: &str) -> Vec<usize> {
    let is_bare = |at: &usize| {
        let rest = &text.as_bytes()[at + 1..];
        let end = rest.iter().take(12).position(|b| *b == b';');
        end.and_then(|end| resolve_reference(&rest[..end]))
            .is_none()
    };
    memchr::memchr_iter(b'&', text.as_bytes())
        .filter(is_bare)
        .collect()
}

/// Decodes UTF-16, as some editors write it.
fn decode_utf16(bytes: &[u8]) -> Option<String> {
    let (big, from) = match bytes {
        [0xFE, 0xFF, ..] => (true, 2),
        [0xFF, 0xFE, ..] => (false, 2),
        [0, b'<', ..] => (true, 0),
        [b'<', 0, ..] => (false, 0),
        _ => return None,
    };
    let units = bytes[from..].as_chunks::<2>().0.iter();
    let units: Vec<u16> = units
        .map(|b| {
            if big {
                u16::from_be_bytes(*b)
            } else {
                u16::from_le_bytes(*b)
            }
        })
        .collect();
    String::from_utf16(&units).ok()
}

/// Keeps what is UTF-8 and decodes every other byte as ISO 8859-1.
fn decode_latin1(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|b| char::from(*b)));
    }
    text
}
