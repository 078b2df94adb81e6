//! The one table of properties: listing, help, completion, saving and validation all read it
//! (`docs/spec/r4-properties.md` §2–§4). Adding a property touches one row in one of the files
//! below.

mod behaviour;
mod by_class;
mod change;
mod consequences;
mod effect;
mod error;
mod globals;
mod identity;
mod kernel;
mod legacy;
mod memory;
mod network;
mod read;
mod references;
mod rules;
mod typed;
mod value;
mod value_type;

pub use by_class::PropertyByClass;
pub use effect::Effect;
pub use error::PropertyError;
pub use legacy::LegacyForm;
pub use typed::VirtMode;
pub use value::{Value, parse_bool};
pub use value_type::{EmptyText, ValueType};

pub(super) use value::read_int;

pub(super) use rules::dispvm_template_error;

use std::cell::Cell;

use super::class::Class;
use super::facts::Facts;
use super::name::VmName;
use super::qubes::Qubes;
use super::release::Release;
use super::text_map::NameFingerprint;
use super::vm::Vm;

/// Where a property is looked for: in the system's own or in those of a class of qubes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    Global,
    Class(&'a Class),
}

/// What has a property.
#[derive(Debug, Clone, Copy)]
pub enum AppliesTo {
    /// The system.
    System,
    /// Qubes of every class, also of one we do not know.
    AllClasses,
    /// Qubes of every class but AdminVM.
    AllButAdmin,
    /// Qubes of these classes.
    Classes(&'static [Class]),
}

/// The classes with domains of their own on this machine.
const GUESTS: AppliesTo = AppliesTo::Classes(&[
    Class::TemplateVM,
    Class::AppVM,
    Class::StandaloneVM,
    Class::DispVM,
]);
const ADMIN: AppliesTo = AppliesTo::Classes(&[Class::AdminVM]);

/// The question for a default: of which qube, in which system, in which world.
pub struct PropertyContext<'a> {
    pub qubes: &'a Qubes,
    pub vm: &'a Vm,
    pub facts: &'a dyn Facts,
}

