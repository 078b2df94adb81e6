//! Imports the settings of disposables. In R3 all disposables are made from one hidden qube,
//! `TEMPLATE-dvm`, and use the netvm that the requesting qube chooses. In R4 a property makes a
//! qube a template for disposables, and they use its netvm.

use super::old_element::OldClass;
use super::references::{Netvms, QubesByQid, index_by_qid, resolve_netvm};
use super::{ConversionLoss, ImportedQube};
use crate::model::{Class, TextMap, VmName};

/// The suffix that R3's tool adds to the name of a template for its disposables.
const SUFFIX: &str = "-dvm";

/// Marks templates for disposables and sets `default_dispvm`. `vmdir` is the qube that the link
/// `dvmdata/vmdir` points to, if known. Returns what cannot be imported.
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
        let is_template =
            template.is_some_and(named_after) || hidden || vmdir == Some(vm.name.as_str());
        if old.class == OldClass::App && vm.class == Class::AppVM && is_template {
            vm.properties.set("template_for_dispvms", "True");
            marked.push(vm.name.clone());
        }
    }
    marked
}

/// Returns the template that R3 used: the target of its link, else the one of the default template,
/// else the only one.
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

/// Removes the template for disposables of a qube whose disposables would now use another netvm: no
/// disposable gets more network access than before.
fn check_disposable_netvm(
    one: &mut ImportedQube,
    by_qid: &QubesByQid,
    netvms: &Netvms,
    connected_to: Option<&str>,
) -> Option<ConversionLoss> {
    let ImportedQube { old, vm } = one;
    let uses_own_netvm = old.flag("uses_default_dispvm_netvm", true, &mut vm.diagnoses);
    let netvm = match uses_own_netvm {
        true => netvms.get(&vm.name).cloned(),
        false => resolve_netvm(vm, "dispvm_netvm", old.reference("dispvm_netvm"), by_qid),
    };
    if netvm.as_deref() == connected_to {
        return None;
    }
    vm.properties.set("default_dispvm", "");
    let text = format!(
        "its disposables had {}; in R4 they use the netvm of their template, so default_dispvm is \
         set to none; choose a template with qvm-prefs {} default_dispvm NAME",
        netvm.map_or("no netvm".to_owned(), |netvm| format!("netvm '{netvm}'")),
        vm.name
    );
    Some(ConversionLoss {
        qube: Some(vm.name.clone()),
        text,
    })
}
