//! Parses the two kinds of Python literals in old stores: a dictionary of services, a list of
//! devices. They are parsed as text and never evaluated.

/// Largest number of entries of one literal.
const MAX_ENTRIES: usize = 256;

/// Parses a dictionary such as `{'name': True, 'other': False}`; `None` if `text` is not one.
pub(super) fn parse_services(text: &str) -> Option<Vec<(String, bool)>> {
    let mut cursor = LiteralCursor(text.trim());
    let mut found: Vec<(String, bool)> = Vec::new();
    cursor.take("{")?;
    loop {
        if cursor.take("}").is_some() {
            break;
        }
        let name = cursor.read_string()?;
        cursor.take(":")?;
        let on = cursor.read_boolean()?;
        match found.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1 = on,
            None => found.push((name, on)),
        }
        if cursor.take(",").is_none() {
            cursor.take("}")?;
            break;
        }
        (found.len() <= MAX_ENTRIES).then_some(())?;
    }
    cursor.0.is_empty().then_some(found)
}

/// Parses a list such as `['00:19.0', '03:00.0']`, with brackets or, as in R1, without; `None` if
/// `text` is not one.
pub fn parse_device_list(text: &str) -> Option<Vec<String>> {
    let mut cursor = LiteralCursor(text.trim());
    let in_brackets = cursor.take("[").is_some();
    let mut found = Vec::new();
    loop {
        if in_brackets && cursor.take("]").is_some() || !in_brackets && cursor.0.is_empty() {
            break;
        }
        found.push(cursor.read_string()?);
        if cursor.take(",").is_none() {
            if in_brackets {
                cursor.take("]")?;
            }
            break;
        }
        (found.len() <= MAX_ENTRIES).then_some(())?;
    }
    cursor.0.is_empty().then_some(found)
}

/// The unread rest of a literal.
struct LiteralCursor<'a>(&'a str);

impl LiteralCursor<'_> {
    /// Skips a token and the blanks after it.
    fn take(&mut self, token: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(token)?.trim_start();
        Some(())
    }

    fn read_string(&mut self) -> Option<String> {
        let text = self.0.strip_prefix('u').unwrap_or(self.0);
        let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let (inner, rest) = text[1..].split_once(quote)?;
        // Names of services and devices need no escapes.
        (!inner.contains('\\')).then_some(())?;
        self.0 = rest.trim_start();
        Some(inner.to_string())
    }

    fn read_boolean(&mut self) -> Option<bool> {
        for (word, value) in [("True", true), ("False", false), ("1", true), ("0", false)] {
            if self.take(word).is_some() {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_read_as_the_releases_wrote_them() {
        let both = vec![
            ("ntpd".to_string(), false),
            ("meminfo-writer".to_string(), true),
        ];
        assert_eq!(
            parse_services("{'ntpd': False, 'meminfo-writer': True}").unwrap(),
            both
        );
        assert_eq!(
            parse_services(" { u'ntpd':False,\"meminfo-writer\" : True, } ").unwrap(),
            both
        );
        assert_eq!(parse_services("{}").unwrap(), []);
        assert_eq!(
            parse_device_list("['02:00.0', '03:00.0']").unwrap(),
            ["02:00.0", "03:00.0"]
        );
        assert_eq!(parse_device_list("'02:00.0'").unwrap(), ["02:00.0"]);
        assert_eq!(parse_device_list("[]").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn invalid_literals_are_rejected() {
        for bad in [
            "",
            "{",
            "{'a'}",
            "{'a': 2}",
            "{'a': True",
            "{'a': True} x",
            "{'a' True}",
            "{'\\x41': True}",
            "os.x()",
        ] {
            assert!(parse_services(bad).is_none(), "{bad}");
        }
        for bad in ["[", "['a'", "['a' 'b']", "['a']]", "[a]", "['ż", "exit()"] {
            assert!(parse_device_list(bad).is_none(), "{bad}");
        }
    }
}
