//! What must hold between qubes: the network, and numbers that only one may have.

use std::collections::HashMap;

use super::{At, Finding, Harm, Remedy};
use crate::model::class::Class;
use crate::model::facts::Facts;
use crate::model::qubes::Qubes;
use crate::model::vm::Vm;

impl Qubes {
    /// A netvm that provides no network, and a qube that is its own netvm by whatever way.
    pub(super) fn check_network(&self, vm: &Vm, facts: &dyn Facts, found: &mut Vec<Finding>) {
        let Ok(Some(netvm)) = self.netvm(vm, facts) else { return };
        let mut add = |harm, text| {
            let remedy = Remedy::Set { property: "netvm".into(), value: String::new() };
            found.push(Finding { at: At::property(&vm.name, "netvm"), harm, text, remedy });
        };
        let is_explicit = vm.properties.contains("netvm");
        if is_explicit && !self.provides_network(netvm, facts) {
            add(Harm::Refused, format!("netvm is '{}', which does not provide network", netvm.name));
        }
        let way: Vec<&str> = self.netvm_chain(netvm, facts).map(|v| v.name.as_str()).collect();
        if way.contains(&vm.name.as_str()) {
            let behind = match way.as_slice() {
                [_] => "the qube is its own netvm".to_owned(),
                way => format!("its netvms lead back to it: {}", way.join(" → ")),
            };
            add(Harm::Misread, format!("netvm is '{}', and {behind}; qubesd takes it for none", netvm.name));
        }
    }

    /// Qids, uuids and the numbers of disposables.
    pub(super) fn check_numbers(&self, found: &mut Vec<Finding>) {
        let (mut qids, mut uuids, mut dispids) = (HashMap::new(), HashMap::new(), HashMap::new());
        for vm in self.iter().filter(|vm| vm.class != Class::AdminVM) {
            let mut twice = |property: &str, harm, first: Option<&str>, remedy| {
                let Some(first) = first else { return };
                let text =
                    format!("{property} {} is that of '{first}', too", vm.properties.get(property).unwrap_or_default());
                found.push(Finding { at: At::property(&vm.name, property), harm, text, remedy });
            };
            let name = vm.name.as_str();
            twice("qid", Harm::Refused, vm.qid().and_then(|qid| qids.insert(qid, name)), Remedy::NewQid);
            twice("uuid", Harm::Misread, vm.uuid().and_then(|uuid| uuids.insert(uuid, name)), Remedy::NewUuid);
            if let Some(dispid) = vm.properties.get("dispid").filter(|_| vm.class == Class::DispVM) {
                let by_hand = Remedy::ByHand(format!("qvm-remove {name}, or give it another dispid"));
                twice("dispid", Harm::Misread, dispids.insert(dispid.trim(), name), by_hand);
            }
            if vm.qid().is_some_and(|qid| qid.number() == 0) {
                found.push(Finding {
                    at: At::property(&vm.name, "qid"),
                    harm: Harm::Refused,
                    text: "qid 0 is dom0's".into(),
                    remedy: Remedy::NewQid,
                });
            }
        }
        if !self.iter().any(|vm| vm.class == Class::AdminVM && vm.properties.contains("label")) {
            found.push(Finding {
                at: At::domain(&crate::model::VmName::dom0()),
                harm: Harm::Misread,
                text: "dom0 is missing or has no label: upstream's tools cannot show it".into(),
                remedy: Remedy::Set { property: "label".into(), value: "black".into() },
            });
        }
    }
}
