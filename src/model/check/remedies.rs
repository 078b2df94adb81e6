//! Applying the remedies of findings.

use super::{Finding, Location, QubePart, Remedy};
use crate::model::facts::Facts;
use crate::model::property::{Property, Scope};
use crate::model::qubes::Qubes;
use crate::model::rules::creation;
use crate::model::text_map::TextMap;
use crate::model::vm::Vm;
use crate::model::volume;
use uuid::Uuid;

/// Applies the remedies of `findings`, which must all be of this collection as it is, and
/// returns for each whether it was applied. Manual remedies and those of the file's text are
/// not. `uuid` returns new UUIDs.
pub fn apply_remedies(
    qubes: &mut Qubes,
    findings: &[Finding],
    facts: &dyn Facts,
    uuid: &mut dyn FnMut() -> Uuid,
) -> Vec<bool> {
    let mut done = vec![false; findings.len()];
    // In reverse order, so that a removal by position does not move later ones.
    for (finding, done) in findings.iter().zip(&mut done).rev() {
        *done = match &finding.at {
            Location::Pool(position) => repair_pool(qubes, *position, &finding.remedy),
            Location::Global(name) => repair_global(qubes, name, &finding.remedy),
            Location::Qube { name, part } => {
                repair_qube(qubes, name.as_str(), part, &finding.remedy, facts, uuid)
            }
        };
    }
    done
}

fn repair_pool(qubes: &mut Qubes, position: usize, remedy: &Remedy) -> bool {
    let Some(pool) = qubes.pools.0.get_mut(position) else {
        return false;
    };
    match remedy {
        Remedy::Remove { .. } => drop(qubes.pools.0.remove(position)),
        Remedy::RemoveAttributes(names) => remove_all(&mut pool.attributes, names),
        _ => return false,
    }
    true
}

fn repair_global(qubes: &mut Qubes, name: &str, remedy: &Remedy) -> bool {
    match remedy {
        Remedy::Reset { .. } | Remedy::Remove { .. } => drop(qubes.globals.remove(name)),
        Remedy::Set { value, .. } => qubes.globals.set(name, value),
        _ => return false,
    }
    true
}

fn repair_qube(
    qubes: &mut Qubes,
    name: &str,
    part: &QubePart,
    remedy: &Remedy,
    facts: &dyn Facts,
    uuid: &mut dyn FnMut() -> Uuid,
) -> bool {
    let new_qid = match remedy {
        Remedy::NewQid => match creation::find_free_qid(qubes, facts.host().release()) {
            Ok(qid) => qid.number().to_string(),
            Err(_full) => return false,
        },
        _ => String::new(),
    };
    let Some(vm) = qubes.edit(name) else {
        return false;
    };
    match (remedy, part) {
        (Remedy::Set { property, value }, _) => {
            remove_property(vm, property);
            vm.properties.set(property, value);
            if property == "template" {
                volume::update_snapshot_sources(qubes, name, facts);
            }
        }
        (Remedy::NewUuid, _) => vm.properties.set("uuid", &uuid().to_string()),
        (Remedy::NewQid, _) => vm.properties.set("qid", &new_qid),
        _ => return repair_part(vm, part, remedy).is_some(),
    }
    true
}

/// Removes or changes one part of a qube; `None` if the remedy is not one of the part.
fn repair_part(vm: &mut Vm, part: &QubePart, remedy: &Remedy) -> Option<()> {
    match (remedy, part) {
        (Remedy::Reset { property }, _) => remove_property(vm, property),
        (Remedy::Remove { .. }, QubePart::Property(property)) => remove_property(vm, property),
        (Remedy::Remove { .. }, QubePart::Tag(tag)) => vm.tags.retain(|t| **t != **tag),
        (Remedy::Remove { .. }, QubePart::Feature(feature)) => drop(vm.features.remove(feature)),
        (Remedy::Remove { .. }, QubePart::Device { class, position }) => {
            let assignments = &mut vm.devices.get_mut(*class)?.assignments;
            (*position < assignments.len()).then(|| assignments.remove(*position))?;
        }
        (remedy, QubePart::Volume(volume)) => {
            let volume = vm.volumes.iter_mut().find(|v| v.name() == volume)?;
            match remedy {
                Remedy::SetAttribute { name, value } => volume.attributes.set(name, value),
                Remedy::RemoveAttributes(names) => remove_all(&mut volume.attributes, names),
                _ => return None,
            }
        }
        _ => return None,
    }
    Some(())
}

fn remove_all(attributes: &mut TextMap, names: &[String]) {
    for name in names {
        attributes.remove(name);
    }
}

/// Removes a property, in the form of early stores of R4, too.
fn remove_property(vm: &mut Vm, property: &str) {
    if let Some(legacy) = Property::find(Scope::Class(&vm.class), property).and_then(|p| p.legacy) {
        (legacy.remove)(vm);
    }
    vm.properties.remove(property);
}
