//! Who a qube is: name, number, uuid, label, class.

use uuid::Uuid;

use super::kind::{Kind, TEXT};
use super::{ADMIN, Asked, DefaultValue, EmptyText, GUESTS, Of, Property, PropertyError, Value};
use crate::model::class::Class;
use crate::model::name::VmName;
use crate::model::vm::Qid;

const NUMBER: Kind = Kind::Int {
    min: 0,
    max: Qid::MAX as i64,
};
const NAME: Kind = Kind::Text {
    normal: new_name,
    empty: EmptyText::TheWordNone,
};

pub(super) const ROWS: &[Property] = &[
    Property::new("name", Of::AllButAdmin, NAME, DefaultValue::Required, "The qube's name; chosen at creation.")
        .identity(),
    Property::new("name", ADMIN, TEXT, DefaultValue::Text(VmName::DOM0), "The qube's name; always dom0.").computed(),
    Property::new(
        "qid",
        Of::AllButAdmin,
        NUMBER,
        DefaultValue::Required,
        "The qube's lasting number in the database, from which its addresses are made. Not the hypervisor's number.",
    )
    .identity(),
    Property::new("qid", ADMIN, NUMBER, DefaultValue::Int(0), "dom0's number in the database; always 0.").computed(),
    Property::new(
        "uuid",
        Of::AllButAdmin,
        Kind::Uuid,
        DefaultValue::Required,
        "The identity under which the hypervisor knows the qube; made at creation.",
    )
    .identity(),
    Property::new("uuid", ADMIN, Kind::Uuid, DefaultValue::OfQube(nil), "dom0's identity; all zero.").computed(),
    Property::new(
        "label",
        Of::Every,
        Kind::Label,
        DefaultValue::Required,
        "The colour of the qube's windows and icons, which says how far it is trusted.",
    ),
    Property::new("klass", Of::Every, TEXT, DefaultValue::OfQube(class), "The qube's class.").computed(),
    Property::new("icon", Of::Every, TEXT, DefaultValue::OfQube(icon), "Name of the icon, from class and label.")
        .computed(),
    Property::new(
        "updateable",
        GUESTS,
        Kind::Bool,
        DefaultValue::OfQube(updateable),
        "Whether the qube has a system of its own that can be updated: true where it has no template.",
    )
    .computed(),
    Property::new(
        "updateable",
        ADMIN,
        Kind::Bool,
        DefaultValue::Bool(true),
        "Whether dom0 has a system of its own that can be updated; always true.",
    )
    .computed(),
];

fn new_name(text: &str) -> Result<String, PropertyError> {
    VmName::for_new(text)
        .map(|n| n.to_string())
        .map_err(|e| PropertyError::refused(e.to_string()))
}

fn nil(_: &Asked<'_>) -> Result<Value, PropertyError> {
    Ok(Value::Uuid(Uuid::nil()))
}

fn class(asked: &Asked<'_>) -> Result<Value, PropertyError> {
    Ok(Value::text(asked.vm.class.as_str()))
}

fn updateable(asked: &Asked<'_>) -> Result<Value, PropertyError> {
    Ok(Value::Bool(!asked.vm.class.has_template()))
}

/// The name of the icon (`docs/spec/r4-properties.md` §3); a service qube's and a DispVM template's
/// tell what they do.
fn icon(asked: &Asked<'_>) -> Result<Value, PropertyError> {
    let (qubes, vm) = (asked.qubes, asked.vm);
    let class = match vm.class {
        Class::AdminVM => return Ok(Value::text("adminvm-black")),
        Class::TemplateVM => "templatevm",
        Class::AppVM if qubes.is_template_for_dispvms(vm, asked.facts) => "templatevm",
        _ if vm.features.get("servicevm").is_some_and(|f| !f.is_empty()) => "servicevm",
        Class::DispVM => "dispvm",
        Class::StandaloneVM => "standalonevm",
        Class::RemoteVM => "remotevm",
        Class::AppVM | Class::Unknown(_) => "appvm",
    };
    Ok(Value::text(format!("{class}-{}", qubes.label(vm)?.name)))
}
