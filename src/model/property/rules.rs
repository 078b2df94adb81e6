//! Rules beyond the type of one property: what must hold between qubes, and with the world, for a
//! value to be taken. Texts are upstream's where they are recorded (`data/r4/cli/qvm-prefs.txt`,
//! `qubes-prefs.txt`).

use super::kernel::default_kernels_dir;
use super::{PropertyContext, PropertyError, ProposedChange, Value, VirtMode};
use crate::model::class::Class;
use crate::model::facts::Facts;
use crate::model::name::VmName;
use crate::model::power::PowerState;
use crate::model::qubes::Qubes;
use crate::model::qubesd_rules::{can_have_network, find_reference_problem, is_kernel_name};
use crate::model::vm::Vm;

type Checked = Result<(), PropertyError>;

fn refuse(text: String) -> Checked {
    Err(PropertyError::Refused(text))
}

/// A kernel that is chosen must be installed.
pub(super) fn kernel_is_installed(facts: &dyn Facts, proposed: &ProposedChange<'_>) -> Checked {
    match proposed.value.as_str() {
        Some(kernel) if !proposed.reset && !kernel.is_empty() => {
            match is_kernel_name(kernel)
                && facts.is_kernel_installed(&default_kernels_dir(facts), kernel)
            {
                true => Ok(()),
                false => refuse(format!("Kernel '{kernel}' not installed")),
            }
        }
        _ => Ok(()),
    }
}

/// The default kernel is installed, and stays set while a qube counts on it: upstream could not
/// save such a store.
pub(super) fn default_kernel_serves(
    qubes: &Qubes,
    facts: &dyn Facts,
    proposed: &ProposedChange<'_>,
) -> Checked {
    if !proposed.reset {
        return kernel_is_installed(facts, proposed);
    }
    let inherits = |vm: &&Vm| {
        vm.class.is_local_guest()
            && !qubes
                .template_chain(vm)
                .any(|v| v.properties.contains("kernel"))
    };
    match qubes.iter().find(inherits) {
        Some(vm) => refuse(format!(
            "default_kernel cannot be reset: it has no default, and qube '{}' has no kernel of its own",
            vm.name
        )),
        None => Ok(()),
    }
}

/// A netvm must provide network, must not be reached through the qube itself, and must run if the
/// qube does.
pub(super) fn netvm_provides_and_does_not_loop(
    context: &PropertyContext<'_>,
    proposed: &ProposedChange<'_>,
) -> Checked {
    let PropertyContext { qubes, vm, facts } = *context;
    let Some(netvm) = proposed.value.as_qube().and_then(|n| qubes.get(n.as_str())) else {
        return Ok(());
    };
    if !proposed.reset && !qubes.provides_network(netvm, facts) {
        return refuse(format!("The {} qube does not provide network", netvm.name));
    }
    if qubes.netvm_chain(netvm, facts).any(|v| v.name == vm.name) {
        return refuse("Loops in network are unsupported".to_owned());
    }
    netvm_runs_if_needed(vm, netvm, facts)
}

fn netvm_runs_if_needed(vm: &Vm, netvm: &Vm, facts: &dyn Facts) -> Checked {
    let needs_it = facts.power_state(vm) == PowerState::Running;
    match needs_it && !facts.power_state(netvm).is_active() {
        true => refuse(format!(
            "qube '{}' runs, and its new netvm '{}' does not; start '{}' first",
            vm.name, netvm.name, netvm.name
        )),
        false => Ok(()),
    }
}

/// The default netvm must not get its own network through the default, and must be a qube that can
/// have a network: for one that does not provide it yet upstream waits.
pub(super) fn default_netvm_serves(
    qubes: &Qubes,
    facts: &dyn Facts,
    proposed: &ProposedChange<'_>,
) -> Checked {
    let Some(netvm) = proposed.value.as_qube().and_then(|n| qubes.get(n.as_str())) else {
        return Ok(());
    };
    let mut seen: Vec<&VmName> = Vec::new();
    let mut at = Some(netvm);
    while let Some(vm) = at {
        if qubes.has_default_netvm(vm) || seen.contains(&&vm.name) {
            return refuse(format!("Network loop on '{}'", vm.name));
        }
        seen.push(&vm.name);
        at = qubes.netvm(vm, facts)?;
    }
    if !can_have_network(&netvm.class) {
        return refuse(format!("The {} qube does not provide network", netvm.name));
    }
    qubes
        .iter()
        .filter(|vm| qubes.has_default_netvm(vm))
        .try_for_each(|vm| netvm_runs_if_needed(vm, netvm, facts))
}

