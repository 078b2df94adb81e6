//! Detection of qubes whose netvms lead back to them.

use std::collections::HashMap;

use crate::model::facts::Facts;
use crate::model::property;
use crate::model::qubes::Qubes;
use crate::model::vm::Vm;

/// A cache, for checks of many qubes, of whether a qube is on a loop of netvms. Each qube's netvm
/// is looked up once, however many chains contain it.
#[derive(Default)]
pub struct NetvmLoops<'q>(HashMap<&'q str, bool>);

impl<'q> NetvmLoops<'q> {
    /// Returns whether `netvm`, the netvm of `vm`, gets its network through `vm`.
    pub(super) fn is_on_loop(
        &mut self,
        vm: &Vm,
        netvm: &'q Vm,
        qubes: &'q Qubes,
        facts: &'q dyn Facts,
    ) -> bool {
        self.follow(netvm, qubes, facts);
        self.0
            .get(vm.name.as_str())
            .is_some_and(|is_on_loop| *is_on_loop)
    }

    /// Adds a qube and its chain of netvms, up to the first known one.
    fn follow(&mut self, from: &'q Vm, qubes: &'q Qubes, facts: &'q dyn Facts) {
        let mut chain = Vec::new();
        let mut next = Some(from);
        while let Some(vm) = next.filter(|vm| !self.0.contains_key(vm.name.as_str())) {
            // Not on a loop, until the chain turns out to lead back into itself.
            self.0.insert(vm.name.as_str(), false);
            chain.push(vm.name.as_str());
            next = property::netvm(qubes, vm, facts).ok().flatten();
        }
        let Some(known) = next else { return };
        if let Some(start) = chain.iter().position(|name| known.name == **name) {
            self.0.extend(chain.drain(start..).map(|name| (name, true)));
        }
    }
}
