//! What qubes of an old store say of each other, by number: templates, netvms, disposables' netvms.

use std::collections::{HashMap, HashSet};

use super::super::reader::diagnosis;
use super::ImportedQube;
use super::old_element::{OldClass, Reference, sanitize};
use crate::model::{Class, Qid, TextMap, Vm, VmName};

/// Properties that a qube of R4 takes from its template where it does not say otherwise, and did
/// not in R3.
const NOW_INHERITED: [(&str, &str); 4] = [
    ("memory", "400"),
    ("maxmem", "4000"),
    ("qrexec_timeout", "60"),
    ("vcpus", "2"),
];

/// Every qube by its number.
pub(super) type QubesByQid = HashMap<Qid, (VmName, OldClass)>;

/// What each qube is connected to in effect, by name; nothing where it has no netvm.
pub(super) type Netvms = HashMap<VmName, String>;

/// Templates and netvms.
pub(super) fn import_references(imported: &mut [ImportedQube], globals: &TextMap) -> Netvms {
    let by_qid = index_by_qid(imported);
    let default_netvm = globals.get("default_netvm").filter(|n| !n.is_empty());
    let mut netvms = Netvms::new();
    for one in imported
        .iter_mut()
        .filter(|one| one.vm.class != Class::AdminVM)
    {
        import_template(one, &by_qid);
        // Without a default R3 boots a qube's own kernel. R4 has no way to write that into the
        // default.
        if !globals.contains("default_kernel") && uses_default_kernel(&one.vm) {
            one.vm.properties.set("kernel", "");
        }
        if let Some(netvm) = import_netvm(one, &by_qid, default_netvm) {
            netvms.insert(one.vm.name.clone(), netvm);
        }
    }
    for name in break_loops(imported) {
        netvms.remove(&name);
    }
    make_inherited_explicit(imported, globals);
    netvms
}

pub(super) fn index_by_qid(imported: &[ImportedQube]) -> QubesByQid {
    imported
        .iter()
        .filter_map(|one| Some((one.old.qid?, (one.vm.name.clone(), one.old.class))))
        .collect()
}

/// Whether a qube would look for its kernel in the system's default.
fn uses_default_kernel(vm: &Vm) -> bool {
    !vm.properties.contains("kernel") && !vm.properties.contains("template")
}

fn import_template(one: &mut ImportedQube, by_qid: &QubesByQid) {
    if one.vm.class != Class::AppVM {
        return;
    }
    let found = match one.old.reference("template_qid") {
        Reference::To(qid) => by_qid.get(&qid).filter(|(_, class)| class.is_template()),
        _ => None,
    };
    match found {
        Some((name, _)) => one.vm.properties.set("template", name.as_str()),
        None => {
            let text = one.old.raw("template_qid").unwrap_or_default();
            one.vm.diagnoses.push(diagnosis(format!(
                "template_qid='{}' is the number of no template",
                sanitize(&text)
            )));
        }
    }
}

/// Stores the netvm and returns what it is in effect. A reference to nothing means no netvm, as in
/// R3: what cannot be understood never connects a qube to anything.
fn import_netvm(
    one: &mut ImportedQube,
    by_qid: &QubesByQid,
    default_netvm: Option<&str>,
) -> Option<String> {
    let ImportedQube { old, vm } = one;
    if old.class == OldClass::Net {
        vm.properties.set("netvm", "");
        return None;
    }
    // Only the classes that can follow the default wrote whether they do; a ProxyVM never does.
    let follows =
        old.class != OldClass::Proxy && old.flag("uses_default_netvm", true, &mut vm.diagnoses);
    if follows {
        return default_netvm.map(str::to_owned);
    }
    let found = resolve_netvm(vm, "netvm_qid", old.reference("netvm_qid"), by_qid);
    vm.properties
        .set("netvm", found.as_deref().unwrap_or_default());
    found
}

