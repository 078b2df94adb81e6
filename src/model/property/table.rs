//! The rows of all properties, and lookups in them.

use super::row::{Property, Scope};
use super::{behaviour, globals, identity, kernels, memory, network, references};
use crate::model::class::Class;

impl Property {
    /// Finds the property of this name among the global ones or those of a class.
    pub fn find(scope: Scope<'_>, name: &str) -> Option<&'static Property> {
        rows_of_name(name).iter().find(|p| p.is_in_scope(scope))
    }

    /// Returns whether this is the name that early stores of R4 have for a property.
    pub fn is_legacy_name(name: &str) -> bool {
        PROPERTIES
            .iter()
            .any(|p| p.legacy.is_some_and(|legacy| legacy.property == Some(name)))
    }

    /// Returns the rows of this name, one for each group of owners.
    pub fn rows(name: &str) -> impl Iterator<Item = &'static Property> {
        rows_of_name(name).iter()
    }
}

/// Returns the rows of a name, one for each group of owners.
fn rows_of_name(name: &str) -> &'static [Property] {
    let start = PROPERTIES.partition_point(|p| p.name < name);
    let rows = &PROPERTIES[start..];
    &rows[..rows.iter().take_while(|p| p.name == name).count()]
}

/// Returns the properties of a class of qubes, sorted by name.
pub fn class_properties(class: &Class) -> impl Iterator<Item = &'static Property> + use<'_> {
    PROPERTIES
        .iter()
        .filter(move |p| p.is_in_scope(Scope::Class(class)))
}

/// Returns the global properties, sorted by name.
pub fn global_properties() -> impl Iterator<Item = &'static Property> {
    PROPERTIES.iter().filter(|p| p.is_in_scope(Scope::Global))
}

/// All properties, sorted by name; a name can have several rows, for different classes.
pub static PROPERTIES: &[Property] = &SORTED;

/// The rows by subject, one file each.
const SUBJECTS: [&[Property]; 7] = [
    identity::ROWS,
    behaviour::ROWS,
    memory::ROWS,
    kernels::ROWS,
    network::ROWS,
    references::ROWS,
    globals::ROWS,
];

/// The number of rows.
const COUNT: usize = {
    let (mut count, mut subject) = (0, 0);
    while subject < SUBJECTS.len() {
        count += SUBJECTS[subject].len();
        subject += 1;
    }
    count
};

/// The rows of all subjects, sorted by name at build time (insertion sort).
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

/// The row of `autostart`.
pub const AUTOSTART: &Property = row("autostart");
/// The row of `debug`.
pub const DEBUG: &Property = row("debug");
/// The row of the global property `default_kernel`.
pub const DEFAULT_KERNEL: &Property = row("default_kernel");
/// The row of the global property `default_netvm`.
pub const DEFAULT_NETVM: &Property = row("default_netvm");
/// The row of `installed_by_rpm`.
pub const INSTALLED_BY_RPM: &Property = row("installed_by_rpm");
/// The row of `kernel`.
pub const KERNEL: &Property = row("kernel");
/// The row of `netvm`.
pub const NETVM: &Property = row("netvm");
/// The row of `provides_network`.
pub const PROVIDES_NETWORK: &Property = row("provides_network");
/// The row of `virt_mode`.
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

/// Returns whether `a` sorts before `b` by bytes; usable at build time.
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
    fn table_is_sorted_and_names_are_unique_per_class() {
        assert!(PROPERTIES.windows(2).all(|w| w[0].name <= w[1].name));
        for class in Class::all() {
            let names: Vec<_> = class_properties(class).map(|p| p.name).collect();
            assert!(names.windows(2).all(|w| w[0] < w[1]), "{class}: {names:?}");
            for name in names {
                assert_eq!(
                    Property::find(Scope::Class(class), name).map(|p| p.name),
                    Some(name)
                );
            }
        }
        assert!(global_properties().count() == 20);
        assert!(Property::find(Scope::Global, "netvm").is_none());
    }

    #[test]
    fn side_lists_by_name_agree_for_all_rows_of_a_name() {
        let names = |has: fn(&Property) -> bool| {
            let mut names: Vec<_> = PROPERTIES
                .iter()
                .filter(|p| has(p))
                .map(|p| p.name)
                .collect();
            names.dedup();
            names
        };
        assert_eq!(
            names(Property::is_loaded_late),
            [
                "appvm_default_bootmode",
                "audiovm",
                "bootmode",
                "default_dispvm",
                "guivm",
                "kernelopts",
                "management_dispvm",
                "netvm",
                "relayvm",
                "template"
            ]
        );
        assert_eq!(
            names(|p| p.depends_on_power),
            ["maxmem", "netvm", "template"]
        );
        assert_eq!(
            names(|p| p.accepts_none),
            ["audiovm", "default_dispvm", "guivm", "netvm", "template"]
        );
        for name in names(|p| p.accepts_none) {
            assert!(Property::rows(name).all(|p| p.accepts_none), "{name}");
        }
    }

    #[test]
    fn every_property_is_documented() {
        for property in PROPERTIES {
            assert!(property.doc.ends_with('.'), "{}", property.name);
        }
    }
}
