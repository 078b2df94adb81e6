//! The collection: every qube of a system, parsed when somebody looks at it.

use std::cell::{Cell, OnceCell};
use std::cmp::Ordering;

use super::class::Class;
use super::label::Labels;
use super::name::VmName;
use super::pool::Pools;
use super::text_map::TextMap;
use super::vm::{Diagnosis, Vm};

/// Where qubes come from that nobody has looked at yet: the format room implements it over the
/// bytes of the file.
pub trait DomainSource {
    /// Makes `vm`, of which only name and class are to be relied on (the index has found them),
    /// what the domain at `position` says. The memory of what else it has may be used.
    fn read(&self, position: usize, vm: &mut Vm);
}

/// What the index knows of a domain without parsing it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedDomain {
    pub name: VmName,
    pub class: Class,
    /// Position in the [`DomainSource`].
    pub position: usize,
}

struct Slot {
    name: VmName,
    class: Class,
    origin: Option<usize>,
    /// Apart, so that those who only want names go through little memory.
    vm: OnceCell<Box<Vm>>,
    touched: bool,
}

/// How many places of names are remembered.
const RECENT: usize = 256;

/// All qubes of a system with its labels, pools and global properties.
pub struct Qubes {
    pub labels: Labels,
    pub pools: Pools,
    /// Explicitly set global properties.
    pub globals: TextMap,
    /// What is wrong with the file outside any usable domain (a domain without a name, a second one
    /// of the same name).
    pub diagnoses: Vec<Diagnosis>,
    /// Read from a store of an older generation of Qubes: nothing can be written over that, and no
    /// qube be run or made.
    pub needs_conversion: bool,
    /// Names that another domain of the file has, too: that one is neither seen nor changed.
    pub duplicate_names: Vec<VmName>,
    slots: Vec<Slot>,
    source: Option<Box<dyn DomainSource>>,
    removed: Vec<usize>,
    /// Where some names were found last: the few templates and netvms that all qubes refer to are
    /// looked for all the time.
    recent: [Cell<u32>; RECENT],
    /// Where the last look went.
    glanced: Cell<usize>,
    /// What was looked at last and is not kept: the next one is parsed into its memory.
    passed: Cell<Option<Box<Vm>>>,
}

