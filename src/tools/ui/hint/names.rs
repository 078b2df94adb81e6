//! Hints that list what is there: names of the store, installed kernels, templates.

use super::NameKind;
use crate::lifecycle::Context;
use crate::model::{Class, Property, Qubes, Scope, Value, Vm, VmName, property};
use crate::system::{System, SystemOptions};
use crate::tools::ui::suggestion::did_you_mean;

/// Opens a context that contacts no hypervisor and prints nothing.
pub fn offline_context(options: &SystemOptions) -> Option<Context> {
    System::new(SystemOptions {
        offline: true,
        notify: None,
        ..options.clone()
    })
    .ok()
    .map(Context::new)
}

/// Returns from which qubes disposables can be created instead of this one.
pub fn disposables(context: &Context, qubes: &Qubes, name: &str) -> String {
    const PROPERTY: &str = "template_for_dispvms";
    let has_it = qubes
        .class(name)
        .is_some_and(|class| Property::find(Scope::Class(class), PROPERTY).is_some());
    if has_it {
        return format!("qvm-prefs {name} {PROPERTY} True allows it");
    }
    let serves = |vm: &&Vm| property::is_template_for_dispvms(qubes, vm, context.facts());
    let names: Vec<&str> = qubes
        .iter()
        .filter(serves)
        .map(|vm| vm.name.as_str())
        .collect();
    match names.as_slice() {
        [] => format!(
            "disposables are made from an AppVM: qvm-create --template {name} --label red \
             --property {PROPERTY}=True NAME \
             makes one"
        ),
        names => format!(
            "disposables are made from an AppVM; those for it are {}",
            names.join(", ")
        ),
    }
}

/// Returns the installed kernels and their directory.
pub fn kernels(context: &Context, qubes: &Qubes) -> String {
    let pool = property::global_value_by_name(qubes, "default_pool_kernel", context.facts()).ok();
    let pool = pool
        .as_ref()
        .and_then(Value::as_str)
        .and_then(|name| qubes.pools.get(name));
    let directory = pool
        .and_then(|pool| pool.option("dir_path"))
        .unwrap_or("/var/lib/qubes/vm-kernels");
    let directory = context.system.path_below_root(directory);
    let entries = std::fs::read_dir(&directory)
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    let installed = entries.filter(|entry| entry.path().join("vmlinuz").exists());
    let mut names: Vec<String> = installed
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    match names.as_slice() {
        [] => format!(
            "no kernel is installed: each has a directory with vmlinuz and initramfs in {}",
            directory.display()
        ),
        names => format!(
            "the kernels in {} are {}",
            directory.display(),
            names.join(", ")
        ),
    }
}

/// Returns a close name, or the names that exist, for a name that does not.
pub fn unknown(kind: NameKind, given: &str, options: &SystemOptions) -> String {
    let qubes = offline_context(options).and_then(|context| context.read().ok());
    let Some(qubes) = qubes else {
        return listing_command(kind).to_string();
    };
    let names = names(kind, &qubes);
    match did_you_mean(given, names.iter().copied()) {
        Some(text) => text,
        None if kind == NameKind::Qube || names.is_empty() => listing_command(kind).to_string(),
        None => format!("{}: {}", list_prefix(kind), names.join(", ")),
    }
}

fn names(kind: NameKind, qubes: &Qubes) -> Vec<&str> {
    match kind {
        NameKind::Qube => qubes.names().map(VmName::as_str).collect(),
        NameKind::Template => qubes
            .names_with_classes()
            .filter(|(_, class)| **class == Class::TemplateVM)
            .map(|(name, _)| name.as_str())
            .collect(),
        NameKind::Label => qubes.labels.iter().map(|label| &*label.name).collect(),
        NameKind::Pool => qubes.pools.iter().map(|pool| pool.name()).collect(),
    }
}

fn list_prefix(kind: NameKind) -> &'static str {
    match kind {
        NameKind::Qube => "the qubes are",
        NameKind::Template => "the templates are",
        NameKind::Label => "the labels are",
        NameKind::Pool => "the pools are",
    }
}

fn listing_command(kind: NameKind) -> &'static str {
    match kind {
        NameKind::Qube => "qvm-ls lists the qubes",
        NameKind::Template => "qvm-ls --class TemplateVM lists the templates",
        NameKind::Label => "qubes-db dump lists the labels",
        NameKind::Pool => "qvm-pool lists the pools",
    }
}
