//! A property's name, looked up once for all classes: listings ask the same of a thousand qubes.

use std::cell::Cell;

use super::{Property, Scope};
use crate::model::class::Class;

/// What qubes of each class have under a name.
#[derive(Clone)]
pub struct PropertyByClass {
    name: Box<str>,
    /// In the order of [`Class::ALL`].
    by_class: [Option<&'static Property>; Class::ALL.len()],
    /// Where it stood in the qube that was asked last.
    position_hint: Cell<usize>,
}

impl PropertyByClass {
    pub fn new(name: &str) -> PropertyByClass {
        let by_class = Class::ALL
            .each_ref()
            .map(|class| Property::find(Scope::Class(class), name));
        PropertyByClass {
            name: name.into(),
            by_class,
            position_hint: Cell::default(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The place for [`Property::explicit_value_at_hint`].
    pub fn position_hint(&self) -> &Cell<usize> {
        &self.position_hint
    }

    /// The property of this name that qubes of the class have.
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
    fn a_name_means_for_each_class_what_the_table_says() {
        for name in ["netvm", "maxmem", "updateable", "label", "nonsense"] {
            let named = PropertyByClass::new(name);
            for class in Class::ALL.iter().chain(&[Class::Unknown("OddVM".into())]) {
                let found = Property::find(Scope::Class(class), name);
                assert!(
                    named.for_class(class).map(std::ptr::from_ref) == found.map(std::ptr::from_ref),
                    "{name} of {class}"
                );
            }
        }
    }
}
