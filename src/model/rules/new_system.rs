//! Planning of a new system, and what an installed one may lack.

use crate::model::class::Class;
use crate::model::draft::Draft;
use crate::model::effect::Change;
use crate::model::facts::Facts;
use crate::model::label::Labels;
use crate::model::name::VmName;
use crate::model::pool::{Pool, Pools};
use crate::model::pool_driver::{FILE, FILE_REFLINK, LINUX_KERNEL};
use crate::model::property;
use crate::model::qubes::Qubes;
use crate::model::text_map::TextMap;
use crate::model::vm::Vm;

/// Plans a new system, as `qubes-create` creates it (`docs/spec/r4-xml.md` §5): labels, a pool of
/// files, the kernel pool and dom0.
///
/// If files cannot share blocks, the pool has driver `file`, as upstream's, provided that mapped
/// devices are available. Otherwise it has driver `file-reflink` with `setup_check="no"`, which
/// copies and which every release of upstream can use, too.
pub fn plan_new_system(facts: &dyn Facts) -> Qubes {
    let base = facts.host().base_dir().trim_end_matches('/');
    let shares_blocks = facts.host().can_reflink(base);
    let driver = if !shares_blocks && facts.host().can_map_devices() {
        FILE
    } else {
        FILE_REFLINK
    };
    let mut files = TextMap::from_iter([
        ("name", "varlibqubes"),
        ("dir_path", base),
        ("driver", driver),
    ]);
    files.set("revisions_to_keep", "1");
    if !shares_blocks && driver == FILE_REFLINK {
        files.set("setup_check", "no");
    }
    let kernels_dir = facts.host().default_kernels_dir();
    let kernels = TextMap::from_iter([
        ("name", LINUX_KERNEL),
        ("dir_path", &*kernels_dir),
        ("driver", LINUX_KERNEL),
    ]);
    let pools = Pools(vec![
        Pool { attributes: files },
        Pool {
            attributes: kernels,
        },
    ]);
    let globals = TextMap::from_iter([("default_pool_kernel", LINUX_KERNEL)]);
    let mut qubes = Qubes::new(Labels::built_in(), pools, globals);
    let mut dom0 = Vm::new(VmName::dom0(), Class::AdminVM);
    dom0.properties.set("label", "black");
    // The collection is empty, so the name cannot be taken.
    let _ = qubes.add(dom0);
    qubes
}

/// Sets `default_kernel` to the newest installed kernel if none was ever chosen.
///
/// Installers of R3 choose none, because the kernel packages of R3 did. Upstream cannot save a
/// store in which a qube depends on a `default_kernel` that is not set, so without this nothing
/// could be created there.
pub fn choose_default_kernel(draft: &mut Draft, facts: &dyn Facts) -> Change {
    let qubes = &mut draft.qubes;
    if property::global_value_by_name(qubes, "default_kernel", facts).is_ok()
        || qubes.globals.contains("default_kernel")
    {
        return Change::STORE_ONLY;
    }
    let directory = facts.host().default_kernels_dir();
    if let Some(newest) = facts.host().newest_kernel(&directory) {
        qubes.globals.set("default_kernel", &newest);
    }
    Change::STORE_ONLY
}
