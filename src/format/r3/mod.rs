//! Reads the stores of R1 to R3 (`<QubesVmCollection>`) into the model of R4.
//!
//! An old store is small and is read as a whole. It is read as the importer of R4.0 does, without
//! its mistakes: `docs/migration.md` lists field by field what becomes what. Nothing here accesses
//! a disk: the facts outside the store are passed in as [`OldSystem`], and the files to convert are
//! returned in [`OldStore`].

mod disposables;
mod losses;
mod old_element;
mod pools;
pub(super) mod python_literal;
mod references;
mod settings;
mod system;

use std::collections::{HashMap, HashSet};

use crate::format::document::parse::diagnosis;
use crate::format::error::FormatError;
use crate::format::xml::document;
use crate::format::xml::lines::line_of;
use crate::format::xml::tree::{ElementId, Tree};
use crate::model::{Class, Diagnosis, Labels, Qid, Qubes, Vm, VmName, sort_properties};
use old_element::{OldClass, OldElement, sanitize};

pub use pools::OldPools;

/// The root element of the stores of R1 to R3.
pub(crate) const ROOT: &[u8] = b"QubesVmCollection";

/// Levels of elements that are read: the root, and the qubes.
const LEVELS: usize = 2;

/// Largest number of elements that are read. R3 supports 253 qubes.
const MAX_ELEMENTS: usize = 4096;

/// Facts about an old system that are not in its store.
#[derive(Debug, Clone, Default)]
pub struct OldSystem {
    /// The pools of `/etc/qubes/storage.conf`.
    pub pools: OldPools,
    /// The qube that disposables are made from: the target of the link `dvmdata/vmdir`.
    pub dispvm: Option<String>,
}

/// An old store in the model of R4, and what its conversion needs to know.
pub struct OldStore {
    /// The qubes of the store.
    pub qubes: Qubes,
    /// The files of every qube but dom0, sorted by name.
    pub files: Vec<OldQubeFiles>,
    /// What has no equivalent in R4.
    pub losses: Vec<ConversionLoss>,
}

/// The files of one qube of R3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldQubeFiles {
    /// The name of the qube.
    pub name: VmName,
    /// The absolute path of its directory.
    pub directory: String,
    /// The absolute path of its firewall rules; the file may be missing.
    pub firewall: String,
    /// Whether R3 blocks everything if the file is missing (templates), or allows everything.
    pub is_closed_by_default: bool,
}

/// Something that a conversion loses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversionLoss {
    /// The affected qube; `None`: the system.
    pub qube: Option<VmName>,
    /// One line for a person, without the name of the qube.
    pub text: String,
}

/// An element of the old store, and the qube that it becomes.
struct ImportedQube<'t, 'a> {
    old: OldElement<'t, 'a>,
    vm: Vm,
}

/// Reads an old store without the facts outside it.
///
/// # Errors
/// See [`import_old_store`].
pub(crate) fn read(bytes: &[u8]) -> Result<Qubes, FormatError> {
    import_old_store(bytes, &OldSystem::default()).map(|old| old.qubes)
}

/// Reads an old store. An error inside a qube becomes a diagnosis of that qube.
///
/// # Errors
/// The bytes are not well-formed, or not an old store.
pub fn import_old_store(bytes: &[u8], system_facts: &OldSystem) -> Result<OldStore, FormatError> {
    let tree = document::parse_document(bytes, LEVELS)?;
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
    let mut pools = system_facts.pools.clone();
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
        system_facts.dispvm.as_deref(),
    );
    references::drop_duplicate_uuids(&mut imported);
    let mut losses = losses::find_losses(&tree, &imported);
    losses.extend(of_disposables);
    let mut qubes = Qubes::new(labels, pools.to_r4(), globals);
    qubes.needs_conversion = true;
    qubes.diagnoses = diagnoses;
    for mut vm in imported.into_iter().map(|one| one.vm) {
        vm.properties = sort_properties(&vm.class, &vm.properties);
        // `import_elements` has made sure that names are unique.
        let _added = qubes.add(vm);
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(OldStore {
        qubes,
        files,
        losses,
    })
}

/// Imports every element that describes a persistent qube; dom0 is always included.
fn import_elements<'t, 'a>(
    tree: &'t Tree<'a>,
    diagnoses: &mut Vec<Diagnosis>,
) -> Vec<ImportedQube<'t, 'a>> {
    let (mut imported, mut names) = (Vec::new(), HashSet::new());
    let mut skipped = 0;
    for (n, id) in tree.children(Tree::ROOT).enumerate() {
        if n >= MAX_ELEMENTS {
            skipped += 1;
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
                let line = line_of(tree.bytes, tree.range(id).start);
                diagnoses.push(diagnosis(format!(
                    "the element at line {line} cannot be used: {reason}"
                )));
            }
        }
    }
    if skipped > 0 {
        diagnoses.push(diagnosis(format!(
            "{skipped} elements after the first {MAX_ELEMENTS} are ignored"
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

/// Imports one element; `None` for a disposable, which ended with its session.
fn import_element<'t, 'a>(
    tree: &'t Tree<'a>,
    id: ElementId,
) -> Result<Option<ImportedQube<'t, 'a>>, String> {
    let tag = String::from_utf8_lossy(tree.name(id));
    let class = OldClass::from_element(&tag)
        .ok_or_else(|| format!("<{}> is not a class of qubes", sanitize(&tag)))?;
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

/// Assigns the numbers by which qubes of an old store refer to each other. If two qubes have one
/// number, the first keeps it.
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
                "qid is missing; other qubes cannot refer to this qube".to_string()
            }
            None => {
                format!(
                    "qid='{}' is not a valid number; other qubes cannot refer to this qube",
                    sanitize(&stored)
                )
            }
            Some(qid) => match taken.get(&qid) {
                Some(first) => {
                    format!(
                        "qid='{stored}' is also the number of '{first}'; \
                         references are resolved to '{first}'"
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
