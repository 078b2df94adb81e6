//! The document qubes.xml: an index of its domains, the schema, and how a domain is parsed,
//! written and patched.

pub(super) mod all_domains;
pub(super) mod changes;
pub(super) mod edit;
pub(super) mod emit;
pub(super) mod emit_store;
mod indent;
pub mod index;
mod lazy_domains;
mod listed_item;
pub(super) mod parse;
pub(super) mod patch;
pub(super) mod patch_domain;
mod patch_list;
pub(super) mod patch_store;
pub(super) mod schema;
pub(super) mod verify;

use crate::format::error::FormatError;
use crate::format::xml::document::parse_document;
use crate::format::xml::lines::line_of;
use crate::format::xml::token::Span;
use crate::format::xml::tree::Tree;
use crate::format::{Bytes, r3};
use crate::model::{Class, Diagnosis, IndexedDomain, Labels, Pools, Qubes, TextMap, VmName};
use index::{DomainEntry, Index};
use lazy_domains::LazyDomains;
use parse::diagnosis;
use schema::{Container, DOMAINS, LABELS, POOLS, PROPERTIES};

/// Opens a store of R4; returns its collection and where its domains are.
pub(super) fn open(bytes: &Bytes) -> Result<(Qubes, Vec<Span>), FormatError> {
    let Index { sections, domains } = index::build(bytes)?;
    let head = read_head(bytes, &sections)?;
    let mut diagnoses = head.diagnoses;
    diagnoses.extend(
        domains
            .iter()
            .filter_map(|entry| diagnose_unusable(bytes, entry)),
    );
    let spans: Vec<Span> = domains.iter().map(|entry| entry.span).collect();
    let source = LazyDomains {
        bytes: bytes.clone(),
        domains: spans.clone(),
    };
    let mut qubes = Qubes::from_source(
        head.labels,
        head.pools,
        head.globals,
        Box::new(source),
        list_briefs(domains),
    );
    qubes.diagnoses.extend(diagnoses);
    Ok((qubes, spans))
}

/// What a store holds outside its domains.
struct StoreHead {
    labels: Labels,
    pools: Pools,
    globals: TextMap,
    diagnoses: Vec<Diagnosis>,
}

/// Parses the sections outside the domains.
fn read_head(
    bytes: &[u8],
    sections: &[(Option<Container>, Span)],
) -> Result<StoreHead, FormatError> {
    let (mut labels, mut pools, mut globals) = (Vec::new(), Vec::new(), TextMap::new());
    let (mut diagnoses, mut count) = (Vec::new(), 0);
    for (section, span) in sections {
        let Some(section) = section.filter(|section| *section != DOMAINS) else {
            continue;
        };
        let tree = Tree::parse_element(bytes, span.range()).map_err(|fault| fault.locate(bytes))?;
        match section {
            LABELS => labels.extend(parse::read_labels(&tree, Tree::ROOT, &mut diagnoses)),
            POOLS => pools.extend(parse::read_pools(&tree, Tree::ROOT, &mut diagnoses)),
            _ => {
                parse::collect(&mut globals, &tree, Tree::ROOT, PROPERTIES, &mut count);
            }
        }
    }
    Ok(StoreHead {
        labels: Labels::new(labels.into_iter().map(|(_, label)| label).collect()),
        pools: Pools(pools.into_iter().map(|(_, pool)| pool).collect()),
        globals,
        diagnoses,
    })
}

/// Lists the usable domains. A store without dom0 gets one that has no position in the file, as
/// upstream does; it is written once somebody changes it.
fn list_briefs(domains: Vec<DomainEntry>) -> Vec<IndexedDomain> {
    let count = domains.len();
    let mut briefs = Vec::with_capacity(count + 1);
    for (position, entry) in domains.into_iter().enumerate() {
        if usable_name(&entry).is_ok()
            && let DomainEntry {
                name: Ok(name),
                class,
                ..
            } = entry
        {
            briefs.push(IndexedDomain {
                name,
                class,
                position,
            });
        }
    }
    if !briefs.iter().any(|b| b.name.is_dom0()) {
        briefs.push(IndexedDomain {
            name: VmName::dom0(),
            class: Class::AdminVM,
            position: count,
        });
    }
    briefs
}

/// Returns the name under which a domain can be used, or the reason why it cannot be used.
pub(super) fn usable_name(entry: &DomainEntry) -> Result<&VmName, String> {
    match &entry.name {
        Err(reason) => Err(reason.to_string()),
        Ok(name) if name.is_dom0() && entry.class != Class::AdminVM => {
            Err("only an AdminVM can be 'dom0'".into())
        }
        Ok(name) => Ok(name),
    }
}

/// Describes a domain that cannot be used; `None` for a usable one.
fn diagnose_unusable(bytes: &[u8], entry: &DomainEntry) -> Option<Diagnosis> {
    let reason = usable_name(entry).err()?;
    let line = line_of(bytes, entry.span.start as usize);
    Some(diagnosis(format!(
        "the domain at line {line} cannot be used: {reason}"
    )))
}

/// Levels of elements in an outline: root, sections, domains.
const OUTLINE_DEPTH: usize = 3;

/// Checks every byte of a store, and keeps the root, the sections and the domains.
///
/// # Errors
/// See [`parse_store`].
pub(crate) fn parse_outline(bytes: &[u8]) -> Result<Tree<'_>, FormatError> {
    parse_store(bytes, OUTLINE_DEPTH)
}

/// Checks every byte of a store, and keeps its first `keep` levels.
///
/// # Errors
/// The file is not well-formed, has a DOCTYPE (so entities cannot be defined, let alone expanded),
/// an encoding other than UTF-8, control characters, or elements nested deeper than
/// [`crate::format::xml::tree_builder::MAX_DEPTH`]; or its root is not that of a store of R4.
fn parse_store(bytes: &[u8], keep: usize) -> Result<Tree<'_>, FormatError> {
    let tree = parse_document(bytes, keep)?;
    match tree.name(Tree::ROOT) {
        b"qubes" => Ok(tree),
        r3::ROOT => Err(FormatError::OldFormat),
        other => Err(FormatError::NotQubes {
            root: printable(other),
        }),
    }
}

/// Makes a name from an untrusted file short, and safe for a terminal.
fn printable(name: &[u8]) -> String {
    String::from_utf8_lossy(name)
        .chars()
        .filter(|c| !c.is_control())
        .take(40)
        .collect()
}
