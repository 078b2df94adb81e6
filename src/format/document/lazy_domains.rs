//! Parses the domains of a store on first access.

use super::parse::{self, diagnosis};
use crate::format::Bytes;
use crate::format::xml::token::Span;
use crate::format::xml::tree::Tree;
use crate::model::{Class, DomainSource, Vm, VmName};

/// The domains of a store, parsed on access.
pub(super) struct LazyDomains {
    pub bytes: Bytes,
    pub domains: Vec<Span>,
}

impl DomainSource for LazyDomains {
    fn read(&self, position: usize, name: &VmName, class: &Class) -> Vm {
        let parsed = self
            .domains
            .get(position)
            .map(|span| Tree::parse_element(&self.bytes, span.range()));
        match parsed {
            Some(Ok(tree)) => parse::read_vm(&tree, name.clone(), class.clone()),
            Some(Err(fault)) => {
                let mut broken = Vm::new(name.clone(), class.clone());
                let text = fault.locate(&self.bytes).to_string();
                broken.diagnoses.push(diagnosis(text));
                broken
            }
            // The dom0 that is added to a store without one.
            None => Vm::new(name.clone(), class.clone()),
        }
    }
}
