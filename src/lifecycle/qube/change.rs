//! Changing properties, features and tags: decide, save, then apply the effects.

use crate::lifecycle::{Context, LifecycleError, qube, reconcile};
use crate::model::rules::pci;
use crate::model::{Change, Draft, Facts, Property, VmName, features, property, tags};

/// Sets a property of a qube and applies the effects. Returns notes for the user.
///
/// # Errors
/// The value is refused, or the store cannot be written.
pub fn set_property(
    context: &Context,
    name: &VmName,
    property: &str,
    text: &str,
) -> Result<Vec<String>, LifecycleError> {
    change(context, locked_for(property, &[name]), |draft, facts| {
        Ok(property::set(draft, name.as_str(), property, text, facts)?)
    })
}

/// Resets a property of a qube to its default and applies the effects. Returns notes for the
/// user.
///
/// # Errors
/// The property cannot be reset, or the store cannot be written.
pub fn reset_property(
    context: &Context,
    name: &VmName,
    property: &str,
) -> Result<Vec<String>, LifecycleError> {
    change(context, locked_for(property, &[name]), |draft, facts| {
        Ok(property::reset(draft, name.as_str(), property, facts)?)
    })
}

/// Sets a property of several qubes to `text`, or resets it if there is no text, and applies
/// the effects. Returns notes for the user.
///
/// # Errors
/// [`LifecycleError::BatchRefused`] if one of them cannot be changed; then none is.
pub fn change_property_of_qubes(
    context: &Context,
    names: &[VmName],
    property: &str,
    text: Option<&str>,
) -> Result<Vec<String>, LifecycleError> {
    // Every command that needs several of these locks takes them in the order of the names, and
    // a command that holds one waits for no other out of order: so there is no deadlock.
    let mut in_order: Vec<&VmName> = names.iter().collect();
    in_order.sort();
    in_order.dedup();
    change(context, locked_for(property, &in_order), |draft, facts| {
        let mut all = Change::default();
        for name in &in_order {
            let changed = match text {
                Some(text) => property::set(draft, name.as_str(), property, text, facts),
                None => property::reset(draft, name.as_str(), property, facts),
            };
            let failed = |e| LifecycleError::BatchRefused {
                qube: VmName::clone(name),
                source: Box::new(LifecycleError::from(e)),
            };
            all.merge(changed.map_err(failed)?);
        }
        Ok(all)
    })
}

/// Sets a global property and applies the effects. Returns notes for the user.
///
/// # Errors
/// The value is refused, or the store cannot be written.
pub fn set_global(
    context: &Context,
    property: &str,
    text: &str,
) -> Result<Vec<String>, LifecycleError> {
    change(context, &[], |draft, facts| {
        Ok(property::set_global(draft, property, text, facts)?)
    })
}

/// Resets a global property to its default and applies the effects. Returns notes for the user.
///
/// # Errors
/// The store cannot be written.
pub fn reset_global(context: &Context, property: &str) -> Result<Vec<String>, LifecycleError> {
    change(context, &[], |draft, facts| {
        Ok(property::reset_global(draft, property, facts)?)
    })
}

/// Sets a feature of a qube and applies the effects. Returns notes for the user.
///
/// # Errors
/// The feature is invalid, or the store cannot be written.
pub fn set_feature(
    context: &Context,
    name: &VmName,
    feature: &str,
    text: &str,
) -> Result<Vec<String>, LifecycleError> {
    change(context, &[], |draft, facts| {
        Ok(features::set(draft, name.as_str(), feature, text, facts)?)
    })
}

/// Removes a feature of a qube, if it is set, and applies the effects. Returns notes for the
/// user.
///
/// # Errors
/// The store cannot be written.
pub fn remove_feature(
    context: &Context,
    name: &VmName,
    feature: &str,
) -> Result<Vec<String>, LifecycleError> {
    change(context, &[], |draft, _| {
        Ok(features::remove(draft, name.as_str(), feature)?)
    })
}

/// Adds tags to a qube: all of them, or none if one is invalid.
///
/// # Errors
/// A tag is invalid, or the store cannot be written.
pub fn add_tags(context: &Context, name: &VmName, tags: &[&str]) -> Result<(), LifecycleError> {
    reconcile::change_and_notify(context, |draft| {
        let added = tags.iter().map(|tag| tags::add(draft, name.as_str(), tag));
        Ok(added.collect::<Result<Change, _>>()?)
    })
}

/// Removes a tag of a qube, if it is set.
///
/// # Errors
/// The tag is invalid, or the store cannot be written.
pub fn remove_tag(context: &Context, name: &VmName, tag: &str) -> Result<(), LifecycleError> {
    reconcile::change_and_notify(context, |draft| {
        Ok(tags::remove(draft, name.as_str(), tag)?)
    })
}

/// Sets the required PCI devices of dom0 for a halted qube to `addresses` (`bb:ss.f`).
/// Returns notes for the user.
///
/// # Errors
/// The qube is not halted, an address is invalid, or the store cannot be written.
pub fn set_pci_addresses(
    context: &Context,
    name: &VmName,
    addresses: &[String],
) -> Result<Vec<String>, LifecycleError> {
    change(context, &[name], |draft, facts| {
        Ok(pci::set_addresses(draft, name.as_str(), addresses, facts)?)
    })
}

/// Sets whether the required PCI devices of a halted qube must support a reset between two
/// users. Returns notes for the user.
///
/// # Errors
/// The qube is not halted, or the store cannot be written.
pub fn set_pci_strict_reset(
    context: &Context,
    name: &VmName,
    strict: bool,
) -> Result<Vec<String>, LifecycleError> {
    change(context, &[name], |draft, facts| {
        Ok(pci::set_strict_reset(draft, name.as_str(), strict, facts)?)
    })
}

/// Returns those of the qubes that are locked while a property of them changes: all, if its rule
/// depends on the power state, so that none starts or stops between the check and the save.
fn locked_for<'n>(property: &str, names: &'n [&'n VmName]) -> &'n [&'n VmName] {
    match Property::rows(property).any(|row| row.depends_on_power) {
        true => names,
        false => &[],
    }
}

/// Changes the store as `decide` says, and applies the effects. Holds the locks of the qubes
/// `locked` until the store is saved; their states are fetched before the store is locked.
fn change(
    context: &Context,
    locked: &[&VmName],
    decide: impl FnOnce(&mut Draft, &dyn Facts) -> Result<Change, LifecycleError>,
) -> Result<Vec<String>, LifecycleError> {
    let locks = locked
        .iter()
        .map(|name| qube::lock(context, name))
        .collect::<Result<Vec<_>, _>>()?;
    let frozen = (!locks.is_empty()).then(|| context.facts().freeze());
    let facts: &dyn Facts = match &frozen {
        Some(frozen) => frozen,
        None => context.facts(),
    };
    let saved = reconcile::save_change(context, |draft| decide(draft, facts))?;
    drop(locks);
    reconcile::apply_effects(context, saved)
}
