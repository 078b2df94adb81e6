//! Resolves references between qubes of an old store, which are numbers: templates, netvms, netvms
//! of disposables.

use std::collections::{HashMap, HashSet};

use super::ImportedQube;
use super::old_element::{OldClass, Reference, sanitize};
use crate::format::document::parse::diagnosis;
use crate::model::{Class, Qid, TextMap, Vm, VmName};

/// Properties that a qube inherits from its template in R4, but not in R3, with their defaults.
const NOW_INHERITED: [(&str, &str); 4] = [
    ("memory", "400"),
    ("maxmem", "4000"),
    ("qrexec_timeout", "60"),
    ("vcpus", "2"),
];

/// All qubes by number.
pub(super) type QubesByQid = HashMap<Qid, (VmName, OldClass)>;

/// The effective netvm of each qube; qubes without one are missing.
pub(super) type Netvms = HashMap<VmName, String>;

/// Sets templates and netvms; returns the effective netvms.
pub(super) fn import_references(imported: &mut [ImportedQube], globals: &TextMap) -> Netvms {
    let by_qid = index_by_qid(imported);
    let default_netvm = globals.get("default_netvm").filter(|n| !n.is_empty());
    let mut netvms = Netvms::new();
    for one in imported
        .iter_mut()
        .filter(|one| one.vm.class != Class::AdminVM)
    {
        import_template(one, &by_qid);
        // Without a default, R3 boots the kernel inside the qube. R4 cannot express that in the
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

/// Whether a qube uses the default kernel of the system.
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
                "template_qid='{}': no template has this number",
                sanitize(&text)
            )));
        }
    }
}

/// Sets the netvm and returns the effective one. An invalid reference means no netvm, as in R3: it
/// never connects a qube to anything.
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
    // Only classes that can follow the default stored whether they do; a ProxyVM never does.
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

/// Resolves an attribute that refers to a netvm; an invalid reference is a diagnosis.
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
        "{attribute}='{text}': no qube that provides network has this number; the netvm is none"
    );
    vm.diagnoses.push(diagnosis(text));
    None
}

/// Removes the netvm of each ProxyVM that is its own netvm, directly or through others, as R4 does
/// at every start. Returns the changed qubes.
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
                format!("netvm_qid='{netvm}' makes the qube its own netvm; its netvm is none");
            one.vm.diagnoses.push(diagnosis(text));
            one.vm.properties.set("netvm", "");
            broken.push(one.vm.name.clone());
        }
    }
    broken
}

/// Sets default values explicitly where R4 would now use the value of the template.
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

/// Removes duplicate UUIDs, which identify a qube to the hypervisor: the first qube keeps its own.
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
                    "uuid='{uuid}' is also the UUID of '{first}'; it is not imported"
                )));
                vm.properties.remove("uuid");
            }
        }
    }
}
