//! Changing properties: check the value, store it, return the effects.

use super::value_type::Owner;
use super::{
    AppliedChange, Consequences, Effect, Property, PropertyContext, PropertyError, ProposedChange,
    Rule, Scope, Value,
};
use crate::model::facts::Facts;
use crate::model::name::VmName;
use crate::model::property;
use crate::model::qubes::Qubes;
use crate::model::vm::Vm;

/// Sets a qube's property from a user's text, makes the changes of the store that follow from
/// it, and returns the effects outside the store. For references an empty text is "no qube".
///
/// # Errors
/// The qube or the property does not exist, the text is invalid, or a rule forbids it. Nothing
/// was changed.
pub fn set(
    qubes: &mut Qubes,
    vm: &str,
    property: &str,
    text: &str,
    facts: &dyn Facts,
) -> Result<Vec<Effect>, PropertyError> {
    let qube = qubes
        .get(vm)
        .ok_or_else(|| PropertyError::NoSuchQube(vm.to_owned()))?;
    let property = find_writable(
        Scope::Class(&qube.class),
        property,
        Owner::Qube(&qube.name),
        facts,
    )?;
    let value = property.parse(qubes, Owner::Qube(&qube.name), text)?;
    let is_set = qube.properties.contains(property.name);
    if property.write_once && is_set {
        return Err(PropertyError::Inaccessible(property.name));
    }
    let before = property::value(qubes, qube, property, facts).ok();
    check_rule(
        qubes,
        qube,
        &ProposedChange {
            property,
            value: &value,
            reset: false,
            before: before.as_ref(),
        },
        facts,
    )?;
    let name = qube.name.clone();
    if let Some(qube) = qubes.edit(vm) {
        remove_legacy(qube, property);
        qube.properties.set(property.name, &value.to_string());
    }
    Ok(apply_consequences(
        qubes,
        &name,
        property,
        AppliedChange {
            before,
            after: Some(value),
            facts,
        },
    ))
}

/// Removes a qube's explicit value, so that the default is in effect. Without an explicit value
/// this is no error.
///
/// # Errors
/// As [`set`]; also for write-once properties and for `template`.
pub fn reset(
    qubes: &mut Qubes,
    vm: &str,
    property: &str,
    facts: &dyn Facts,
) -> Result<Vec<Effect>, PropertyError> {
    let qube = qubes
        .get(vm)
        .ok_or_else(|| PropertyError::NoSuchQube(vm.to_owned()))?;
    let known = Property::find(Scope::Class(&qube.class), property);
    if known.is_none_or(|known| known.computed || known.since > facts.host().release())
        && qube.properties.contains(property)
    {
        // Upstream would refuse the store for it. A property that is unknown, computed or too
        // new has no consequences.
        if let Some(qube) = qubes.edit(vm) {
            qube.properties.remove(property);
        }
        return Ok(Vec::new());
    }
    let property = find_writable(
        Scope::Class(&qube.class),
        property,
        Owner::Qube(&qube.name),
        facts,
    )?;
    if property.write_once {
        return Err(PropertyError::Inaccessible(property.name));
    }
    let before = property::value(qubes, qube, property, facts).ok();
    let default = property::default_value(qubes, qube, property, facts).ok();
    let value = default.as_ref().unwrap_or(&Value::None);
    check_rule(
        qubes,
        qube,
        &ProposedChange {
            property,
            value,
            reset: true,
            before: before.as_ref(),
        },
        facts,
    )?;
    let name = qube.name.clone();
    if !property.is_default(qube)
        && let Some(qube) = qubes.edit(vm)
    {
        remove_legacy(qube, property);
        qube.properties.remove(property.name);
    }
    // Consequences apply even if nothing was set: they remove a feature that was set by hand.
    Ok(apply_consequences(
        qubes,
        &name,
        property,
        AppliedChange {
            before,
            after: default,
            facts,
        },
    ))
}

/// Sets a global property from a user's text and returns the effects.
///
/// # Errors
/// As [`set`].
pub fn set_global(
    qubes: &mut Qubes,
    property: &str,
    text: &str,
    facts: &dyn Facts,
) -> Result<Vec<Effect>, PropertyError> {
    let property = find_writable(Scope::Global, property, Owner::System, facts)?;
    let value = property.parse(qubes, Owner::System, text)?;
    let before = property::global_value(qubes, property, facts).ok();
    check_global_rule(
        qubes,
        &ProposedChange {
            property,
            value: &value,
            reset: false,
            before: before.as_ref(),
        },
        facts,
    )?;
    qubes.globals.set(property.name, &value.to_string());
    Ok(apply_global_consequences(
        qubes,
        property,
        AppliedChange {
            before,
            after: Some(value),
            facts,
        },
    ))
}

