//! Salvages a file that is damaged as a text: truncated, with zeros where a file system lost a
//! block, written twice, in another encoding, mistyped in an editor. First the characters are
//! repaired, which loses nothing; if that is not enough, every intact section and domain is taken,
//! byte for byte.

use std::collections::HashSet;

use memchr::memmem;

use super::fragments::{Fragments, HEAD_SECTIONS};
use super::salvaged::{SalvageStep, SalvagedStore};
use super::text_repair;
use crate::format::document::edit::{Edits, LineShift};
use crate::format::document::schema::DOMAINS;
use crate::format::document::{index, parse_outline};
use crate::format::xml::lines::line_of;
use crate::model::{Class, VmName};

/// Salvages what can be read of `bytes`; `None` if they contain nothing of a store.
pub fn salvage(bytes: &[u8]) -> Option<SalvagedStore> {
    let mut steps = Vec::new();
    let text = text_repair::repair_characters(bytes, &mut steps)?;
    let text = text.as_bytes();
    if memmem::find(text, b"<qubes").is_none() && memmem::find(text, b"<domain").is_none() {
        return None;
    }
    if parse_outline(text).is_ok() {
        let domains = memmem::find_iter(text, b"</domain>").count();
        return Some(SalvagedStore {
            bytes: text.to_vec(),
            steps,
            lost: Vec::new(),
            domains,
            lines: LineShift::default(),
        });
    }
    if let Some(end) = find_root_end(text) {
        let rest = &text[end..];
        let line = line_of(text, end);
        let twice = memmem::find(rest, b"<qubes").is_some();
        if !twice || rest.trim_ascii() == text[..end].trim_ascii() {
            let what = if twice {
                "the whole file again"
            } else {
                "text that is not XML"
            };
            steps.push(SalvageStep {
                line: Some(line),
                problem: format!(
                    "the end of the store is followed by {what} ({} bytes)",
                    rest.len()
                ),
                action: "cut it off".into(),
            });
            let mut bytes = text[..end].to_vec();
            bytes.push(b'\n');
            let domains = memmem::find_iter(&bytes, b"</domain>").count();
            return Some(SalvagedStore {
                bytes,
                steps,
                lost: Vec::new(),
                domains,
                lines: LineShift::default(),
            });
        }
    }
    Fragments::collect(text).assemble(steps)
}

/// Returns the end of the first root element, if it is well-formed.
fn find_root_end(text: &[u8]) -> Option<usize> {
    let end = memmem::find(text, b"</qubes>")? + b"</qubes>".len();
    parse_outline(&text[..end]).ok().map(|_| end)
}

/// Adds the sections and qubes that only `copy` has to `bytes`, a well-formed store, byte for byte.
/// Returns the new content and the names of the added qubes; `None` if one of the files is not a
/// store, or the result is not.
pub fn complete_from_copy(bytes: &[u8], copy: &[u8]) -> Option<(Vec<u8>, Vec<String>)> {
    let (here, there) = (
        index::build_strict(bytes).ok()?,
        index::build_strict(copy).ok()?,
    );
    let names: HashSet<&VmName> = here
        .domains
        .iter()
        .filter_map(|entry| entry.name.as_ref().ok())
        .collect();
    let mut edits = Edits::default();
    let first = here
        .sections
        .iter()
        .find(|(section, _)| *section == Some(DOMAINS))
        .map(|(_, span)| *span)?;
    for section in HEAD_SECTIONS.map(Some) {
        let missing = here.sections.iter().all(|(known, _)| *known != section);
        for (_, span) in there
            .sections
            .iter()
            .filter(|(known, _)| missing && *known == section)
        {
            edits.insert(
                first.start as usize,
                format!("{}\n  ", String::from_utf8_lossy(span.slice(copy))),
            );
        }
    }
    let mut taken = Vec::new();
    for entry in &there.domains {
        let Some(name) = entry
            .name
            .as_ref()
            .ok()
            .filter(|name| !names.contains(name))
        else {
            continue;
        };
        let element = String::from_utf8_lossy(entry.span.slice(copy));
        let is_later = |other: &&index::DomainEntry| {
            let key = |entry: &index::DomainEntry| {
                (entry.class != Class::AdminVM, entry.name.clone().ok())
            };
            key(other) > key(entry)
        };
        match (here.domains.iter().find(is_later), here.domains.last()) {
            (Some(later), _) => edits.insert(later.span.start as usize, format!("{element}\n    ")),
            (None, Some(last)) => edits.insert(last.span.end as usize, format!("\n    {element}")),
            (None, None) => return None,
        }
        taken.push(name.to_string());
    }
    let whole = edits.apply(bytes);
    parse_outline(&whole).ok()?;
    Some((whole, taken))
}
