//! A row of the property table, and the types of its cells.

use super::error::PropertyError;
use super::legacy::LegacyForm;
use super::value::Value;
use super::value_type::ValueType;
use crate::model::class::Class;
use crate::model::effect::Change;
use crate::model::facts::Facts;
use crate::model::name::VmName;
use crate::model::qubes::Qubes;
use crate::model::release::Release;
use crate::model::vm::Vm;

/// The stage in which upstream loads references and what depends on them.
const LATE: u8 = 4;

/// Where a property is looked up: among the global ones or among those of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    /// The properties of the system.
    Global,
    /// The properties of qubes of this class.
    Class(&'a Class),
}

/// The owners of a property: the system, or qubes of some classes.
#[derive(Debug, Clone, Copy)]
pub enum AppliesTo {
    /// The system.
    System,
    /// Qubes of every class, unknown classes included.
    AllClasses,
    /// Qubes of every class but AdminVM.
    AllButAdmin,
    /// Qubes that run as domains on this machine.
    LocalGuests,
    /// Qubes that run as domains on this machine, and dom0.
    LocalGuestsAndAdmin,
    /// Qubes of these classes.
    Classes(&'static [Class]),
}

pub(super) const GUESTS: AppliesTo = AppliesTo::LocalGuests;
pub(super) const ADMIN: AppliesTo = AppliesTo::Classes(&[Class::AdminVM]);

/// What a default or a rule is computed from: the qube, the store and the facts.
pub struct PropertyContext<'a> {
    /// The store that the qube belongs to.
    pub qubes: &'a Qubes,
    /// The qube that has the property.
    pub vm: &'a Vm,
    /// What is known of the machine.
    pub facts: &'a dyn Facts,
}

