//! A fast check that finds nearly every qube valid. A listing checks a thousand qubes, and the full
//! check, which describes findings and remedies, would cost more than the rest of the listing.

use super::NetvmLoops;
use crate::model::class::Class;
use crate::model::facts::Facts;
use crate::model::property;
use crate::model::property::{Property, Scope};
use crate::model::qubes::Qubes;
use crate::model::release::Release;
use crate::model::tags::is_valid_tag;
use crate::model::vm::Vm;
use crate::model::volume::{class_volume, class_volumes, volume_traits};

/// Returns whether the qube is valid as far as a fast check can tell. If it returns true, the
/// full check has no finding that is breaking ([`super::Finding::is_breaking`]); if false, the
/// full check decides.
pub(super) fn is_clearly_valid<'q>(
    qubes: &'q Qubes,
    vm: &Vm,
    facts: &'q dyn Facts,
    loops: &mut NetvmLoops<'q>,
) -> bool {
    let release = facts.release();
    vm.class.is_local_guest()
        && vm.devices.iter().all(|class| class.assignments.is_empty())
        && vm.tags.iter().all(|tag| is_valid_tag(tag))
        && are_properties_plain(qubes, vm, release)
        && is_netvm_plain(qubes, vm, facts, loops)
        && are_volumes_plain(qubes, vm, release)
}

fn are_properties_plain(qubes: &Qubes, vm: &Vm, release: Release) -> bool {
    let (mut identities, scope) = (0, Scope::Class(&vm.class));
    for (name, text) in vm.properties.iter() {
        let Some(property) = Property::find(scope, name) else {
            return false;
        };
        let is_plain = match name {
            "template" => property::template(qubes, vm).is_ok(),
            "qid" => vm
                .qid()
                .is_some_and(|qid| qid.number() <= release.highest_qid()),
            // Checked by `is_netvm_plain`.
            "netvm" => true,
            // A name with a dot does not fit into a tag.
            "guivm" | "audiovm" if text.contains('.') => false,
            _ if text.is_empty() => property.can_be_empty(),
            _ => property.is_printed_verbatim(qubes, text) && property.setter_error(text).is_none(),
        };
        if !is_plain || property.computed || property.since > release {
            return false;
        }
        identities += usize::from(matches!(name, "label" | "qid" | "uuid" | "template"));
    }
    identities == if vm.class.has_template() { 4 } else { 3 }
}

fn is_netvm_plain<'q>(
    qubes: &'q Qubes,
    vm: &Vm,
    facts: &'q dyn Facts,
    loops: &mut NetvmLoops<'q>,
) -> bool {
    let netvm = match vm.properties.get("netvm") {
        Some("") => return true,
        Some(text) => match qubes.get(text) {
            Some(netvm)
                if netvm.class != Class::RemoteVM
                    && property::provides_network(qubes, netvm, facts) =>
            {
                netvm
            }
            _ => return false,
        },
        None => match property::netvm(qubes, vm, facts) {
            Ok(Some(netvm)) => netvm,
            Ok(None) => return true,
            Err(_) => return false,
        },
    };
    !loops.is_on_loop(vm, netvm, qubes, facts)
}

fn are_volumes_plain(qubes: &Qubes, vm: &Vm, release: Release) -> bool {
    let is_whole = class_volumes(&vm.class)
        .iter()
        .all(|class| vm.volume(class.name).is_some());
    is_whole
        && vm.volumes.iter().all(|own| {
            let class = class_volume(&vm.class, own.name());
            own.attributes.get("source") != Some("")
                && (release.has_ephemeral_volumes() || !own.attributes.contains("ephemeral"))
                && own
                    .explicit_volume(class)
                    .and_then(|written| qubes.pools.get(written.pool))
                    .is_some_and(|pool| {
                        volume_traits(own.name(), class, &own.attributes)
                            .find_problem(pool)
                            .is_none()
                    })
        })
}