/// How one domain of the collection relates to the file it came from.
pub enum SavedDomain<'a> {
    /// Copy the source's domain at this position as it stands.
    Unchanged { position: usize },
    /// Change the source's domain at this position into `vm`.
    Changed { position: usize, vm: &'a Vm },
    /// A qube the source does not have.
    New { vm: &'a Vm },
}

impl Qubes {
    /// A collection without qubes.
    pub fn new(labels: Labels, pools: Pools, globals: TextMap) -> Qubes {
        Qubes {
            labels,
            pools,
            globals,
            diagnoses: Vec::new(),
            needs_conversion: false,
            duplicate_names: Vec::new(),
            slots: Vec::new(),
            source: None,
            removed: Vec::new(),
            recent: [const { Cell::new(0) }; RECENT],
            glanced: Cell::default(),
            passed: Cell::default(),
        }
    }

    /// A collection over a source. Of two domains with one name the first is used and the second is
    /// a diagnosis.
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
                origin: Some(b.position),
                vm: OnceCell::new(),
                touched: false,
            })
            .collect();
        qubes.slots.sort_by(order);
        let (diagnoses, duplicate_names) = (&mut qubes.diagnoses, &mut qubes.duplicate_names);
        qubes.slots.dedup_by(|later, first| {
            let double = later.name == first.name;
            if double {
                diagnoses.push(Diagnosis {
                    text: format!(
                        "a second qube is called '{}'; only the first is used",
                        later.name
                    ),
                });
                duplicate_names.push(later.name.clone());
            }
            double
        });
        qubes
    }

    /// Names, dom0 first, then in byte order. Parses nothing.
    pub fn names(&self) -> impl Iterator<Item = &VmName> {
        self.slots.iter().map(|s| &s.name)
    }

    /// Names with classes, in the same order. Parses nothing.
    pub fn names_with_classes(&self) -> impl Iterator<Item = (&VmName, &Class)> {
        self.slots.iter().map(|s| (&s.name, &s.class))
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub fn contains(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The name as the collection holds it.
    pub fn name(&self, name: &str) -> Option<&VmName> {
        self.find(name).map(|at| &self.slots[at].name)
    }

    /// The class of a qube. Parses nothing.
    pub fn class(&self, name: &str) -> Option<&Class> {
        self.find(name).map(|at| &self.slots[at].class)
    }

    /// The name as the collection holds it, with the class. Parses nothing.
    pub fn name_with_class(&self, name: &str) -> Option<(&VmName, &Class)> {
        self.find(name)
            .map(|at| (&self.slots[at].name, &self.slots[at].class))
    }

    /// One qube, parsed now if it was not before.
    pub fn get(&self, name: &str) -> Option<&Vm> {
        self.find(name).map(|at| self.vm(at))
    }

    /// A look at one qube; nothing where there is none of this name. Who looks at a thousand needs
    /// none of them twice: one that nobody has asked for is not kept, and leaves its memory to the
    /// next.
    pub fn inspect<T>(&self, name: &str, look: impl FnOnce(&Vm) -> T) -> Option<T> {
        let slot = &self.slots[self.search_next(name)?];
        if let Some(kept) = slot.vm.get() {
            return Some(look(kept));
        }
        let vm = self.parsed(slot, self.passed.take());
        let seen = look(&vm);
        self.passed.set(Some(vm));
        Some(seen)
    }

    /// All qubes in the order of [`Qubes::names`].
    pub fn iter(&self) -> impl Iterator<Item = &Vm> {
        (0..self.slots.len()).map(|at| self.vm(at))
    }

    /// One qube for changing it; the writer compares it with the file.
    pub fn edit(&mut self, name: &str) -> Option<&mut Vm> {
        let at = self.find(name)?;
        self.vm(at);
        let slot = &mut self.slots[at];
        slot.touched = true;
        slot.vm.get_mut().map(|vm| &mut **vm)
    }

    /// Adds a qube; gives it back when the name is taken.
    pub fn add(&mut self, vm: Vm) -> Result<(), Box<Vm>> {
        if self.contains(vm.name.as_str()) {
            return Err(Box::new(vm));
        }
        let slot = Slot {
            name: vm.name.clone(),
            class: vm.class.clone(),
            origin: None,
            vm: OnceCell::from(Box::new(vm)),
            touched: true,
        };
        let at = self
            .slots
            .partition_point(|s| order(s, &slot) == Ordering::Less);
        self.slots.insert(at, slot);
        Ok(())
    }

    /// Takes a qube out. Whether it may go is decided before.
    pub fn remove(&mut self, name: &str) -> Option<Vm> {
        let at = self.find(name)?;
        self.vm(at);
        let slot = self.slots.remove(at);
        self.removed.extend(slot.origin);
        slot.vm.into_inner().map(|vm| *vm)
    }

    /// The domains as they are to be written, in the order of [`Qubes::names`].
    pub fn saved_domains(&self) -> impl Iterator<Item = SavedDomain<'_>> {
        self.slots
            .iter()
            .enumerate()
            .map(|(at, slot)| match slot.origin {
                Some(position) if slot.touched => SavedDomain::Changed {
                    position,
                    vm: self.vm(at),
                },
                Some(position) => SavedDomain::Unchanged { position },
                None => SavedDomain::New { vm: self.vm(at) },
            })
    }

    /// Positions in the source of the domains that were removed.
    pub fn removed_positions(&self) -> &[usize] {
        &self.removed
    }

    fn vm(&self, at: usize) -> &Vm {
        let slot = &self.slots[at];
        slot.vm.get_or_init(|| self.parsed(slot, None))
    }

    fn parsed(&self, slot: &Slot, passed: Option<Box<Vm>>) -> Box<Vm> {
        let (Some(source), Some(position)) = (&self.source, slot.origin) else {
            // A qube without an origin was put in parsed; this is what it would be without
            // anything.
            return Box::new(Vm::new(slot.name.clone(), slot.class.clone()));
        };
        let mut vm = match passed {
            Some(mut vm) => {
                vm.name.clone_from(&slot.name);
                vm.class.clone_from(&slot.class);
                vm
            }
            None => Box::new(Vm::empty(slot.name.clone(), slot.class.clone())),
        };
        source.read(position, &mut vm);
        vm
    }

    fn find(&self, name: &str) -> Option<usize> {
        // Names that are numbered differ in these.
        let ends = match name.as_bytes() {
            [.., one, two] => usize::from(*one) * 11 + usize::from(*two),
            short => short.len(),
        };
        let recent = &self.recent[(ends + name.len() * 89) % RECENT];
        // What was there may have moved since, so the place is only a guess.
        let guess = recent.get() as usize;
        if self
            .slots
            .get(guess)
            .is_some_and(|slot| slot.name == *name && !slot.name.is_dom0())
        {
            return Some(guess);
        }
        let found = self.search(name)?;
        recent.set(found as u32);
        Some(found)
    }

    /// Who looks at many looks at one after the other.
    fn search_next(&self, name: &str) -> Option<usize> {
        let next = self.glanced.get() + 1;
        let found = if self.slots.get(next).is_some_and(|s| s.name == *name) {
            next
        } else {
            self.search(name)?
        };
        self.glanced.set(found);
        Some(found)
    }

    fn search(&self, name: &str) -> Option<usize> {
        if name == VmName::DOM0 {
            return self.slots.iter().position(|s| s.name.is_dom0());
        }
        // It is one, and stands first.
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

/// AdminVM first, then by name (`docs/spec/r4-xml.md` §1.4).
fn order(a: &Slot, b: &Slot) -> Ordering {
    let admin = |s: &Slot| s.class != Class::AdminVM;
    admin(a).cmp(&admin(b)).then_with(|| a.name.cmp(&b.name))
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
