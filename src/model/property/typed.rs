//! Typed access to the properties that the code itself uses.

use std::collections::HashSet;

use super::error::Owner;
use super::network::default_netvm;
use super::{NETVM, PROVIDES_NETWORK, Property, PropertyError, Scope};
use crate::model::class::Class;
use crate::model::facts::Facts;
use crate::model::features;
use crate::model::label::Label;
use crate::model::name::VmName;
use crate::model::property;
use crate::model::qubes::Qubes;
use crate::model::vm::Vm;

/// How a qube is virtualised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VirtMode {
    /// Full virtualisation with emulated devices.
    Hvm,
    /// Paravirtualisation.
    Pv,
    /// Hardware virtualisation without emulated devices.
    Pvh,
}

impl VirtMode {
    /// Returns the mode as the store spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            VirtMode::Hvm => "hvm",
            VirtMode::Pv => "pv",
            VirtMode::Pvh => "pvh",
        }
    }
}

/// Returns the qube's label.
///
/// # Errors
/// The qube has no label, or the system has no label of that name.
pub fn label<'q>(qubes: &'q Qubes, vm: &Vm) -> Result<&'q Label, PropertyError> {
    let text = vm
        .properties
        .get("label")
        .ok_or_else(|| Owner::Qube(&vm.name).unset_error("label"))?;
    qubes
        .labels
        .find(text)
        .ok_or_else(|| invalid_value(vm, "label", text, "it is not a label of this system"))
}

/// Returns the qube's template, or `None` for classes without one.
///
/// # Errors
/// The template is not set, does not exist, or is of a class that cannot be a template. A chain
/// of templates therefore always ends.
pub fn template<'q>(qubes: &'q Qubes, vm: &Vm) -> Result<Option<&'q Vm>, PropertyError> {
    if !vm.class.has_template() {
        return Ok(None);
    }
    let text = vm
        .properties
        .get("template")
        .ok_or_else(|| Owner::Qube(&vm.name).unset_error("template"))?;
    let template = qubes
        .get(text)
        .ok_or_else(|| invalid_value(vm, "template", text, "there is no such qube"))?;
    match vm.class.can_have_template(&template.class) {
        true => Ok(Some(template)),
        false => Err(invalid_value(
            vm,
            "template",
            text,
            &format!("a {} cannot be the template", template.class),
        )),
    }
}

/// Returns the qube, its template, the template's template and so on, up to the first missing
/// one.
pub fn template_chain<'a>(qubes: &'a Qubes, vm: &'a Vm) -> impl Iterator<Item = &'a Vm> {
    std::iter::successors(Some(vm), |v| template(qubes, v).ok().flatten())
}

/// Returns the qube that connects this one to the network, if any.
///
/// # Errors
/// The netvm is invalid.
pub fn netvm<'q>(
    qubes: &'q Qubes,
    vm: &Vm,
    facts: &dyn Facts,
) -> Result<Option<&'q Vm>, PropertyError> {
    if !NETVM.is_in_scope(Scope::Class(&vm.class)) {
        return Ok(None);
    }
    let text = match NETVM.explicit_value(vm) {
        Some(text) => Some(text),
        None => default_netvm(vm).and_then(|property| qubes.globals.get(property.name)),
    };
    // The usual case needs no parsing of the value.
    match text
        .and_then(|text| qubes.get(text))
        .filter(|netvm| NETVM.can_refer_to(&netvm.class))
    {
        Some(netvm) => Ok(Some(netvm)),
        None => referenced_qube(qubes, vm, NETVM, facts),
    }
}

/// Returns the qube, its netvm, the netvm's netvm and so on, up to the first that is missing or
/// would be repeated.
pub fn netvm_chain<'a>(
    qubes: &'a Qubes,
    vm: &'a Vm,
    facts: &'a dyn Facts,
) -> impl Iterator<Item = &'a Vm> {
    let mut seen: HashSet<&VmName> = HashSet::new();
    std::iter::successors(Some(vm), move |v| {
        seen.insert(&v.name);
        netvm(qubes, v, facts)
            .ok()
            .flatten()
            .filter(|next| !seen.contains(&next.name))
    })
}

