//! Changing properties. All changes take one path: find the row, check the value and the rules,
//! store it, make what follows in the store, return what follows outside.

use super::error::Owner;
use super::{
    AppliedChange, Consequences, Property, PropertyContext, PropertyError, ProposedChange, Rule,
    Scope, Value,
};
use crate::model::draft::Draft;
use crate::model::effect::Change;
use crate::model::facts::Facts;
use crate::model::name::VmName;
use crate::model::property;
use crate::model::qubes::Qubes;
use crate::model::text_map::TextMap;
use crate::model::vm::Vm;

/// Sets a qube's property from a user's text. For references an empty text is "no qube".
///
/// # Errors
/// The qube or the property does not exist, the text is invalid, or a rule forbids it. Nothing
/// was changed.
pub fn set(
    draft: &mut Draft,
    vm: &str,
    property: &str,
    text: &str,
    facts: &dyn Facts,
) -> Result<Change, PropertyError> {
    change(draft, Some(vm), property, Some(text), facts)
}

/// Removes a qube's explicit value, so that the default is in effect. Without an explicit value
/// this is no error.
///
/// # Errors
/// As [`set`]; also for write-once properties and for `template`.
pub fn reset(
    draft: &mut Draft,
    vm: &str,
    property: &str,
    facts: &dyn Facts,
) -> Result<Change, PropertyError> {
    change(draft, Some(vm), property, None, facts)
}

/// Sets a global property from a user's text.
///
/// # Errors
/// As [`set`].
pub fn set_global(
    draft: &mut Draft,
    property: &str,
    text: &str,
    facts: &dyn Facts,
) -> Result<Change, PropertyError> {
    change(draft, None, property, Some(text), facts)
}

/// Removes the explicit value of a global property.
///
/// # Errors
/// As [`set_global`].
pub fn reset_global(
    draft: &mut Draft,
    property: &str,
    facts: &dyn Facts,
) -> Result<Change, PropertyError> {
    change(draft, None, property, None, facts)
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
    let checked = check(qubes, Subject::Qube(vm), property, Some(text), facts)?;
    Ok(checked.text.unwrap_or_default())
}

/// The system or the qube whose property changes.
#[derive(Clone, Copy)]
enum Subject<'a> {
    System,
    Qube(&'a Vm),
}

/// A change of one property that passed every check and is not stored yet.
struct CheckedChange {
    property: &'static Property,
    /// The explicit text from now on; `None` removes it.
    text: Option<String>,
    /// The old value in effect, if it could be read.
    before: Option<Value>,
    /// The new value in effect, if there is one.
    after: Option<Value>,
}

/// Sets the property of a qube, or of the system, to `text`, or resets it if there is no text.
fn change(
    draft: &mut Draft,
    vm: Option<&str>,
    property: &str,
    text: Option<&str>,
    facts: &dyn Facts,
) -> Result<Change, PropertyError> {
    let qubes = &mut draft.qubes;
    let subject = match vm {
        None => Subject::System,
        Some(vm) => Subject::Qube(
            qubes
                .get(vm)
                .ok_or_else(|| PropertyError::NoSuchQube(vm.to_owned()))?,
        ),
    };
    // Upstream would refuse the store for it. It has no consequences.
    if text.is_none() && subject.has_unsupported_value(qubes, property, facts) {
        let texts = match vm {
            None => Some(&mut qubes.globals),
            Some(vm) => qubes.edit(vm).map(|vm| &mut vm.properties),
        };
        texts.and_then(|texts| texts.remove(property));
        return Ok(Change::STORE_ONLY);
    }
    let checked = check(qubes, subject, property, text, facts)?;
    let vm = match subject {
        Subject::System => None,
        Subject::Qube(vm) => Some(vm.name.clone()),
    };
    checked.store(qubes, vm.as_ref());
    // Consequences apply even if nothing was set: they remove a feature that was set by hand.
    Ok(checked.apply_consequences(qubes, vm.as_ref(), facts))
}

