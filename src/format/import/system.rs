//! What an old store says of the whole system, and what every old system had.

use super::super::reader::diagnosis;
use super::super::tree::Tree;
use super::ImportedQube;
use super::old_element::{Reference, parse_reference, sanitize};
use crate::model::{Diagnosis, Qid, TextMap};

/// The pool in which all images of an old system lie, where storage.conf does not say otherwise.
pub(super) const POOL: &str = "varlibqubes";

/// Its directory.
pub(super) const BASE: &str = "/var/lib/qubes";

/// The pool of dom0's kernels.
pub(super) const KERNELS: &str = "linux-kernel";

/// The global properties (`spec/r3-migration.md` §1). `default_fw_netvm` ends here: each ProxyVM
/// says itself what it is connected to.
pub(super) fn import_globals(
    tree: &Tree,
    imported: &[ImportedQube],
    diagnoses: &mut Vec<Diagnosis>,
) -> TextMap {
    let mut globals = TextMap::new();
    // R3 cannot tell `None` from a kernel of this name and means none; R4 has no way to write none.
    let kernel = tree.attribute(Tree::ROOT, "default_kernel");
    if let Some(kernel) = kernel.filter(|k| !k.is_empty() && !k.eq_ignore_ascii_case("none")) {
        globals.set("default_kernel", &kernel);
    }
    globals.set("default_pool_kernel", KERNELS);
    for name in ["clockvm", "default_netvm", "default_template", "updatevm"] {
        let wanted = |one: &&ImportedQube| match name {
            "default_netvm" => one.old.class.provides_network(),
            "default_template" => one.old.class.is_template(),
            _ => true,
        };
        let of = |qid: Qid| {
            imported
                .iter()
                .filter(wanted)
                .find(|one| one.old.qid == Some(qid))
        };
        let stored = tree.attribute(Tree::ROOT, name);
        let text = sanitize(stored.as_deref().unwrap_or_default());
        match parse_reference(stored) {
            Reference::Absent => {}
            Reference::None => globals.set(name, ""),
            Reference::To(qid) if of(qid).is_some() => {
                globals.set(name, of(qid).map_or("", |one| one.vm.name.as_str()));
            }
            Reference::To(_) | Reference::Bad(_) => {
                globals.set(name, "");
                let text = format!(
                    "{name}='{text}' of the system is the number of no qube that can be that; none is used"
                );
                diagnoses.push(diagnosis(text));
            }
        }
    }
    globals
}
