//! Changing properties, features and tags: decide, save, then apply the effects.

use crate::model::rules::pci;
use crate::model::{Effect, Property, VmName};

use crate::lifecycle::{Context, LifecycleError};

/// Returns whether the rule of a property depends on the power state: the qube is locked, so that it
/// cannot start or stop between the check and the save.
fn depends_on_power(property: &str) -> bool {
    Property::rows(property).any(|row| row.depends_on_power)
}

impl Context {
    /// Sets a property of a qube and applies the effects. Returns notes for the user.
    ///
    /// # Errors
    /// The value is refused, or the store cannot be written.
    pub fn set_property(
        &self,
        name: &VmName,
        property: &str,
        text: &str,
    ) -> Result<Vec<String>, LifecycleError> {
        self.change(name, property, |write| {
            Ok(write.set_property(name.as_str(), property, text, self)?)
        })
    }

    /// Resets a property of a qube to its default and applies the effects. Returns notes for the
    /// user.
    ///
    /// # Errors
    /// The property cannot be reset, or the store cannot be written.
    pub fn reset_property(
        &self,
        name: &VmName,
        property: &str,
    ) -> Result<Vec<String>, LifecycleError> {
        self.change(name, property, |write| {
            Ok(write.reset_property(name.as_str(), property, self)?)
        })
    }

    /// Sets a property of several qubes to `text`, or resets it if there is no text, and applies
    /// the effects. Returns notes for the user.
    ///
    /// # Errors
    /// [`LifecycleError::BatchRefused`] if one of them cannot be changed; then none is.
    pub fn change_property_of_qubes(
        &self,
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
            .map(|name| self.lock_qube(name))
            .collect::<Result<Vec<_>, _>>()?;
        if !locks.is_empty() {
            self.prefetch_states();
        }
        let effects = self.save_change(|write| {
            let mut effects = Vec::new();
            for name in in_order {
                let changed = match text {
                    Some(text) => write.set_property(name.as_str(), property, text, self),
                    None => write.reset_property(name.as_str(), property, self),
                };
                let failed = |e| LifecycleError::BatchRefused {
                    qube: name.clone(),
                    source: Box::new(LifecycleError::from(e)),
                };
                effects.extend(changed.map_err(failed)?);
            }
            Ok(effects)
        });
        self.drop_prefetched_states();
        drop(locks);
        let effects = effects?;
        self.apply_effects(&effects)
    }

    /// Sets a global property and applies the effects. Returns notes for the user.
    ///
    /// # Errors
    /// The value is refused, or the store cannot be written.
    pub fn set_global(&self, property: &str, text: &str) -> Result<Vec<String>, LifecycleError> {
        self.change_and_apply(|write| Ok(write.set_global(property, text, self)?))
    }

    /// Resets a global property to its default and applies the effects. Returns notes for the user.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn reset_global(&self, property: &str) -> Result<Vec<String>, LifecycleError> {
        self.change_and_apply(|write| Ok(write.reset_global(property, self)?))
    }

    /// Sets a feature of a qube and applies the effects. Returns notes for the user.
    ///
    /// # Errors
    /// The feature is invalid, or the store cannot be written.
    pub fn set_feature(
        &self,
        name: &VmName,
        feature: &str,
        text: &str,
    ) -> Result<Vec<String>, LifecycleError> {
        self.change_and_apply(|write| Ok(write.set_feature(name.as_str(), feature, text, self)?))
    }

    /// Removes a feature of a qube, if it is set, and applies the effects. Returns notes for the
    /// user.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn remove_feature(
        &self,
        name: &VmName,
        feature: &str,
    ) -> Result<Vec<String>, LifecycleError> {
        self.change_and_apply(|write| Ok(write.remove_feature(name.as_str(), feature)?))
    }

    /// Adds tags to a qube: all of them, or none if one is invalid.
    ///
    /// # Errors
    /// A tag is invalid, or the store cannot be written.
    pub fn add_tags(&self, name: &VmName, tags: &[&str]) -> Result<(), LifecycleError> {
        let mut write = self.write()?;
        for tag in tags {
            write.add_tag(name.as_str(), tag)?;
        }
        write.save()?;
        Ok(())
    }

    /// Removes a tag of a qube, if it is set.
    ///
    /// # Errors
    /// The tag is invalid, or the store cannot be written.
    pub fn remove_tag(&self, name: &VmName, tag: &str) -> Result<(), LifecycleError> {
        let mut write = self.write()?;
        write.remove_tag(name.as_str(), tag)?;
        write.save()?;
        Ok(())
    }

    /// Sets the required PCI devices of dom0 for a halted qube to `addresses` (`bb:ss.f`).
    ///
    /// # Errors
    /// The qube is not halted, an address is invalid, or the store cannot be written.
    pub fn set_pci_addresses(
        &self,
        name: &VmName,
        addresses: &[String],
    ) -> Result<(), LifecycleError> {
        let _lock = self.lock_qube(name)?;
        self.prefetch_states();
        let mut write = self.write()?;
        pci::set_addresses(&mut write, name.as_str(), addresses, self)?;
        write.save()?;
        Ok(())
    }

    /// Sets whether the required PCI devices of a halted qube must support a reset between two
    /// users.
    ///
    /// # Errors
    /// The qube is not halted, or the store cannot be written.
    pub fn set_pci_strict_reset(&self, name: &VmName, strict: bool) -> Result<(), LifecycleError> {
        let _lock = self.lock_qube(name)?;
        self.prefetch_states();
        let mut write = self.write()?;
        pci::set_strict_reset(&mut write, name.as_str(), strict, self)?;
        write.save()?;
        Ok(())
    }

    /// Changes one property of a qube, under the qube's lock if its rules depend on the power
    /// state.
    fn change(
        &self,
        name: &VmName,
        property: &str,
        decide: impl FnOnce(&mut crate::store::Write) -> Result<Vec<Effect>, LifecycleError>,
    ) -> Result<Vec<String>, LifecycleError> {
        let lock = depends_on_power(property)
            .then(|| self.lock_qube(name))
            .transpose()?;
        if lock.is_some() {
            self.prefetch_states();
        }
        let effects = self.save_change(decide);
        self.drop_prefetched_states();
        drop(lock);
        let effects = effects?;
        self.apply_effects(&effects)
    }

    /// Changes the store and applies the effects.
    fn change_and_apply(
        &self,
        decide: impl FnOnce(&mut crate::store::Write) -> Result<Vec<Effect>, LifecycleError>,
    ) -> Result<Vec<String>, LifecycleError> {
        let effects = self.save_change(decide)?;
        self.apply_effects(&effects)
    }

    /// Changes the store and returns the effects.
    fn save_change(
        &self,
        decide: impl FnOnce(&mut crate::store::Write) -> Result<Vec<Effect>, LifecycleError>,
    ) -> Result<Vec<Effect>, LifecycleError> {
        let mut write = self.write()?;
        let effects = decide(&mut write)?;
        write.save()?;
        Ok(effects)
    }
}
