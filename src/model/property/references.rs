//! Properties that refer to other qubes: template, disposables, GUI, audio, relay.

use super::consequences::{replace_reference_tag, repoint_template_snapshots};
use super::legacy::DISPVM_ALLOWED;
use super::rules::{
    require_changeable_template, require_dispvm_template, require_no_dispvm_users,
    require_taggable_reference,
};
use super::value_type::{QUBE, ValueType, keep_text};
use super::{
    ADMIN, AppliesTo, Completion, Consequences, DefaultValue, EmptyText, GUESTS, Property,
    PropertyContext, PropertyError, Rule, Value,
};
use crate::model::class::Class;
use crate::model::property;
use crate::model::release::Release;

const TEMPLATE: &Class = &Class::TemplateVM;
const REMOTE: AppliesTo = AppliesTo::Classes(&[Class::RemoteVM]);
const WORD_TYPE: ValueType = ValueType::Text {
    normalize: keep_text,
    empty: EmptyText::WordNone,
};

pub(super) const ROWS: &[Property] = &[
    Property::new(
        "template",
        AppliesTo::Classes(&[Class::AppVM]),
        ValueType::Qube {
            class: Some(TEMPLATE),
            required: true,
        },
        DefaultValue::Required,
        "The TemplateVM whose root volume the qube starts with.",
    )
    .depends_on_power()
    .accepts_none()
    .late()
    .rule(Rule::Qube(require_changeable_template))
    .consequences(Consequences::Qube(repoint_template_snapshots)),
    Property::new(
        "template",
        AppliesTo::Classes(&[Class::DispVM]),
        ValueType::Qube {
            class: None,
            required: true,
        },
        DefaultValue::Required,
        "The qube whose volumes the disposable starts with; it must be a template for \
         disposables.",
    )
    .depends_on_power()
    .accepts_none()
    .completion(Completion::DisposableTemplates)
    .late()
    .rule(Rule::Qube(require_changeable_template))
    .consequences(Consequences::Qube(repoint_template_snapshots)),
    template_for_dispvms(AppliesTo::Classes(&[Class::AppVM])),
    template_for_dispvms(AppliesTo::Classes(&[Class::StandaloneVM])).since(Release::R4_1),
    Property::new(
        "audiovm",
        GUESTS,
        QUBE,
        DefaultValue::Global("default_audiovm"),
        "The qube that plays and records this one's sound.",
    )
    .accepts_none()
    .late()
    .since(Release::R4_1)
    .rule(Rule::Qube(require_taggable_reference))
    .consequences(Consequences::Qube(|qubes, vm, change| {
        replace_reference_tag(qubes, vm, "audiovm-", change)
    })),
    Property::new(
        "guivm",
        GUESTS,
        QUBE,
        DefaultValue::Global("default_guivm"),
        "The qube that shows this one's windows.",
    )
    .accepts_none()
    .late()
    .since(Release::R4_1)
    .rule(Rule::Qube(require_taggable_reference))
    .consequences(Consequences::Qube(|qubes, vm, change| {
        replace_reference_tag(qubes, vm, "guivm-", change)
    })),
    Property::new(
        "default_dispvm",
        GUESTS,
        QUBE,
        DefaultValue::Computed(compute_default_dispvm),
        "The template of the disposables that this qube asks for.",
    )
    .accepts_none()
    .completion(Completion::DisposableTemplates)
    .late()
    .rule(Rule::Qube(require_dispvm_template)),
    Property::new(
        "default_dispvm",
        ADMIN,
        QUBE,
        DefaultValue::Global("default_dispvm"),
        "The template of the disposables that dom0 asks for.",
    )
    .accepts_none()
    .completion(Completion::DisposableTemplates)
    .late()
    .rule(Rule::Qube(require_dispvm_template)),
    Property::new(
        "management_dispvm",
        GUESTS,
        QUBE,
        DefaultValue::Inherited(&DefaultValue::Global("management_dispvm")),
        "The template of the disposable from which this qube is administered.",
    )
    .completion(Completion::DisposableTemplates)
    .late()
    .rule(Rule::Qube(require_dispvm_template)),
    Property::new(
        "relayvm",
        REMOTE,
        QUBE,
        DefaultValue::NoQube,
        "The local qube through which the remote one is reached.",
    )
    .late()
    .since(Release::R4_3)
    .rule(Rule::Qube(require_taggable_reference))
    .consequences(Consequences::Qube(|qubes, vm, change| {
        replace_reference_tag(qubes, vm, "relayvm-", change)
    })),
    Property::new(
        "transport_rpc",
        REMOTE,
        WORD_TYPE,
        DefaultValue::Nothing,
        "The service of the relay through which the remote qube is reached.",
    )
    .since(Release::R4_3),
    Property::new(
        "remote_name",
        REMOTE,
        WORD_TYPE,
        DefaultValue::Nothing,
        "The remote qube's name on its own machine.",
    )
    .since(Release::R4_3),
];

/// Returns the row for one class; they differ, because standalone qubes have the property since
/// 4.1.
const fn template_for_dispvms(applies_to: AppliesTo) -> Property {
    Property::new(
        "template_for_dispvms",
        applies_to,
        ValueType::Bool,
        DefaultValue::Bool(false),
        "Whether disposables may be made from this qube.",
    )
    .legacy(DISPVM_ALLOWED)
    .rule(Rule::Qube(require_no_dispvm_users))
}

fn compute_default_dispvm(context: &PropertyContext<'_>) -> Result<Value, PropertyError> {
    match context.vm.class {
        Class::DispVM => {
            property::value_by_name(context.qubes, context.vm, "template", context.facts)
        }
        _ => property::global_value_by_name(context.qubes, "default_dispvm", context.facts),
    }
}
