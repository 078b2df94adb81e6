//! What can be taken from a file that is damaged as a text: cut short, with zeros where a file
//! system lost a block, written twice, in another encoding, mistyped in an editor. First the
//! characters are put right, which loses nothing; where that is not enough, every section and every
//! domain that is whole by itself is taken, byte for byte.

use std::collections::HashSet;

use memchr::memmem;

use super::document;
use super::edit::Edits;
use super::fragments::{Fragments, HEAD_SECTIONS};
use super::index::{self, Section};
use super::text_repair::{self, line_of};
use crate::model::{Class, VmName};

/// Something that was put right without losing anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SalvageStep {
    /// From 1, in the damaged file.
    pub line: Option<usize>,
    /// What was wrong.
    pub problem: String,
    /// What was done about it.
    pub action: String,
}

/// A piece of the file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostPiece {
    pub line: usize,
    /// The qube that it seems to have been.
    pub name: Option<String>,
    /// Why, in words.
    pub text: String,
}

/// A well-formed file made of a damaged one.
#[derive(Debug)]
pub struct SalvagedStore {
    pub bytes: Vec<u8>,
    pub steps: Vec<SalvageStep>,
    pub lost: Vec<LostPiece>,
    /// How many domains are in it.
    pub domains: usize,
    pub(super) lines: LineShift,
}

impl SalvagedStore {
    /// The line of the damaged file that became this one.
    pub fn original_line(&self, line: usize) -> usize {
        self.lines.original(line)
    }
}

/// Which lines of one text were which of another: from each of the first on, both go on together.
#[derive(Debug, Clone, Default)]
pub(super) struct LineShift(pub Vec<(usize, usize)>);

impl LineShift {
    pub fn original(&self, line: usize) -> usize {
        let after = self.0.partition_point(|(now, _)| *now <= line);
        match after.checked_sub(1).and_then(|at| self.0.get(at)) {
            Some((now, before)) => line - now + before,
            None => line,
        }
    }
}

/// What can be taken from `bytes`; `None` where nothing of a store is found in them.
pub fn salvage(bytes: &[u8]) -> Option<SalvagedStore> {
    let mut steps = Vec::new();
    let text = text_repair::repair_characters(bytes, &mut steps)?;
    let text = text.as_bytes();
    if memmem::find(text, b"<qubes").is_none() && memmem::find(text, b"<domain").is_none() {
        return None;
    }
    if document::parse_outline(text).is_ok() {
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
                "what is no XML"
            };
            steps.push(SalvageStep {
                line: Some(line),
                problem: format!(
                    "behind the end of the store stands {what} ({} bytes)",
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

/// The end of the first root element, where that is whole.
fn find_root_end(text: &[u8]) -> Option<usize> {
    let end = memmem::find(text, b"</qubes>")? + b"</qubes>".len();
    document::parse_outline(&text[..end]).ok().map(|_| end)
}

/// `bytes`, a well-formed store, with the sections and the qubes that only `copy` has, byte for
/// byte; and their names.
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
        .find(|(section, _)| *section == Section::Domains)
        .map(|(_, span)| *span)?;
    for (section, _, _) in HEAD_SECTIONS {
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
    document::parse_outline(&whole).ok()?;
    Some((whole, taken))
}