/// The tag that goes with the reference can be made.
pub(super) fn reference_has_tag(_: &PropertyContext<'_>, proposed: &ProposedChange<'_>) -> Checked {
    match proposed
        .value
        .as_qube()
        .and_then(|name| find_reference_problem(proposed.property.name, name))
    {
        Some(misfit) => refuse(format!(
            "{} cannot be '{}': {misfit}",
            proposed.property.name, proposed.value
        )),
        None => Ok(()),
    }
}

/// The tag that goes with the reference of every qube that follows the default can be made.
pub(super) fn default_reference_has_tag(
    _: &Qubes,
    _: &dyn Facts,
    proposed: &ProposedChange<'_>,
) -> Checked {
    match proposed
        .value
        .as_qube()
        .and_then(|name| find_reference_problem(proposed.property.name, name))
    {
        Some(misfit) => refuse(format!(
            "{} cannot be '{}': {misfit}",
            proposed.property.name, proposed.value
        )),
        None => Ok(()),
    }
}

/// A qube keeps providing network while others use it.
pub(super) fn nobody_uses_its_network(
    context: &PropertyContext<'_>,
    proposed: &ProposedChange<'_>,
) -> Checked {
    let PropertyContext { qubes, vm, facts } = *context;
    if proposed.value.as_bool() == Some(true) || proposed.before != Some(&Value::Bool(true)) {
        return Ok(());
    }
    let uses = |other: &Vm| {
        qubes
            .netvm(other, facts)
            .is_ok_and(|n| n.is_some_and(|n| n.name == vm.name))
    };
    match qubes.iter().any(uses) {
        true => {
            refuse("The qube is still used by other qubes, change theirs 'netvm' first".to_owned())
        }
        false => Ok(()),
    }
}

/// The template of a qube changes while the qube, and disposables made from it, are halted.
pub(super) fn template_may_change(
    context: &PropertyContext<'_>,
    proposed: &ProposedChange<'_>,
) -> Checked {
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
    if vm.class == Class::DispVM && !qubes.is_template_for_dispvms(template, facts) {
        return refuse(dispvm_template_error(&template.name));
    }
    if facts.power_state(vm) != PowerState::Halted {
        return refuse(format!(
            "qube '{}' runs; its template can be changed once it is halted",
            vm.name
        ));
    }
    let running = qubes
        .disposables_of(&vm.name)
        .find(|d| facts.power_state(d).is_active() && !qubes.is_preloaded(d));
    match running {
        Some(d) => refuse(format!(
            "disposable '{}' of '{}' runs; the template can be changed once it is halted",
            d.name, vm.name
        )),
        None => Ok(()),
    }
}

/// Why a qube cannot be a disposable's template.
pub(in crate::model) fn dispvm_template_error(template: &VmName) -> String {
    format!(
        "template for disposable ({template}) needs to be an AppVM with template_for_dispvms=True"
    )
}

/// A qube's default_dispvm or management_dispvm must be a template for disposables.
pub(super) fn is_disposable_template(
    context: &PropertyContext<'_>,
    proposed: &ProposedChange<'_>,
) -> Checked {
    points_to_disposable_template(
        context.qubes,
        &format!("qube '{}'", context.vm.name),
        context.facts,
        proposed,
    )
}

/// The same for the system's.
pub(super) fn global_is_disposable_template(
    qubes: &Qubes,
    facts: &dyn Facts,
    proposed: &ProposedChange<'_>,
) -> Checked {
    points_to_disposable_template(qubes, "system", facts, proposed)
}