/// Removes the explicit value of a global property and returns the effects.
///
/// # Errors
/// As [`set_global`].
pub fn reset_global(
    qubes: &mut Qubes,
    property: &str,
    facts: &dyn Facts,
) -> Result<Vec<Effect>, PropertyError> {
    if Property::find(Scope::Global, property)
        .is_none_or(|known| known.since > facts.host().release())
        && qubes.globals.remove(property).is_some()
    {
        return Ok(Vec::new());
    }
    let property = find_writable(Scope::Global, property, Owner::System, facts)?;
    let before = property::global_value(qubes, property, facts).ok();
    let default = property::global_default(qubes, property, facts).ok();
    let value = default.as_ref().unwrap_or(&Value::None);
    check_global_rule(
        qubes,
        &ProposedChange {
            property,
            value,
            reset: true,
            before: before.as_ref(),
        },
        facts,
    )?;
    qubes.globals.remove(property.name);
    Ok(apply_global_consequences(
        qubes,
        property,
        AppliedChange {
            before,
            after: default,
            facts,
        },
    ))
}

/// Checks a user's text for a property of a qube, which need not be in the collection yet, and
/// returns the text to store.
///
/// # Errors
/// As [`set`].
pub(in crate::model) fn validate(
    qubes: &Qubes,
    vm: &Vm,
    property: &str,
    text: &str,
    facts: &dyn Facts,
) -> Result<String, PropertyError> {
    let property = find_writable(
        Scope::Class(&vm.class),
        property,
        Owner::Qube(&vm.name),
        facts,
    )?;
    let value = property.parse(qubes, Owner::Qube(&vm.name), text)?;
    let before = property::value(qubes, vm, property, facts).ok();
    check_rule(
        qubes,
        vm,
        &ProposedChange {
            property,
            value: &value,
            reset: false,
            before: before.as_ref(),
        },
        facts,
    )?;
    Ok(value.to_string())
}

fn check_rule(
    qubes: &Qubes,
    vm: &Vm,
    proposed: &ProposedChange<'_>,
    facts: &dyn Facts,
) -> Result<(), PropertyError> {
    match proposed.property.rule {
        Rule::Qube(rule) => rule(&PropertyContext { qubes, vm, facts }, proposed),
        _ => Ok(()),
    }
}

fn check_global_rule(
    qubes: &Qubes,
    proposed: &ProposedChange<'_>,
    facts: &dyn Facts,
) -> Result<(), PropertyError> {
    match proposed.property.rule {
        Rule::Global(rule) => rule(qubes, facts, proposed),
        _ => Ok(()),
    }
}

fn apply_consequences(
    qubes: &mut Qubes,
    vm: &VmName,
    property: &Property,
    change: AppliedChange<'_>,
) -> Vec<Effect> {
    match property.consequences {
        Consequences::Qube(apply) => apply(qubes, vm, &change),
        _ => Vec::new(),
    }
}

fn apply_global_consequences(
    qubes: &mut Qubes,
    property: &Property,
    change: AppliedChange<'_>,
) -> Vec<Effect> {
    match property.consequences {
        Consequences::Global(apply) => apply(qubes, &change),
        _ => Vec::new(),
    }
}

/// Removes the value from the place where early stores of R4 hold it.
fn remove_legacy(vm: &mut Vm, property: &Property) {
    if let Some(legacy) = property.legacy {
        (legacy.remove)(vm);
    }
}

/// Finds a property that can be changed and that the release of the store knows.
fn find_writable(
    scope: Scope<'_>,
    name: &str,
    owner: Owner<'_>,
    facts: &dyn Facts,
) -> Result<&'static Property, PropertyError> {
    let property = Property::find(scope, name)
        .ok_or_else(|| PropertyError::NoSuchProperty(name.to_owned()))?;
    if property.computed {
        let class = match scope {
            Scope::Global => "Qubes".to_owned(),
            Scope::Class(class) => class.to_string(),
        };
        return Err(PropertyError::Computed {
            property: property.name,
            class,
        });
    }
    let release = facts.host().release();
    if property.since > release {
        let owner = owner.to_string();
        return Err(PropertyError::TooNew {
            owner,
            property: property.name,
            release,
            since: property.since,
        });
    }
    Ok(property)
}
