//! Further changes of the store that a change of a property brings with it
//! (`docs/spec/r4-features.md` §4, §10): tags that follow a reference, features that follow a
//! property.

use super::{AppliedChange, Value};
use crate::model::effect::{Change, Effect};
use crate::model::name::VmName;
use crate::model::power::PowerState;
use crate::model::property;
use crate::model::qubes::Qubes;
use crate::model::rules::qubesd::reference_tag;
use crate::model::vm::Vm;
use crate::model::volume;

/// Replaces the tag of the qube that names what a property refers to: `PREFIX-NAME` with the prefix
/// `guivm-`, `audiovm-` or `relayvm-`.
pub(super) fn replace_reference_tag(
    qubes: &mut Qubes,
    vm: &VmName,
    prefix: &str,
    change: &AppliedChange<'_>,
) -> Change {
    set_reference_tag(qubes, vm.as_str(), prefix, change.referenced_qube());
    Change::STORE_ONLY
}

/// Replaces the tags for `property` (`guivm` or `audiovm`) of all qubes without an explicit value,
/// whose default has changed.
pub(super) fn replace_tags_of_followers(
    qubes: &mut Qubes,
    property: &str,
    change: &AppliedChange<'_>,
) -> Change {
    let prefix = format!("{property}-");
    let is_follower = |vm: &Vm| vm.class.is_local_guest() && !vm.properties.contains(property);
    for vm in names_of(qubes, is_follower) {
        set_reference_tag(qubes, vm.as_str(), &prefix, change.referenced_qube());
    }
    Change::STORE_ONLY
}

/// Returns the effect that a running qube is attached to its new netvm.
pub(super) fn reattach_network(
    qubes: &mut Qubes,
    vm: &VmName,
    change: &AppliedChange<'_>,
) -> Change {
    reattach_networks(qubes, vec![vm.clone()], change)
}

/// Returns the effects that qubes with the default netvm are attached to the new one.
pub(super) fn reattach_default_netvm_users(
    qubes: &mut Qubes,
    change: &AppliedChange<'_>,
) -> Change {
    let users = names_of(qubes, property::has_default_netvm);
    reattach_networks(qubes, users, change)
}

fn reattach_networks(
    qubes: &mut Qubes,
    affected: Vec<VmName>,
    change: &AppliedChange<'_>,
) -> Change {
    if change.before == change.after {
        return Change::STORE_ONLY;
    }
    for vm in &affected {
        record_netvm_of_paused(qubes, vm, change);
    }
    let effects = affected.into_iter();
    effects.map(|vm| Effect::ReattachNetwork { vm }).collect()
}

/// Records the old netvm of a paused qube in a feature: the qube stays attached to it until it is
/// resumed (`docs/spec/r4-properties.md` §4).
fn record_netvm_of_paused(qubes: &mut Qubes, vm: &VmName, change: &AppliedChange<'_>) {
    const ORIGINAL: &str = "deferred-netvm-original";
    let is_due = |vm: &Vm| {
        change.facts.power_state(vm) == PowerState::Paused && !vm.features.contains(ORIGINAL)
    };
    if let Some(vm) = edit_if(qubes, vm.as_str(), is_due) {
        let original = change.before.as_ref().map(Value::to_string);
        vm.features.set(ORIGINAL, &original.unwrap_or_default());
    }
}

/// Sets or removes the feature `servicevm`, which marks network providers as service qubes.
pub(super) fn update_servicevm_feature(
    qubes: &mut Qubes,
    vm: &VmName,
    change: &AppliedChange<'_>,
) -> Change {
    if let Some(vm) = qubes.edit(vm.as_str()) {
        match change.after.as_ref().and_then(Value::as_bool) {
            Some(true) => vm.features.set("servicevm", "1"),
            _ => drop(vm.features.remove("servicevm")),
        }
    }
    Change::STORE_ONLY
}

