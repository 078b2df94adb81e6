//! Where each domain lies in the bytes, found without parsing domains.
//!
//! [`build_quick`] looks only at what must be looked at, through a small window, and gives up at the
//! first thing that could mislead it; [`build_strict`] reads every byte. On a well-formed file both give
//! the same answer (a fuzz target holds them to it). On one that is not, `build_quick` may still answer
//! when the damage lies inside a domain: that domain then carries the diagnosis.

use std::borrow::Cow;

use super::byte_source::Window;
use super::document;
use super::error::{Fault, FormatError};
use super::frame::{DomainCheck, scan_frame};
use super::reader::last_property;
use super::scanner::Span;
use super::tree::{ElementId, Tree, TreeBuffers};
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
    pub(crate) fn from_name(name: &[u8]) -> Section {
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
pub struct DomainEntry {
    pub span: Span,
    pub class: Class,
    /// Its name, or why it has none that can be used.
    pub name: Result<VmName, NameError>,
}

/// The children of the root, and the domains in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Index {
    pub sections: Vec<(Section, Span)>,
    pub domains: Vec<DomainEntry>,
}

/// The same, with every domain checked strictly: nothing where one is not well-formed.
pub fn build_checked(bytes: &[u8]) -> Option<Index> {
    let mut is_well_formed = true;
    let check = DomainCheck {
        is_passed: &mut is_well_formed,
        buffers: TreeBuffers::default(),
    };
    let (frame, domains) = scan_frame(&bytes, Window::DEFAULT_SIZE, Some(check)).ok()??;
    is_well_formed.then_some(Index {
        sections: frame.sections,
        domains,
    })
}

/// The index of `bytes`: quickly where that is safe.
pub fn build(bytes: &[u8]) -> Result<Index, FormatError> {
    match build_quick(bytes) {
        Some(index) => Ok(index),
        None => build_strict(bytes),
    }
}

/// Reads everything strictly.
pub fn build_strict(bytes: &[u8]) -> Result<Index, FormatError> {
    let outline = document::parse_outline(bytes)?;
    let mut index = Index::default();
    for section in outline.children(Tree::ROOT) {
        let kind = Section::from_name(outline.name(section));
        index.sections.push((kind, element_span(&outline, section)));
        if kind == Section::Domains {
            for domain in outline.children_named(section, b"domain") {
                index.domains.push(
                    parse_entry(bytes, element_span(&outline, domain))
                        .map_err(|f| f.locate(bytes))?,
                );
            }
        }
    }
    Ok(index)
}

fn element_span(tree: &Tree, id: ElementId) -> Span {
    let range = tree.range(id);
    Span::new(range.start, range.end)
}

/// The entry of a domain that is parsed for it.
pub(super) fn parse_entry(bytes: &[u8], span: Span) -> Result<DomainEntry, Fault> {
    let tree = Tree::parse_element(bytes, span.range())?;
    let class = tree.attribute(Tree::ROOT, "class").unwrap_or_default();
    Ok(new_entry(
        span,
        &class,
        last_property(&tree, Tree::ROOT, "name"),
    ))
}

pub(super) fn new_entry(span: Span, class: &str, name: Option<Cow<str>>) -> DomainEntry {
    let class = Class::from_store(class);
    let name = match class {
        Class::AdminVM => Ok(VmName::dom0()),
        _ => VmName::from_store(&name.unwrap_or_default()),
    };
    DomainEntry { span, class, name }
}

/// The index, or `None` where only a strict reading can tell.
pub fn build_quick(bytes: &[u8]) -> Option<Index> {
    build_quick_windowed(bytes, Window::DEFAULT_SIZE)
}

/// The same, looking at `window_size` bytes at once.
pub fn build_quick_windowed(bytes: &[u8], window_size: usize) -> Option<Index> {
    let (frame, domains) = scan_frame(&bytes, window_size, None).ok()??;
    Some(Index {
        sections: frame.sections,
        domains,
    })
}
