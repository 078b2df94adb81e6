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
    let referenced = change.after.as_ref().and_then(Value::as_qube);
    set_reference_tag(qubes, vm.as_str(), prefix, referenced);
    Change::STORE_ONLY
}

/// Replaces the tag `guivm-NAME` of the qubes that follow the default.
pub(super) fn update_default_guivm_tags(qubes: &mut Qubes, change: &AppliedChange<'_>) -> Change {
    set_tags_of_followers(qubes, "guivm", change)
}

/// Replaces the tag `audiovm-NAME` of the qubes that follow the default.
pub(super) fn update_default_audiovm_tags(qubes: &mut Qubes, change: &AppliedChange<'_>) -> Change {
    set_tags_of_followers(qubes, "audiovm", change)
}

/// Replaces the tag for `property` of all qubes without an explicit value.
fn set_tags_of_followers(qubes: &mut Qubes, property: &str, change: &AppliedChange<'_>) -> Change {
    let is_affected = |vm: &&Vm| vm.class.is_local_guest() && !vm.properties.contains(property);
    let affected: Vec<VmName> = qubes
        .iter()
        .filter(is_affected)
        .map(|vm| vm.name.clone())
        .collect();
    let prefix = format!("{property}-");
    for vm in affected {
        set_reference_tag(
            qubes,
            vm.as_str(),
            &prefix,
            change.after.as_ref().and_then(Value::as_qube),
        );
    }
    Change::STORE_ONLY
}

/// Returns the effect that a running qube is attached to its new netvm.
pub(super) fn reattach_network(
    qubes: &mut Qubes,
    vm: &VmName,
    change: &AppliedChange<'_>,
) -> Change {
    if change.before == change.after {
        return Change::STORE_ONLY;
    }
    record_netvm_of_paused(qubes, vm, change);
    Effect::ReattachNetwork { vm: vm.clone() }.into()
}

/// Returns the effects that qubes with the default netvm are attached to the new one.
pub(super) fn reattach_default_netvm_users(
    qubes: &mut Qubes,
    change: &AppliedChange<'_>,
) -> Change {
    if change.before == change.after {
        return Change::STORE_ONLY;
    }
    let affected: Vec<VmName> = qubes
        .iter()
        .filter(|vm| property::has_default_netvm(vm))
        .map(|vm| vm.name.clone())
        .collect();
    for vm in &affected {
        record_netvm_of_paused(qubes, vm, change);
    }
    affected
        .into_iter()
        .map(|vm| Effect::ReattachNetwork { vm })
        .collect()
}

/// Records the old netvm of a paused qube in a feature: the qube stays attached to it until it is
/// resumed (`docs/spec/r4-properties.md` §4).
fn record_netvm_of_paused(qubes: &mut Qubes, vm: &VmName, change: &AppliedChange<'_>) {
    const ORIGINAL: &str = "deferred-netvm-original";
    let is_due = qubes.get(vm.as_str()).is_some_and(|qube| {
        change.facts.power_state(qube) == PowerState::Paused && !qube.features.contains(ORIGINAL)
    });
    if let Some(qube) = is_due.then(|| qubes.edit(vm.as_str())).flatten() {
        let original = change
            .before
            .as_ref()
            .map(Value::to_string)
            .unwrap_or_default();
        qube.features.set(ORIGINAL, &original);
    }
}

/// Sets or removes the feature `servicevm`, which marks network providers as service qubes.
pub(super) fn update_servicevm_feature(
    qubes: &mut Qubes,
    vm: &VmName,
    change: &AppliedChange<'_>,
) -> Change {
    if let Some(qube) = qubes.edit(vm.as_str()) {
        match change.after.as_ref().and_then(Value::as_bool) {
            Some(true) => qube.features.set("servicevm", "1"),
            _ => {
                qube.features.remove("servicevm");
            }
        }
    }
    Change::STORE_ONLY
}

/// Moves the service `clocksync` to the new clockvm.
pub(super) fn move_clocksync(qubes: &mut Qubes, change: &AppliedChange<'_>) -> Change {
    const SERVICE: &str = "service.clocksync";
    let (before, after) = (
        change.before.as_ref().and_then(Value::as_qube),
        change.after.as_ref().and_then(Value::as_qube),
    );
    if before == after {
        return Change::STORE_ONLY;
    }
    let mut touched = Vec::new();
    let lacks_it = |name: &&VmName| {
        qubes
            .get(name.as_str())
            .is_some_and(|vm| !vm.features.contains(SERVICE))
    };
    if let Some(name) = after.filter(lacks_it) {
        if let Some(vm) = qubes.edit(name.as_str()) {
            vm.features.set(SERVICE, "1");
        }
        touched.push(name);
    }
    let has_it = |name: &&VmName| {
        qubes
            .get(name.as_str())
            .is_some_and(|v| v.features.get(SERVICE).is_some_and(|f| !f.is_empty()))
    };
    if let Some(name) = before.filter(has_it) {
        if let Some(vm) = qubes.edit(name.as_str()) {
            vm.features.remove(SERVICE);
        }
        touched.push(name);
    }
    touched
        .into_iter()
        .map(|vm| Effect::QubesDbFeature {
            vm: vm.clone(),
            feature: SERVICE.into(),
        })
        .collect()
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
pub(super) fn update_kernel_volume(qubes: &mut Qubes, vm: &VmName, kernel: Option<&str>) {
    let differs = |v: &crate::model::VolumeConfig| {
        v.attributes
            .get("vid")
            .is_some_and(|vid| Some(vid) != kernel)
    };
    let is_due = qubes
        .get(vm.as_str())
        .and_then(|q| q.volume("kernel"))
        .is_some_and(differs);
    let Some(kernel) = kernel.filter(|_| is_due) else {
        return;
    };
    let Some(qube) = qubes.edit(vm.as_str()) else {
        return;
    };
    for volume in qube.volumes.iter_mut().filter(|v| v.name() == "kernel") {
        volume.attributes.set("vid", kernel);
    }
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
    let Some(qube) = qubes.get(vm) else { return };
    let has: Vec<&str> = qube
        .tags
        .iter()
        .map(|t| &**t)
        .filter(|t| t.starts_with(prefix))
        .collect();
    let is_right = has.iter().copied().eq(tag.as_deref());
    let Some(qube) = (!is_right).then(|| qubes.edit(vm)).flatten() else {
        return;
    };
    let place = qube
        .tags
        .iter()
        .position(|t| t.starts_with(prefix))
        .unwrap_or(qube.tags.len());
    qube.tags.retain(|t| !t.starts_with(prefix));
    if let Some(tag) = tag {
        qube.tags.insert(place, tag);
    }
}
