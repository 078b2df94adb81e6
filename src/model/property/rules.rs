//! Rules of properties beyond their type: conditions between qubes and on the machine. Messages are
//! upstream's where they are recorded (`tests/data/r4/cli/qvm-prefs.txt`, `qubes-prefs.txt`).

use super::{PropertyContext, PropertyError, ProposedChange, Value, VirtMode};
use crate::model::class::Class;
use crate::model::facts::Facts;
use crate::model::features;
use crate::model::name::VmName;
use crate::model::power::PowerState;
use crate::model::property;
use crate::model::qubes::Qubes;
use crate::model::rules::qubesd::{can_have_network, find_reference_problem, is_kernel_name};
use crate::model::vm::Vm;

type RuleResult = Result<(), PropertyError>;

fn refuse(text: String) -> RuleResult {
    Err(PropertyError::Refused(text))
}

/// Requires that the chosen kernel is installed.
pub(super) fn require_installed_kernel(
    facts: &dyn Facts,
    proposed: &ProposedChange<'_>,
) -> RuleResult {
    let Some(kernel) = proposed.value.as_str() else {
        return Ok(());
    };
    let host = facts.host();
    let is_installed =
        || is_kernel_name(kernel) && host.is_kernel_installed(&host.default_kernels_dir(), kernel);
    match proposed.reset || kernel.is_empty() || is_installed() {
        true => Ok(()),
        false => refuse(format!("Kernel '{kernel}' not installed")),
    }
}

/// Requires that the default kernel is installed, and that it stays set while a qube uses it:
/// upstream could not save the store without it.
pub(super) fn require_valid_default_kernel(
    qubes: &Qubes,
    facts: &dyn Facts,
    proposed: &ProposedChange<'_>,
) -> RuleResult {
    if !proposed.reset {
        return require_installed_kernel(facts, proposed);
    }
    let inherits = |vm: &&Vm| {
        vm.class.is_local_guest()
            && !property::template_chain(qubes, vm).any(|v| v.properties.contains("kernel"))
    };
    match qubes.iter().find(inherits) {
        Some(vm) => refuse(format!(
            "default_kernel cannot be reset: it has no default, and qube '{}' has no kernel of its \
             own",
            vm.name
        )),
        None => Ok(()),
    }
}

/// Requires that the netvm provides network, is not reached through the qube itself, and runs if
/// the qube runs.
pub(super) fn require_valid_netvm(
    context: &PropertyContext<'_>,
    proposed: &ProposedChange<'_>,
) -> RuleResult {
    let PropertyContext { qubes, vm, facts } = *context;
    let Some(netvm) = proposed.value.as_qube().and_then(|n| qubes.get(n.as_str())) else {
        return Ok(());
    };
    if !proposed.reset && !property::provides_network(qubes, netvm, facts) {
        return refuse(format!("The {} qube does not provide network", netvm.name));
    }
    if property::netvm_chain(qubes, netvm, facts).any(|v| v.name == vm.name) {
        return refuse("Loops in network are unsupported".to_owned());
    }
    require_running_netvm(vm, netvm, facts)
}

fn require_running_netvm(vm: &Vm, netvm: &Vm, facts: &dyn Facts) -> RuleResult {
    let needs_it = facts.power_state(vm) == PowerState::Running;
    match needs_it && !facts.power_state(netvm).is_active() {
        true => refuse(format!(
            "qube '{}' runs, and its new netvm '{}' does not; start '{}' first",
            vm.name, netvm.name, netvm.name
        )),
        false => Ok(()),
    }
}

/// Requires that the default netvm does not get its own network through the default, is of a class
/// that can have a network, and runs if a qube that follows the default runs. As upstream, it need
/// not provide network yet.
pub(super) fn require_valid_default_netvm(
    qubes: &Qubes,
    facts: &dyn Facts,
    proposed: &ProposedChange<'_>,
) -> RuleResult {
    let Some(netvm) = proposed.value.as_qube().and_then(|n| qubes.get(n.as_str())) else {
        return Ok(());
    };
    let mut seen: Vec<&VmName> = Vec::new();
    let mut next = Some(netvm);
    while let Some(vm) = next {
        if has_default_netvm(vm) || seen.contains(&&vm.name) {
            return refuse(format!("Network loop on '{}'", vm.name));
        }
        seen.push(&vm.name);
        next = property::netvm(qubes, vm, facts)?;
    }
    if !can_have_network(&netvm.class) {
        return refuse(format!("The {} qube does not provide network", netvm.name));
    }
    qubes
        .iter()
        .filter(|vm| has_default_netvm(vm))
        .try_for_each(|vm| require_running_netvm(vm, netvm, facts))
}

