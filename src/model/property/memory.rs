//! Properties of memory, processors and virtualisation, and the ids of a running domain.

use super::error::Owner;
use super::legacy::{HVM, MEMINFO_WRITER};
use super::rules::{require_memory_hotplug, require_no_pci_for_pvh};
use super::value_type::{INT, POSITIVE, TEXT, ValueType};
use super::{
    ADMIN, Completion, Consequences, DefaultValue, EmptyText, GUESTS, Property, PropertyContext,
    PropertyError, Rule, Value,
};
use super::{AppliesTo, VIRT_MODE};
use crate::model::class::Class;
use crate::model::effect::{Change, Effect};
use crate::model::features;
use crate::model::property;
use crate::model::qubes::Qubes;
use crate::model::release::Release;
use crate::model::vm::Vm;

/// dom0's maxmem if xenstore cannot be read, in MiB (`docs/spec/r4-properties.md` §4).
const DOM0_MAXMEM_MIB: i64 = 4096;

const VIRT_MODE_TYPE: ValueType = ValueType::Text {
    normalize: check_virt_mode,
    empty: EmptyText::Refused,
};

pub(super) const ROWS: &[Property] = &[
    Property::new(
        "memory",
        GUESTS,
        POSITIVE,
        DefaultValue::Inherited(&DefaultValue::Int(400)),
        "Memory at start, in MiB. Without one of its own, a qube takes its template's.",
    )
    .consequences(Consequences::Qube(|_, vm, _| {
        Effect::CompareMemory { vm: vm.clone() }.into()
    })),
    Property::new(
        "maxmem",
        GUESTS,
        ValueType::Int {
            min: 0,
            max: i64::MAX,
        },
        DefaultValue::ComputedOrInherited {
            compute: maxmem,
            // A qube with its own memory may need more than its template's maxmem.
            inherits: |context| {
                !context.vm.properties.contains("memory")
                    && can_balance_memory(context.qubes, context.vm) == Ok(true)
            },
        },
        "Up to how much memory the balancer may give the qube, in MiB; 0 turns balancing off. \
         Without one of its own, a qube takes its template's where balancing is possible: not \
         with PCI devices, nor for hvm without an agent that supports it. The hypervisor is \
         taken to be Xen, which alone can balance.",
    )
    .depends_on_power()
    .sorts_as_number()
    .legacy(MEMINFO_WRITER)
    .rule(Rule::Qube(require_memory_hotplug))
    .consequences(Consequences::Qube(|_, vm, _| {
        Change::from_iter([
            Effect::MaxmemHotplug { vm: vm.clone() },
            Effect::CompareMemory { vm: vm.clone() },
        ])
    })),
    Property::new(
        "maxmem",
        ADMIN,
        INT,
        DefaultValue::Computed(dom0_maxmem),
        "Memory that dom0 may have, in MiB; 4096 where Xen cannot be asked.",
    )
    .computed()
    .since(Release::R4_4),
    Property::new(
        "vcpus",
        GUESTS,
        POSITIVE,
        DefaultValue::Inherited(&DefaultValue::Int(2)),
        "Number of virtual processors. Without one of its own, a qube takes its template's.",
    )
    .sorts_as_number(),
    Property::new(
        "virt_mode",
        GUESTS,
        VIRT_MODE_TYPE,
        DefaultValue::ComputedOrInherited {
            compute: default_virt_mode,
            inherits: |context| !has_pci(context.qubes, context.vm),
        },
        "How the qube is virtualised: hvm, pvh or pv. hvm where a PCI device is assigned, else \
         its template's, else pvh.",
    )
    .completion(Completion::Words(&["hvm", "pv", "pvh"]))
    .legacy(HVM)
    .rule(Rule::Qube(require_no_pci_for_pvh)),
    Property::new(
        "stubdom_mem",
        GUESTS,
        POSITIVE,
        DefaultValue::Nothing,
        "Memory of the stub domain that emulates devices for an hvm qube, in MiB.",
    ),
    Property::new(
        "xid",
        GUESTS,
        INT,
        DefaultValue::Computed(xid),
        "The hypervisor's number of the running domain; -1 without one, and offline.",
    )
    .live()
    .sorts_as_number()
    .computed(),
    Property::new(
        "stubdom_xid",
        GUESTS,
        INT,
        DefaultValue::Computed(stubdom_xid),
        "The hypervisor's number of the running stub domain; -1 without one.",
    )
    .live()
    .computed(),
    Property::new(
        "stubdom_uuid",
        GUESTS,
        TEXT,
        DefaultValue::Computed(stubdom_uuid),
        "The identity of the running stub domain; empty without one.",
    )
    .live()
    .computed()
    .since(Release::R4_3),
    Property::new(
        "start_time",
        GUESTS,
        TEXT,
        DefaultValue::Computed(start_time),
        "When the running domain was started, in seconds since 1970; none offline.",
    )
    .live()
    .with_json_type("number")
    .computed(),
    Property::new(
        "maxmem",
        AppliesTo::System,
        INT,
        DefaultValue::ComputedGlobal(|_, facts| {
            Ok(Value::Int(
                i64::try_from(facts.host().memory_mib()).unwrap_or(i64::MAX),
            ))
        }),
        "Memory of the machine, in MiB; what core.toml says, where it does.",
    )
    .computed()
    .since(Release::R4_4),
    Property::new(
        "no_cpus",
        AppliesTo::System,
        INT,
        DefaultValue::ComputedGlobal(|_, facts| Ok(Value::Int(facts.host().cpus().into()))),
        "Number of the machine's processors; what core.toml says, where it does.",
    )
    .computed()
    .since(Release::R4_4),
];

