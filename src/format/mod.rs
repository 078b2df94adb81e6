//! qubes.xml ⇄ model: an index of where each domain lies, a reader on demand, a writer that copies untouched spans.
//!
//! [`read`] takes the bytes of a file and gives a [`Qubes`] that parses a domain when somebody looks at it; [`write`]
//! takes the same bytes and the collection, changed or not, and gives the new bytes. What nobody touched is copied
//! byte for byte; in a touched domain only what differs is changed. The grammar is `spec/r4-xml.md`.

use std::cell::RefCell;

mod damage;
mod edit;
mod emit;
mod error;
mod full;
mod import;
pub mod index;
mod leaf;
mod patch;
mod patch_domain;
mod places;
mod plain;
mod reader;
mod repair;
mod salvage;
mod scan;
mod text;
mod tree;
mod writer;

pub use damage::{Damage, damage};
pub use error::FormatError;
pub(crate) use import::literal::list as device_list;
pub use places::Places;
pub use repair::{Repaired, repair};
pub use salvage::{Lost, Salvage, Step, completed, salvage};
pub use scan::Span;

use crate::model::{Brief, Class, Diagnosis, DomainSource, Labels, Pools, Qubes, SharedBytes, TextMap, Vm, VmName};
use edit::Edits;
use index::{Entry, Index, Section};
use reader::diagnosis;
use tree::{MAX_DEPTH, Parts, Shape, Tree};

/// The largest store that is read: thirty times what a thousand qubes need.
pub const MAX_BYTES: usize = 64 << 20;

/// The bytes of a store, shared between those who parse domains out of them.
pub type Bytes = SharedBytes;

/// Reads a store. Domains are parsed when they are looked at; what is wrong inside one of them becomes a diagnosis
/// of that qube. Errors name line and column. A store of R1 to R3 is read, too, all of it at once; it cannot be written.
pub fn read(bytes: impl Into<Bytes>) -> Result<Qubes, FormatError> {
    let bytes = bytes.into();
    match read_to_write(bytes.clone()) {
        Err(FormatError::OldFormat) => import::read(&bytes),
        read => read,
    }
}

/// Reads a store that is to be changed: only those of R4.
pub fn read_to_write(bytes: impl Into<Bytes>) -> Result<Qubes, FormatError> {
    let bytes = bytes.into();
    let index = index::index(&bytes)?;
    let head = head(&bytes, &index)?;
    let mut diagnoses = head.diagnoses;
    diagnoses.extend(index.domains.iter().filter_map(|entry| unusable(&bytes, entry)));
    let briefs = briefs(&index.domains);
    let source = Source { bytes, domains: index.domains, parts: RefCell::default() };
    let mut qubes = Qubes::over(head.labels, head.pools, head.globals, Box::new(source), briefs);
    qubes.diagnoses.extend(diagnoses);
    Ok(qubes)
}

/// The bytes of `qubes`, which was read from `source` and may have been changed since. Where nothing differs, they are
/// the source's. Fails when the source is not well-formed as a whole, or a value cannot be written in XML.
pub fn write(source: &[u8], qubes: &Qubes) -> Result<Vec<u8>, FormatError> {
    let changed = changed(source, qubes)?;
    let mut bytes = Vec::with_capacity(changed.room());
    changed.pieces(|piece| bytes.extend_from_slice(piece));
    Ok(bytes)
}

/// What [`write`] gives, for who has a better place for it than a vector.
pub fn changed<'a>(source: &'a [u8], qubes: &Qubes) -> Result<Changed<'a>, FormatError> {
    Ok(Changed { source, edits: writer::changes(source, qubes)? })
}

/// The bytes of a store to be written, not put together yet.
pub struct Changed<'a> {
    source: &'a [u8],
    edits: Edits,
}

impl Changed<'_> {
    /// How many bytes they are at most.
    pub fn room(&self) -> usize {
        self.source.len() + self.edits.growth()
    }

    /// Hands them out in their order.
    pub fn pieces(self, put: impl FnMut(&[u8])) {
        self.edits.apply(self.source, put);
    }
}

