//! Checks of a qube's volumes.

use super::vids::{Vids, find_vid_problems};
use super::volume_attributes::find_attribute_problems;
use super::{Finding, FindingKind, Harm, Location, Problem, QubePart, Remedy};
use crate::model::facts::Facts;
use crate::model::property;
use crate::model::qubes::Qubes;
use crate::model::text_map::TextMap;
use crate::model::vm::{Vm, VolumeConfig};
use crate::model::volume;
use crate::model::volume::{VolumeError, volume_traits};

/// Checks the volumes of a qube; without `vids`, not those that other qubes have as well.
pub(super) fn check_volumes(
    qubes: &Qubes,
    vm: &Vm,
    vids: Option<&Vids>,
    facts: &dyn Facts,
    found: &mut Vec<Finding>,
) {
    let release = facts.host().release();
    let mut add = |volume: &str, problems: &mut dyn Iterator<Item = Problem>| {
        found.extend(problems.map(|problem| {
            let part = QubePart::Volume(volume.to_owned());
            problem
                .about(&format!("volume {volume}"))
                .at(Location::part(&vm.name, part))
        }));
    };
    let class_volumes = vm.class.volumes().iter();
    for class in class_volumes.filter(|class| vm.volume(class.name).is_none()) {
        let misfit = find_misfit(qubes, class.name, &TextMap::new(), vm, facts);
        add(class.name, &mut misfit.into_iter());
    }
    for own in &vm.volumes {
        add(own.name(), &mut find_attribute_problems(vm, own, release));
        if !vm.class.is_local_guest() {
            continue;
        }
        let [missing, shared] = match find_unresolvable(qubes, vm, own, facts) {
            Err(problem) => [Some(problem), None],
            Ok(()) => vids.map_or([None, None], |vids| find_vid_problems(qubes, vm, own, vids)),
        };
        let problems = [
            find_misfit(qubes, own.name(), &own.attributes, vm, facts),
            find_empty_source(own),
            missing,
            shared,
        ];
        add(own.name(), &mut problems.into_iter().flatten());
    }
}

/// Checks that the pool, explicit or default, can hold the volume.
fn find_misfit(
    qubes: &Qubes,
    name: &str,
    own: &TextMap,
    vm: &Vm,
    facts: &dyn Facts,
) -> Option<Problem> {
    let traits = volume_traits(name, vm.class.volume(name), own);
    let pool = match own.get("pool") {
        Some(pool) => qubes.pools.get(pool)?,
        // A snapshot is in the pool of its source.
        None if traits.snap_on_start && !traits.has_source => return None,
        None => {
            let property = format!("default_pool_{name}");
            let value = property::global_value_by_name(qubes, &property, facts).ok()?;
            qubes.pools.get(value.as_str()?)?
        }
    };
    let misfit = traits.find_problem(pool)?;
    let kernels = qubes.pools.iter().find(|pool| pool.has_kernels());
    let remedy = match (misfit.attributes_to_remove, kernels) {
        ([], Some(kernels)) if name == "kernel" && own.contains("pool") => Remedy::SetAttribute {
            name: "pool",
            value: kernels.name().to_owned(),
        },
        ([], _) => Remedy::manual(format!("give it another pool, or qvm-remove {}", vm.name)),
        (names, _) => Remedy::remove_attributes(names.iter().copied()),
    };
    Some(Problem::new(
        FindingKind::VolumeUnfit,
        Harm::of_refusal(misfit.is_refused),
        format!("is in pool '{}': {}", pool.name(), misfit.rule),
        remedy,
    ))
}

fn find_empty_source(own: &VolumeConfig) -> Option<Problem> {
    (own.attributes.get("source") == Some("")).then(|| {
        let remedy = Remedy::remove_attributes(["source"]);
        Problem::refused(FindingKind::VolumeSource, "has an empty source", remedy)
    })
}

/// Returns the problem for which the volume cannot be resolved, if it is one of the volume: those
/// of properties and templates are reported there.
fn find_unresolvable(
    qubes: &Qubes,
    vm: &Vm,
    own: &VolumeConfig,
    facts: &dyn Facts,
) -> Result<(), Problem> {
    let (kind, text, remedy) = match check_resolvable(qubes, vm, own, facts) {
        Err(VolumeError::NoSuchPool { pool, .. }) => {
            let by_hand = format!(
                "add pool '{pool}', or move the volume to another, or qvm-remove {}",
                vm.name
            );
            let text = format!("is in pool '{pool}', which does not exist");
            (FindingKind::VolumePool, text, Remedy::Manual(by_hand))
        }
        Err(VolumeError::InvalidNumber {
            attribute, text, ..
        }) => {
            let text = format!("has {attribute}=\"{text}\", which is not a number");
            let remedy = Remedy::remove_attributes([attribute]);
            (FindingKind::VolumeNumber, text, remedy)
        }
        Err(VolumeError::NoSource { .. }) => {
            let text = "is a snapshot, and there is nothing to make it from".to_owned();
            let remedy = Remedy::manual("give it a source, or the qube another template");
            (FindingKind::VolumeSource, text, remedy)
        }
        Err(_) | Ok(()) => return Ok(()),
    };
    Err(Problem::refused(kind, text, remedy))
}

/// Checks that the volume can be resolved. With a stored pool and source this needs no look at
/// other qubes.
fn check_resolvable(
    qubes: &Qubes,
    vm: &Vm,
    own: &VolumeConfig,
    facts: &dyn Facts,
) -> Result<(), VolumeError> {
    let numbers = ["size", "revisions_to_keep"].map(|name| own.attributes.get(name));
    let are_plain = numbers
        .iter()
        .flatten()
        .all(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    let is_known = own
        .attributes
        .get("pool")
        .is_some_and(|pool| qubes.pools.get(pool).is_some());
    let snaps = own.attributes.contains("snap_on_start")
        || vm.class.volumes().iter().any(|v| v.snap_on_start);
    if are_plain
        && is_known
        && (!snaps
            || own
                .attributes
                .get("source")
                .is_some_and(|source| !source.is_empty()))
    {
        return Ok(());
    }
    volume::resolve(qubes, vm, own.name(), facts).map(drop)
}