fn check_virt_mode(text: &str) -> Result<String, PropertyError> {
    let mode = text.to_ascii_lowercase();
    match mode.as_str() {
        "hvm" | "pv" | "pvh" => Ok(mode),
        _ => Err(PropertyError::refused(
            "Invalid virtualization mode, supported values: hvm, pv, pvh",
        )),
    }
}

/// Computes the default of `virt_mode` (`docs/spec/r4-properties.md` §5.1).
fn default_virt_mode(context: &PropertyContext<'_>) -> Result<Value, PropertyError> {
    Ok(Value::text(default_mode(context.qubes, context.vm)?))
}

/// Computes the default of `maxmem` (`docs/spec/r4-properties.md` §5.3).
fn maxmem(context: &PropertyContext<'_>) -> Result<Value, PropertyError> {
    let PropertyContext { qubes, vm, facts } = *context;
    if !can_balance_memory(qubes, vm)? {
        return Ok(Value::Int(0));
    }
    // The default is never below the memory that the qube starts with.
    let memory = i64::try_from(property::memory(qubes, vm, facts)?).unwrap_or(i64::MAX);
    if let Some(template) = property::template(qubes, vm)? {
        return Ok(
            match property::value_by_name(qubes, template, "maxmem", facts)? {
                Value::Int(maxmem) if maxmem != 0 && vm.properties.contains("memory") => {
                    Value::Int(maxmem.max(memory))
                }
                template_maxmem => template_maxmem,
            },
        );
    }
    let is_linux = vm.features.get("os") == Some("Linux");
    let base = if is_linux {
        property::memory(qubes, vm, facts)?.saturating_mul(10)
    } else {
        4000
    };
    let default = i64::try_from(base.min(facts.host().memory_mib() / 2)).unwrap_or(i64::MAX);
    Ok(Value::Int(default.max(memory)))
}

fn dom0_maxmem(context: &PropertyContext<'_>) -> Result<Value, PropertyError> {
    let maxmem = context
        .facts
        .host()
        .dom0_maxmem_mib()
        .and_then(|mib| i64::try_from(mib).ok());
    Ok(Value::Int(maxmem.unwrap_or(DOM0_MAXMEM_MIB)))
}

fn xid(context: &PropertyContext<'_>) -> Result<Value, PropertyError> {
    Ok(Value::Int(context.facts.domain_id(context.vm)))
}

fn stubdom_xid(context: &PropertyContext<'_>) -> Result<Value, PropertyError> {
    Ok(Value::Int(
        context
            .facts
            .stubdom(context.vm)
            .map_or(-1, |s| s.id.into()),
    ))
}

fn stubdom_uuid(context: &PropertyContext<'_>) -> Result<Value, PropertyError> {
    Ok(Value::text(
        context
            .facts
            .stubdom(context.vm)
            .map(|s| s.uuid.to_string())
            .unwrap_or_default(),
    ))
}

fn start_time(context: &PropertyContext<'_>) -> Result<Value, PropertyError> {
    Ok(context
        .facts
        .start_time(context.vm)
        .map_or(Value::None, Value::Float))
}

/// Returns whether the qube's memory can be balanced, assuming that the hypervisor is Xen
/// (`docs/spec/r4-properties.md` §5.2): no PCI device, and a fully virtualised guest must have
/// an agent, which must support it if it says what it supports.
pub fn can_balance_memory(qubes: &Qubes, vm: &Vm) -> Result<bool, PropertyError> {
    if has_pci(qubes, vm) {
        return Ok(false);
    }
    if mode(qubes, vm) != Ok("hvm") {
        return Ok(true);
    }
    if !features::is_on(features::get_with_template(qubes, vm, "qrexec")) {
        return Ok(false);
    }
    let lists_supported_services = property::template_chain(qubes, vm).any(|v| {
        v.features
            .names()
            .any(|n| n.starts_with("supported-service."))
    });
    let supports_balancing = || {
        features::is_on(features::get_with_template(
            qubes,
            vm,
            "supported-service.meminfo-writer",
        ))
    };
    Ok(!lists_supported_services || supports_balancing())
}

fn mode<'a>(qubes: &'a Qubes, vm: &'a Vm) -> Result<&'a str, PropertyError> {
    match VIRT_MODE.explicit_value(vm) {
        Some(text) if !text.is_empty() => Ok(text),
        Some(text) => VIRT_MODE
            .read(qubes, Owner::Qube(&vm.name), text)
            .map(|_| text),
        None => default_mode(qubes, vm),
    }
}

fn default_mode<'a>(qubes: &'a Qubes, vm: &'a Vm) -> Result<&'a str, PropertyError> {
    if has_pci(qubes, vm) {
        return Ok("hvm");
    }
    property::template(qubes, vm)?.map_or(Ok("pvh"), |template| mode(qubes, template))
}

/// Returns whether a PCI device with an existing backend is assigned to the qube, in any mode.
pub fn has_pci(qubes: &Qubes, vm: &Vm) -> bool {
    vm.class != Class::AdminVM
        && vm
            .assignments("pci")
            .any(|a| a.mode().is_ok() && a.backend().is_none_or(|b| qubes.contains(b)))
}
