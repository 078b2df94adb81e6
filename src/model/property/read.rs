//! Reading properties: the explicit value, or what stands in for it.

use smol_str::SmolStr;

use super::value_type::Owner;
use super::{DefaultValue, Property, PropertyContext, PropertyError, Scope, Value};
use crate::model::facts::Facts;
use crate::model::name::VmName;
use crate::model::qubes::Qubes;
use crate::model::vm::Vm;

impl Qubes {
    /// A qube's property as it is in effect: the explicit value, or the default.
    ///
    /// # Errors
    /// The property is unset and has no default, or the store's text is no value of it.
    pub fn value(
        &self,
        vm: &Vm,
        property: &Property,
        facts: &dyn Facts,
    ) -> Result<Value, PropertyError> {
        match property.explicit_value(vm) {
            Some(text) => property.read(self, Owner::Qube(&vm.name), text),
            None => self.default_value(vm, property, facts),
        }
    }

    /// Whether a qube's property is true; not where it cannot be read.
    pub fn is_true(&self, vm: &Vm, property: &Property, facts: &dyn Facts) -> bool {
        let value = match (property.explicit_value(vm), &property.default) {
            (Some("True"), _) => return true,
            (Some("False"), _) => return false,
            (None, DefaultValue::Bool(default)) => return *default,
            _ => self.value(vm, property, facts),
        };
        matches!(value, Ok(Value::Bool(true)))
    }

    /// The explicit text of a property that qubes inherit: the qube's own, or what a template gives
    /// it.
    ///
    /// # Errors
    /// Its template, or that one's, cannot be told.
    pub(super) fn explicit_or_inherited<'a>(
        &'a self,
        vm: &'a Vm,
        property: &Property,
    ) -> Result<Option<&'a str>, PropertyError> {
        match property.explicit_value(vm) {
            Some(text) => Ok(Some(text)),
            None => self.template(vm)?.map_or(Ok(None), |template| {
                self.explicit_or_inherited(template, property)
            }),
        }
    }

    /// What a qube's property is worth where it is not set.
    pub fn default_value(
        &self,
        vm: &Vm,
        property: &Property,
        facts: &dyn Facts,
    ) -> Result<Value, PropertyError> {
        self.resolve_default(
            &PropertyContext {
                qubes: self,
                vm,
                facts,
            },
            property,
            &property.default,
        )
    }

    /// Whether a qube's property has, where it is not set, the value that its template gives it;
    /// else the qube, or the system, decides.
    pub fn is_inherited(&self, vm: &Vm, property: &Property, facts: &dyn Facts) -> bool {
        match property.default {
            DefaultValue::Inherited(_) => vm.class.has_template(),
            DefaultValue::ComputedOrInherited { inherits, .. } => {
                vm.class.has_template()
                    && inherits(&PropertyContext {
                        qubes: self,
                        vm,
                        facts,
                    })
            }
            _ => false,
        }
    }

    /// Whether a qube's property is not explicitly set.
    pub fn is_default(&self, vm: &Vm, property: &Property) -> bool {
        property.explicit_value(vm).is_none()
    }

    /// A qube's property by name.
    ///
    /// # Errors
    /// As [`Qubes::value`]; also when qubes of this class have no such property.
    pub fn value_by_name(
        &self,
        vm: &Vm,
        name: &str,
        facts: &dyn Facts,
    ) -> Result<Value, PropertyError> {
        let property = Property::find(Scope::Class(&vm.class), name)
            .ok_or_else(|| PropertyError::NoSuchProperty(name.to_owned()))?;
        self.value(vm, property, facts)
    }

    /// A global property as it is in effect.
    ///
    /// # Errors
    /// The property is unset and has no default, or the store's text is no value of it.
    pub fn global_value(
        &self,
        property: &Property,
        facts: &dyn Facts,
    ) -> Result<Value, PropertyError> {
        match self.globals.get(property.name) {
            Some(text) if !property.computed => property.read(self, Owner::System, text),
            _ => self.global_default(property, facts),
        }
    }

    /// What a global property is worth where it is not set.
    pub fn global_default(
        &self,
        property: &Property,
        facts: &dyn Facts,
    ) -> Result<Value, PropertyError> {
        match property.default {
            DefaultValue::ComputedGlobal(compute) => compute(self, facts),
            DefaultValue::Global(name) => self.global_value_by_name(name, facts),
            ref plain => plain
                .constant()
                .ok_or_else(|| Owner::System.unset_error(property.name)),
        }
    }

    /// Whether a global property is not explicitly set.
    pub fn is_global_default(&self, property: &Property) -> bool {
        property.computed || !self.globals.contains(property.name)
    }

    /// A global property by name.
    ///
    /// # Errors
    /// As [`Qubes::global_value`]; also when there is no such property.
    pub fn global_value_by_name(
        &self,
        name: &str,
        facts: &dyn Facts,
    ) -> Result<Value, PropertyError> {
        let property = Property::find(Scope::Global, name)
            .ok_or_else(|| PropertyError::NoSuchProperty(name.to_owned()))?;
        self.global_value(property, facts)
    }

    fn resolve_default(
        &self,
        context: &PropertyContext<'_>,
        property: &Property,
        default: &DefaultValue,
    ) -> Result<Value, PropertyError> {
        match default {
            DefaultValue::Global(name) => self.global_value_by_name(name, context.facts),
            DefaultValue::Inherited(otherwise) => match self.template(context.vm)? {
                Some(template) if property.is_in_scope(Scope::Class(&template.class)) => {
                    self.value(template, property, context.facts)
                }
                Some(template) => self.value_by_name(template, property.name, context.facts),
                None => self.resolve_default(context, property, otherwise),
            },
            DefaultValue::Computed(compute) | DefaultValue::ComputedOrInherited { compute, .. } => {
                compute(context)
            }
            plain => plain
                .constant()
                .ok_or_else(|| Owner::Qube(&context.vm.name).unset_error(property.name)),
        }
    }
}

impl DefaultValue {
    /// The value of a default that depends on nothing.
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
