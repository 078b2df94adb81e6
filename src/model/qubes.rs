//! The collection of all qubes of a system. A qube is parsed at its first access.

use std::cell::OnceCell;
use std::cmp::Ordering;

use super::class::Class;
use super::label::Labels;
use super::name::VmName;
use super::pool::Pools;
use super::text_map::TextMap;
use super::vm::{Diagnosis, Vm};

/// A source of domains that are not parsed yet, implemented by [`crate::format`] over the bytes of
/// the store.
pub trait DomainSource {
    /// Reads the domain at `position`, whose name and class are known from the index.
    fn read(&self, position: usize, name: &VmName, class: &Class) -> Vm;
}

/// A domain as the index knows it, without parsing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedDomain {
    /// The name of the qube; `dom0` for an AdminVM.
    pub name: VmName,
    /// The class of the qube, which may be unknown.
    pub class: Class,
    /// Position in the [`DomainSource`].
    pub position: usize,
}

struct Slot {
    name: VmName,
    class: Class,
    source_position: Option<usize>,
    /// Boxed, so that an iteration over names touches little memory.
    vm: OnceCell<Box<Vm>>,
    is_edited: bool,
}

/// All qubes of a system with its labels, pools and global properties.
#[derive(Default)]
pub struct Qubes {
    /// The labels that qubes can have.
    pub labels: Labels,
    /// The storage pools.
    pub pools: Pools,
    /// Explicitly set global properties.
    pub globals: TextMap,
    /// Problems of the store outside any usable domain: a domain without a name, a second one of
    /// the same name.
    pub diagnoses: Vec<Diagnosis>,
    /// Whether the store is of an older generation of Qubes: it cannot be saved, and no qube of it
    /// can be started or created.
    pub needs_conversion: bool,
    /// Names that a second domain of the store has, too. The second domain is neither read nor
    /// changed.
    pub duplicate_names: Vec<VmName>,
    slots: Vec<Slot>,
    source: Option<Box<dyn DomainSource>>,
    removed: Vec<usize>,
}

/// How one domain of the collection is saved.
pub enum SavedDomain<'a> {
    /// Copy the source's domain at this position verbatim.
    Unchanged {
        /// The position in the [`DomainSource`].
        position: usize,
    },
    /// Patch the source's domain at this position to match `vm`.
    Changed {
        /// The position in the [`DomainSource`].
        position: usize,
        /// The qube as it is to be stored.
        vm: &'a Vm,
    },
    /// Write a domain for a qube that the source does not have.
    New {
        /// The qube that was added.
        vm: &'a Vm,
    },
}

impl Qubes {
    /// Creates a collection without qubes.
    pub fn new(labels: Labels, pools: Pools, globals: TextMap) -> Qubes {
        Qubes {
            labels,
            pools,
            globals,
            ..Qubes::default()
        }
    }

    /// Creates a collection of the domains of `source`.
    ///
    /// Of two domains with one name the first is used; the second becomes a diagnosis.
    pub fn from_source(
        labels: Labels,
        pools: Pools,
        globals: TextMap,
        source: Box<dyn DomainSource>,
        briefs: impl IntoIterator<Item = IndexedDomain>,
    ) -> Qubes {
        let mut qubes = Qubes::new(labels, pools, globals);
        qubes.source = Some(source);
        qubes.slots = briefs
            .into_iter()
            .map(|b| Slot {
                name: b.name,
                class: b.class,
                source_position: Some(b.position),
                vm: OnceCell::new(),
                is_edited: false,
            })
            .collect();
        qubes.slots.sort_by(compare_slots);
        let (diagnoses, duplicate_names) = (&mut qubes.diagnoses, &mut qubes.duplicate_names);
        qubes.slots.dedup_by(|later, first| {
            let is_duplicate = later.name == first.name;
            if is_duplicate {
                diagnoses.push(Diagnosis {
                    text: format!(
                        "a second qube is called '{}'; only the first is used",
                        later.name
                    ),
                });
                duplicate_names.push(later.name.clone());
            }
            is_duplicate
        });
        qubes
    }

    /// Iterates over the names, dom0 first, then in byte order. Parses nothing.
    pub fn names(&self) -> impl Iterator<Item = &VmName> {
        self.slots.iter().map(|s| &s.name)
    }

    /// Iterates over names and classes in the order of [`Qubes::names`]. Parses nothing.
    pub fn names_with_classes(&self) -> impl Iterator<Item = (&VmName, &Class)> {
        self.slots.iter().map(|s| (&s.name, &s.class))
    }

    /// Returns the number of qubes.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns whether there are no qubes.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Returns whether there is a qube of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Returns the name as the collection holds it.
    pub fn name(&self, name: &str) -> Option<&VmName> {
        self.find(name).map(|at| &self.slots[at].name)
    }

    /// Returns the class of a qube. Parses nothing.
    pub fn class(&self, name: &str) -> Option<&Class> {
        self.find(name).map(|at| &self.slots[at].class)
    }

    /// Returns the name as the collection holds it and the class. Parses nothing.
    pub fn name_with_class(&self, name: &str) -> Option<(&VmName, &Class)> {
        self.find(name)
            .map(|at| (&self.slots[at].name, &self.slots[at].class))
    }