/// Returns the qube that shows this one's windows, if any.
///
/// # Errors
/// As [`crate::model::property::value`].
pub fn guivm<'q>(
    qubes: &'q Qubes,
    vm: &Vm,
    facts: &dyn Facts,
) -> Result<Option<&'q Vm>, PropertyError> {
    reference(qubes, vm, "guivm", facts)
}

/// Returns the qube that plays this one's sound, if any.
///
/// # Errors
/// As [`crate::model::property::value`].
pub fn audiovm<'q>(
    qubes: &'q Qubes,
    vm: &Vm,
    facts: &dyn Facts,
) -> Result<Option<&'q Vm>, PropertyError> {
    reference(qubes, vm, "audiovm", facts)
}

/// Returns the memory at start, in MiB.
///
/// # Errors
/// The property is unset without a default, or invalid.
pub fn memory(qubes: &Qubes, vm: &Vm, facts: &dyn Facts) -> Result<u64, PropertyError> {
    number(qubes, vm, "memory", facts)
}

/// Returns the limit of memory balancing in MiB; 0 turns balancing off.
///
/// # Errors
/// The property is unset without a default, or invalid.
pub fn maxmem(qubes: &Qubes, vm: &Vm, facts: &dyn Facts) -> Result<u64, PropertyError> {
    number(qubes, vm, "maxmem", facts)
}

/// Returns the number of virtual processors.
///
/// # Errors
/// The property is unset without a default, or invalid.
pub fn vcpus(qubes: &Qubes, vm: &Vm, facts: &dyn Facts) -> Result<u32, PropertyError> {
    let number = number(qubes, vm, "vcpus", facts)?;
    u32::try_from(number)
        .map_err(|_| invalid_value(vm, "vcpus", &number.to_string(), "it is too large"))
}

/// Returns how the qube is virtualised.
///
/// # Errors
/// The property is invalid.
pub fn virt_mode(qubes: &Qubes, vm: &Vm, facts: &dyn Facts) -> Result<VirtMode, PropertyError> {
    let mode = text(qubes, vm, "virt_mode", facts)?;
    match mode.to_ascii_lowercase().as_str() {
        "hvm" => Ok(VirtMode::Hvm),
        "pv" => Ok(VirtMode::Pv),
        "pvh" => Ok(VirtMode::Pvh),
        _ => Err(invalid_value(
            vm,
            "virt_mode",
            &mode,
            "it is not hvm, pv or pvh",
        )),
    }
}

/// Returns the version of the kernel from dom0; empty for the one in the qube's own image.
///
/// # Errors
/// The property is unset without a default, or invalid.
pub fn kernel(qubes: &Qubes, vm: &Vm, facts: &dyn Facts) -> Result<String, PropertyError> {
    text(qubes, vm, "kernel", facts)
}

/// Returns the kernel's command line, without the part that all qubes have.
///
/// # Errors
/// The property is unset without a default, or invalid.
pub fn kernelopts(qubes: &Qubes, vm: &Vm, facts: &dyn Facts) -> Result<String, PropertyError> {
    text(qubes, vm, "kernelopts", facts)
}

/// Returns whether a boolean property is true; false if the class does not have it or it is
/// invalid.
pub fn is_on(qubes: &Qubes, vm: &Vm, name: &str, facts: &dyn Facts) -> bool {
    Property::find(Scope::Class(&vm.class), name)
        .is_some_and(|property| property::is_true(qubes, vm, property, facts))
}

/// Returns whether the qube provides network to others.
pub fn provides_network(qubes: &Qubes, vm: &Vm, facts: &dyn Facts) -> bool {
    PROVIDES_NETWORK.is_in_scope(Scope::Class(&vm.class))
        && property::is_true(qubes, vm, PROVIDES_NETWORK, facts)
}

/// Returns whether disposables can be made from the qube.
pub fn is_template_for_dispvms(qubes: &Qubes, vm: &Vm, facts: &dyn Facts) -> bool {
    is_on(qubes, vm, "template_for_dispvms", facts)
}

