//! Reads and writes qubes.xml: an index of the domains, a reader that parses a domain on demand,
//! and a writer that copies untouched spans.
//!
//! [`read`] takes the bytes of a file and returns a [`Qubes`] that parses a domain when it is first
//! accessed. [`write()`] takes the same bytes and the collection and returns the new bytes: an
//! untouched domain is copied byte for byte, and in a touched domain only the differences are
//! changed. The grammar is `docs/spec/r4-xml.md`.
//!
//! [`open`] and [`OriginalStore`] do this over a file that is not read into memory as a whole:
//! domains are fetched one by one.

use std::sync::Arc;

mod byte_source;
mod changes;
mod cursor;
mod damage;
mod document;
mod domain_cache;
mod domains;
mod edit;
mod emit;
mod error;
mod fragments;
mod frame;
mod import;
pub mod index;
mod lazy_domains;
mod leaf;
mod lookahead;
mod patch;
mod patch_domain;
mod plain;
mod reader;
mod repair;
mod salvage;
mod scanner;
mod source_lines;
mod text;
mod text_repair;
mod tree;
mod verify;
mod writer;

pub use byte_source::ByteSource;
pub use changes::{ContentPiece, OriginalStore, StoreChanges};
pub use damage::{Damage, find_damage};
pub use domains::list_all_domains;
pub use error::FormatError;
pub use import::python_literal::parse_device_list;
pub use import::{ConversionLoss, OldPools, OldQubeFiles, OldStore, OldSystem, import_old_store};
pub use repair::{RepairedStore, repair};
pub use salvage::{LostPiece, SalvageStep, SalvagedStore, complete_from_copy, salvage};
pub use scanner::Span;
pub use source_lines::SourceLines;

use crate::model::{
    Class, Diagnosis, IndexedDomain, Labels, Pools, Qubes, SharedBytes, TextMap, VmName,
};
use byte_source::Window;
use frame::{DomainCheck, Frame};
use index::{DomainEntry, Section};
use lazy_domains::LazyDomains;
use reader::diagnosis;
use tree::Tree;

/// The XML tree, for the other XML files of Qubes.
pub(crate) mod xml {
    pub(crate) use super::document::parse_document;
    pub(crate) use super::tree::{ElementId, Tree};
}

/// How many elements enclose a domain: the root and its section.
const DEPTH_OF_DOMAINS: usize = 2;

/// Largest store that is read, in bytes: thirty times what a thousand qubes need.
pub const MAX_BYTES: usize = 64 << 20;

/// The bytes of a store, shared by everything that parses domains out of them.
pub type Bytes = SharedBytes;

/// Reads a store of any release. Domains are parsed on first access; an error inside a domain
/// becomes a diagnosis of that qube. A store of R1 to R3 is read as a whole and cannot be changed
/// in place, only written as a new store.
///
/// # Errors
/// The bytes are not a store, or not well-formed outside the domains.
pub fn read(bytes: impl Into<Bytes>) -> Result<Qubes, FormatError> {
    open(Arc::new(bytes.into()))
}

/// Opens a store of any release without reading it as a whole: only what is accessed is fetched.
///
/// # Errors
/// The source cannot be read, or is not a store, or is not well-formed outside the domains.
pub fn open(stored: Arc<dyn ByteSource>) -> Result<Qubes, FormatError> {
    match open_with_frame(&stored, None) {
        Err(FormatError::OldFormat) => import::read(&read_all(&*stored)?),
        opened => opened.map(|opened| opened.qubes),
    }
}

/// Reads a store of R4.
///
/// # Errors
/// The bytes are not a store of R4. A store of R1 to R3 is [`FormatError::OldFormat`].
pub fn read_r4(bytes: impl Into<Bytes>) -> Result<Qubes, FormatError> {
    let stored: Arc<dyn ByteSource> = Arc::new(bytes.into());
    open_with_frame(&stored, None).map(|opened| opened.qubes)
}

/// A store together with the text around its domains.
struct OpenedStore {
    qubes: Qubes,
    frame: Frame,
}

/// Opens a store of R4: with the quick index where possible, else with the strict one.
fn open_with_frame(
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

/// Returns the bytes of `qubes`, which was read from `source` and may have been changed since.
/// Where nothing differs, they are the bytes of `source`.
///
/// # Errors
/// `source` is not well-formed, or a value cannot be written in XML.
pub fn write(source: &[u8], qubes: &Qubes) -> Result<Vec<u8>, FormatError> {
    let bytes: Bytes = source.to_vec().into();
    let changes = OriginalStore::open(Arc::new(bytes))?.1.changes(qubes)?;
    apply_changes(source, &changes, qubes).map(|new| new.to_vec())
}

/// Applies `changes` to `source` and reads the result back before anybody writes it.
///
/// # Errors
/// The result would not be read as a store, or not as `qubes`.
pub fn apply_changes(
    source: &[u8],
    changes: &StoreChanges,
    qubes: &Qubes,
) -> Result<Bytes, FormatError> {
    let written = Bytes::from(changes.apply(source));
    verify::verify(&written, qubes)?;
    Ok(written)
}

fn read_all(stored: &dyn ByteSource) -> Result<Vec<u8>, FormatError> {
    byte_source::read_all(stored).map_err(unreadable)
}

fn unreadable(error: std::io::Error) -> FormatError {
    FormatError::Unreadable {
        reason: crate::fs::errno_text(&error),
    }
}

/// Returns the bytes of a new store, in the form upstream writes.
///
/// # Errors
/// A value cannot be written in XML.
pub fn write_new(qubes: &Qubes) -> Result<Vec<u8>, FormatError> {
    emit::emit_store(qubes).map(String::into_bytes)
}

/// Checks every byte strictly, as is done before each write. What passes can be parsed by
/// upstream's XML parser.
///
/// # Errors
/// The bytes are not a well-formed store of R4.
pub fn check(bytes: &[u8]) -> Result<(), FormatError> {
    document::parse_outline(bytes).map(|_| ())
}

/// Checks every byte of a store that is only read: a store of R1 to R3 passes, too.
///
/// # Errors
/// The bytes are not a well-formed store of any release.
pub fn check_any_release(bytes: &[u8]) -> Result<(), FormatError> {
    match check(bytes) {
        Err(FormatError::OldFormat) => Ok(()),
        checked => checked,
    }
}

/// What a store holds outside its domains.
struct StoreHead {
    labels: Labels,
    pools: Pools,
    globals: TextMap,
    diagnoses: Vec<Diagnosis>,
}

/// Parses the sections outside the domains.
fn read_head(stored: &dyn ByteSource, frame: &Frame) -> Result<StoreHead, FormatError> {
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
                    reader::read_labels(&tree, Tree::ROOT, &mut diagnoses)
                        .into_iter()
                        .map(|(_, l)| l),
                );
            }
            Section::Pools => pools.extend(
                reader::read_pools(&tree, Tree::ROOT, &mut diagnoses)
                    .into_iter()
                    .map(|(_, p)| p),
            ),
            _ => reader::read_global_properties(&tree, Tree::ROOT, &mut globals, &mut count),
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
fn usable_name(entry: &DomainEntry) -> Result<&VmName, String> {
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
    let line = source_lines::line_of(bytes, entry.span.start as usize);
    Some(diagnosis(format!(
        "the domain at line {line} cannot be used: {reason}"
    )))
}
