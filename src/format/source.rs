//! A store's domains, fetched and parsed when somebody looks at them.

use std::cell::RefCell;
use std::sync::Arc;

use super::error::Fault;
use super::fetched::Fetched;
use super::reader::{self, diagnosis};
use super::scan::Span;
use super::stored::ByteSource;
use super::tree::{MAX_DEPTH, Shape, Tree};
use super::{plain, unreadable, whole};
use crate::model::{DomainSource, Vm};

pub(super) struct Source {
    stored: Arc<dyn ByteSource>,
    domains: Vec<Span>,
    fetched: RefCell<Fetched>,
}

impl Source {
    pub fn new(stored: Arc<dyn ByteSource>, domains: Vec<Span>) -> Source {
        Source {
            stored,
            domains,
            fetched: RefCell::default(),
        }
    }

    fn parse(&self, fetched: &mut Fetched, span: Span, vm: &mut Vm) -> Result<(), Fault> {
        let range = span.range();
        if let Some((place, text)) = &fetched.piece {
            let range = range.start - place.start..range.end - place.start;
            if plain::read(text, range, vm).is_some() {
                return Ok(());
            }
        }
        let (bytes, start) = match &fetched.piece {
            Some((place, text)) => (text.as_bytes(), place.start),
            None => (&fetched.buffer[..range.len()], range.start),
        };
        let range = range.start - start..range.end - start;
        let parts = std::mem::take(&mut fetched.parts);
        let tree = Tree::parse(bytes, range, Shape::Element, MAX_DEPTH, parts)
            .map_err(|f| f.further(start as u32))?;
        *vm = reader::vm(&tree, vm.name.clone(), vm.class.clone());
        fetched.parts = tree.into_parts();
        Ok(())
    }
}

impl DomainSource for Source {
    fn read(&self, position: usize, vm: &mut Vm) {
        let Some(span) = self.domains.get(position) else {
            return empty(vm);
        };
        let mut fetched = self.fetched.borrow_mut();
        if let Err(error) = fetched.fetch(&*self.stored, &self.domains, position) {
            return broken(vm, unreadable(error).to_string());
        }
        let parsed = self.parse(&mut fetched, *span, vm);
        fetched.back_in_turn();
        if let Err(fault) = parsed {
            broken(
                vm,
                whole(&*self.stored)
                    .map_or_else(|e| e.to_string(), |bytes| fault.locate(&bytes).to_string()),
            );
        }
    }
}

/// Leaves nothing but name and class.
fn empty(vm: &mut Vm) {
    *vm = Vm::new(vm.name.clone(), vm.class.clone());
}

/// Leaves nothing but what is wrong.
fn broken(vm: &mut Vm, text: String) {
    empty(vm);
    vm.diagnoses.push(diagnosis(text));
}

#[cfg(test)]
mod tests {
    use crate::model::{Qubes, Vm};

    const N1000: &[u8] = include_bytes!("../../tests/data/r4/n1000.xml");

    fn looks(qubes: &Qubes, names: &[&str]) -> Vec<Vm> {
        names
            .iter()
            .filter_map(|name| qubes.glance(name, Vm::clone))
            .collect()
    }

    /// As those see it who ask for one after the other, and keep each.
    fn asked(bytes: &[u8], names: &[&str]) -> Vec<Vm> {
        let qubes = crate::format::read(bytes.to_vec()).unwrap();
        names
            .iter()
            .filter_map(|name| qubes.get(name).cloned())
            .collect()
    }

    #[test]
    fn a_look_leaves_nothing_of_a_qube_in_the_next_whatever_is_wrong_with_either() {
        let mut bytes = N1000.to_vec();
        let mut change = |at: &[u8], by: &[u8]| {
            let found = memchr::memmem::find(&bytes, at).unwrap();
            bytes.splice(found..found + at.len(), by.iter().copied());
        };
        change(b">300</property>", b" odd=\"1\">300<!-- no --></property>");
        change(
            b">500</property>",
            b">500</property><property name=\"qid\">501</property>",
        );
        change(b">700</property>", b">700</property><oops/>");
        let qubes = crate::format::read(bytes.clone()).unwrap();
        let names: Vec<&str> = qubes.names().map(|name| name.as_str()).collect();
        assert_eq!(looks(&qubes, &names), asked(&bytes, &names));
        // Some are kept, some are nobody's, some come twice, and not in order.
        let again: Vec<&str> = names
            .iter()
            .rev()
            .copied()
            .chain(["nobody"])
            .chain(names[..250].iter().copied())
            .collect();
        names
            .iter()
            .step_by(7)
            .for_each(|name| assert!(qubes.get(name).is_some()));
        assert_eq!(looks(&qubes, &again), asked(&bytes, &again));
    }
}
