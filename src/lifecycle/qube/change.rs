//! Changing properties, features and tags: decide, save, then apply the effects.

use crate::model::rules::pci;
use crate::model::{Effect, Property, VmName, features, property, tags};

use crate::lifecycle::{Context, LifecycleError, qube, reconcile};

/// Returns whether the rule of a property depends on the power state: the qube is locked, so that it
/// cannot start or stop between the check and the save.
fn depends_on_power(property: &str) -> bool {
    Property::rows(property).any(|row| row.depends_on_power)
}

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
    change(context, name, property, |write| {
        Ok(property::set(
            write,
            name.as_str(),
            property,
            text,
            context,
        )?)
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
    change(context, name, property, |write| {
        Ok(property::reset(write, name.as_str(), property, context)?)
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
    let to_lock = in_order.iter().filter(|_| depends_on_power(property));
    let locks = to_lock
        .map(|name| qube::lock(context, name))
        .collect::<Result<Vec<_>, _>>()?;
    if !locks.is_empty() {
        context.prefetch_states();
    }
    let effects = save_change(context, |write| {
        let mut effects = Vec::new();
        for name in in_order {
            let changed = match text {
                Some(text) => property::set(write, name.as_str(), property, text, context),
                None => property::reset(write, name.as_str(), property, context),
            };
            let failed = |e| LifecycleError::BatchRefused {
                qube: name.clone(),
                source: Box::new(LifecycleError::from(e)),
            };
            effects.extend(changed.map_err(failed)?);
        }
        Ok(effects)
    });
    context.drop_prefetched_states();
    drop(locks);
    let effects = effects?;
    reconcile::apply_effects(context, &effects)
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
    change_and_apply(context, |write| {
        Ok(property::set_global(write, property, text, context)?)
    })
}

/// Resets a global property to its default and applies the effects. Returns notes for the user.
///
/// # Errors
/// The store cannot be written.
pub fn reset_global(context: &Context, property: &str) -> Result<Vec<String>, LifecycleError> {
    change_and_apply(context, |write| {
        Ok(property::reset_global(write, property, context)?)
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
    change_and_apply(context, |write| {
        Ok(features::set(write, name.as_str(), feature, text, context)?)
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
    change_and_apply(context, |write| {
        Ok(features::remove(write, name.as_str(), feature)?)
    })
}

/// Adds tags to a qube: all of them, or none if one is invalid.
///
/// # Errors
/// A tag is invalid, or the store cannot be written.
pub fn add_tags(context: &Context, name: &VmName, tags: &[&str]) -> Result<(), LifecycleError> {
    let mut write = context.write()?;
    for tag in tags {
        tags::add(&mut write, name.as_str(), tag)?;
    }
    write.save()?;
    Ok(())
}

/// Removes a tag of a qube, if it is set.
///
/// # Errors
/// The tag is invalid, or the store cannot be written.
pub fn remove_tag(context: &Context, name: &VmName, tag: &str) -> Result<(), LifecycleError> {
    let mut write = context.write()?;
    tags::remove(&mut write, name.as_str(), tag)?;
    write.save()?;
    Ok(())
}

/// Sets the required PCI devices of dom0 for a halted qube to `addresses` (`bb:ss.f`).
///
/// # Errors
/// The qube is not halted, an address is invalid, or the store cannot be written.
pub fn set_pci_addresses(
    context: &Context,
    name: &VmName,
    addresses: &[String],
) -> Result<(), LifecycleError> {
    let _lock = qube::lock(context, name)?;
    context.prefetch_states();
    let mut write = context.write()?;
    pci::set_addresses(&mut write, name.as_str(), addresses, context)?;
    write.save()?;
    Ok(())
}

/// Sets whether the required PCI devices of a halted qube must support a reset between two
/// users.
///
/// # Errors
/// The qube is not halted, or the store cannot be written.
pub fn set_pci_strict_reset(
    context: &Context,
    name: &VmName,
    strict: bool,
) -> Result<(), LifecycleError> {
    let _lock = qube::lock(context, name)?;
    context.prefetch_states();
    let mut write = context.write()?;
    pci::set_strict_reset(&mut write, name.as_str(), strict, context)?;
    write.save()?;
    Ok(())
}

/// Changes one property of a qube, under the qube's lock if its rules depend on the power
/// state.
fn change(
    context: &Context,
    name: &VmName,
    property: &str,
    decide: impl FnOnce(&mut crate::store::Write) -> Result<Vec<Effect>, LifecycleError>,
) -> Result<Vec<String>, LifecycleError> {
    let lock = depends_on_power(property)
        .then(|| qube::lock(context, name))
        .transpose()?;
    if lock.is_some() {
        context.prefetch_states();
    }
    let effects = save_change(context, decide);
    context.drop_prefetched_states();
    drop(lock);
    let effects = effects?;
    reconcile::apply_effects(context, &effects)
}

/// Changes the store and applies the effects.
fn change_and_apply(
    context: &Context,
    decide: impl FnOnce(&mut crate::store::Write) -> Result<Vec<Effect>, LifecycleError>,
) -> Result<Vec<String>, LifecycleError> {
    let effects = save_change(context, decide)?;
    reconcile::apply_effects(context, &effects)
}

/// Changes the store and returns the effects.
fn save_change(
    context: &Context,
    decide: impl FnOnce(&mut crate::store::Write) -> Result<Vec<Effect>, LifecycleError>,
) -> Result<Vec<Effect>, LifecycleError> {
    let mut write = context.write()?;
    let effects = decide(&mut write)?;
    write.save()?;
    Ok(effects)
}