/// The bytes of a file that does not exist yet, in the form upstream writes.
pub fn new_store(qubes: &Qubes) -> Result<Vec<u8>, FormatError> {
    emit::store(qubes).map(String::into_bytes)
}

/// Reads every byte strictly, as is done before each write. What passes can be parsed by upstream's XML parser.
pub fn check(bytes: &[u8]) -> Result<(), FormatError> {
    full::outline(bytes).map(|_| ())
}

/// Everything outside the domains.
struct Head {
    labels: Labels,
    pools: Pools,
    globals: TextMap,
    diagnoses: Vec<Diagnosis>,
}

fn head(bytes: &[u8], index: &Index) -> Result<Head, FormatError> {
    let (mut labels, mut pools, mut globals) = (Vec::new(), Vec::new(), TextMap::new());
    let (mut diagnoses, mut count) = (Vec::new(), 0);
    for (section, span) in &index.sections {
        if matches!(section, Section::Domains | Section::Unknown) {
            continue;
        }
        let tree = Tree::of_element(bytes, span.range()).map_err(|f| f.locate(bytes))?;
        match section {
            Section::Labels => {
                labels.extend(reader::labels(&tree, Tree::ROOT, &mut diagnoses).into_iter().map(|(_, l)| l));
            }
            Section::Pools => {
                pools.extend(reader::pools(&tree, Tree::ROOT, &mut diagnoses).into_iter().map(|(_, p)| p))
            }
            _ => reader::global_properties(&tree, Tree::ROOT, &mut globals, &mut count),
        }
    }
    Ok(Head { labels: Labels::new(labels), pools: Pools(pools), globals, diagnoses })
}

/// Every usable domain. A store without dom0 gets one that stands nowhere yet, as upstream does: it is written when
/// somebody changes it.
fn briefs(domains: &[Entry]) -> Vec<Brief> {
    let usable = domains.iter().enumerate().filter_map(|(position, entry)| {
        Some(Brief { name: usable_name(entry).ok()?.clone(), class: entry.class.clone(), position })
    });
    let mut briefs: Vec<Brief> = usable.collect();
    if !briefs.iter().any(|b| b.name.is_dom0()) {
        briefs.push(Brief { name: VmName::dom0(), class: Class::AdminVM, position: domains.len() });
    }
    briefs
}

/// The name under which a domain can be used, or why it cannot.
fn usable_name(entry: &Entry) -> Result<&VmName, String> {
    match &entry.name {
        Err(reason) => Err(reason.to_string()),
        Ok(name) if name.is_dom0() && entry.class != Class::AdminVM => Err("only an AdminVM can be 'dom0'".into()),
        Ok(name) => Ok(name),
    }
}

fn unusable(bytes: &[u8], entry: &Entry) -> Option<Diagnosis> {
    let reason = usable_name(entry).err()?;
    let line = 1 + memchr::memchr_iter(b'\n', &bytes[..entry.span.start as usize]).count();
    Some(diagnosis(format!("the domain at line {line} cannot be used: {reason}")))
}

/// A store's domains, parsed on demand.
struct Source {
    bytes: Bytes,
    domains: Vec<Entry>,
    /// Memory that one parse after the other uses.
    parts: RefCell<Parts>,
}

impl DomainSource for Source {
    fn domain(&self, position: usize) -> Vm {
        let Some(entry) = self.domains.get(position) else {
            return Vm::new(VmName::dom0(), Class::AdminVM);
        };
        let name = entry.name.clone().unwrap_or_else(|_| VmName::dom0());
        if let Some(vm) = plain::vm(&self.bytes, entry.span.range(), &name, &entry.class) {
            return vm;
        }
        let parts = self.parts.take();
        match Tree::parse(&self.bytes, entry.span.range(), Shape::Element, MAX_DEPTH, parts) {
            Ok(tree) => {
                let vm = reader::vm(&tree, name, entry.class.clone());
                self.parts.replace(tree.into_parts());
                vm
            }
            Err(fault) => {
                let mut vm = Vm::new(name, entry.class.clone());
                vm.diagnoses.push(diagnosis(fault.locate(&self.bytes).to_string()));
                vm
            }
        }
    }
}
