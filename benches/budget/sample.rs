//! The measured stores: the 1000-qube sample, and a larger one made from it.

/// 1000 qubes, written by Qubes' own code (names and values are invented).
pub const THOUSAND: &str = include_str!("../../tests/data/r4/n1000.xml");

/// Repeats the sample `times` times: the copies have their own names, numbers and UUIDs, and refer
/// to the templates and netvms of the first. dom0 is not repeated.
pub fn repeated(times: u32) -> String {
    let Some((head, rest)) = THOUSAND.split_once("  <domains>\n") else {
        return THOUSAND.to_string();
    };
    let Some((domains, tail)) = rest.split_once("  </domains>\n") else {
        return THOUSAND.to_string();
    };
    let mut text = String::with_capacity(THOUSAND.len() * times as usize);
    text.push_str(head);
    text.push_str("  <domains>\n");
    text.push_str(domains);
    for copy in 1..times {
        for domain in domains
            .split_inclusive("    </domain>\n")
            .filter(|d| !d.contains("class=\"AdminVM\""))
        {
            text.push_str(&renamed(domain, copy));
        }
    }
    text.push_str("  </domains>\n");
    text.push_str(tail);
    text
}

/// Renames and renumbers one domain for its copy.
fn renamed(domain: &str, copy: u32) -> String {
    let Some(name) = between(domain, "<property name=\"name\">", "<") else {
        return domain.to_string();
    };
    // A disposable's number has at most four digits; a store with more is damaged, and each write
    // would look for the damage again.
    let number = |text: &str, limit: u32| {
        text.parse::<u32>().map_or_else(
            |_| text.to_string(),
            |n| ((n + copy * 1000) % limit).to_string(),
        )
    };
    let mut text = domain.to_string();
    for (before, after, limit) in [
        ("id=\"domain-", "\"", u32::MAX),
        ("name=\"qid\">", "<", u32::MAX),
        ("name=\"dispid\">", "<", 10_000),
    ] {
        if let Some(old) = between(domain, before, after) {
            text = text.replacen(
                &format!("{before}{old}{after}"),
                &format!("{before}{}{after}", number(old, limit)),
                1,
            );
        }
    }
    if let Some(uuid) = between(domain, "<property name=\"uuid\">", "<") {
        text = text.replacen(uuid, &format!("{copy:04x}{}", &uuid[4..]), 1);
    }
    text.replacen(
        &format!("name=\"name\">{name}<"),
        &format!("name=\"name\">{name}-{copy}<"),
        1,
    )
    .replace(
        &format!("vid=\"appvms/{name}/"),
        &format!("vid=\"appvms/{name}-{copy}/"),
    )
    .replace(
        &format!("vid=\"vm-templates/{name}/"),
        &format!("vid=\"vm-templates/{name}-{copy}/"),
    )
    .replace(
        &format!("vid=\"qubes_dom0/vm-{name}-"),
        &format!("vid=\"qubes_dom0/vm-{name}-{copy}-"),
    )
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let start = text.find(before)? + before.len();
    let length = text[start..].find(after)?;
    Some(&text[start..start + length])
}
