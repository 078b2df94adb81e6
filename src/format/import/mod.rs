//! Reads the stores of R1 to R3 (`<QubesVmCollection>`) into the model of R4.
//!
//! An old store is small and is read whole. It is read as R4.0's importer reads it, without that
//! one's mistakes: `docs/migration.md` says field by field what becomes what. Nothing here touches
//! a disk: what lies beside the store comes in as [`OldSystem`], and what the conversion has to
//! do there goes out with [`OldStore`].

mod disposables;
mod losses;
mod old_element;
mod pools;
pub(super) mod python_literal;
mod references;
mod settings;
mod system;

use std::collections::{HashMap, HashSet};

use super::document;
use super::error::FormatError;
use super::reader::diagnosis;
use super::tree::{ElementId, Tree};
use crate::model::{Class, Diagnosis, Labels, Qid, Qubes, Vm, VmName, in_written_order};
use old_element::{OldClass, OldElement, sanitize};

pub use pools::OldPools;

/// The root element of the stores of R1 to R3.
pub(crate) const ROOT: &[u8] = b"QubesVmCollection";

/// How many elements are looked at. R3 has numbers for 253 qubes.
const MAX_ELEMENTS: usize = 4096;

/// What of an old system does not stand in its store.
#[derive(Debug, Clone, Default)]
pub struct OldSystem {
    /// `/etc/qubes/storage.conf`.
    pub pools: OldPools,
    /// The qube that disposables are made from: what `dvmdata/vmdir` points to.
    pub dispvm: Option<String>,
}

/// An old store as R4 has it, and what else there is to know for converting it.
pub struct OldStore {
    pub qubes: Qubes,
    /// Every qube but dom0, by name.
    pub files: Vec<OldQubeFiles>,
    /// What R4 has no place for: one line each, for a person.
    pub losses: Vec<ConversionLoss>,
}

/// The files of one qube of R3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldQubeFiles {
    pub name: VmName,
    /// Its directory, absolute.
    pub directory: String,
    /// Its firewall rules, absolute; the file need not be there.
    pub firewall: String,
    /// Whether R3 lets nothing through where there is no such file (templates), or everything.
    pub is_closed_by_default: bool,
}

/// Something that is not taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversionLoss {
    /// The qube it is about; none: the system.
    pub qube: Option<VmName>,
    /// One line, without the qube's name.
    pub text: String,
}

/// A qube of the old store with what it becomes.
struct ImportedQube<'t, 'a> {
    old: OldElement<'t, 'a>,
    vm: Vm,
}

/// Reads an old store without what lies beside it.
///
/// # Errors
/// As [`import_old_store`].
pub(crate) fn read(bytes: &[u8]) -> Result<Qubes, FormatError> {
    import_old_store(bytes, &OldSystem::default()).map(|old| old.qubes)
}

