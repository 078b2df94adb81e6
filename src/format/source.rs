//! A store's domains, fetched and parsed when somebody looks at them.

use std::cell::{OnceCell, RefCell};
use std::sync::Arc;

use super::error::Fault;
use super::fetched::Fetched;
use super::reader::{self, diagnosis};
use super::scan::Span;
use super::stored::Stored;
use super::tree::{MAX_DEPTH, Shape, Tree};
use super::{plain, read, unreadable, whole};
use crate::model::{DomainSource, Qubes, Vm};

/// Bytes that are fetched at once where one domain after the other is looked at.
const ROOM: usize = 32 << 10;

pub(super) struct Source {
    stored: Arc<dyn Stored>,
    domains: Arc<[Span]>,
    fetched: RefCell<Fetched>,
    /// The store as somebody has written it in place since it was indexed.
    renewed: OnceCell<Qubes>,
}

impl Source {
    pub fn new(stored: Arc<dyn Stored>, domains: Vec<Span>) -> Source {
        Source { stored, domains: domains.into(), fetched: RefCell::default(), renewed: OnceCell::new() }
    }

    /// Whether the store is still what was indexed. Programs of ours never write into a file that is there.
    fn is_as_indexed(&self) -> bool {
        if self.renewed.get().is_none()
            && let Some(bytes) = self.stored.renewed()
            && let Ok(qubes) = read(bytes)
        {
            return self.renewed.set(qubes).is_err();
        }
        self.renewed.get().is_none()
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
        let tree = Tree::parse(bytes, range, Shape::Element, MAX_DEPTH, parts).map_err(|f| f.further(start as u32))?;
        *vm = reader::vm(&tree, vm.name.clone(), vm.class.clone());
        fetched.parts = tree.into_parts();
        Ok(())
    }
}

impl DomainSource for Source {
    fn read(&self, position: usize, vm: &mut Vm) {
        let Some(span) = self.domains.get(position) else { return empty(vm) };
        let mut fetched = self.fetched.borrow_mut();
        let found = fetched.fetch(&*self.stored, &self.domains, position, ROOM);
        if self.renewed.get().is_some() || (!matches!(found, Ok(false)) && !self.is_as_indexed()) {
            match self.renewed.get().and_then(|qubes| qubes.get(vm.name.as_str())) {
                Some(renewed) => vm.clone_from(renewed),
                None => broken(vm, "another program took it out of the file meanwhile".to_string()),
            }
            return;
        }
        if let Err(error) = found {
            return broken(vm, unreadable(error).to_string());
        }
        let parsed = self.parse(&mut fetched, *span, vm);
        fetched.back_in_turn();
        if let Err(fault) = parsed {
            broken(vm, whole(&*self.stored).map_or_else(|e| e.to_string(), |bytes| fault.locate(&bytes).to_string()));
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
