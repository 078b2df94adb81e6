//! Values of XML: what references stand for, and how values are normalised and escaped.

use std::borrow::Cow;

use super::characters::{character_reference, is_xml_char};

/// Where a value occurs: text and attributes normalise and escape differently (XML 1.0 §2.11,
/// §3.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueKind {
    Text,
    Attribute,
}

/// Returns the character of a reference, given the text between `&` and `;`; `None` if the
/// reference is unknown without a DOCTYPE.
pub(crate) fn resolve_reference(reference: &[u8]) -> Option<char> {
    Some(match reference {
        b"lt" => '<',
        b"gt" => '>',
        b"amp" => '&',
        b"quot" => '"',
        b"apos" => '\'',
        [b'#', b'x', hex @ ..] => parse_char_code(hex, 16)?,
        [b'#', decimal @ ..] => parse_char_code(decimal, 10)?,
        _ => return None,
    })
}

/// Parses the number of a character reference.
fn parse_char_code(digits: &[u8], base: u32) -> Option<char> {
    // `from_str_radix` would accept a sign.
    let digits = std::str::from_utf8(digits)
        .ok()
        .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
    char::from_u32(u32::from_str_radix(digits, base).ok()?).filter(|c| is_xml_char(*c))
}

/// Decodes a value: resolves references, normalises line ends and blanks in attributes. `None` if a
/// reference is unknown.
pub(crate) fn decode(text: &str, place: ValueKind) -> Option<Cow<'_, str>> {
    // Position of the next byte that does not stand for itself.
    let next = |text: &str| match place {
        ValueKind::Text => memchr::memchr2(b'&', b'\r', text.as_bytes()),
        ValueKind::Attribute => text
            .bytes()
            .position(|b| matches!(b, b'&' | b'\r' | b'\n' | b'\t')),
    };
    let Some(first) = next(text) else {
        return Some(Cow::Borrowed(text));
    };
    let mut value = String::with_capacity(text.len());
    let (mut rest, mut found) = (text, Some(first));
    while let Some(at) = found {
        value.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'&' => {
                let end = at + memchr::memchr(b';', &rest.as_bytes()[at..])?;
                value.push(resolve_reference(&rest.as_bytes()[at + 1..end])?);
                rest = &rest[end + 1..];
            }
            b'\r' => {
                value.push(if place == ValueKind::Text { '\n' } else { ' ' });
                let pair = rest.as_bytes().get(at + 1) == Some(&b'\n');
                rest = &rest[at + if pair { 2 } else { 1 }..];
            }
            _ => {
                value.push(' ');
                rest = &rest[at + 1..];
            }
        }
        found = next(rest);
    }
    value.push_str(rest);
    Some(Cow::Owned(value))
}

/// Appends `value` in upstream's form, so that [`decode`] returns it. `quote` is the quotation mark
/// of the attribute.
///
/// # Errors
/// The character that XML does not allow.
pub(crate) fn escape(
    out: &mut String,
    value: &str,
    place: ValueKind,
    quote: char,
) -> Result<(), char> {
    let is_plain = |c: char| match c {
        '\n' | '\t' => place == ValueKind::Text,
        '"' | '\'' => place == ValueKind::Text || c != quote,
        _ => false,
    };
    for c in value.chars() {
        match character_reference(c) {
            Some(reference) if !is_plain(c) => out.push_str(reference),
            _ if is_xml_char(c) => out.push(c),
            _ => return Err(c),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back_from_both_places() {
        let odd = "a&b<c>d\"e'f\r\ng\th\ni ż ☃ ]]> &lt;";
        for (place, quote) in [
            (ValueKind::Text, '"'),
            (ValueKind::Attribute, '"'),
            (ValueKind::Attribute, '\''),
        ] {
            let mut raw = String::new();
            escape(&mut raw, odd, place, quote).unwrap();
            assert_eq!(decode(&raw, place).unwrap(), odd);
        }
        assert_eq!(
            escape(&mut String::new(), "a\u{1}", ValueKind::Text, '"'),
            Err('\u{1}')
        );
    }

    #[test]
    fn references_are_resolved_or_refused() {
        assert_eq!(decode("&#65;&#x42;&apos;", ValueKind::Text).unwrap(), "AB'");
        assert_eq!(decode("a\r\nb\rc", ValueKind::Text).unwrap(), "a\nb\nc");
        assert_eq!(decode("a\r\nb\tc", ValueKind::Attribute).unwrap(), "a b c");
        for bad in [
            "&nbsp;",
            "&",
            "&#;",
            "&#x;",
            "&#0;",
            "&#xD800;",
            "&#+65;",
            "&#99999999999;",
            "&amp",
        ] {
            assert!(decode(bad, ValueKind::Text).is_none(), "{bad}");
        }
    }
}