/// Requires that the name of the referenced qube fits into a tag.
pub(super) fn require_taggable_reference(
    _: &PropertyContext<'_>,
    proposed: &ProposedChange<'_>,
) -> RuleResult {
    require_taggable_name(proposed)
}

/// Requires that the name of the default guivm or audiovm fits into a tag.
pub(super) fn require_taggable_default(
    _: &Qubes,
    _: &dyn Facts,
    proposed: &ProposedChange<'_>,
) -> RuleResult {
    require_taggable_name(proposed)
}

fn require_taggable_name(proposed: &ProposedChange<'_>) -> RuleResult {
    let ProposedChange {
        property, value, ..
    } = proposed;
    let name = value.as_qube();
    match name.and_then(|name| find_reference_problem(property.name, name)) {
        Some(problem) => refuse(format!("{} cannot be '{value}': {problem}", property.name)),
        None => Ok(()),
    }
}

/// Requires that a qube provides network as long as others use it.
pub(super) fn require_no_network_users(
    context: &PropertyContext<'_>,
    proposed: &ProposedChange<'_>,
) -> RuleResult {
    let PropertyContext { qubes, vm, facts } = *context;
    if proposed.value.as_bool() == Some(true) || proposed.before != Some(&Value::Bool(true)) {
        return Ok(());
    }
    let uses = |other: &Vm| {
        property::netvm(qubes, other, facts).is_ok_and(|n| n.is_some_and(|n| n.name == vm.name))
    };
    match qubes.iter().any(uses) {
        true => {
            refuse("The qube is still used by other qubes, change theirs 'netvm' first".to_owned())
        }
        false => Ok(()),
    }
}

/// Requires that the qube and the disposables based on it are halted, and that the template fits.
pub(super) fn require_changeable_template(
    context: &PropertyContext<'_>,
    proposed: &ProposedChange<'_>,
) -> RuleResult {
    let PropertyContext { qubes, vm, facts } = *context;
    if proposed.reset {
        return refuse(format!(
            "qube '{}' needs a template; set another one instead of resetting it",
            vm.name
        ));
    }
    let Some(template) = proposed.value.as_qube().and_then(|n| qubes.get(n.as_str())) else {
        return Ok(());
    };
    if vm.class == Class::DispVM && !property::is_template_for_dispvms(qubes, template, facts) {
        return refuse(dispvm_template_error(&template.name));
    }
    if facts.power_state(vm) != PowerState::Halted {
        return refuse(format!(
            "qube '{}' runs; its template can be changed once it is halted",
            vm.name
        ));
    }
    let running = disposables_of(qubes, &vm.name)
        .find(|d| facts.power_state(d).is_active() && !property::is_preloaded(qubes, d));
    match running {
        Some(d) => refuse(format!(
            "disposable '{}' of '{}' runs; the template can be changed once it is halted",
            d.name, vm.name
        )),
        None => Ok(()),
    }
}

/// Returns the message that a qube cannot be a disposable's template.
pub(in crate::model) fn dispvm_template_error(template: &VmName) -> String {
    format!(
        "template for disposable ({template}) needs to be an AppVM with template_for_dispvms=True"
    )
}

/// Requires that a qube's default_dispvm or management_dispvm is a template for disposables.
pub(super) fn require_dispvm_template(
    context: &PropertyContext<'_>,
    proposed: &ProposedChange<'_>,
) -> RuleResult {
    check_dispvm_template(
        context.qubes,
        &format!("qube '{}'", context.vm.name),
        context.facts,
        proposed,
    )
}

/// Requires that the global default_dispvm or management_dispvm is a template for disposables.
pub(super) fn require_global_dispvm_template(
    qubes: &Qubes,
    facts: &dyn Facts,
    proposed: &ProposedChange<'_>,
) -> RuleResult {
    check_dispvm_template(qubes, "system", facts, proposed)
}

fn check_dispvm_template(
    qubes: &Qubes,
    owner: &str,
    facts: &dyn Facts,
    proposed: &ProposedChange<'_>,
) -> RuleResult {
    match proposed.value.as_qube().and_then(|n| qubes.get(n.as_str())) {
        Some(qube) if !proposed.reset && !property::is_template_for_dispvms(qubes, qube, facts) => {
            refuse(format!(
                "Cannot set invalid property to {owner}, {} '{}' has template_for_dispvms set to \
                 False",
                proposed.property.name, qube.name
            ))
        }
        _ => Ok(()),
    }
}

