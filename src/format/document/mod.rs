//! The document qubes.xml: an index of its domains, the schema, and how a domain is parsed,
//! written and patched.

use std::sync::Arc;

pub(super) mod all_domains;
pub(super) mod byte_source;
pub(super) mod changes;
pub(super) mod cursor;
pub(super) mod domain_cache;
pub(super) mod edit;
pub(super) mod emit;
pub(super) mod frame;
pub mod index;
pub(super) mod lazy_domains;
pub(super) mod leaf;
pub(super) mod lookahead;
pub(super) mod parse;
pub(super) mod patch;
pub(super) mod patch_domain;
pub(super) mod patch_store;
pub(super) mod plain;
pub(super) mod verify;

use crate::format::error::FormatError;
use crate::format::xml::lines::line_of;
use crate::format::xml::tree::Tree;
use crate::model::{Class, Diagnosis, IndexedDomain, Labels, Pools, Qubes, TextMap, VmName};
use byte_source::{ByteSource, Window};
use frame::{DomainCheck, Frame};
use index::{DomainEntry, Section};
use lazy_domains::LazyDomains;
use parse::diagnosis;

/// How many elements enclose a domain: the root and its section.
const DEPTH_OF_DOMAINS: usize = 2;

/// A store together with the text around its domains.
pub(super) struct OpenedStore {
    pub qubes: Qubes,
    pub frame: Frame,
}

/// Opens a store of R4: with the quick index where possible, else with the strict one.
pub(super) fn open_with_frame(
    stored: &Arc<dyn ByteSource>,
    check: Option<DomainCheck>,
) -> Result<OpenedStore, FormatError> {
    let (frame, entries) =
        match frame::scan_frame(&**stored, Window::DEFAULT_SIZE, check).map_err(unreadable)? {
            Some(found) => found,
            None => {
                let bytes = read_all(&**stored)?;
                let index = index::build_strict(&bytes)?;
                (Frame::from_whole_file(bytes, &index), index.domains)
            }
        };
    let head = read_head(&**stored, &frame)?;
    let mut diagnoses = head.diagnoses;
    for entry in entries.iter().filter(|entry| usable_name(entry).is_err()) {
        diagnoses.extend(diagnose_unusable(&read_all(&**stored)?, entry));
    }
    let spans = entries.iter().map(|entry| entry.span).collect();
    let source = LazyDomains::new(stored.clone(), spans);
    let mut qubes = Qubes::from_source(
        head.labels,
        head.pools,
        head.globals,
        Box::new(source),
        list_briefs(entries),
    );
    qubes.diagnoses.extend(diagnoses);
    Ok(OpenedStore { qubes, frame })
}

pub(super) fn read_all(stored: &dyn ByteSource) -> Result<Vec<u8>, FormatError> {
    byte_source::read_all(stored).map_err(unreadable)
}

pub(super) fn unreadable(error: std::io::Error) -> FormatError {
    FormatError::Unreadable {
        reason: crate::fs::errno_text(&error),
    }
}

/// What a store holds outside its domains.
pub(super) struct StoreHead {
    labels: Labels,
    pools: Pools,
    globals: TextMap,
    diagnoses: Vec<Diagnosis>,
}

/// Parses the sections outside the domains.
pub(super) fn read_head(stored: &dyn ByteSource, frame: &Frame) -> Result<StoreHead, FormatError> {
    let (mut labels, mut pools, mut globals) = (Vec::new(), Vec::new(), TextMap::new());
    let (mut diagnoses, mut count) = (Vec::new(), 0);
    for (section, span) in &frame.sections {
        if matches!(section, Section::Domains | Section::Unknown) {
            continue;
        }
        let bytes = frame.section(*span).unwrap_or_default();
        let tree = match Tree::parse_element(bytes, 0..bytes.len()) {
            Ok(tree) => tree,
            Err(fault) => return Err(fault.shifted(span.start).locate(&read_all(stored)?)),
        };
        match section {
            Section::Labels => {
                labels.extend(
                    parse::read_labels(&tree, Tree::ROOT, &mut diagnoses)
                        .into_iter()
                        .map(|(_, l)| l),
                );
            }
            Section::Pools => pools.extend(
                parse::read_pools(&tree, Tree::ROOT, &mut diagnoses)
                    .into_iter()
                    .map(|(_, p)| p),
            ),
            _ => parse::read_global_properties(&tree, Tree::ROOT, &mut globals, &mut count),
        }
    }
    Ok(StoreHead {
        labels: Labels::new(labels),
        pools: Pools(pools),
        globals,
        diagnoses,
    })
}

/// Lists the usable domains. A store without dom0 gets one that has no position in the file, as
/// upstream does; it is written once somebody changes it.
pub(super) fn list_briefs(domains: Vec<DomainEntry>) -> Vec<IndexedDomain> {
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
pub(super) fn diagnose_unusable(bytes: &[u8], entry: &DomainEntry) -> Option<Diagnosis> {
    let reason = usable_name(entry).err()?;
    let line = line_of(bytes, entry.span.start as usize);
    Some(diagnosis(format!(
        "the domain at line {line} cannot be used: {reason}"
    )))
}
