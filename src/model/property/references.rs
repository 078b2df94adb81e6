//! Whom a qube depends on: template, disposables, GUI, audio, relay.

use super::consequences::{audiovm_changed, guivm_changed, relayvm_changed, template_changed};
use super::kind::{Kind, QUBE, as_it_is};
use super::legacy::DISPVM_ALLOWED;
use super::rules::{
    is_disposable_template, nobody_uses_it_for_disposables, reference_has_tag, template_may_change,
};
use super::{
    ADMIN, After, Asked, DefaultValue, EmptyText, GUESTS, Of, Property, PropertyError, Rule, Value,
};
use crate::model::class::Class;
use crate::model::release::Release;

const TEMPLATE: &Class = &Class::TemplateVM;
const REMOTE: Of = Of::Classes(&[Class::RemoteVM]);
const WORD: Kind = Kind::Text {
    normal: as_it_is,
    empty: EmptyText::TheWordNone,
};

pub(super) const ROWS: &[Property] = &[
    Property::new(
        "template",
        Of::Classes(&[Class::AppVM]),
        Kind::Qube {
            class: Some(TEMPLATE),
            required: true,
        },
        DefaultValue::Required,
        "The TemplateVM whose root volume the qube starts with.",
    )
    .late()
    .rule(Rule::OfQube(template_may_change))
    .after(After::OfQube(template_changed)),
    Property::new(
        "template",
        Of::Classes(&[Class::DispVM]),
        Kind::Qube {
            class: None,
            required: true,
        },
        DefaultValue::Required,
        "The qube whose volumes the disposable starts with; it must be a template for disposables.",
    )
    .late()
    .rule(Rule::OfQube(template_may_change))
    .after(After::OfQube(template_changed)),
    template_for_dispvms(Of::Classes(&[Class::AppVM])),
    template_for_dispvms(Of::Classes(&[Class::StandaloneVM])).since(Release::R4_1),
    Property::new(
        "audiovm",
        GUESTS,
        QUBE,
        DefaultValue::System("default_audiovm"),
        "The qube that plays and records this one's sound.",
    )
    .late()
    .since(Release::R4_1)
    .rule(Rule::OfQube(reference_has_tag))
    .after(After::OfQube(audiovm_changed)),
    Property::new(
        "guivm",
        GUESTS,
        QUBE,
        DefaultValue::System("default_guivm"),
        "The qube that shows this one's windows.",
    )
    .late()
    .since(Release::R4_1)
    .rule(Rule::OfQube(reference_has_tag))
    .after(After::OfQube(guivm_changed)),
    Property::new(
        "default_dispvm",
        GUESTS,
        QUBE,
        DefaultValue::OfQube(default_dispvm),
        "The template of the disposables that this qube asks for.",
    )
    .late()
    .rule(Rule::OfQube(is_disposable_template)),
    Property::new(
        "default_dispvm",
        ADMIN,
        QUBE,
        DefaultValue::System("default_dispvm"),
        "The template of the disposables that dom0 asks for.",
    )
    .late()
    .rule(Rule::OfQube(is_disposable_template)),
    Property::new(
        "management_dispvm",
        GUESTS,
        QUBE,
        DefaultValue::Inherited(&DefaultValue::System("management_dispvm")),
        "The template of the disposable from which this qube is administered.",
    )
    .late()
    .rule(Rule::OfQube(is_disposable_template)),
    Property::new(
        "relayvm",
        REMOTE,
        QUBE,
        DefaultValue::NoQube,
        "The local qube through which the remote one is reached.",
    )
    .late()
    .since(Release::R4_3)
    .rule(Rule::OfQube(reference_has_tag))
    .after(After::OfQube(relayvm_changed)),
    Property::new(
        "transport_rpc",
        REMOTE,
        WORD,
        DefaultValue::Nothing,
        "The service of the relay through which the remote qube is reached.",
    )
    .since(Release::R4_3),
    Property::new(
        "remote_name",
        REMOTE,
        WORD,
        DefaultValue::Nothing,
        "The remote qube's name on its own machine.",
    )
    .since(Release::R4_3),
];

/// A row of its own for each class: standalone qubes can be templates of disposables since 4.1.
const fn template_for_dispvms(of: Of) -> Property {
    Property::new(
        "template_for_dispvms",
        of,
        Kind::Bool,
        DefaultValue::Bool(false),
        "Whether disposables may be made from this qube.",
    )
    .legacy(DISPVM_ALLOWED)
    .rule(Rule::OfQube(nobody_uses_it_for_disposables))
}

fn default_dispvm(asked: &Asked<'_>) -> Result<Value, PropertyError> {
    match asked.vm.class {
        Class::DispVM => asked.qubes.value_of(asked.vm, "template", asked.facts),
        _ => asked.qubes.global_value("default_dispvm", asked.facts),
    }
}