/// What a property is worth where it is not set.
#[derive(Clone, Copy)]
pub enum DefaultValue {
    /// Unset is an error.
    Required,
    /// No number, no text.
    Nothing,
    /// No qube.
    NoQube,
    /// dom0.
    Dom0,
    Bool(bool),
    Int(i64),
    Text(&'static str),
    /// The value of the global property of this name.
    Global(&'static str),
    /// The template's value of the same property; for qubes without a template the other.
    Inherited(&'static DefaultValue),
    /// Computed from the qube.
    Computed(fn(&PropertyContext<'_>) -> Result<Value, PropertyError>),
    /// Computed from the qube, and nothing but the template's value of the same property where
    /// `inherits` says so.
    ComputedOrInherited {
        compute: fn(&PropertyContext<'_>) -> Result<Value, PropertyError>,
        inherits: fn(&PropertyContext<'_>) -> bool,
    },
    /// Computed from the system (global properties only).
    ComputedGlobal(fn(&Qubes, &dyn Facts) -> Result<Value, PropertyError>),
}

/// A change about to be made: to which value, and whether by forgetting the explicit one.
pub struct ProposedChange<'a> {
    pub property: &'static Property,
    pub value: &'a Value,
    pub reset: bool,
    /// The value before, where it could be read.
    pub before: Option<&'a Value>,
}

/// A rule beyond the type: what must hold for a value to be accepted.
#[derive(Clone, Copy)]
pub enum Rule {
    None,
    Qube(fn(&PropertyContext<'_>, &ProposedChange<'_>) -> Result<(), PropertyError>),
    Global(fn(&Qubes, &dyn Facts, &ProposedChange<'_>) -> Result<(), PropertyError>),
}

/// What follows a change inside the database, and what has to follow outside it.
#[derive(Clone, Copy)]
pub enum Consequences {
    None,
    Qube(fn(&mut Qubes, &VmName, &AppliedChange<'_>) -> Vec<Effect>),
    Global(fn(&mut Qubes, &AppliedChange<'_>) -> Vec<Effect>),
}

/// A change that was made.
pub struct AppliedChange<'a> {
    pub before: Option<Value>,
    pub after: Option<Value>,
    pub facts: &'a dyn Facts,
}

/// One property: everything about it in one place.
#[derive(Clone, Copy)]
pub struct Property {
    pub name: &'static str,
    /// Of the name.
    mark: NameFingerprint,
    pub applies_to: AppliesTo,
    pub value_type: ValueType,
    /// When upstream loads it: 2 basic, 3 global, 4 references. Properties are written in the order
    /// of (stage, name).
    pub stage: u8,
    /// The first release that knows it; it is never written for an older one.
    pub since: Release,
    pub write_once: bool,
    /// Whether a clone gets the explicit value.
    pub cloned: bool,
    /// Computed: cannot be set, is never stored, counts as default.
    pub computed: bool,
    pub default: DefaultValue,
    pub rule: Rule,
    pub consequences: Consequences,
    /// Where early stores of R4 say it otherwise.
    pub legacy: Option<LegacyForm>,
    /// For `--help-properties`.
    pub doc: &'static str,
}

impl Property {
    const fn new(
        name: &'static str,
        applies_to: AppliesTo,
        value_type: ValueType,
        default: DefaultValue,
        doc: &'static str,
    ) -> Property {
        Property {
            name,
            mark: NameFingerprint::new(name.as_bytes()),
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
            default,
            rule: Rule::None,
            consequences: Consequences::None,
            legacy: None,
            doc,
        }
    }

    const fn late(self) -> Property {
        Property { stage: 4, ..self }
    }

    const fn since(self, since: Release) -> Property {
        Property { since, ..self }
    }

    /// Written once, at creation, and not cloned.
    const fn identity(self) -> Property {
        Property {
            write_once: true,
            cloned: false,
            ..self
        }
    }

    const fn computed(self) -> Property {
        Property {
            computed: true,
            ..self
        }
    }

    const fn rule(self, rule: Rule) -> Property {
        Property { rule, ..self }
    }

    const fn consequences(self, consequences: Consequences) -> Property {
        Property {
            consequences,
            ..self
        }
    }

    const fn legacy(self, legacy: LegacyForm) -> Property {
        Property {
            legacy: Some(legacy),
            ..self
        }
    }

    /// The text that says explicitly what the property of a qube is.
    pub fn explicit_value<'a>(&self, vm: &'a Vm) -> Option<&'a str> {
        self.explicit_or_legacy(vm, || vm.properties.get(self.name))
    }

    /// [`Property::explicit_value`] for who asks one qube after the other: `last` is the place where it
    /// stood in the last one.
    pub fn explicit_value_at_hint<'a>(&self, vm: &'a Vm, last: &Cell<usize>) -> Option<&'a str> {
        self.explicit_or_legacy(vm, || {
            vm.properties
                .get_with_cached_hint(last, self.mark, self.name)
        })
    }

    fn explicit_or_legacy<'a>(
        &self,
        vm: &'a Vm,
        get: impl FnOnce() -> Option<&'a str>,
    ) -> Option<&'a str> {
        if self.computed {
            return None;
        }
        let legacy = self.legacy.and_then(|legacy| (legacy.read)(vm));
        legacy.or_else(get)
    }

    /// The property of this name that the system, or a qube of a class, has.
    pub fn find(scope: Scope<'_>, name: &str) -> Option<&'static Property> {
        let letter = usize::from(name.bytes().next()?.checked_sub(b'a')?);
        let (from, to) = (*LETTERS.get(letter)?, *LETTERS.get(letter + 1)?);
        PROPERTIES[from..to]
            .iter()
            .find(|p| p.name == name && p.is_in_scope(scope))
    }

    /// Whether the system, or a qube of the class, has this property.
    pub fn is_in_scope(&self, scope: Scope<'_>) -> bool {
        match (self.applies_to, scope) {
            (AppliesTo::System, Scope::Global) | (AppliesTo::AllClasses, Scope::Class(_)) => true,
            (AppliesTo::AllButAdmin, Scope::Class(class)) => *class != Class::AdminVM,
            (AppliesTo::Classes(classes), Scope::Class(class)) => classes.contains(class),
            _ => false,
        }
    }

    /// How a listing prints `value`; `None` where upstream's tools count it as unreadable (a number
    /// that is none).
    pub fn format_in_list(&self, value: &Value) -> Option<String> {
        match (value, self.value_type) {
            (Value::None, ValueType::Int { .. }) => None,
            (Value::Qube(None), _) => Some("None".to_owned()),
            _ => Some(value.to_string()),
        }
    }

    /// How a single value is printed; `None` where nothing is (no qube). The stored text of `value`
    /// otherwise.
    pub fn format_single(&self, value: &Value) -> Option<String> {
        match value {
            Value::Qube(None) => None,
            _ => Some(value.to_string()),
        }
    }
}

/// The properties of a class of qubes, sorted by name.
pub fn class_properties(class: &Class) -> impl Iterator<Item = &'static Property> + use<'_> {
    PROPERTIES
        .iter()
        .filter(move |p| p.is_in_scope(Scope::Class(class)))
}

/// The properties of the system, sorted by name.
pub fn global_properties() -> impl Iterator<Item = &'static Property> {
    PROPERTIES.iter().filter(|p| p.is_in_scope(Scope::Global))
}

/// Every property there is, sorted by name.
pub static PROPERTIES: &[Property] = &SORTED;

const SUBJECTS: [&[Property]; 7] = [
    identity::ROWS,
    behaviour::ROWS,
    memory::ROWS,
    kernel::ROWS,
    network::ROWS,
    references::ROWS,
    globals::ROWS,
];

const COUNT: usize = {
    let (mut count, mut subject) = (0, 0);
    while subject < SUBJECTS.len() {
        count += SUBJECTS[subject].len();
        subject += 1;
    }
    count
};

/// The rows of all subjects, sorted by name when the program is built.
static SORTED: [Property; COUNT] = {
    let mut rows = [identity::ROWS[0]; COUNT];
    let (mut at, mut subject) = (0, 0);
    while subject < SUBJECTS.len() {
        let mut row = 0;
        while row < SUBJECTS[subject].len() {
            let mut place = at;
            while place > 0 && is_before(SUBJECTS[subject][row].name, rows[place - 1].name) {
                rows[place] = rows[place - 1];
                place -= 1;
            }
            rows[place] = SUBJECTS[subject][row];
            at += 1;
            row += 1;
        }
        subject += 1;
    }
    rows
};

/// Where the names begin that begin with each letter, and where those with the last one end.
static LETTERS: [usize; 27] = {
    let mut starts = [COUNT; 27];
    let mut row = COUNT;
    while row > 0 {
        row -= 1;
        starts[(SORTED[row].name.as_bytes()[0] - b'a') as usize] = row;
    }
    // A letter that no name begins with ends where the next one starts.
    let mut letter = 26;
    while letter > 0 {
        letter -= 1;
        if starts[letter] == COUNT {
            starts[letter] = starts[letter + 1];
        }
    }
    starts
};

// Rows that the code itself refers to, looked up at build time.
pub const DEFAULT_KERNEL: &Property = row("default_kernel");
pub const DEFAULT_NETVM: &Property = row("default_netvm");
pub const KERNEL: &Property = row("kernel");
pub const NETVM: &Property = row("netvm");
pub const PROVIDES_NETWORK: &Property = row("provides_network");
pub const VIRT_MODE: &Property = row("virt_mode");

/// Returns the only row of this name, at build time.
const fn row(name: &str) -> &'static Property {
    let mut row = 0;
    while row < COUNT && is_before(SORTED[row].name, name) {
        row += 1;
    }
    assert!(
        !is_before(name, SORTED[row].name),
        "no property has this name"
    );
    assert!(
        row + 1 == COUNT || is_before(name, SORTED[row + 1].name),
        "several properties have this name"
    );
    &SORTED[row]
}

/// Byte order of two texts, at build time.
const fn is_before(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() {
        if a[at] != b[at] {
            return a[at] < b[at];
        }
        at += 1;
    }
    a.len() < b.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_no_class_has_a_name_twice() {
        assert!(PROPERTIES.windows(2).all(|w| w[0].name <= w[1].name));
        for class in Class::ALL {
            let names: Vec<_> = class_properties(&class).map(|p| p.name).collect();
            assert!(names.windows(2).all(|w| w[0] < w[1]), "{class}: {names:?}");
            for name in names {
                assert_eq!(
                    Property::find(Scope::Class(&class), name).map(|p| p.name),
                    Some(name)
                );
            }
        }
        assert!(global_properties().count() == 20);
        assert!(Property::find(Scope::Global, "netvm").is_none());
    }

    #[test]
    fn every_property_is_documented() {
        for property in PROPERTIES {
            assert!(property.doc.ends_with('.'), "{}", property.name);
        }
    }
}
