//! Texts of users and files in messages.

/// Returns a text in quotes with control characters escaped: single quotes, unless the text
/// contains some and no double ones.
pub fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut shown = String::with_capacity(text.len() + 2);
    shown.push(quote);
    for c in text.chars() {
        match c {
            '\\' => shown.push_str("\\\\"),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if c == quote => shown.extend(['\\', c]),
            c if c.is_control() => shown.push_str(&format!("\\x{:02x}", c as u32)),
            c => shown.push(c),
        }
    }
    shown.push(quote);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_names_contain_no_control_characters() {
        assert_eq!(quoted("nope"), "'nope'");
        assert_eq!(quoted("it's"), "\"it's\"");
        assert_eq!(quoted("a\x1b[31mb\n"), "'a\\x1b[31mb\\n'");
    }
}
