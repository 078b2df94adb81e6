//! A property's name, looked up once for all classes: listings ask the same of a thousand qubes.

use std::cell::Cell;

use super::{Property, Scope};
use crate::model::class::Class;

/// What qubes of each class have under a name.
#[derive(Clone)]
pub struct Named {
    name: Box<str>,
    /// In the order of [`Class::ALL`].
    of: [Option<&'static Property>; Class::ALL.len()],
    /// Where it stood in the qube that was asked last.
    last: Cell<usize>,
}

impl Named {
    pub fn new(name: &str) -> Named {
        let of = Class::ALL
            .each_ref()
            .map(|class| Property::find(Scope::Class(class), name));
        Named {
            name: name.into(),
            of,
            last: Cell::default(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The place for [`Property::explicit_where_last`].
    pub fn last(&self) -> &Cell<usize> {
        &self.last
    }

    /// The property of this name that qubes of the class have.
    pub fn of(&self, class: &Class) -> Option<&'static Property> {
        match class.position() {
            Some(at) => self.of[at],
            None => Property::find(Scope::Class(class), &self.name),
        }
    }
}

impl PartialEq for Named {
    fn eq(&self, other: &Named) -> bool {
        self.name == other.name
    }
}

impl Eq for Named {}

impl std::fmt::Debug for Named {
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
            let named = Named::new(name);
            for class in Class::ALL.iter().chain(&[Class::Unknown("OddVM".into())]) {
                let found = Property::find(Scope::Class(class), name);
                assert!(
                    named.of(class).map(std::ptr::from_ref) == found.map(std::ptr::from_ref),
                    "{name} of {class}"
                );
            }
        }
    }
}
