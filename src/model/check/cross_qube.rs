//! Checks between qubes: the network, and numbers that must be unique.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

use super::{Finding, FindingKind, Harm, Location, NetvmLoops, Problem, QubePart, Remedy};
use crate::model::class::Class;
use crate::model::facts::Facts;
use crate::model::name::VmName;
use crate::model::property;
use crate::model::qid::Qid;
use crate::model::qubes::Qubes;
use crate::model::vm::Vm;
use uuid::Uuid;

/// The maximum number of netvms of a loop in a message.
const MAX_LISTED_NETVMS: usize = 16;

/// Checks that the netvm provides network and does not lead back to the qube.
pub(super) fn check_network<'q>(
    qubes: &'q Qubes,
    vm: &Vm,
    facts: &'q dyn Facts,
    loops: &mut NetvmLoops<'q>,
    found: &mut Vec<Finding>,
) {
    let Ok(Some(netvm)) = property::netvm(qubes, vm, facts) else {
        return;
    };
    let mut add = |kind, harm, text| {
        let problem = Problem::new(kind, harm, text, Remedy::set("netvm", ""));
        found.push(problem.at(Location::property(&vm.name, "netvm")));
    };
    let is_explicit = vm.properties.contains("netvm");
    if is_explicit && !property::provides_network(qubes, netvm, facts) {
        add(
            FindingKind::Unfit,
            Harm::Refused,
            format!("netvm is '{}', which does not provide network", netvm.name),
        );
    }
    if loops.is_on_loop(vm, netvm, qubes, facts) {
        let names = property::netvm_chain(qubes, netvm, facts).map(|v| v.name.as_str());
        let chain: Vec<&str> = names.take(MAX_LISTED_NETVMS + 1).collect();
        let description = match chain.as_slice() {
            [_] => "the qube is its own netvm".to_owned(),
            [nearest @ .., _] if nearest.len() == MAX_LISTED_NETVMS => {
                format!("its netvms lead back to it: {} → …", nearest.join(" → "))
            }
            chain => format!("its netvms lead back to it: {}", chain.join(" → ")),
        };
        let text = format!(
            "netvm is '{}', and {description}; qubesd takes it for none",
            netvm.name
        );
        add(FindingKind::NetvmLoop, Harm::Misread, text);
    }
}

/// Checks that qids, UUIDs and dispids are unique, and that there is a dom0.
pub(super) fn check_numbers(qubes: &Qubes, found: &mut Vec<Finding>) {
    let mut numbers = UniqueNumbers::default();
    qubes
        .iter()
        .for_each(|vm| found.extend(numbers.find_duplicates(vm)));
    if !qubes
        .iter()
        .any(|vm| vm.class == Class::AdminVM && vm.properties.contains("label"))
    {
        let text = "dom0 is missing or has no label: upstream's tools cannot show it";
        found.push(
            Problem::misread(FindingKind::NoDom0, text, Remedy::set("label", "black"))
                .at(Location::part(&VmName::dom0(), QubePart::Domain)),
        );
    }
}

/// The numbers of the qubes that were checked so far, which must be unique.
#[derive(Debug, Default)]
pub struct UniqueNumbers {
    qids: HashMap<Qid, VmName>,
    uuids: HashMap<Uuid, VmName>,
    dispids: HashMap<Box<str>, VmName>,
}

impl UniqueNumbers {
    /// Adds a qube and returns findings for the numbers that an earlier qube has.
    pub fn find_duplicates(&mut self, vm: &Vm) -> Vec<Finding> {
        let mut found = Vec::new();
        if vm.class == Class::AdminVM {
            return found;
        }
        let name = &vm.name;
        let mut twice =
            |property: &str, kind, harm, first: Option<&VmName>, remedy: &dyn Fn() -> Remedy| {
                let Some(first) = first else { return };
                let number = vm.properties.get(property).unwrap_or_default();
                let text = format!("{property} {number} is that of '{first}', too");
                let problem = Problem::new(kind, harm, text, remedy());
                found.push(problem.at(Location::property(name, property)));
            };
        let qid = vm
            .qid()
            .and_then(|qid| first_owner(&mut self.qids, qid, name));
        twice("qid", FindingKind::QidTwice, Harm::Refused, qid, &|| {
            Remedy::NewQid
        });
        let uuid = vm
            .uuid()
            .and_then(|uuid| first_owner(&mut self.uuids, uuid, name));
        twice("uuid", FindingKind::UuidTwice, Harm::Misread, uuid, &|| {
            Remedy::NewUuid
        });
        if let Some(dispid) = vm
            .properties
            .get("dispid")
            .filter(|_| vm.class == Class::DispVM)
        {
            let dispid = first_owner(&mut self.dispids, dispid.trim().into(), name);
            let by_hand =
                || Remedy::Manual(format!("qvm-remove {name}, or give it another dispid"));
            twice(
                "dispid",
                FindingKind::DispidTwice,
                Harm::Misread,
                dispid,
                &by_hand,
            );
        }
        if vm.qid().is_some_and(|qid| qid.number() == 0) {
            let problem =
                Problem::refused(FindingKind::BadValue, "qid 0 is dom0's", Remedy::NewQid);
            found.push(problem.at(Location::property(name, "qid")));
        }
        found
    }
}

/// Returns the first qube that had `key`; without one, `name` becomes it.
fn first_owner<'a, K: Hash + Eq>(
    seen: &'a mut HashMap<K, VmName>,
    key: K,
    name: &VmName,
) -> Option<&'a VmName> {
    match seen.entry(key) {
        Entry::Occupied(first) => Some(first.into_mut()),
        Entry::Vacant(free) => {
            free.insert(name.clone());
            None
        }
    }
}