/// Requires that a qube stays a template for disposables as long as it is used as one.
pub(super) fn require_no_dispvm_users(
    context: &PropertyContext<'_>,
    proposed: &ProposedChange<'_>,
) -> RuleResult {
    let PropertyContext { qubes, vm, facts } = *context;
    if proposed.value.as_bool() == Some(true) {
        return Ok(());
    }
    let refers_to_vm = |global: &&str| {
        property::global_value_by_name(qubes, global, facts)
            .is_ok_and(|v| v.as_qube().is_some_and(|name| *name == vm.name))
    };
    let globals: Vec<&str> = ["default_dispvm", "management_dispvm"]
        .into_iter()
        .filter(refers_to_vm)
        .collect();
    if !globals.is_empty() {
        return refuse(format!(
            "Cannot change template_for_dispvms to False while it is in use by the system by any \
             of these properties: {}",
            globals.join(", ")
        ));
    }
    let mut users = Vec::new();
    for other in qubes
        .iter()
        .filter(|o| o.name != vm.name && !property::is_preloaded(qubes, o))
    {
        for property in ["default_dispvm", "management_dispvm", "template"] {
            if other.properties.get(property) == Some(vm.name.as_str()) {
                users.push(format!("{property} of '{}'", other.name));
            }
        }
    }
    match users.is_empty() {
        true => Ok(()),
        false => refuse(format!(
            "Cannot change template_for_dispvms of '{}' to False while it is in use as {}",
            vm.name,
            users.join(", ")
        )),
    }
}

/// Requires memory hotplug to change maxmem of a running qube.
pub(super) fn require_memory_hotplug(
    context: &PropertyContext<'_>,
    _: &ProposedChange<'_>,
) -> RuleResult {
    let PropertyContext { qubes, vm, facts } = *context;
    match facts.power_state(vm) == PowerState::Halted || has_memory_hotplug(qubes, vm, facts)? {
        true => Ok(()),
        false => refuse(format!(
            "maxmem of '{}' cannot be changed while it runs: it does not support memory hotplug; \
             shut it down first",
            vm.name
        )),
    }
}

/// Requires that a qube with PCI devices is not set to mode pvh.
pub(super) fn require_no_pci_for_pvh(
    context: &PropertyContext<'_>,
    proposed: &ProposedChange<'_>,
) -> RuleResult {
    match proposed.value.as_str() == Some("pvh") && property::has_pci(context.qubes, context.vm) {
        true => refuse(format!(
            "virt_mode of '{}' cannot be pvh: PCI devices are assigned to it",
            context.vm.name
        )),
        false => Ok(()),
    }
}

/// Returns whether the running qube supports memory hotplug (`docs/spec/r4-properties.md`
/// §5.8).
pub fn has_memory_hotplug(
    qubes: &Qubes,
    vm: &Vm,
    facts: &dyn Facts,
) -> Result<bool, PropertyError> {
    if let Some(feature) = features::get_with_template(qubes, vm, "memory-hotplug") {
        return Ok(!feature.is_empty());
    }
    if property::virt_mode(qubes, vm, facts)? == VirtMode::Hvm {
        return Ok(false);
    }
    let kernel = property::kernel(qubes, vm, facts)?;
    Ok(match kernel.is_empty() {
        true => features::is_on(features::get_with_template(
            qubes,
            vm,
            "supported-feature.memory-hotplug",
        )),
        false => facts
            .host()
            .kernel_file(
                &property::kernels_dir(qubes, vm, facts),
                &kernel,
                "memory-hotplug-supported",
            )
            .is_some(),
    })
}

/// Returns whether the qube's netvm is the system's default.
pub(in crate::model) fn has_default_netvm(vm: &Vm) -> bool {
    vm.class.has_default_netvm() && !vm.properties.contains("netvm")
}

/// Returns the disposables based on a qube.
pub fn disposables_of<'a>(qubes: &'a Qubes, template: &'a VmName) -> impl Iterator<Item = &'a Vm> {
    let disposables = qubes
        .names_with_classes()
        .filter(|(_, class)| **class == Class::DispVM);
    let vms = disposables.filter_map(|(name, _)| qubes.get(name.as_str()));
    vms.filter(move |vm| vm.properties.get("template") == Some(template.as_str()))
}
