//! Reading properties: the explicit value or the default.

use smol_str::SmolStr;

use super::error::Owner;
use super::{DefaultValue, Property, PropertyContext, PropertyError, Scope, Value};
use crate::model::facts::Facts;
use crate::model::name::VmName;
use crate::model::property;
use crate::model::qubes::Qubes;
use crate::model::vm::Vm;

/// Returns the value in effect of a qube's property: the explicit value or the default.
///
/// # Errors
/// The property is unset without a default, or the stored text is invalid.
pub fn value(
    qubes: &Qubes,
    vm: &Vm,
    property: &Property,
    facts: &dyn Facts,
) -> Result<Value, PropertyError> {
    match property.explicit_value(vm) {
        Some(text) => property.read(qubes, Owner::Qube(&vm.name), text),
        None => default_value(qubes, vm, property, facts),
    }
}

/// Returns whether a qube's property is true; false if it is invalid.
pub fn is_true(qubes: &Qubes, vm: &Vm, property: &Property, facts: &dyn Facts) -> bool {
    let value = match (property.explicit_value(vm), &property.default) {
        (Some("True"), _) => return true,
        (Some("False"), _) => return false,
        (None, DefaultValue::Bool(default)) => return *default,
        _ => value(qubes, vm, property, facts),
    };
    matches!(value, Ok(Value::Bool(true)))
}

/// Returns the explicit value of an inheritable property: the qube's own or the nearest
/// template's.
///
/// # Errors
/// A template of the chain is missing or invalid.
pub(super) fn explicit_or_inherited<'a>(
    qubes: &'a Qubes,
    vm: &'a Vm,
    property: &Property,
) -> Result<Option<&'a str>, PropertyError> {
    match property.explicit_value(vm) {
        Some(text) => Ok(Some(text)),
        None => property::template(qubes, vm)?.map_or(Ok(None), |template| {
            explicit_or_inherited(qubes, template, property)
        }),
    }
}

/// Returns the default of a qube's property.
///
/// # Errors
/// There is no default, or it depends on an invalid value.
pub fn default_value(
    qubes: &Qubes,
    vm: &Vm,
    property: &Property,
    facts: &dyn Facts,
) -> Result<Value, PropertyError> {
    resolve_default(
        qubes,
        &PropertyContext { qubes, vm, facts },
        property,
        &property.default,
    )
}

/// Returns whether the default of a qube's property is its template's value.
pub fn is_inherited(qubes: &Qubes, vm: &Vm, property: &Property, facts: &dyn Facts) -> bool {
    match property.default {
        DefaultValue::Inherited(_) => vm.class.has_template(),
        DefaultValue::ComputedOrInherited { inherits, .. } => {
            vm.class.has_template() && inherits(&PropertyContext { qubes, vm, facts })
        }
        _ => false,
    }
}

/// Returns the value in effect of the qube's property of this name.
///
/// # Errors
/// As [`value`]; also if the class does not have the property.
pub fn value_by_name(
    qubes: &Qubes,
    vm: &Vm,
    name: &str,
    facts: &dyn Facts,
) -> Result<Value, PropertyError> {
    let property = Property::find(Scope::Class(&vm.class), name)
        .ok_or_else(|| PropertyError::NoSuchProperty(name.to_owned()))?;
    value(qubes, vm, property, facts)
}

/// Returns the value in effect of a global property.
///
/// # Errors
/// The property is unset without a default, or the stored text is invalid.
pub fn global_value(
    qubes: &Qubes,
    property: &Property,
    facts: &dyn Facts,
) -> Result<Value, PropertyError> {
    match qubes.globals.get(property.name) {
        Some(text) if !property.computed => property.read(qubes, Owner::System, text),
        _ => global_default(qubes, property, facts),
    }
}

/// Returns the default of a global property.
///
/// # Errors
/// There is no default, or it cannot be computed.
pub fn global_default(
    qubes: &Qubes,
    property: &Property,
    facts: &dyn Facts,
) -> Result<Value, PropertyError> {
    match property.default {
        DefaultValue::ComputedGlobal(compute) => compute(qubes, facts),
        DefaultValue::Global(name) => global_value_by_name(qubes, name, facts),
        ref plain => plain
            .constant()
            .ok_or_else(|| Owner::System.unset_error(property.name)),
    }
}

/// Returns whether a global property has no explicit value.
pub fn is_global_default(qubes: &Qubes, property: &Property) -> bool {
    property.computed || !qubes.globals.contains(property.name)
}

/// Returns the value in effect of the global property of this name.
///
/// # Errors
/// As [`global_value`]; also if there is no such property.
pub fn global_value_by_name(
    qubes: &Qubes,
    name: &str,
    facts: &dyn Facts,
) -> Result<Value, PropertyError> {
    let property = Property::find(Scope::Global, name)
        .ok_or_else(|| PropertyError::NoSuchProperty(name.to_owned()))?;
    global_value(qubes, property, facts)
}

/// Computes a default, following templates and global properties.
fn resolve_default(
    qubes: &Qubes,
    context: &PropertyContext<'_>,
    property: &Property,
    default: &DefaultValue,
) -> Result<Value, PropertyError> {
    match default {
        DefaultValue::Global(name) => global_value_by_name(qubes, name, context.facts),
        DefaultValue::Inherited(otherwise) => match property::template(qubes, context.vm)? {
            Some(template) if property.is_in_scope(Scope::Class(&template.class)) => {
                value(qubes, template, property, context.facts)
            }
            Some(template) => value_by_name(qubes, template, property.name, context.facts),
            None => resolve_default(qubes, context, property, otherwise),
        },
        DefaultValue::Computed(compute) | DefaultValue::ComputedOrInherited { compute, .. } => {
            compute(context)
        }
        plain => plain
            .constant()
            .ok_or_else(|| Owner::Qube(&context.vm.name).unset_error(property.name)),
    }
}

impl DefaultValue {
    /// Returns the value of a default that is a constant.
    fn constant(&self) -> Option<Value> {
        match *self {
            DefaultValue::Nothing => Some(Value::None),
            DefaultValue::NoQube => Some(Value::Qube(None)),
            DefaultValue::Dom0 => Some(Value::Qube(Some(VmName::dom0()))),
            DefaultValue::Bool(b) => Some(Value::Bool(b)),
            DefaultValue::Int(n) => Some(Value::Int(n)),
            DefaultValue::Text(t) => Some(Value::Text(SmolStr::new_static(t))),
            _ => None,
        }
    }
}
