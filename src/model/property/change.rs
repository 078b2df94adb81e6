//! Changing properties: decide, store, say what follows.

use super::value_type::Owner;
use super::{
    AppliedChange, Consequences, Effect, Property, PropertyContext, PropertyError, ProposedChange,
    Rule, Scope, Value,
};
use crate::model::facts::Facts;
use crate::model::name::VmName;
use crate::model::qubes::Qubes;
use crate::model::vm::Vm;

impl Qubes {
    /// Sets a qube's property from a user's text, with everything that follows from it inside the
    /// database. An empty text is "no qube" for references. What has to follow outside the database
    /// is returned.
    ///
    /// # Errors
    /// Nothing was changed: there is no such qube or property, the text is no value of it, or a
    /// rule forbids it.
    pub fn set_property(
        &mut self,
        vm: &str,
        property: &str,
        text: &str,
        facts: &dyn Facts,
    ) -> Result<Vec<Effect>, PropertyError> {
        let qube = self
            .get(vm)
            .ok_or_else(|| PropertyError::NoSuchQube(vm.to_owned()))?;
        let property = writable(
            Scope::Class(&qube.class),
            property,
            Owner::Qube(&qube.name),
            facts,
        )?;
        let value = property.parse(self, Owner::Qube(&qube.name), text)?;
        let is_set = qube.properties.contains(property.name);
        if property.write_once && is_set {
            return Err(PropertyError::Inaccessible(property.name));
        }
        let before = self.value(qube, property, facts).ok();
        self.check(
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
        if let Some(qube) = self.edit(vm) {
            forget_legacy(qube, property);
            qube.properties.set(property.name, &value.to_string());
        }
        Ok(self.follow(
            &name,
            property,
            AppliedChange {
                before,
                after: Some(value),
                facts,
            },
        ))
    }

    /// Forgets a qube's explicit value, so that the default counts. Legal where nothing was set.
    ///
    /// # Errors
    /// As [`Qubes::set_property`]; also for what is written once, and for a template.
    pub fn reset_property(
        &mut self,
        vm: &str,
        property: &str,
        facts: &dyn Facts,
    ) -> Result<Vec<Effect>, PropertyError> {
        let qube = self
            .get(vm)
            .ok_or_else(|| PropertyError::NoSuchQube(vm.to_owned()))?;
        let known = Property::find(Scope::Class(&qube.class), property);
        if known.is_none_or(|known| known.computed || known.since > facts.release())
            && qube.properties.contains(property)
        {
            // Upstream would refuse the store for it; nothing follows from what nobody knows.
            if let Some(qube) = self.edit(vm) {
                qube.properties.remove(property);
            }
            return Ok(Vec::new());
        }
        let property = writable(
            Scope::Class(&qube.class),
            property,
            Owner::Qube(&qube.name),
            facts,
        )?;
        if property.write_once {
            return Err(PropertyError::Inaccessible(property.name));
        }
        let before = self.value(qube, property, facts).ok();
        let default = self.default_value(qube, property, facts).ok();
        let value = default.as_ref().unwrap_or(&Value::None);
        self.check(
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
        if !self.is_default(qube, property)
            && let Some(qube) = self.edit(vm)
        {
            forget_legacy(qube, property);
            qube.properties.remove(property.name);
        }
        // What follows may be due although nothing was set: a feature that somebody has given by
        // hand goes.
        Ok(self.follow(
            &name,
            property,
            AppliedChange {
                before,
                after: default,
                facts,
            },
        ))
    }

    /// Sets a global property from a user's text.
    ///
    /// # Errors
    /// As [`Qubes::set_property`].
    pub fn set_global(
        &mut self,
        property: &str,
        text: &str,
        facts: &dyn Facts,
    ) -> Result<Vec<Effect>, PropertyError> {
        let property = writable(Scope::Global, property, Owner::System, facts)?;
        let value = property.parse(self, Owner::System, text)?;
        let before = self.global_value(property, facts).ok();
        self.check_global(
            &ProposedChange {
                property,
                value: &value,
                reset: false,
                before: before.as_ref(),
            },
            facts,
        )?;
        self.globals.set(property.name, &value.to_string());
        Ok(self.follow_global(
            property,
            AppliedChange {
                before,
                after: Some(value),
                facts,
            },
        ))
    }

    /// Forgets the explicit value of a global property.
    ///
    /// # Errors
    /// As [`Qubes::set_global`].
    pub fn reset_global(
        &mut self,
        property: &str,
        facts: &dyn Facts,
    ) -> Result<Vec<Effect>, PropertyError> {
        if Property::find(Scope::Global, property).is_none_or(|known| known.since > facts.release())
            && self.globals.remove(property).is_some()
        {
            return Ok(Vec::new());
        }
        let property = writable(Scope::Global, property, Owner::System, facts)?;
        let before = self.global_value(property, facts).ok();
        let default = self.global_default(property, facts).ok();
        let value = default.as_ref().unwrap_or(&Value::None);
        self.check_global(
            &ProposedChange {
                property,
                value,
                reset: true,
                before: before.as_ref(),
            },
            facts,
        )?;
        self.globals.remove(property.name);
        Ok(self.follow_global(
            property,
            AppliedChange {
                before,
                after: default,
                facts,
            },
        ))
    }

    /// What would be stored for a user's text as a property of a qube that is in the collection or
    /// about to be.
    ///
    /// # Errors
    /// As [`Qubes::set_property`].
    pub(in crate::model) fn validate_property(
        &self,
        vm: &Vm,
        property: &str,
        text: &str,
        facts: &dyn Facts,
    ) -> Result<String, PropertyError> {
        let property = writable(
            Scope::Class(&vm.class),
            property,
            Owner::Qube(&vm.name),
            facts,
        )?;
        let value = property.parse(self, Owner::Qube(&vm.name), text)?;
        let before = self.value(vm, property, facts).ok();
        self.check(
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

    fn check(
        &self,
        vm: &Vm,
        proposed: &ProposedChange<'_>,
        facts: &dyn Facts,
    ) -> Result<(), PropertyError> {
        match proposed.property.rule {
            Rule::Qube(rule) => rule(
                &PropertyContext {
                    qubes: self,
                    vm,
                    facts,
                },
                proposed,
            ),
            _ => Ok(()),
        }
    }

    fn check_global(
        &self,
        proposed: &ProposedChange<'_>,
        facts: &dyn Facts,
    ) -> Result<(), PropertyError> {
        match proposed.property.rule {
            Rule::Global(rule) => rule(self, facts, proposed),
            _ => Ok(()),
        }
    }

    fn follow(
        &mut self,
        vm: &VmName,
        property: &Property,
        change: AppliedChange<'_>,
    ) -> Vec<Effect> {
        match property.consequences {
            Consequences::Qube(apply) => apply(self, vm, &change),
            _ => Vec::new(),
        }
    }

    fn follow_global(&mut self, property: &Property, change: AppliedChange<'_>) -> Vec<Effect> {
        match property.consequences {
            Consequences::Global(apply) => apply(self, &change),
            _ => Vec::new(),
        }
    }
}

fn forget_legacy(vm: &mut Vm, property: &Property) {
    if let Some(legacy) = property.legacy {
        (legacy.forget)(vm);
    }
}

/// The property, if it can be changed at all and the release that is written for knows it.
fn writable(
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
    let release = facts.release();
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