/// The qube that an attribute means as a netvm; what is none is a diagnosis.
pub(super) fn resolve_netvm(
    vm: &mut Vm,
    attribute: &str,
    reference: Reference,
    by_qid: &QubesByQid,
) -> Option<String> {
    let text = match reference {
        Reference::Absent | Reference::None => return None,
        Reference::Bad(text) => sanitize(&text),
        Reference::To(qid) => match by_qid.get(&qid) {
            Some((name, class)) if class.provides_network() => return Some(name.to_string()),
            _ => qid.number().to_string(),
        },
    };
    let text = format!(
        "{attribute}='{text}' is the number of no qube that provides network; it is left without a netvm"
    );
    vm.diagnoses.push(diagnosis(text));
    None
}

/// A ProxyVM that is its own netvm, directly or over others, is left without one. R4 would do that
/// at every start. Returns those it was done to.
fn break_loops(imported: &mut [ImportedQube]) -> Vec<VmName> {
    let mut broken = Vec::new();
    let mut netvms: HashMap<VmName, String> = HashMap::new();
    for one in imported
        .iter()
        .filter(|one| one.old.class == OldClass::Proxy)
    {
        let netvm = one.vm.properties.get("netvm").filter(|n| !n.is_empty());
        netvms.extend(netvm.map(|n| (one.vm.name.clone(), n.to_owned())));
    }
    for one in imported
        .iter_mut()
        .filter(|one| one.old.class == OldClass::Proxy)
    {
        let mut seen = HashSet::new();
        let mut at = netvms.get(one.vm.name.as_str());
        while let Some(name) = at.filter(|name| seen.insert(name.as_str())) {
            at = netvms.get(name.as_str());
        }
        if seen.contains(one.vm.name.as_str()) {
            netvms.remove(one.vm.name.as_str());
            let netvm = sanitize(&one.old.raw("netvm_qid").unwrap_or_default());
            let text =
                format!("netvm_qid='{netvm}' makes it its own netvm; it is left without one");
            one.vm.diagnoses.push(diagnosis(text));
            one.vm.properties.set("netvm", "");
            broken.push(one.vm.name.clone());
        }
    }
    broken
}

/// A value that is R4's default too is not written, unless the template's would now be used
/// instead.
fn make_inherited_explicit(imported: &mut [ImportedQube], globals: &TextMap) {
    let templates: HashMap<VmName, TextMap> = imported
        .iter()
        .filter(|one| one.old.class.is_template())
        .map(|one| (one.vm.name.clone(), one.vm.properties.clone()))
        .collect();
    let default_kernel = globals.get("default_kernel");
    let inherited = NOW_INHERITED.map(|(name, value)| (name, Some(value)));
    for ImportedQube { vm, .. } in imported.iter_mut() {
        let Some(template) = vm.properties.get("template").and_then(|t| templates.get(t)) else {
            continue;
        };
        for (name, value) in inherited.into_iter().chain([("kernel", default_kernel)]) {
            if let Some(value) =
                value.filter(|_| template.contains(name) && !vm.properties.contains(name))
            {
                vm.properties.set(name, value);
            }
        }
    }
}

/// The hypervisor knows a qube by its uuid: of two with one uuid the first keeps it.
pub(super) fn drop_duplicate_uuids(imported: &mut [ImportedQube]) {
    let mut taken: HashMap<String, VmName> = HashMap::new();
    for ImportedQube { vm, .. } in imported.iter_mut() {
        let Some(uuid) = vm.properties.get("uuid").map(str::to_owned) else {
            continue;
        };
        match taken.get(&uuid) {
            None => drop(taken.insert(uuid, vm.name.clone())),
            Some(first) => {
                vm.diagnoses.push(diagnosis(format!(
                    "uuid='{uuid}' is that of '{first}', too; it is not taken over"
                )));
                vm.properties.remove("uuid");
            }
        }
    }
}
