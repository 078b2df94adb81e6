//! Disposables: in R3 all are made from one hidden qube, `TEMPLATE-dvm`, and connected to what the
//! qube that asks for one says. In R4 a qube is a template for disposables by a property, and they
//! are connected to what that template is.

use super::old_element::OldClass;
use super::references::{Netvms, QubesByQid, index_by_qid, resolve_netvm};
use super::{ConversionLoss, ImportedQube};
use crate::model::{Class, TextMap, VmName};

/// How R3's tool calls what it makes for disposables: after its template.
const SUFFIX: &str = "-dvm";

/// `vmdir`: the qube that `dvmdata/vmdir` points to, where somebody has looked. Returns what cannot
/// be taken over.
pub(super) fn import_disposables(
    imported: &mut [ImportedQube],
    globals: &mut TextMap,
    netvms: &Netvms,
    vmdir: Option<&str>,
) -> Vec<ConversionLoss> {
    let templates = mark_templates(imported, vmdir);
    let default = default_template(&templates, globals, vmdir);
    if let Some(name) = &default {
        globals.set("default_dispvm", name.as_str());
    }
    let by_qid = index_by_qid(imported);
    let default_netvm = globals.get("default_netvm").filter(|n| !n.is_empty());
    let connected_to = match &default {
        Some(template) => netvms.get(template).map(String::as_str),
        None => default_netvm,
    };
    let guests = imported
        .iter_mut()
        .filter(|one| one.vm.class != Class::AdminVM);
    guests
        .filter_map(|one| check_disposable_netvm(one, &by_qid, netvms, connected_to))
        .collect()
}

/// Marks the qubes that disposables were made from.
fn mark_templates(imported: &mut [ImportedQube], vmdir: Option<&str>) -> Vec<VmName> {
    let mut marked = Vec::new();
    for ImportedQube { old, vm } in imported.iter_mut() {
        let template = vm.properties.get("template");
        let named_after = |t: &str| vm.name.as_str().strip_suffix(SUFFIX) == Some(t);
        let hidden = vm.features.contains("internal") && vm.name.as_str().ends_with(SUFFIX);
        let is_one = template.is_some_and(named_after) || hidden || vmdir == Some(vm.name.as_str());
        if old.class == OldClass::App && vm.class == Class::AppVM && is_one {
            vm.properties.set("template_for_dispvms", "True");
            marked.push(vm.name.clone());
        }
    }
    marked
}

/// The one that R3 used: what its link says; else the one of the default template; else the only
/// one.
fn default_template(marked: &[VmName], globals: &TextMap, vmdir: Option<&str>) -> Option<VmName> {
    let called = |name: &str| marked.iter().find(|m| m.as_str() == name);
    let of_default = || called(&format!("{}{SUFFIX}", globals.get("default_template")?));
    let only = || {
        if let [only] = marked {
            Some(only)
        } else {
            None
        }
    };
    vmdir
        .and_then(called)
        .or_else(of_default)
        .or_else(only)
        .cloned()
}

/// Where disposables started from a qube would now be connected to something else than they were,
/// it is left without a template for disposables: none is started from it that would be connected
/// to more than it was.
fn check_disposable_netvm(
    one: &mut ImportedQube,
    by_qid: &QubesByQid,
    netvms: &Netvms,
    connected_to: Option<&str>,
) -> Option<ConversionLoss> {
    let ImportedQube { old, vm } = one;
    let as_itself = old.flag("uses_default_dispvm_netvm", true, &mut vm.diagnoses);
    let netvm = match as_itself {
        true => netvms.get(&vm.name).cloned(),
        false => resolve_netvm(vm, "dispvm_netvm", old.reference("dispvm_netvm"), by_qid),
    };
    if netvm.as_deref() == connected_to {
        return None;
    }
    vm.properties.set("default_dispvm", "");
    let text = format!(
        "disposables started from it had {}; in R4 that is up to what they are made from, so it is left without: qvm-prefs \
         {} default_dispvm NAME chooses one",
        netvm.map_or("no netvm".to_owned(), |netvm| format!("netvm '{netvm}'")),
        vm.name
    );
    Some(ConversionLoss {
        qube: Some(vm.name.clone()),
        text,
    })
}
