//! What follows from a change inside the database (`docs/spec/r4-features.md` §4, §10): tags that
//! follow a qube, features that follow a property.

use super::{AppliedChange, Effect, Value};
use crate::model::name::VmName;
use crate::model::power::PowerState;
use crate::model::qubes::Qubes;
use crate::model::qubesd_rules::reference_tag;
use crate::model::vm::Vm;

pub(super) fn guivm_changed(
    qubes: &mut Qubes,
    vm: &VmName,
    change: &AppliedChange<'_>,
) -> Vec<Effect> {
    qubes.set_reference_tag(
        vm.as_str(),
        "guivm-",
        change.after.as_ref().and_then(Value::as_qube),
    );
    Vec::new()
}

pub(super) fn audiovm_changed(
    qubes: &mut Qubes,
    vm: &VmName,
    change: &AppliedChange<'_>,
) -> Vec<Effect> {
    qubes.set_reference_tag(
        vm.as_str(),
        "audiovm-",
        change.after.as_ref().and_then(Value::as_qube),
    );
    Vec::new()
}

pub(super) fn relayvm_changed(
    qubes: &mut Qubes,
    vm: &VmName,
    change: &AppliedChange<'_>,
) -> Vec<Effect> {
    qubes.set_reference_tag(
        vm.as_str(),
        "relayvm-",
        change.after.as_ref().and_then(Value::as_qube),
    );
    Vec::new()
}

pub(super) fn default_guivm_changed(qubes: &mut Qubes, change: &AppliedChange<'_>) -> Vec<Effect> {
    tag_those_with_default(qubes, "guivm", change)
}

pub(super) fn default_audiovm_changed(
    qubes: &mut Qubes,
    change: &AppliedChange<'_>,
) -> Vec<Effect> {
    tag_those_with_default(qubes, "audiovm", change)
}

fn tag_those_with_default(
    qubes: &mut Qubes,
    property: &str,
    change: &AppliedChange<'_>,
) -> Vec<Effect> {
    let is_affected = |vm: &&Vm| vm.class.is_local_guest() && !vm.properties.contains(property);
    let affected: Vec<VmName> = qubes
        .iter()
        .filter(is_affected)
        .map(|vm| vm.name.clone())
        .collect();
    let prefix = format!("{property}-");
    for vm in affected {
        qubes.set_reference_tag(
            vm.as_str(),
            &prefix,
            change.after.as_ref().and_then(Value::as_qube),
        );
    }
    Vec::new()
}

pub(super) fn netvm_changed(
    qubes: &mut Qubes,
    vm: &VmName,
    change: &AppliedChange<'_>,
) -> Vec<Effect> {
    if change.before == change.after {
        return Vec::new();
    }
    defer_while_paused(qubes, vm, change);
    vec![Effect::ReattachNetwork { vm: vm.clone() }]
}

pub(super) fn default_netvm_changed(qubes: &mut Qubes, change: &AppliedChange<'_>) -> Vec<Effect> {
    if change.before == change.after {
        return Vec::new();
    }
    let affected: Vec<VmName> = qubes
        .iter()
        .filter(|vm| qubes.has_default_netvm(vm))
        .map(|vm| vm.name.clone())
        .collect();
    for vm in &affected {
        defer_while_paused(qubes, vm, change);
    }
    affected
        .into_iter()
        .map(|vm| Effect::ReattachNetwork { vm })
        .collect()
}

/// A paused qube keeps the netvm it was attached to; the feature remembers which
/// (`docs/spec/r4-properties.md` §4).
fn defer_while_paused(qubes: &mut Qubes, vm: &VmName, change: &AppliedChange<'_>) {
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

/// A network provider is a service qube.
pub(super) fn provides_network_changed(
    qubes: &mut Qubes,
    vm: &VmName,
    change: &AppliedChange<'_>,
) -> Vec<Effect> {
    if let Some(qube) = qubes.edit(vm.as_str()) {
        match change.after.as_ref().and_then(Value::as_bool) {
            Some(true) => qube.features.set("servicevm", "1"),
            _ => {
                qube.features.remove("servicevm");
            }
        }
    }
    Vec::new()
}

/// The service `clocksync` moves with clockvm.
pub(super) fn clockvm_changed(qubes: &mut Qubes, change: &AppliedChange<'_>) -> Vec<Effect> {
    const SERVICE: &str = "service.clocksync";
    let (before, after) = (
        change.before.as_ref().and_then(Value::as_qube),
        change.after.as_ref().and_then(Value::as_qube),
    );
    if before == after {
        return Vec::new();
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

/// Snapshots of a template's volumes, the qube's and those of disposables made from it, are of the
/// new template's.
pub(super) fn template_changed(
    qubes: &mut Qubes,
    vm: &VmName,
    change: &AppliedChange<'_>,
) -> Vec<Effect> {
    let mut affected = vec![vm.clone()];
    affected.extend(qubes.disposables_of(vm).map(|d| d.name.clone()));
    for name in affected {
        qubes.update_snapshot_sources(name.as_str(), change.facts);
    }
    Vec::new()
}

impl Qubes {
    /// The kernel volume's id is the kernel's version (`docs/spec/r4-storage.md` §8).
    pub(super) fn update_kernel_volume(&mut self, vm: &VmName, kernel: Option<&str>) {
        let differs = |v: &crate::model::VolumeConfig| {
            v.attributes
                .get("vid")
                .is_some_and(|vid| Some(vid) != kernel)
        };
        let is_due = self
            .get(vm.as_str())
            .and_then(|q| q.volume("kernel"))
            .is_some_and(differs);
        let Some(kernel) = kernel.filter(|_| is_due) else {
            return;
        };
        let Some(qube) = self.edit(vm.as_str()) else {
            return;
        };
        for volume in qube.volumes.iter_mut().filter(|v| v.name() == "kernel") {
            volume.attributes.set("vid", kernel);
        }
    }

    /// Gives a qube the tag `prefix` + name of the qube it depends on, in the place of the one of
    /// that prefix that it had, and takes every other of that prefix away.
    pub(in crate::model) fn set_reference_tag(
        &mut self,
        vm: &str,
        prefix: &str,
        of: Option<&VmName>,
    ) {
        let tag = of.and_then(|name| reference_tag(prefix, name));
        let Some(qube) = self.get(vm) else { return };
        let has: Vec<&str> = qube
            .tags
            .iter()
            .map(|t| &**t)
            .filter(|t| t.starts_with(prefix))
            .collect();
        let is_right = has.iter().copied().eq(tag.as_deref());
        let Some(qube) = (!is_right).then(|| self.edit(vm)).flatten() else {
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
}
