//! Whose netvms lead back to it.

use std::collections::HashMap;

use crate::model::facts::Facts;
use crate::model::qubes::Qubes;
use crate::model::vm::Vm;

/// What is known of where netvms lead, for one look at many qubes: whether a qube is on a loop.
/// Each qube is gone through once, however many stand before it in a chain.
#[derive(Default)]
pub struct NetvmLoops<'q>(HashMap<&'q str, bool>);

impl<'q> NetvmLoops<'q> {
    /// Whether `netvm`, which is the netvm of `vm`, gets its network by way of `vm`.
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

    /// Finds out about a qube and all behind it, up to those that are known.
    fn follow(&mut self, from: &'q Vm, qubes: &'q Qubes, facts: &'q dyn Facts) {
        let mut way = Vec::new();
        let mut next = Some(from);
        while let Some(vm) = next.filter(|vm| !self.0.contains_key(vm.name.as_str())) {
            // Until the way is known to end, none of it is on a loop.
            self.0.insert(vm.name.as_str(), false);
            way.push(vm.name.as_str());
            next = qubes.netvm(vm, facts).ok().flatten();
        }
        let Some(met) = next else { return };
        if let Some(start) = way.iter().position(|name| met.name == **name) {
            self.0.extend(way.drain(start..).map(|name| (name, true)));
        }
    }
}
