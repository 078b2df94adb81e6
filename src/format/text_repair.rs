//! Repairs the characters of a damaged text without losing anything: another encoding, zeros and
//! control characters, a wrong declaration, an `&` that begins no reference.

use std::borrow::Cow;

use memchr::memmem;

use super::document;
use super::salvage::SalvageStep;
use super::text::resolve_reference;
use super::tree::is_control;

/// Turns the bytes into a text that XML can represent, and records what was changed.
pub(super) fn repair_characters<'a>(
    bytes: &'a [u8],
    steps: &mut Vec<SalvageStep>,
) -> Option<Cow<'a, str>> {
    let mut step = |line: Option<usize>, problem: String, action: &str| {
        steps.push(SalvageStep {
            line,
            problem,
            action: action.into(),
        })
    };
    let mut text = match decode_utf16(bytes) {
        Some(text) => {
            step(None, "the file is in UTF-16".into(), "write it in UTF-8");
            Cow::Owned(text)
        }
        None => match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            // Random bytes are not a text in another encoding.
            Err(_) if memmem::find(bytes, b"<domain").is_none() => return None,
            Err(error) => {
                let line = line_of(bytes, error.valid_up_to());
                step(
                    Some(line),
                    "there are bytes that are not UTF-8".into(),
                    "read them as ISO 8859-1",
                );
                Cow::Owned(decode_latin1(bytes))
            }
        },
    };
    let is_unwritable =
        |c: char| (c.is_ascii() && is_control(c as u8)) || matches!(c, '\u{FFFE}' | '\u{FFFF}');
    if let Some(first) = text.find(is_unwritable) {
        let count = text.chars().filter(|c| is_unwritable(*c)).count();
        let line = line_of(text.as_bytes(), first);
        let what = if text[first..].starts_with('\0') {
            "zeros (NUL), as a power loss leaves them"
        } else {
            "control characters"
        };
        step(
            Some(line),
            format!("{count} bytes are {what}"),
            "remove them",
        );
        text = Cow::Owned(text.replace(is_unwritable, ""));
    }
    if let Some(end) = text.strip_prefix("<?xml").and_then(|rest| rest.find("?>")) {
        let end = end + b"<?xml?>".len();
        if document::check_encoding(text.as_bytes()).is_err() {
            step(
                Some(1),
                "the XML declaration is wrong, or names another encoding".into(),
                "remove it",
            );
            text = Cow::Owned(text[end..].trim_start_matches('\n').to_owned());
        }
    }
    let bare = if text.contains("<![CDATA[") {
        Vec::new()
    } else {
        find_bare_ampersands(&text)
    };
    if let Some(first) = bare.first() {
        let line = line_of(text.as_bytes(), *first);
        step(
            Some(line),
            format!("'&' that does not begin a reference ({})", bare.len()),
            "write it as &amp;",
        );
        let mut escaped = String::with_capacity(text.len() + 4 * bare.len());
        let mut from = 0;
        for at in bare {
            escaped.push_str(&text[from..at]);
            escaped.push_str("&amp;");
            from = at + 1;
        }
        escaped.push_str(&text[from..]);
        text = Cow::Owned(escaped);
    }
    Some(text)
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

/// Returns the line of an offset, counted from 1.
pub(super) fn line_of(bytes: &[u8], offset: usize) -> usize {
    1 + memchr::memchr_iter(b'\n', &bytes[..offset.min(bytes.len())]).count()
}
