//! Imports the global properties of an old store, and defines what every old system has.

use super::ImportedQube;
use super::old_element::{Reference, parse_reference, sanitize};
use crate::format::document::parse::diagnosis;
use crate::format::xml::tree::Tree;
use crate::model::{Diagnosis, Qid, TextMap};

/// The pool of all images of an old system, unless storage.conf says otherwise.
pub(super) const POOL: &str = "varlibqubes";

/// The directory of that pool.
pub(super) const BASE: &str = "/var/lib/qubes";

/// The pool of dom0's kernels.
pub(super) const KERNELS: &str = "linux-kernel";

/// Imports the global properties (`docs/spec/r3-migration.md` §1). `default_fw_netvm` is dropped:
/// each ProxyVM has its own netvm.
pub(super) fn import_globals(
    tree: &Tree,
    imported: &[ImportedQube],
    diagnoses: &mut Vec<Diagnosis>,
) -> TextMap {
    let mut globals = TextMap::new();
    // R3 cannot distinguish `None` from a kernel of this name, and means no kernel; R4 cannot
    // express no kernel here.
    let kernel = tree.attribute(Tree::ROOT, "default_kernel");
    if let Some(kernel) = kernel.filter(|k| !k.is_empty() && !k.eq_ignore_ascii_case("none")) {
        globals.set("default_kernel", &kernel);
    }
    globals.set("default_pool_kernel", KERNELS);
    for name in ["clockvm", "default_netvm", "default_template", "updatevm"] {
        let is_suitable = |one: &&ImportedQube| match name {
            "default_netvm" => one.old.class.provides_network(),
            "default_template" => one.old.class.is_template(),
            _ => true,
        };
        let find_qube = |qid: Qid| {
            imported
                .iter()
                .filter(is_suitable)
                .find(|one| one.old.qid == Some(qid))
        };
        let stored = tree.attribute(Tree::ROOT, name);
        let text = sanitize(stored.as_deref().unwrap_or_default());
        match parse_reference(stored) {
            Reference::Absent => {}
            Reference::None => globals.set(name, ""),
            Reference::To(qid) if find_qube(qid).is_some() => {
                globals.set(name, find_qube(qid).map_or("", |one| one.vm.name.as_str()));
            }
            Reference::To(_) | Reference::Bad(_) => {
                globals.set(name, "");
                let text = format!(
                    "{name}='{text}' of the system: no suitable qube has this number; none is used"
                );
                diagnoses.push(diagnosis(text));
            }
        }
    }
    globals
}