/// Moves the service `clocksync` to the new clockvm.
pub(super) fn move_clocksync(qubes: &mut Qubes, change: &AppliedChange<'_>) -> Change {
    const SERVICE: &str = "service.clocksync";
    let before = change.before.as_ref().and_then(Value::as_qube);
    let after = change.referenced_qube();
    if before == after {
        return Change::STORE_ONLY;
    }
    let lacks_it = |vm: &Vm| !vm.features.contains(SERVICE);
    let has_it = |vm: &Vm| {
        vm.features
            .get(SERVICE)
            .is_some_and(|text| !text.is_empty())
    };
    let mut touched = Vec::new();
    if let Some(vm) = after.and_then(|name| edit_if(qubes, name.as_str(), lacks_it)) {
        vm.features.set(SERVICE, "1");
        touched.push(vm.name.clone());
    }
    if let Some(vm) = before.and_then(|name| edit_if(qubes, name.as_str(), has_it)) {
        vm.features.remove(SERVICE);
        touched.push(vm.name.clone());
    }
    let effect = |vm| Effect::QubesDbFeature {
        vm,
        feature: SERVICE.into(),
    };
    touched.into_iter().map(effect).collect()
}

/// Points the snapshots of the qube and of the disposables based on it to the new template's
/// volumes.
pub(super) fn repoint_template_snapshots(
    qubes: &mut Qubes,
    vm: &VmName,
    change: &AppliedChange<'_>,
) -> Change {
    let mut affected = vec![vm.clone()];
    affected.extend(property::disposables_of(qubes, vm).map(|d| d.name.clone()));
    for name in affected {
        volume::update_snapshot_sources(qubes, name.as_str(), change.facts);
    }
    Change::STORE_ONLY
}

/// Sets the id of the kernel volume, which is the kernel's version (`docs/spec/r4-storage.md`
/// §8).
pub(super) fn update_kernel_volume(
    qubes: &mut Qubes,
    vm: &VmName,
    change: &AppliedChange<'_>,
) -> Change {
    let Some(kernel) = change.after.as_ref().and_then(Value::as_str) else {
        return Change::STORE_ONLY;
    };
    let has_other_id = |vm: &Vm| {
        let volume = vm.volume("kernel");
        volume.is_some_and(|v| v.attributes.get("vid").is_some_and(|vid| vid != kernel))
    };
    if let Some(vm) = edit_if(qubes, vm.as_str(), has_other_id) {
        for volume in vm.volumes.iter_mut().filter(|v| v.name() == "kernel") {
            volume.attributes.set("vid", kernel);
        }
    }
    Change::STORE_ONLY
}

/// Replaces a qube's tags that begin with `prefix` by one: `prefix` and the name of the qube
/// that it refers to. Without such a qube the tags are removed.
pub(in crate::model) fn set_reference_tag(
    qubes: &mut Qubes,
    vm: &str,
    prefix: &str,
    target: Option<&VmName>,
) {
    let tag = target.and_then(|name| reference_tag(prefix, name));
    let is_wrong = |vm: &Vm| {
        let tags = vm.tags.iter().filter(|tag| tag.starts_with(prefix));
        !tags.eq(tag.as_ref())
    };
    let Some(vm) = edit_if(qubes, vm, is_wrong) else {
        return;
    };
    let first = vm.tags.iter().position(|tag| tag.starts_with(prefix));
    let place = first.unwrap_or(vm.tags.len());
    vm.tags.retain(|tag| !tag.starts_with(prefix));
    if let Some(tag) = tag {
        vm.tags.insert(place, tag);
    }
}

/// Returns the names of the qubes that `is_affected` accepts.
fn names_of(qubes: &Qubes, is_affected: impl Fn(&Vm) -> bool) -> Vec<VmName> {
    let affected = qubes.iter().filter(|vm| is_affected(vm));
    affected.map(|vm| vm.name.clone()).collect()
}

/// Returns a qube for changing it, if `is_due` says that there is something to change.
fn edit_if<'q>(
    qubes: &'q mut Qubes,
    name: &str,
    is_due: impl FnOnce(&Vm) -> bool,
) -> Option<&'q mut Vm> {
    match qubes.get(name).is_some_and(is_due) {
        true => qubes.edit(name),
        false => None,
    }
}
