//! The owner of properties, the system or one qube, and the list of its properties.

use super::listing;
use crate::lifecycle::{Context, LifecycleError, qube};
use crate::model::{
    Class, Property, PropertyError, Qubes, Scope, Value, Vm, VmName, class_properties,
    global_properties, property,
};
use crate::tools::commands::db::one_line;
use crate::tools::r3;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::selection::resolve_one;

/// The owner of properties: the system, or one qube.
pub enum PropertyOwner {
    System,
    Qube { name: VmName, class: Class },
}

impl PropertyOwner {
    /// Returns the qube that an argument names, or the system without one.
    pub fn find(qubes: &Qubes, given: Option<&str>) -> Result<PropertyOwner, Failure> {
        let Some(given) = given else {
            return Ok(PropertyOwner::System);
        };
        let name = resolve_one(given, qubes.names().map(VmName::as_str))?;
        let known = qubes.name(name).cloned().zip(qubes.class(name).cloned());
        let (name, class) = known.ok_or_else(|| Failure::no_such_domain(name))?;
        Ok(PropertyOwner::Qube { name, class })
    }

    /// Returns the name of the qube; `None` for the system.
    pub fn name(&self) -> Option<&str> {
        match self {
            PropertyOwner::System => None,
            PropertyOwner::Qube { name, .. } => Some(name.as_str()),
        }
    }

    /// Returns the qube; `None` for the system.
    pub fn vm<'q>(&self, qubes: &'q Qubes) -> Option<&'q Vm> {
        qubes.get(self.name()?)
    }

    /// Sets a property, or resets it to its default. Returns notes for the user.
    pub fn change(
        &self,
        context: &Context,
        property: &str,
        text: Option<&str>,
    ) -> Result<Vec<String>, LifecycleError> {
        match (self, text) {
            (PropertyOwner::System, Some(text)) => qube::set_global(context, property, text),
            (PropertyOwner::System, None) => qube::reset_global(context, property),
            (PropertyOwner::Qube { name, .. }, Some(text)) => {
                qube::set_property(context, name, property, text)
            }
            (PropertyOwner::Qube { name, .. }, None) => {
                qube::reset_property(context, name, property)
            }
        }
    }

    /// Returns whose properties they are.
    pub fn scope(&self) -> Scope<'_> {
        match self {
            PropertyOwner::System => Scope::Global,
            PropertyOwner::Qube { class, .. } => Scope::Class(class),
        }
    }

    /// Returns its properties, sorted by name.
    pub fn properties(&self) -> Vec<&'static Property> {
        match self {
            PropertyOwner::System => global_properties().collect(),
            PropertyOwner::Qube { class, .. } => class_properties(class).collect(),
        }
    }

    /// Returns the value of a property.
    pub fn value(
        &self,
        qubes: &Qubes,
        property: &Property,
        context: &Context,
    ) -> Result<Value, PropertyError> {
        match self {
            // default_kernel and default_template have no default: a new store lacks them.
            PropertyOwner::System => {
                match (
                    property::global_value(qubes, property, context.facts()),
                    property.value_type.api_name(),
                ) {
                    (Err(PropertyError::Unset { .. }), "vm") => Ok(Value::Qube(None)),
                    (Err(PropertyError::Unset { .. }), "str") => Ok(Value::text("")),
                    (value, _) => value,
                }
            }
            PropertyOwner::Qube { name, .. } => {
                let vm = self.vm(qubes);
                let vm = vm.ok_or_else(|| PropertyError::NoSuchQube(name.to_string()))?;
                property::value(qubes, vm, property, context.facts())
            }
        }
    }

    /// Returns the text to store; `None` if it means the default.
    pub fn stored_text<'a>(
        &self,
        property: &Property,
        text: &'a str,
        by_set: bool,
    ) -> Option<&'a str> {
        match self {
            PropertyOwner::System => {
                Some(r3::value_texts::stored_global_value(property, text, by_set))
            }
            PropertyOwner::Qube { .. } => r3::value_texts::stored_value(property, text, by_set),
        }
    }

    /// Whether the store has a value under a name that no property has.
    pub fn has_unknown(&self, qubes: &Qubes, name: &str) -> bool {
        let stored = match self {
            PropertyOwner::System => qubes.globals.contains(name),
            PropertyOwner::Qube { .. } => {
                let vm = self.vm(qubes);
                vm.is_some_and(|vm| vm.properties.contains(name))
            }
        };
        stored && super::find(self.scope(), name).is_err()
    }

    /// Whether a property has no explicit value.
    pub fn is_default(&self, qubes: &Qubes, property: &Property) -> bool {
        match self {
            PropertyOwner::System => property::is_global_default(qubes, property),
            PropertyOwner::Qube { .. } => {
                let vm = self.vm(qubes);
                vm.is_none_or(|vm| property.is_default(vm))
            }
        }
    }
}

/// The owner of properties in a store.
pub struct OwnerView<'a> {
    pub owner: &'a PropertyOwner,
    pub qubes: &'a Qubes,
    pub context: &'a Context,
}

impl OwnerView<'_> {
    /// Prints every property with a mark: `D` default, `-` explicit, `U` unreadable.
    pub fn list(&self, call: &mut Invocation, hide_default: bool) -> Result<(), Failure> {
        let properties = self.owner.properties();
        let width = properties.iter().map(|p| p.name.len()).max().unwrap_or(0);
        for property in properties {
            let is_default = self.owner.is_default(self.qubes, property);
            let value = self.owner.value(self.qubes, property, self.context).ok();
            let line = match value.and_then(|value| property.format_in_list(&value)) {
                None => format!("{:width$}  U", property.name),
                Some(_) if is_default && hide_default => continue,
                Some(text) => {
                    // On a terminal a value must not look like a further line.
                    let text = match call.out.is_for_display() {
                        true => one_line(&text),
                        false => text,
                    };
                    let mark = if is_default { 'D' } else { '-' };
                    format!("{:width$}  {mark}  {text}", property.name)
                }
            };
            call.out.line(&line)?;
        }
        Ok(())
    }

    /// Prints an object of all properties, each with its value, whether that is the default, and
    /// why it cannot be read.
    pub fn list_json(&self, call: &mut Invocation, hide_default: bool) -> Result<(), Failure> {
        let mut object = serde_json::Map::new();
        for property in self.owner.properties() {
            let is_default = self.owner.is_default(self.qubes, property);
            if !(is_default && hide_default) {
                let value = self.owner.value(self.qubes, property, self.context);
                let entry = listing::value_entry(value, is_default);
                object.insert(property.name.to_string(), entry.into());
            }
        }
        call.print_json(&object.into())
    }
}