/// Checks a new text for a property, or the reset of the property if there is no text.
fn check(
    qubes: &Qubes,
    subject: Subject<'_>,
    property: &str,
    text: Option<&str>,
    facts: &dyn Facts,
) -> Result<CheckedChange, PropertyError> {
    let property = subject.find_writable(property, facts)?;
    let after = match text {
        Some(text) => Some(property.parse(qubes, subject.owner(), text)?),
        None => subject.default_value(qubes, property, facts),
    };
    let is_set = subject.explicit_texts(qubes).contains(property.name);
    if property.write_once && (is_set || text.is_none()) {
        return Err(PropertyError::Inaccessible(property.name));
    }
    let before = subject.value(qubes, property, facts);
    let proposed = ProposedChange {
        property,
        value: after.as_ref().unwrap_or(&Value::None),
        reset: text.is_none(),
        before: before.as_ref(),
    };
    match (property.rule, subject) {
        (Rule::Qube(rule), Subject::Qube(vm)) => {
            rule(&PropertyContext { qubes, vm, facts }, &proposed)?
        }
        (Rule::Global(rule), Subject::System) => rule(qubes, facts, &proposed)?,
        _ => {}
    }
    Ok(CheckedChange {
        property,
        text: after
            .as_ref()
            .filter(|_| text.is_some())
            .map(Value::to_string),
        before,
        after,
    })
}

impl CheckedChange {
    /// Stores the text of the property of a qube, or of the system.
    fn store(&self, qubes: &mut Qubes, vm: Option<&VmName>) {
        let texts = match vm.map(|vm| qubes.edit(vm.as_str())) {
            None => &mut qubes.globals,
            Some(Some(vm)) if self.text.is_some() || !self.property.is_default(vm) => {
                // Early stores of R4 may hold the value in another place.
                if let Some(legacy) = self.property.legacy {
                    (legacy.remove)(vm);
                }
                &mut vm.properties
            }
            Some(_) => return,
        };
        match &self.text {
            Some(text) => texts.set(self.property.name, text),
            None => drop(texts.remove(self.property.name)),
        }
    }

    /// Makes what follows in the store and returns what follows outside.
    fn apply_consequences(
        self,
        qubes: &mut Qubes,
        vm: Option<&VmName>,
        facts: &dyn Facts,
    ) -> Change {
        let (before, after) = (self.before, self.after);
        let applied = AppliedChange {
            before,
            after,
            facts,
        };
        match (self.property.consequences, vm) {
            (Consequences::Qube(apply), Some(vm)) => apply(qubes, vm, &applied),
            (Consequences::Global(apply), None) => apply(qubes, &applied),
            _ => Change::STORE_ONLY,
        }
    }
}

impl<'a> Subject<'a> {
    /// Returns the owner of the property, for messages.
    fn owner(self) -> Owner<'a> {
        match self {
            Subject::System => Owner::System,
            Subject::Qube(vm) => Owner::Qube(&vm.name),
        }
    }

    fn scope(self) -> Scope<'a> {
        match self {
            Subject::System => Scope::Global,
            Subject::Qube(vm) => Scope::Class(&vm.class),
        }
    }

    fn explicit_texts(self, qubes: &'a Qubes) -> &'a TextMap {
        match self {
            Subject::System => &qubes.globals,
            Subject::Qube(vm) => &vm.properties,
        }
    }

    /// Returns the value in effect, if it can be read.
    fn value(self, qubes: &Qubes, property: &Property, facts: &dyn Facts) -> Option<Value> {
        match self {
            Subject::System => property::global_value(qubes, property, facts).ok(),
            Subject::Qube(vm) => property::value(qubes, vm, property, facts).ok(),
        }
    }

    /// Returns the default, if there is one.
    fn default_value(self, qubes: &Qubes, property: &Property, facts: &dyn Facts) -> Option<Value> {
        match self {
            Subject::System => property::global_default(qubes, property, facts).ok(),
            Subject::Qube(vm) => property::default_value(qubes, vm, property, facts).ok(),
        }
    }

    /// Returns whether the store has a value of a property that is unknown, computed or too new.
    fn has_unsupported_value(self, qubes: &Qubes, name: &str, facts: &dyn Facts) -> bool {
        self.explicit_texts(qubes).contains(name)
            && Property::find(self.scope(), name)
                .is_none_or(|known| known.computed || known.since > facts.host().release())
    }

    /// Finds a property that can be changed and that the release of the store knows.
    fn find_writable(
        self,
        name: &str,
        facts: &dyn Facts,
    ) -> Result<&'static Property, PropertyError> {
        let property = Property::find(self.scope(), name)
            .ok_or_else(|| PropertyError::NoSuchProperty(name.to_owned()))?;
        if property.computed {
            return Err(PropertyError::Computed {
                property: property.name,
                class: match self {
                    Subject::System => "Qubes".to_owned(),
                    Subject::Qube(vm) => vm.class.to_string(),
                },
            });
        }
        let release = facts.host().release();
        if property.since > release {
            return Err(PropertyError::TooNew {
                owner: self.owner().to_string(),
                property: property.name,
                release,
                since: property.since,
            });
        }
        Ok(property)
    }
}
