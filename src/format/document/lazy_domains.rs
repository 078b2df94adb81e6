//! Fetches and parses the domains of a store on first access.

use std::cell::RefCell;
use std::sync::Arc;

use super::byte_source::ByteSource;
use super::domain_cache::DomainCache;
use super::parse::{self, diagnosis};
use super::{plain, read_all, unreadable};
use crate::format::error::Fault;
use crate::format::xml::scanner::Span;
use crate::format::xml::tree::{MAX_DEPTH, Shape, Tree};
use crate::model::{DomainSource, Vm};

/// The domains of a store, parsed on access.
pub(super) struct LazyDomains {
    stored: Arc<dyn ByteSource>,
    domains: Vec<Span>,
    cache: RefCell<DomainCache>,
}

impl LazyDomains {
    pub fn new(stored: Arc<dyn ByteSource>, domains: Vec<Span>) -> LazyDomains {
        LazyDomains {
            stored,
            domains,
            cache: RefCell::default(),
        }
    }

    fn parse(&self, cache: &mut DomainCache, span: Span, vm: &mut Vm) -> Result<(), Fault> {
        let range = span.range();
        if let Some((place, text)) = &cache.batch {
            let range = range.start - place.start..range.end - place.start;
            if plain::read(text, range, vm).is_some() {
                return Ok(());
            }
        }
        let (bytes, start) = match &cache.batch {
            Some((place, text)) => (text.as_bytes(), place.start),
            None => (&cache.buffer[..range.len()], range.start),
        };
        let range = range.start - start..range.end - start;
        let buffers = std::mem::take(&mut cache.buffers);
        let tree = Tree::parse(bytes, range, Shape::Element, MAX_DEPTH, buffers)
            .map_err(|f| f.shifted(start as u32))?;
        *vm = parse::read_vm(&tree, vm.name.clone(), vm.class.clone());
        cache.buffers = tree.into_buffers();
        Ok(())
    }
}

impl DomainSource for LazyDomains {
    fn read(&self, position: usize, vm: &mut Vm) {
        let Some(span) = self.domains.get(position) else {
            return clear(vm);
        };
        let mut cache = self.cache.borrow_mut();
        if let Err(error) = cache.fetch(&*self.stored, &self.domains, position) {
            return mark_broken(vm, unreadable(error).to_string());
        }
        let parsed = self.parse(&mut cache, *span, vm);
        cache.restore_batch();
        if let Err(fault) = parsed {
            mark_broken(
                vm,
                read_all(&*self.stored)
                    .map_or_else(|e| e.to_string(), |bytes| fault.locate(&bytes).to_string()),
            );
        }
    }
}

/// Leaves only name and class.
fn clear(vm: &mut Vm) {
    *vm = Vm::new(vm.name.clone(), vm.class.clone());
}

/// Leaves only name, class and the diagnosis.
fn mark_broken(vm: &mut Vm, text: String) {
    clear(vm);
    vm.diagnoses.push(diagnosis(text));
}

#[cfg(test)]
mod tests {
    use crate::model::{Qubes, Vm};

    const N1000: &[u8] = include_bytes!("../../../tests/data/r4/n1000.xml");

    fn glance_at(qubes: &Qubes, names: &[&str]) -> Vec<Vm> {
        names
            .iter()
            .filter_map(|name| qubes.inspect(name, Vm::clone))
            .collect()
    }

    /// The qubes as read by `get`, which keeps each.
    fn get_each(bytes: &[u8], names: &[&str]) -> Vec<Vm> {
        let qubes = crate::format::read(bytes.to_vec()).unwrap();
        names
            .iter()
            .filter_map(|name| qubes.get(name).cloned())
            .collect()
    }

    #[test]
    fn reading_one_qube_leaves_nothing_of_the_previous_one() {
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
        assert_eq!(glance_at(&qubes, &names), get_each(&bytes, &names));
        // Some are kept, some do not exist, some occur twice, and they are not in order.
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
        assert_eq!(glance_at(&qubes, &again), get_each(&bytes, &again));
    }
}