/// Reads an old store. What is wrong inside a qube becomes a diagnosis of that qube.
///
/// # Errors
/// It is not well-formed, or no old store.
pub fn import_old_store(bytes: &[u8], around: &OldSystem) -> Result<OldStore, FormatError> {
    let tree = document::parse_document(bytes)?;
    if tree.name(Tree::ROOT) != ROOT {
        return Err(FormatError::NotQubes {
            root: sanitize(&String::from_utf8_lossy(tree.name(Tree::ROOT))),
        });
    }
    let mut diagnoses = Vec::new();
    let mut imported = import_elements(&tree, &mut diagnoses);
    assign_numbers(&mut imported);
    let mut globals = system::import_globals(&tree, &imported, &mut diagnoses);
    let labels = Labels::built_in();
    let mut pools = around.pools.clone();
    let mut files = Vec::new();
    for ImportedQube { old, vm } in &mut imported {
        let place = (vm.class != Class::AdminVM).then(|| pools.locate_images(old, vm));
        settings::import_settings(old, vm, &labels, place.as_ref());
        files.extend(place.map(|place| losses::qube_files(old, vm, &place)));
    }
    let netvms = references::import_references(&mut imported, &globals);
    let of_disposables = disposables::import_disposables(
        &mut imported,
        &mut globals,
        &netvms,
        around.dispvm.as_deref(),
    );
    references::drop_duplicate_uuids(&mut imported);
    let mut losses = losses::find_losses(&tree, &imported);
    losses.extend(of_disposables);
    let mut qubes = Qubes::new(labels, pools.to_r4(), globals);
    qubes.needs_conversion = true;
    qubes.diagnoses = diagnoses;
    for mut vm in imported.into_iter().map(|one| one.vm) {
        vm.properties = in_written_order(&vm.class, &vm.properties);
        // Names were found to be unique when the elements were looked at.
        let _added = qubes.add(vm);
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(OldStore {
        qubes,
        files,
        losses,
    })
}

/// Every element that describes a qube that lives on, dom0 always among them.
fn import_elements<'t, 'a>(
    tree: &'t Tree<'a>,
    diagnoses: &mut Vec<Diagnosis>,
) -> Vec<ImportedQube<'t, 'a>> {
    let (mut imported, mut names) = (Vec::new(), HashSet::new());
    let mut left_over = 0;
    for (n, id) in tree.children(Tree::ROOT).enumerate() {
        if n >= MAX_ELEMENTS {
            left_over += 1;
            continue;
        }
        match import_element(tree, id) {
            Ok(None) => {}
            Ok(Some(one)) if names.insert(one.vm.name.clone()) => imported.push(one),
            Ok(Some(one)) => {
                let text = format!(
                    "a second qube is called '{}'; only the first is used",
                    one.vm.name
                );
                diagnoses.push(diagnosis(text));
            }
            Err(reason) => {
                let line = line_of(tree, id);
                diagnoses.push(diagnosis(format!(
                    "the element at line {line} cannot be used: {reason}"
                )));
            }
        }
    }
    if left_over > 0 {
        diagnoses.push(diagnosis(format!(
            "{left_over} elements behind the first {MAX_ELEMENTS} are not looked at"
        )));
    }
    if !names.contains(VmName::DOM0) {
        imported.push(ImportedQube {
            old: OldElement::dom0(tree),
            vm: Vm::new(VmName::dom0(), Class::AdminVM),
        });
    }
    imported
}

/// One element: a qube; or none, where it is a disposable, which ended with the session it was made
/// in.
fn import_element<'t, 'a>(
    tree: &'t Tree<'a>,
    id: ElementId,
) -> Result<Option<ImportedQube<'t, 'a>>, String> {
    let tag = String::from_utf8_lossy(tree.name(id));
    let class = OldClass::from_element(&tag)
        .ok_or_else(|| format!("<{}> is no class of qubes", sanitize(&tag)))?;
    let old = OldElement::new(tree, id, class);
    let name = match class {
        OldClass::Disposable => return Ok(None),
        OldClass::Admin => VmName::dom0(),
        _ => VmName::from_store(&old.raw("name").unwrap_or_default())
            .map_err(|reason| reason.to_string())?,
    };
    if name.is_dom0() && class != OldClass::Admin {
        return Err("only a QubesAdminVm can be 'dom0'".into());
    }
    Ok(Some(ImportedQube {
        vm: Vm::new(name, old.r4_class()),
        old,
    }))
}

fn line_of(tree: &Tree, id: ElementId) -> usize {
    1 + memchr::memchr_iter(b'\n', &tree.bytes[..tree.range(id).start]).count()
}

/// Numbers are what an old store's qubes refer to each other by. Of two qubes with one number the
/// first keeps it.
fn assign_numbers(imported: &mut [ImportedQube]) {
    let mut taken: HashMap<Qid, VmName> = HashMap::new();
    for ImportedQube { old, vm } in imported.iter_mut() {
        if vm.class == Class::AdminVM {
            old.qid = Some(Qid::DOM0);
            continue;
        }
        let stored = old.raw("qid").unwrap_or_default();
        let reason = match stored
            .parse()
            .ok()
            .and_then(Qid::new)
            .filter(|q| *q != Qid::DOM0)
        {
            None if stored.is_empty() => {
                "it has no number (qid); other qubes cannot refer to it".to_string()
            }
            None => {
                format!(
                    "qid='{}' is no number that a qube can have; other qubes cannot refer to it",
                    sanitize(&stored)
                )
            }
            Some(qid) => match taken.get(&qid) {
                Some(first) => {
                    format!(
                        "qid='{stored}' is the number of '{first}', too; references to it mean that one"
                    )
                }
                None => {
                    taken.insert(qid, vm.name.clone());
                    old.qid = Some(qid);
                    vm.properties.set("qid", &qid.number().to_string());
                    continue;
                }
            },
        };
        vm.diagnoses.push(diagnosis(reason));
    }
}
