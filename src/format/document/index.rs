//! Finds the domains of a file without parsing them.
//!
//! [`build_quick`] reads only what it must, through a small window, and gives up at the first thing
//! that could mislead it; [`build_strict`] reads every byte. On a well-formed file both give the
//! same answer (a fuzz target checks this). On a damaged file, `build_quick` may still answer if
//! the damage is inside a domain: that domain then has the diagnosis.

use std::borrow::Cow;

use super::byte_source::Window;
use super::frame::{DomainCheck, scan_frame};
use super::parse::last_property;
use crate::format::error::{Fault, FormatError};
use crate::format::xml::document;
use crate::format::xml::scanner::Span;
use crate::format::xml::tree::{ElementId, Tree, TreeBuffers};
use crate::model::{Class, NameError, VmName};

/// The kind of a child of the root element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// `<labels>`
    Labels,
    /// `<pools>`
    Pools,
    /// `<properties>`: the global properties.
    Properties,
    /// `<domains>`
    Domains,
    /// An unknown element, which is kept.
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

/// One `<domain>`: its position, class and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainEntry {
    /// Its position in the file.
    pub span: Span,
    /// Its class.
    pub class: Class,
    /// Its name, or the reason why it has no usable name.
    pub name: Result<VmName, NameError>,
}

/// The children of the root, and the domains in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Index {
    /// The children of the root.
    pub sections: Vec<(Section, Span)>,
    /// The domains.
    pub domains: Vec<DomainEntry>,
}

/// Builds the index through the window and checks every domain strictly; `None` if one is not
/// well-formed, or where only a strict reading can tell.
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

/// Builds the index: quickly where that is safe.
///
/// # Errors
/// The bytes are not a well-formed store of R4.
pub fn build(bytes: &[u8]) -> Result<Index, FormatError> {
    match build_quick(bytes) {
        Some(index) => Ok(index),
        None => build_strict(bytes),
    }
}

/// Builds the index by a strict reading.
///
/// # Errors
/// The bytes are not a well-formed store of R4.
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

/// Parses a domain for its entry.
pub(super) fn parse_entry(bytes: &[u8], span: Span) -> Result<DomainEntry, Fault> {
    let tree = Tree::parse_element(bytes, span.range())?;
    let class = tree.attribute(Tree::ROOT, "class").unwrap_or_default();
    Ok(new_entry(
        span,
        &class,
        last_property(&tree, Tree::ROOT, "name"),
    ))
}

/// Creates the entry of a domain from the texts of its class and name.
pub(super) fn new_entry(span: Span, class: &str, name: Option<Cow<str>>) -> DomainEntry {
    let class = Class::from_store(class);
    let name = match class {
        Class::AdminVM => Ok(VmName::dom0()),
        _ => VmName::from_store(&name.unwrap_or_default()),
    };
    DomainEntry { span, class, name }
}

/// Builds the index through a small window; `None` where only a strict reading can tell.
pub fn build_quick(bytes: &[u8]) -> Option<Index> {
    build_quick_windowed(bytes, Window::DEFAULT_SIZE)
}

/// Builds the quick index through a window of `window_size` bytes.
pub fn build_quick_windowed(bytes: &[u8], window_size: usize) -> Option<Index> {
    let (frame, domains) = scan_frame(&bytes, window_size, None).ok()??;
    Some(Index {
        sections: frame.sections,
        domains,
    })
}
