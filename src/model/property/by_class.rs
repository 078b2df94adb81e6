//! The rows of one property name for all classes, looked up once for a listing of many qubes.

use super::{Property, Scope};
use crate::model::class::{CLASSES, Class};

/// The property that each class has under a name.
#[derive(Clone)]
pub struct PropertyByClass {
    name: Box<str>,
    /// In the order of [`CLASSES`].
    by_class: [Option<&'static Property>; CLASSES.len()],
}

impl PropertyByClass {
    /// Looks the name up for every known class.
    pub fn new(name: &str) -> PropertyByClass {
        let by_class = CLASSES
            .each_ref()
            .map(|row| Property::find(Scope::Class(&row.class), name));
        PropertyByClass {
            name: name.into(),
            by_class,
        }
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether a row of this name satisfies `has`.
    fn has_row(&self, has: impl Fn(&Property) -> bool) -> bool {
        self.by_class.iter().flatten().any(|property| has(property))
    }

    /// Returns whether the value comes from the running domain.
    pub fn is_live(&self) -> bool {
        self.has_row(|property| property.is_live)
    }

    /// Returns whether a column of the values is sorted as numbers.
    pub fn sorts_as_number(&self) -> bool {
        self.has_row(|property| property.sorts_as_number)
    }

    /// Returns the property of this name that qubes of the class have, if any.
    pub fn for_class(&self, class: &Class) -> Option<&'static Property> {
        match class.position() {
            Some(at) => self.by_class[at],
            None => Property::find(Scope::Class(class), &self.name),
        }
    }
}

impl PartialEq for PropertyByClass {
    fn eq(&self, other: &PropertyByClass) -> bool {
        self.name == other.name
    }
}

impl Eq for PropertyByClass {}

impl std::fmt::Debug for PropertyByClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.name.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookup_agrees_with_the_table_for_each_class() {
        for name in ["netvm", "maxmem", "updateable", "label", "nonsense"] {
            let named = PropertyByClass::new(name);
            for class in Class::all()
                .cloned()
                .chain([Class::Unknown("OddVM".into())])
            {
                let found = Property::find(Scope::Class(&class), name);
                assert!(
                    named.for_class(&class).map(std::ptr::from_ref)
                        == found.map(std::ptr::from_ref),
                    "{name} of {class}"
                );
            }
        }
    }
}
