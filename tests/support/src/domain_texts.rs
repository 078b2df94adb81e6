//! The domains of a store as texts.

use std::collections::BTreeMap;

/// Returns the text of each domain by name.
pub fn domains(text: &str) -> BTreeMap<String, String> {
    let pieces = text.split("    <domain ").skip(1);
    let named = pieces.map(|piece| {
        let name = piece
            .split("\"name\">")
            .nth(1)
            .and_then(|rest| rest.split('<').next())
            .unwrap_or("dom0");
        (
            name.to_owned(),
            piece
                .split("\n  </domains>")
                .next()
                .unwrap()
                .trim_end()
                .to_owned(),
        )
    });
    named.collect()
}