    /// Returns a qube, parsing it at the first access.
    pub fn get(&self, name: &str) -> Option<&Vm> {
        self.find(name).map(|at| self.vm(at))
    }

    /// Calls `look` with a qube and returns its result, or `None` if there is no such qube.
    ///
    /// A qube that [`Qubes::get`] has not parsed yet is parsed, but not kept, so a pass over a
    /// thousand qubes needs the memory of one.
    pub fn inspect<T>(&self, name: &str, look: impl FnOnce(&Vm) -> T) -> Option<T> {
        let slot = &self.slots[self.find(name)?];
        Some(match slot.vm.get() {
            Some(kept) => look(kept),
            None => look(&self.parse(slot)),
        })
    }

    /// Iterates over all qubes in the order of [`Qubes::names`], parsing each.
    pub fn iter(&self) -> impl Iterator<Item = &Vm> {
        (0..self.slots.len()).map(|at| self.vm(at))
    }

    /// Returns a qube for changing it. A save compares it with the store.
    pub fn edit(&mut self, name: &str) -> Option<&mut Vm> {
        let at = self.find(name)?;
        self.vm(at);
        let slot = &mut self.slots[at];
        slot.is_edited = true;
        slot.vm.get_mut().map(|vm| &mut **vm)
    }

    /// Adds a qube.
    ///
    /// # Errors
    /// The name is taken; the qube is returned.
    pub fn add(&mut self, vm: Vm) -> Result<(), Box<Vm>> {
        if self.contains(vm.name.as_str()) {
            return Err(Box::new(vm));
        }
        let slot = Slot {
            name: vm.name.clone(),
            class: vm.class.clone(),
            source_position: None,
            vm: OnceCell::from(Box::new(vm)),
            is_edited: true,
        };
        let at = self
            .slots
            .partition_point(|s| compare_slots(s, &slot) == Ordering::Less);
        self.slots.insert(at, slot);
        Ok(())
    }

    /// Removes a qube and returns it. [`crate::model::rules::removal::plan`] checks whether it may
    /// be removed.
    pub fn remove(&mut self, name: &str) -> Option<Vm> {
        let at = self.find(name)?;
        self.vm(at);
        let slot = self.slots.remove(at);
        self.removed.extend(slot.source_position);
        slot.vm.into_inner().map(|vm| *vm)
    }

    /// Iterates over the domains as they are to be saved, in the order of [`Qubes::names`].
    pub fn saved_domains(&self) -> impl Iterator<Item = SavedDomain<'_>> {
        self.slots
            .iter()
            .enumerate()
            .map(|(at, slot)| match slot.source_position {
                Some(position) if slot.is_edited => SavedDomain::Changed {
                    position,
                    vm: self.vm(at),
                },
                Some(position) => SavedDomain::Unchanged { position },
                None => SavedDomain::New { vm: self.vm(at) },
            })
    }

    /// Returns the positions in the source of the domains that were removed.
    pub fn removed_positions(&self) -> &[usize] {
        &self.removed
    }

    fn vm(&self, at: usize) -> &Vm {
        let slot = &self.slots[at];
        slot.vm.get_or_init(|| Box::new(self.parse(slot)))
    }

    fn parse(&self, slot: &Slot) -> Vm {
        match (&self.source, slot.source_position) {
            (Some(source), Some(position)) => source.read(position, &slot.name, &slot.class),
            // A qube without a source was added in parsed form, so this is never reached for one.
            _ => Vm::new(slot.name.clone(), slot.class.clone()),
        }
    }

    fn find(&self, name: &str) -> Option<usize> {
        if name == VmName::DOM0 {
            return self.slots.iter().position(|s| s.name.is_dom0());
        }
        // AdminVMs are first in the order and not part of the search by name.
        let from = self
            .slots
            .iter()
            .take_while(|s| s.class == Class::AdminVM)
            .count();
        self.slots[from..]
            .binary_search_by(|s| s.name.as_str().cmp(name))
            .ok()
            .map(|at| from + at)
    }
}

/// Compares two slots: AdminVM first, then by name (`docs/spec/r4-xml.md` §1.4).
fn compare_slots(a: &Slot, b: &Slot) -> Ordering {
    let is_guest = |s: &Slot| s.class != Class::AdminVM;
    is_guest(a)
        .cmp(&is_guest(b))
        .then_with(|| a.name.cmp(&b.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vm(name: &str) -> Vm {
        let class = if name == "dom0" {
            Class::AdminVM
        } else {
            Class::AppVM
        };
        Vm::new(VmName::from_store(name).unwrap(), class)
    }

    #[test]
    fn names_come_sorted_with_dom0_first_and_are_found() {
        let mut qubes = Qubes::new(Labels::built_in(), Pools::default(), TextMap::new());
        for name in ["work", "dom0", "Zebra", "a"] {
            qubes.add(vm(name)).unwrap();
        }
        let names: Vec<_> = qubes.names().map(|n| n.as_str()).collect();
        assert_eq!(names, ["dom0", "Zebra", "a", "work"]);
        assert!(qubes.add(vm("work")).is_err());
        assert!(
            qubes.get("dom0").is_some() && qubes.get("work").is_some() && qubes.get("x").is_none()
        );
        assert_eq!(qubes.remove("a").unwrap().name, "a");
        assert!(!qubes.contains("a"));
    }
}