/// The value of a property that is not set.
#[derive(Clone, Copy)]
pub enum DefaultValue {
    /// There is no default: an unset property is an error.
    Required,
    /// No number or no text.
    Nothing,
    /// No qube.
    NoQube,
    /// A reference to dom0.
    Dom0,
    /// This boolean.
    Bool(bool),
    /// This integer.
    Int(i64),
    /// This text.
    Text(&'static str),
    /// The value of the global property of this name.
    Global(&'static str),
    /// The template's value of the same property; without a template, this default.
    Inherited(&'static DefaultValue),
    /// Computed from the qube.
    Computed(fn(&PropertyContext<'_>) -> Result<Value, PropertyError>),
    /// Computed from the qube. Where `inherits` returns true, the result is the template's value of
    /// the same property.
    ComputedOrInherited {
        /// Computes the default.
        compute: fn(&PropertyContext<'_>) -> Result<Value, PropertyError>,
        /// Returns whether the default is the template's value.
        inherits: fn(&PropertyContext<'_>) -> bool,
    },
    /// Computed from the system (global properties only).
    ComputedGlobal(fn(&Qubes, &dyn Facts) -> Result<Value, PropertyError>),
}

/// A change that a rule has to accept before it is made.
pub struct ProposedChange<'a> {
    /// The property to change.
    pub property: &'static Property,
    /// The new value in effect; for a reset, the default.
    pub value: &'a Value,
    /// Whether the explicit value is removed instead of replaced.
    pub reset: bool,
    /// The old value in effect, if it can be read.
    pub before: Option<&'a Value>,
}

/// A condition on new values beyond their type.
#[derive(Clone, Copy)]
pub enum Rule {
    /// Every value of the type is accepted.
    None,
    /// A rule of a qube's property.
    Qube(fn(&PropertyContext<'_>, &ProposedChange<'_>) -> Result<(), PropertyError>),
    /// A rule of a global property.
    Global(fn(&Qubes, &dyn Facts, &ProposedChange<'_>) -> Result<(), PropertyError>),
}

/// What a change brings with it: further changes of the store, which the function makes, and
/// effects outside it, which it returns.
#[derive(Clone, Copy)]
pub enum Consequences {
    /// No further change and no effect.
    None,
    /// Consequences of a qube's property.
    Qube(fn(&mut Qubes, &VmName, &AppliedChange<'_>) -> Change),
    /// Consequences of a global property.
    Global(fn(&mut Qubes, &AppliedChange<'_>) -> Change),
}

/// A change that was made to a property.
pub struct AppliedChange<'a> {
    /// The old value in effect, if it could be read.
    pub before: Option<Value>,
    /// The new value in effect, if there is one.
    pub after: Option<Value>,
    /// What is known of the machine.
    pub facts: &'a dyn Facts,
}

impl AppliedChange<'_> {
    /// Returns the qube that the property refers to now, if it refers to one.
    pub(super) fn referenced_qube(&self) -> Option<&VmName> {
        self.after.as_ref().and_then(Value::as_qube)
    }
}

/// The words that completion offers for a property's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// What the type implies: booleans, labels, pools, qubes.
    ByType,
    /// Qubes that provide network.
    Netvms,
    /// Templates for disposables.
    DisposableTemplates,
    /// Installed kernels.
    Kernels,
    /// These words.
    Words(&'static [&'static str]),
}

/// One row of the table: all that is known of a property.
#[derive(Clone, Copy)]
pub struct Property {
    /// The name in the store and on the command line.
    pub name: &'static str,
    /// The owners of the property.
    pub applies_to: AppliesTo,
    /// The type of its values.
    pub value_type: ValueType,
    /// When upstream loads it: 2 basic, 3 global, 4 references. Properties are written in the order
    /// of (stage, name).
    pub stage: u8,
    /// The first release that knows it; it is never written for an older one.
    pub since: Release,
    /// Whether it can only be set at creation.
    pub write_once: bool,
    /// Whether a clone gets the explicit value.
    pub cloned: bool,
    /// Whether it is always computed: it cannot be set, is never stored and counts as default.
    pub computed: bool,
    /// Whether its rule depends on the power state, so that the qube must be locked while it
    /// changes.
    pub depends_on_power: bool,
    /// Whether its value comes from the running domain.
    pub is_live: bool,
    /// Whether users can write `none` for "no qube"; for other references `none` is a name.
    pub accepts_none: bool,
    /// Whether a column of `qvm-ls` sorts its values as numbers.
    pub sorts_as_number: bool,
    /// How its values are represented in JSON, if not as the type says.
    pub json_type: Option<&'static str>,
    /// What completion offers, if not what the type says.
    pub completion: Completion,
    /// The value where it is not set.
    pub default: DefaultValue,
    /// The condition on new values.
    pub rule: Rule,
    /// What follows from a change.
    pub consequences: Consequences,
    /// Another form in which early stores of R4 hold the value.
    pub legacy: Option<LegacyForm>,
    /// The description for `--help-properties`, man page and schemas.
    pub doc: &'static str,
}

impl Property {
    /// Returns a row with the values that most properties have; the methods below change one each.
    pub(super) const fn new(
        name: &'static str,
        applies_to: AppliesTo,
        value_type: ValueType,
        default: DefaultValue,
        doc: &'static str,
    ) -> Property {
        Property {
            name,
            applies_to,
            value_type,
            stage: match applies_to {
                AppliesTo::System => 3,
                _ => 2,
            },
            since: Release::R4_0,
            write_once: false,
            cloned: true,
            computed: false,
            depends_on_power: false,
            is_live: false,
            accepts_none: false,
            sorts_as_number: false,
            json_type: None,
            completion: Completion::ByType,
            default,
            rule: Rule::None,
            consequences: Consequences::None,
            legacy: None,
            doc,
        }
    }

    /// Loaded by upstream, and written, after the basic properties.
    pub(super) const fn late(self) -> Property {
        Property {
            stage: LATE,
            ..self
        }
    }

    pub(super) const fn since(self, since: Release) -> Property {
        Property { since, ..self }
    }

    /// Set at creation only, and not cloned.
    pub(super) const fn identity(self) -> Property {
        Property {
            write_once: true,
            cloned: false,
            ..self
        }
    }

    pub(super) const fn computed(self) -> Property {
        Property {
            computed: true,
            ..self
        }
    }

    pub(super) const fn depends_on_power(self) -> Property {
        Property {
            depends_on_power: true,
            ..self
        }
    }

    pub(super) const fn live(self) -> Property {
        Property {
            is_live: true,
            ..self
        }
    }

    pub(super) const fn accepts_none(self) -> Property {
        Property {
            accepts_none: true,
            ..self
        }
    }

    pub(super) const fn sorts_as_number(self) -> Property {
        Property {
            sorts_as_number: true,
            ..self
        }
    }

    pub(super) const fn with_json_type(self, json_type: &'static str) -> Property {
        Property {
            json_type: Some(json_type),
            ..self
        }
    }

    pub(super) const fn completion(self, completion: Completion) -> Property {
        Property { completion, ..self }
    }

    pub(super) const fn rule(self, rule: Rule) -> Property {
        Property { rule, ..self }
    }

    pub(super) const fn consequences(self, consequences: Consequences) -> Property {
        Property {
            consequences,
            ..self
        }
    }

    pub(super) const fn legacy(self, legacy: LegacyForm) -> Property {
        Property {
            legacy: Some(legacy),
            ..self
        }
    }

    /// Returns the explicit value of a qube's property as the store holds it, if one is set.
    pub fn explicit_value<'a>(&self, vm: &'a Vm) -> Option<&'a str> {
        if self.computed {
            return None;
        }
        let legacy = self.legacy.and_then(|legacy| (legacy.read)(vm));
        legacy.or_else(|| vm.properties.get(self.name))
    }

    /// Returns whether a qube has no explicit value of the property.
    pub fn is_default(&self, vm: &Vm) -> bool {
        self.explicit_value(vm).is_none()
    }

    /// Returns whether upstream loads it, and writes it, after all other properties of a qube
    /// (`docs/spec/r4-xml.md` §1.3, stage 4).
    pub fn is_loaded_late(&self) -> bool {
        self.stage == LATE
    }

    /// Returns the type of the value in JSON: `boolean`, `integer`, `number`, `array` or `string`.
    pub fn json_type(&self) -> &'static str {
        match (self.json_type, self.value_type) {
            (Some(json_type), _) => json_type,
            (None, ValueType::Bool) => "boolean",
            (None, ValueType::Int { .. }) => "integer",
            (None, _) => "string",
        }
    }

    /// Returns whether the system, or qubes of the class, have this property.
    pub fn is_in_scope(&self, scope: Scope<'_>) -> bool {
        match (self.applies_to, scope) {
            (AppliesTo::System, Scope::Global) | (AppliesTo::AllClasses, Scope::Class(_)) => true,
            (AppliesTo::AllButAdmin, Scope::Class(class)) => *class != Class::AdminVM,
            (AppliesTo::LocalGuests, Scope::Class(class)) => class.is_local_guest(),
            (AppliesTo::LocalGuestsAndAdmin, Scope::Class(class)) => {
                class.is_local_guest() || *class == Class::AdminVM
            }
            (AppliesTo::Classes(classes), Scope::Class(class)) => classes.contains(class),
            _ => false,
        }
    }

    /// Formats `value` for a listing of properties. Returns `None` for a missing number, which
    /// upstream's tools cannot read.
    pub fn format_in_list(&self, value: &Value) -> Option<String> {
        match (value, self.value_type) {
            (Value::None, ValueType::Int { .. }) => None,
            (Value::Qube(None), _) => Some("None".to_owned()),
            _ => Some(value.to_string()),
        }
    }

    /// Formats `value` where it is printed alone: as it is stored. Returns `None`, for no output,
    /// for "no qube".
    pub fn format_single(&self, value: &Value) -> Option<String> {
        match value {
            Value::Qube(None) => None,
            _ => Some(value.to_string()),
        }
    }
}
