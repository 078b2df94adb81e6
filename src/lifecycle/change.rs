//! Changing properties: decide purely, save, then act.

use crate::model::{Effect, VmName};

use super::{LifecycleError, Session};

/// Properties whose rules ask what the qube is doing: nobody may start or stop it between the
/// question and the save.
const POWER_DEPENDENT: [&str; 3] = ["maxmem", "netvm", "template"];

impl Session {
    /// Sets a qube's property and applies what follows. Returns what the user should know.
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

    /// Resets a qube's property to its default and applies what follows.
    pub fn reset_property(
        &self,
        name: &VmName,
        property: &str,
    ) -> Result<Vec<String>, LifecycleError> {
        self.change(name, property, |write| {
            Ok(write.reset_property(name.as_str(), property, self)?)
        })
    }

    /// Sets a property of several qubes, or forgets their explicit values where there is no text:
    /// of all of them or, when one cannot be changed so, of none. Applies what follows and returns
    /// what the user should know.
    pub fn change_property_of_qubes(
        &self,
        names: &[VmName],
        property: &str,
        text: Option<&str>,
    ) -> Result<Vec<String>, LifecycleError> {
        // Whoever needs several of these locks takes them in this order, and nobody who holds one
        // waits for another out of it: so two never wait for each other.
        let mut in_order: Vec<&VmName> = names.iter().collect();
        in_order.sort();
        in_order.dedup();
        let to_lock = in_order
            .iter()
            .filter(|_| POWER_DEPENDENT.contains(&property));
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

    /// Sets a global property and applies what follows.
    pub fn set_global(&self, property: &str, text: &str) -> Result<Vec<String>, LifecycleError> {
        self.change_and_apply(|write| Ok(write.set_global(property, text, self)?))
    }

    /// Resets a global property to its default and applies what follows.
    pub fn reset_global(&self, property: &str) -> Result<Vec<String>, LifecycleError> {
        self.change_and_apply(|write| Ok(write.reset_global(property, self)?))
    }

    /// Sets a qube's feature and applies what follows.
    pub fn set_feature(
        &self,
        name: &VmName,
        feature: &str,
        text: &str,
    ) -> Result<Vec<String>, LifecycleError> {
        self.change_and_apply(|write| Ok(write.set_feature(name.as_str(), feature, text, self)?))
    }

    /// Takes a qube's feature away and applies what follows. Legal where it is absent.
    pub fn remove_feature(
        &self,
        name: &VmName,
        feature: &str,
    ) -> Result<Vec<String>, LifecycleError> {
        self.change_and_apply(|write| Ok(write.remove_feature(name.as_str(), feature)?))
    }

    /// Gives a qube tags: all of them, or none when one cannot be given.
    pub fn add_tags(&self, name: &VmName, tags: &[&str]) -> Result<(), LifecycleError> {
        let mut write = self.write()?;
        for tag in tags {
            write.add_tag(name.as_str(), tag)?;
        }
        write.save()?;
        Ok(())
    }

    /// Takes a qube's tag away. Legal where it is absent.
    pub fn remove_tag(&self, name: &VmName, tag: &str) -> Result<(), LifecycleError> {
        let mut write = self.write()?;
        write.remove_tag(name.as_str(), tag)?;
        write.save()?;
        Ok(())
    }

    /// Makes these (`bb:ss.f`), and no others of dom0's, the required PCI devices of a halted qube.
    pub fn set_pci_addresses(
        &self,
        name: &VmName,
        addresses: &[String],
    ) -> Result<(), LifecycleError> {
        let _lock = self.lock_qube(name)?;
        self.prefetch_states();
        let mut write = self.write()?;
        write.set_pci_addresses(name.as_str(), addresses, self)?;
        write.save()?;
        Ok(())
    }

    /// Says whether the required PCI devices of a halted qube must be able to forget what it left
    /// in them.
    pub fn set_pci_strict_reset(&self, name: &VmName, strict: bool) -> Result<(), LifecycleError> {
        let _lock = self.lock_qube(name)?;
        self.prefetch_states();
        let mut write = self.write()?;
        write.set_pci_strict_reset(name.as_str(), strict, self)?;
        write.save()?;
        Ok(())
    }

    fn change(
        &self,
        name: &VmName,
        property: &str,
        decide: impl FnOnce(&mut crate::store::Write) -> Result<Vec<Effect>, LifecycleError>,
    ) -> Result<Vec<String>, LifecycleError> {
        let lock = POWER_DEPENDENT
            .contains(&property)
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

    fn change_and_apply(
        &self,
        decide: impl FnOnce(&mut crate::store::Write) -> Result<Vec<Effect>, LifecycleError>,
    ) -> Result<Vec<String>, LifecycleError> {
        let effects = self.save_change(decide)?;
        self.apply_effects(&effects)
    }

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
