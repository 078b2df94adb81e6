//! Properties of identity: name, qid, uuid, label, class.

use uuid::Uuid;

use super::value_type::{TEXT, ValueType};
use super::{
    ADMIN, AppliesTo, DefaultValue, EmptyText, GUESTS, Property, PropertyContext, PropertyError,
    Value,
};
use crate::model::class::Class;
use crate::model::name::VmName;
use crate::model::property;
use crate::model::qid::Qid;

const QID_TYPE: ValueType = ValueType::Int {
    min: 0,
    max: Qid::MAX as i64,
};
const NAME_TYPE: ValueType = ValueType::Text {
    normalize: check_new_name,
    empty: EmptyText::WordNone,
};

pub(super) const ROWS: &[Property] = &[
    Property::new(
        "name",
        AppliesTo::AllButAdmin,
        NAME_TYPE,
        DefaultValue::Required,
        "The qube's name; chosen at creation.",
    )
    .identity(),
    Property::new(
        "name",
        ADMIN,
        TEXT,
        DefaultValue::Text(VmName::DOM0),
        "The qube's name; always dom0.",
    )
    .computed(),
    Property::new(
        "qid",
        AppliesTo::AllButAdmin,
        QID_TYPE,
        DefaultValue::Required,
        "The qube's lasting number in the database, from which its addresses are made. Not the \
         hypervisor's number.",
    )
    .identity(),
    Property::new(
        "qid",
        ADMIN,
        QID_TYPE,
        DefaultValue::Int(0),
        "dom0's number in the database; always 0.",
    )
    .computed(),
    Property::new(
        "uuid",
        AppliesTo::AllButAdmin,
        ValueType::Uuid,
        DefaultValue::Required,
        "The identity under which the hypervisor knows the qube; made at creation.",
    )
    .identity(),
    Property::new(
        "uuid",
        ADMIN,
        ValueType::Uuid,
        DefaultValue::Computed(nil_uuid),
        "dom0's identity; all zero.",
    )
    .computed(),
    Property::new(
        "label",
        AppliesTo::AllClasses,
        ValueType::Label,
        DefaultValue::Required,
        "The colour of the qube's windows and icons, which says how far it is trusted.",
    ),
    Property::new(
        "klass",
        AppliesTo::AllClasses,
        TEXT,
        DefaultValue::Computed(class),
        "The qube's class.",
    )
    .computed(),
    Property::new(
        "icon",
        AppliesTo::AllClasses,
        TEXT,
        DefaultValue::Computed(icon),
        "Name of the icon, from class and label.",
    )
    .computed(),
    Property::new(
        "updateable",
        GUESTS,
        ValueType::Bool,
        DefaultValue::Computed(updateable),
        "Whether the qube has a system of its own that can be updated: true where it has no \
         template.",
    )
    .computed(),
    Property::new(
        "updateable",
        ADMIN,
        ValueType::Bool,
        DefaultValue::Bool(true),
        "Whether dom0 has a system of its own that can be updated; always true.",
    )
    .computed(),
];

fn check_new_name(text: &str) -> Result<String, PropertyError> {
    VmName::new(text)
        .map(|n| n.to_string())
        .map_err(|e| PropertyError::refused(e.to_string()))
}

fn nil_uuid(_: &PropertyContext<'_>) -> Result<Value, PropertyError> {
    Ok(Value::Uuid(Uuid::nil()))
}

fn class(context: &PropertyContext<'_>) -> Result<Value, PropertyError> {
    Ok(Value::text(context.vm.class.as_str()))
}

fn updateable(context: &PropertyContext<'_>) -> Result<Value, PropertyError> {
    Ok(Value::Bool(!context.vm.class.has_template()))
}

/// Computes the name of the icon (`docs/spec/r4-properties.md` §3). Service qubes and templates for
/// disposables have icons of their own.
fn icon(context: &PropertyContext<'_>) -> Result<Value, PropertyError> {
    let (qubes, vm) = (context.qubes, context.vm);
    let is_service = || vm.features.get("servicevm").is_some_and(|f| !f.is_empty());
    let kind = match vm.class {
        // dom0 has this icon whatever its label is.
        Class::AdminVM => return Ok(Value::text("adminvm-black")),
        Class::AppVM if property::is_template_for_dispvms(qubes, vm, context.facts) => "templatevm",
        _ if vm.class != Class::TemplateVM && is_service() => "servicevm",
        _ => vm.class.icon(),
    };
    let label = property::label(qubes, vm)?;
    Ok(Value::text(format!("{kind}-{}", label.name)))
}