fn points_to_disposable_template(
    qubes: &Qubes,
    owner: &str,
    facts: &dyn Facts,
    proposed: &ProposedChange<'_>,
) -> Checked {
    match proposed.value.as_qube().and_then(|n| qubes.get(n.as_str())) {
        Some(qube) if !proposed.reset && !qubes.is_template_for_dispvms(qube, facts) => {
            refuse(format!(
                "Cannot set invalid property to {owner}, {} '{}' has template_for_dispvms set to False",
                proposed.property.name, qube.name
            ))
        }
        _ => Ok(()),
    }
}

/// A qube stays a template for disposables while somebody counts on it.
pub(super) fn nobody_uses_it_for_disposables(
    context: &PropertyContext<'_>,
    proposed: &ProposedChange<'_>,
) -> Checked {
    let PropertyContext { qubes, vm, facts } = *context;
    if proposed.value.as_bool() == Some(true) {
        return Ok(());
    }
    let is_it = |global: &&str| {
        qubes
            .global_value_by_name(global, facts)
            .is_ok_and(|v| v.as_qube().is_some_and(|name| *name == vm.name))
    };
    let globals: Vec<&str> = ["default_dispvm", "management_dispvm"]
        .into_iter()
        .filter(is_it)
        .collect();
    if !globals.is_empty() {
        return refuse(format!(
            "Cannot change template_for_dispvms to False while it is in use by the system by any of these properties: {}",
            globals.join(", ")
        ));
    }
    let mut users = Vec::new();
    for other in qubes
        .iter()
        .filter(|o| o.name != vm.name && !qubes.is_preloaded(o))
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

/// maxmem of a running qube changes only where its memory can be plugged.
pub(super) fn maxmem_while_running(
    context: &PropertyContext<'_>,
    _: &ProposedChange<'_>,
) -> Checked {
    let PropertyContext { qubes, vm, facts } = *context;
    match facts.power_state(vm) == PowerState::Halted || qubes.has_memory_hotplug(vm, facts)? {
        true => Ok(()),
        false => refuse(format!(
            "maxmem of '{}' cannot be changed while it runs: it does not support memory hotplug; shut it down first",
            vm.name
        )),
    }
}

/// Mode pvh has no PCI devices.
pub(super) fn pvh_without_pci(
    context: &PropertyContext<'_>,
    proposed: &ProposedChange<'_>,
) -> Checked {
    match proposed.value.as_str() == Some("pvh") && context.qubes.has_pci(context.vm) {
        true => refuse(format!(
            "virt_mode of '{}' cannot be pvh: PCI devices are assigned to it",
            context.vm.name
        )),
        false => Ok(()),
    }
}

impl Qubes {
    /// Whether memory can be plugged into the running qube (`docs/spec/r4-properties.md` §5.8).
    pub fn has_memory_hotplug(&self, vm: &Vm, facts: &dyn Facts) -> Result<bool, PropertyError> {
        if let Some(feature) = self.feature_with_template(vm, "memory-hotplug") {
            return Ok(!feature.is_empty());
        }
        if self.virt_mode(vm, facts)? == VirtMode::Hvm {
            return Ok(false);
        }
        let kernel = self.kernel(vm, facts)?;
        Ok(match kernel.is_empty() {
            true => self
                .is_feature_on(self.feature_with_template(vm, "supported-feature.memory-hotplug")),
            false => facts
                .kernel_file(
                    &self.kernels_dir(vm, facts),
                    &kernel,
                    "memory-hotplug-supported",
                )
                .is_some(),
        })
    }

    /// Whether the qube's netvm is the system's default.
    pub(in crate::model) fn has_default_netvm(&self, vm: &Vm) -> bool {
        vm.class.is_local_guest()
            && vm.class != Class::TemplateVM
            && !vm.properties.contains("netvm")
    }

    /// The disposables made from a qube.
    pub fn disposables_of<'a>(&'a self, template: &'a VmName) -> impl Iterator<Item = &'a Vm> {
        let disposables = self
            .names_with_classes()
            .filter(|(_, class)| **class == Class::DispVM);
        let vms = disposables.filter_map(|(name, _)| self.get(name.as_str()));
        vms.filter(move |vm| vm.properties.get("template") == Some(template.as_str()))
    }
}
