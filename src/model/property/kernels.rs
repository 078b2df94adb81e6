//! Properties of the kernel from dom0, its command line and boot modes.

use super::read::explicit_or_inherited;
use super::rules::require_installed_kernel;
use super::value_type::{ValueType, keep_text};
use super::{
    AppliesTo, Completion, Consequences, DEFAULT_KERNEL, DefaultValue, EmptyText, GUESTS, KERNEL,
    Property, PropertyContext, PropertyError, Rule, Value,
};
use crate::model::class::Class;
use crate::model::features;
use crate::model::property;
use crate::model::property::consequences;
use crate::model::release::Release;

/// The maximum length of a kernel command line in upstream, in characters.
const KERNELOPTS_MAX: usize = 512;

const KERNEL_TYPE: ValueType = ValueType::Text {
    normalize: check_kernel,
    empty: EmptyText::Empty,
};
const KERNELOPTS_TYPE: ValueType = ValueType::Text {
    normalize: check_kernelopts,
    empty: EmptyText::Empty,
};
const MODE_TYPE: ValueType = ValueType::Text {
    normalize: keep_text,
    empty: EmptyText::WordNone,
};

pub(super) const ROWS: &[Property] = &[
    Property::new(
        "kernel",
        GUESTS,
        KERNEL_TYPE,
        DefaultValue::Inherited(&DefaultValue::Global("default_kernel")),
        "Which of dom0's kernels the qube starts with; empty: the one in its own image. Without \
         one of its own, a qube takes its template's.",
    )
    .completion(Completion::Kernels)
    .rule(Rule::Qube(|context, proposed| {
        require_installed_kernel(context.facts, proposed)
    }))
    .consequences(Consequences::Qube(consequences::update_kernel_volume)),
    Property::new(
        "kernelopts",
        GUESTS,
        KERNELOPTS_TYPE,
        DefaultValue::ComputedOrInherited {
            compute: default_kernelopts,
            inherits: inherits_kernelopts,
        },
        "Command line of the kernel from dom0. Without one of its own, a qube takes its \
         template's.",
    )
    .late(),
    Property::new(
        "bootmode",
        GUESTS,
        MODE_TYPE,
        DefaultValue::Computed(bootmode),
        "Which of the qube's boot modes is used.",
    )
    .late()
    .since(Release::R4_3),
    Property::new(
        "appvm_default_bootmode",
        AppliesTo::Classes(&[Class::TemplateVM]),
        MODE_TYPE,
        DefaultValue::Computed(appvm_default_bootmode),
        "Which boot mode qubes based on this template use unless they choose one.",
    )
    .late()
    .since(Release::R4_3),
];

fn check_kernel(text: &str) -> Result<String, PropertyError> {
    match text.contains('/') {
        true => Err(PropertyError::refused(format!(
            "kernel '{text}' contains a slash; name one of dom0's kernels"
        ))),
        false => Ok(text.to_owned()),
    }
}

fn check_kernelopts(text: &str) -> Result<String, PropertyError> {
    match text.chars().count() {
        ..=KERNELOPTS_MAX => Ok(text.to_owned()),
        long => Err(PropertyError::refused(format!(
            "kernelopts has {long} characters; the maximum is {KERNELOPTS_MAX}"
        ))),
    }
}

/// Computes the default of `kernelopts` (`docs/spec/r4-properties.md` §5.5).
fn default_kernelopts(context: &PropertyContext<'_>) -> Result<Value, PropertyError> {
    let PropertyContext { qubes, vm, facts } = *context;
    let kernel = property::kernel(qubes, vm, facts)?;
    if kernel.is_empty() {
        return Ok(Value::text(""));
    }
    let file = |name: &str| {
        facts
            .host()
            .kernel_file(&property::kernels_dir(qubes, vm, facts), &kernel, name)
    };
    if property::has_pci(qubes, vm) {
        let mut options = file("default-kernelopts-pci.txt")
            .unwrap_or_default()
            .trim()
            .to_owned();
        let dom0 = qubes.get(crate::model::VmName::DOM0);
        if dom0.is_some_and(|d| {
            d.features
                .get("suspend-s0ix")
                .is_some_and(|f| !f.is_empty())
        }) {
            options.push_str(" qubes_exp_pm_use_suspend=1");
        }
        return Ok(Value::text(options));
    }
    if let Some(template) = property::template(qubes, vm)? {
        return property::value_by_name(qubes, template, "kernelopts", facts);
    }
    let options = file("default-kernelopts-nopci.txt");
    Ok(Value::text(
        options.as_deref().map_or("swiotlb=2048", str::trim),
    ))
}

/// Returns whether `kernelopts` is inherited: with a kernel from dom0 and without PCI devices.
fn inherits_kernelopts(context: &PropertyContext<'_>) -> bool {
    let PropertyContext { qubes, vm, facts } = *context;
    let has_kernel = |kernel: Value| kernel.as_str().is_some_and(|kernel| !kernel.is_empty());
    !property::has_pci(qubes, vm)
        && match explicit_or_inherited(qubes, vm, KERNEL) {
            Ok(Some(kernel)) => !kernel.is_empty(),
            Ok(None) => property::global_value(qubes, DEFAULT_KERNEL, facts).is_ok_and(has_kernel),
            Err(_) => false,
        }
}

/// Computes `bootmode` (`docs/spec/r4-properties.md` §5.6).
fn bootmode(context: &PropertyContext<'_>) -> Result<Value, PropertyError> {
    let PropertyContext { qubes, vm, facts } = *context;
    let is_known = |mode: &str| {
        mode == "default"
            || features::get_with_template(qubes, vm, &format!("boot-mode.kernelopts.{mode}"))
                .is_some()
    };
    if let Some(mode) = vm.features.get("boot-mode.active").filter(|m| is_known(m)) {
        return Ok(Value::text(mode));
    }
    for template in property::template_chain(qubes, vm)
        .skip(1)
        .filter(|t| t.class == Class::TemplateVM)
    {
        let mode = property::value_by_name(qubes, template, "appvm_default_bootmode", facts)?;
        if mode.as_str().is_some_and(&is_known) {
            return Ok(mode);
        }
    }
    Ok(Value::text("default"))
}

fn appvm_default_bootmode(context: &PropertyContext<'_>) -> Result<Value, PropertyError> {
    Ok(Value::text(
        context
            .vm
            .features
            .get("boot-mode.appvm-default")
            .unwrap_or("default"),
    ))
}
