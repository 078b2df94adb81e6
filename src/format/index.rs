//! Where each domain lies in the bytes, found without parsing domains.
//!
//! [`quick`] looks only at what must be looked at, through a small window, and gives up at the
//! first thing that could mislead it; [`careful`] reads every byte. On a well-formed file both give
//! the same answer (a fuzz target holds them to it). On one that is not, `quick` may still answer
//! when the damage lies inside a domain: that domain then carries the diagnosis.

use std::borrow::Cow;

use super::error::{Fault, FormatError};
use super::frame::{Check, frame};
use super::full;
use super::reader::last_property;
use super::scan::Span;
use super::stored::Window;
use super::tree::{Id, Parts, Tree};
use crate::model::{Class, NameError, VmName};

/// What a child of the root element is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    Labels,
    Pools,
    Properties,
    Domains,
    /// Not ours; kept.
    Unknown,
}

impl Section {
    pub(crate) fn of_name(name: &[u8]) -> Section {
        match name {
            b"labels" => Section::Labels,
            b"pools" => Section::Pools,
            b"properties" => Section::Properties,
            b"domains" => Section::Domains,
            _ => Section::Unknown,
        }
    }
}

/// One `<domain>` as far as the index knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub span: Span,
    pub class: Class,
    /// Its name, or why it has none that can be used.
    pub name: Result<VmName, NameError>,
}

/// The children of the root, and the domains in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Index {
    pub sections: Vec<(Section, Span)>,
    pub domains: Vec<Entry>,
}

/// The same, with every domain checked strictly: nothing where one is not well-formed.
pub fn checked(bytes: &[u8]) -> Option<Index> {
    let mut is_well_formed = true;
    let check = Check {
        is_passed: &mut is_well_formed,
        parts: Parts::default(),
    };
    let (frame, domains) = frame(&bytes, Window::ROOM, Some(check)).ok()??;
    is_well_formed.then_some(Index {
        sections: frame.sections,
        domains,
    })
}

/// The index of `bytes`: quickly where that is safe.
pub fn index(bytes: &[u8]) -> Result<Index, FormatError> {
    match quick(bytes) {
        Some(index) => Ok(index),
        None => careful(bytes),
    }
}

/// Reads everything strictly.
pub fn careful(bytes: &[u8]) -> Result<Index, FormatError> {
    let outline = full::outline(bytes)?;
    let mut index = Index::default();
    for section in outline.children(Tree::ROOT) {
        let kind = Section::of_name(outline.name(section));
        index.sections.push((kind, span_of(&outline, section)));
        if kind == Section::Domains {
            for domain in outline.children_named(section, b"domain") {
                index.domains.push(
                    parsed_entry(bytes, span_of(&outline, domain)).map_err(|f| f.locate(bytes))?,
                );
            }
        }
    }
    Ok(index)
}

fn span_of(tree: &Tree, id: Id) -> Span {
    let range = tree.whole(id);
    Span::new(range.start, range.end)
}

/// The entry of a domain that is parsed for it.
pub(super) fn parsed_entry(bytes: &[u8], span: Span) -> Result<Entry, Fault> {
    let tree = Tree::of_element(bytes, span.range())?;
    let class = tree.attribute(Tree::ROOT, "class").unwrap_or_default();
    Ok(entry(
        span,
        &class,
        last_property(&tree, Tree::ROOT, "name"),
    ))
}

pub(super) fn entry(span: Span, class: &str, name: Option<Cow<str>>) -> Entry {
    let class = Class::from_store(class);
    let name = match class {
        Class::AdminVM => Ok(VmName::dom0()),
        _ => VmName::from_store(&name.unwrap_or_default()),
    };
    Entry { span, class, name }
}

/// The index, or `None` where only a strict reading can tell.
pub fn quick(bytes: &[u8]) -> Option<Index> {
    quick_through(bytes, Window::ROOM)
}

/// The same, looking at `room` bytes at once.
pub fn quick_through(bytes: &[u8], room: usize) -> Option<Index> {
    let (frame, domains) = frame(&bytes, room, None).ok()??;
    Some(Index {
        sections: frame.sections,
        domains,
    })
}
