//! A store's domains, fetched and parsed when somebody looks at them.

use std::cell::{OnceCell, RefCell};
use std::sync::Arc;

use super::error::Fault;
use super::fetched::Fetched;
use super::reader::{self, diagnosis};
use super::scan::Span;
use super::stored::{Stored, Window};
use super::tree::{MAX_DEPTH, Shape, Tree};
use super::{in_turn, plain, read, unreadable, whole};
use crate::model::{Class, DomainSource, Qubes, Vm, VmName, Wanted};

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

    fn parse(&self, fetched: &mut Fetched, span: Span, mut vm: Vm) -> Result<Vm, Fault> {
        let range = span.range();
        if let Some((place, text)) = &fetched.piece {
            let range = range.start - place.start..range.end - place.start;
            if plain::read(text, range, &mut vm).is_some() {
                return Ok(vm);
            }
        }
        let (bytes, start) = match &fetched.piece {
            Some((place, text)) => (text.as_bytes(), place.start),
            None => (&fetched.buffer[..range.len()], range.start),
        };
        let range = range.start - start..range.end - start;
        let parts = std::mem::take(&mut fetched.parts);
        let tree = Tree::parse(bytes, range, Shape::Element, MAX_DEPTH, parts).map_err(|f| f.further(start as u32))?;
        let vm = reader::vm(&tree, vm.name, vm.class);
        fetched.parts = tree.into_parts();
        Ok(vm)
    }

    fn broken(name: &VmName, class: &Class, text: String) -> Vm {
        let mut vm = Vm::new(name.clone(), class.clone());
        vm.diagnoses.push(diagnosis(text));
        vm
    }
}

impl DomainSource for Source {
    fn domain(&self, position: usize, name: &VmName, class: &Class, passed: Option<Vm>) -> Vm {
        let Some(span) = self.domains.get(position) else {
            return Vm::new(name.clone(), class.clone());
        };
        let mut fetched = self.fetched.borrow_mut();
        let found = fetched.fetch(&*self.stored, &self.domains, position, Window::ROOM);
        if self.renewed.get().is_some() || (!matches!(found, Ok(false)) && !self.is_as_indexed()) {
            let renewed = self.renewed.get().and_then(|qubes| qubes.get(name.as_str())).cloned();
            let gone = || Source::broken(name, class, "another program took it out of the file meanwhile".to_string());
            return renewed.unwrap_or_else(gone);
        }
        if let Err(error) = found {
            return Source::broken(name, class, unreadable(error).to_string());
        }
        let parsed = self.parse(&mut fetched, *span, Vm::in_memory_of(passed, name, class));
        fetched.back_in_turn();
        parsed.unwrap_or_else(|fault| {
            let text = whole(&*self.stored).map_or_else(|e| e.to_string(), |bytes| fault.locate(&bytes).to_string());
            Source::broken(name, class, text)
        })
    }

    fn in_turn(&self, wanted: &[Wanted], look: &mut dyn FnMut(Option<Vm>) -> Option<Vm>) {
        in_turn::parse(&*self.stored, &self.domains, wanted, look);
    }
}