/// Returns whether the disposable was started in advance, that is whether its template lists
/// it.
pub fn is_preloaded(qubes: &Qubes, vm: &Vm) -> bool {
    vm.class == Class::DispVM
        && template(qubes, vm).ok().flatten().is_some_and(|template| {
            let listed = template.features.get("preload-dispvm").unwrap_or_default();
            listed.split_whitespace().any(|name| vm.name == name)
        })
}

/// Bytes that a start needs, with what Xen keeps for itself and an emulator's domain
/// (`docs/spec/r4-properties.md` §5.7).
pub fn memory_for_start(qubes: &Qubes, vm: &Vm, facts: &dyn Facts) -> Result<u64, PropertyError> {
    const MIB: u64 = 1 << 20;
    let (memory, mode) = (memory(qubes, vm, facts)?, virt_mode(qubes, vm, facts)?);
    let emulator = match mode {
        VirtMode::Hvm => {
            let explicit = property::value_by_name(qubes, vm, "stubdom_mem", facts)?
                .as_int()
                .and_then(|n| u64::try_from(n).ok());
            let is_linux = features::get_with_template(qubes, vm, "linux-stubdom")
                .is_none_or(|text| !text.is_empty());
            explicit
                .unwrap_or(if is_linux { 128 } else { 28 })
                .saturating_add(16)
        }
        VirtMode::Pvh | VirtMode::Pv => 0,
    };
    let most = Some(maxmem(qubes, vm, facts)?)
        .filter(|maxmem| *maxmem != 0)
        .unwrap_or(memory);
    let tables = if mode == VirtMode::Pv {
        0
    } else {
        most.saturating_mul(8192)
    };
    let given = memory
        .saturating_add(emulator)
        .saturating_add(4)
        .saturating_mul(MIB);
    let for_processors = u64::from(vcpus(qubes, vm, facts)?) * MIB * 3 / 2;
    Ok(given.saturating_add(for_processors).saturating_add(tables))
}

/// Returns a text property by name.
///
/// # Errors
/// As [`crate::model::property::value_by_name`].
pub fn text(
    qubes: &Qubes,
    vm: &Vm,
    name: &str,
    facts: &dyn Facts,
) -> Result<String, PropertyError> {
    Ok(property::value_by_name(qubes, vm, name, facts)?.to_string())
}

/// Returns the qube that a property refers to, if any; `None` for classes without the property.
///
/// # Errors
/// As [`crate::model::property::value`].
pub fn reference<'q>(
    qubes: &'q Qubes,
    vm: &Vm,
    name: &str,
    facts: &dyn Facts,
) -> Result<Option<&'q Vm>, PropertyError> {
    let Some(property) = Property::find(Scope::Class(&vm.class), name) else {
        return Ok(None);
    };
    referenced_qube(qubes, vm, property, facts)
}

fn referenced_qube<'q>(
    qubes: &'q Qubes,
    vm: &Vm,
    property: &Property,
    facts: &dyn Facts,
) -> Result<Option<&'q Vm>, PropertyError> {
    Ok(property::value(qubes, vm, property, facts)?
        .as_qube()
        .and_then(|q| qubes.get(q.as_str())))
}

fn number(qubes: &Qubes, vm: &Vm, name: &str, facts: &dyn Facts) -> Result<u64, PropertyError> {
    let no_such = || PropertyError::NoSuchProperty(name.to_owned());
    let number = property::value_by_name(qubes, vm, name, facts)?
        .as_int()
        .ok_or_else(no_such)?;
    u64::try_from(number).map_err(
        |_negative| match Property::find(Scope::Class(&vm.class), name) {
            Some(p) => invalid_value(vm, p.name, &number.to_string(), "it must not be negative"),
            None => no_such(),
        },
    )
}

/// Returns the error that the store holds an invalid value.
fn invalid_value(vm: &Vm, property: &'static str, text: &str, reason: &str) -> PropertyError {
    PropertyError::InvalidStoredValue {
        owner: format!("qube '{}'", vm.name),
        property,
        text: text.to_owned(),
        reason: reason.to_owned(),
    }
}
