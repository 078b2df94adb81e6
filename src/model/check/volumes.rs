//! Checks of a qube's volumes.

use std::collections::{HashMap, HashSet};

use super::{Finding, FindingKind, Harm, Location, QubePart, Remedy};
use crate::model::facts::Facts;
use crate::model::name::VmName;
use crate::model::pool::Pool;
use crate::model::pool_driver::VolumeIds;
use crate::model::property;
use crate::model::qubes::Qubes;
use crate::model::release::Release;
use crate::model::text_map::TextMap;
use crate::model::vm::{Vm, VolumeConfig};
use crate::model::volume;
use crate::model::volume::{VolumeError, volume_traits};

/// The attributes that every release up to 4.4.0 reads as true when they are `False`
/// (`docs/spec/r4-xml.md` §1.8).
const FLAGS: [&str; 4] = ["rw", "save_on_stop", "snap_on_start", "ephemeral"];

/// The attributes of a volume that upstream's drivers accept, and `internal`, which they drop.
const ATTRIBUTES: [&str; 11] = [
    "name",
    "pool",
    "vid",
    "revisions_to_keep",
    "rw",
    "save_on_stop",
    "snap_on_start",
    "ephemeral",
    "size",
    "source",
    "internal",
];

/// The volumes of a store by pool and vid.
#[derive(Default)]
pub(super) struct Vids<'a> {
    /// The qube that owns each volume; of several, the one the vid is named after, else the first.
    owners: HashMap<(&'a str, &'a str), &'a VmName>,
    /// The pools with a volume without a stored vid, whose vids are therefore not all known.
    with_unwritten: HashSet<&'a str>,
}

impl<'a> Vids<'a> {
    /// Collects the volumes of all qubes.
    pub fn new(qubes: &'a Qubes) -> Vids<'a> {
        let mut vids = Vids::default();
        for vm in qubes.iter() {
            for volume in &vm.volumes {
                let Some(pool) = volume.attributes.get("pool") else {
                    continue;
                };
                match volume.attributes.get("vid").filter(|vid| !vid.is_empty()) {
                    Some(vid) => {
                        let owner = vids.owners.entry((pool, vid)).or_insert(&vm.name);
                        if **owner != vm.name && is_named_after(vid, &vm.name) {
                            *owner = &vm.name;
                        }
                    }
                    None => drop(vids.with_unwritten.insert(pool)),
                }
            }
        }
        vids
    }

    /// Returns whether certainly no volume has this vid.
    fn is_missing(&self, pool: &str, vid: &str) -> bool {
        !self.owners.contains_key(&(pool, vid)) && !self.with_unwritten.contains(pool)
    }

    /// Returns the owner of the volume of this vid, if it is another qube.
    fn other_owner(&self, vm: &Vm, pool: &str, vid: &str) -> Option<&'a VmName> {
        self.owners
            .get(&(pool, vid))
            .copied()
            .filter(|owner| **owner != vm.name)
    }
}

/// Returns whether drivers give such a vid to volumes of this qube.
fn is_named_after(vid: &str, name: &VmName) -> bool {
    vid.split('/').any(|part| {
        *name == part
            || part
                .strip_prefix("vm-")
                .is_some_and(|p| p.starts_with(name.as_str()))
    })
}

pub(super) fn check_volumes(
    qubes: &Qubes,
    vm: &Vm,
    vids: Option<&Vids>,
    facts: &dyn Facts,
    found: &mut Vec<Finding>,
) {
    let without_config = vm
        .class
        .volumes()
        .iter()
        .filter(|class| vm.volume(class.name).is_none());
    for class in without_config {
        let at = || Location::Qube {
            name: vm.name.clone(),
            part: QubePart::Volume(class.name.to_owned()),
        };
        check_fit(
            qubes,
            class.name,
            &TextMap::new(),
            vm,
            facts,
            &mut |kind, harm, text: String, remedy| {
                found.push(Finding {
                    at: at(),
                    kind,
                    harm,
                    text: format!("volume {} {text}", class.name),
                    remedy,
                });
            },
        );
    }
    for own in &vm.volumes {
        let name = own.name();
        let mut add = |kind, harm, text: String, remedy| {
            let at = Location::Qube {
                name: vm.name.clone(),
                part: QubePart::Volume(name.to_owned()),
            };
            found.push(Finding {
                at,
                kind,
                harm,
                text: format!("volume {name} {text}"),
                remedy,
            });
        };
        check_flags(vm, own, facts.host().release(), &mut add);
        check_attributes(own, &mut add);
        if !vm.class.is_local_guest() {
            continue;
        }
        check_fit(qubes, own.name(), &own.attributes, vm, facts, &mut add);
        if own.attributes.get("source") == Some("") {
            let remedy = Remedy::RemoveAttributes(vec!["source".into()]);
            add(
                FindingKind::VolumeSource,
                Harm::Refused,
                "has an empty source".into(),
                remedy,
            );
        }
        match check_resolvable(qubes, vm, own, facts) {
            Err(VolumeError::NoSuchPool { pool, .. }) => {
                let by_hand = format!(
                    "add pool '{pool}', or move the volume to another, or qvm-remove {}",
                    vm.name
                );
                let text = format!("is in pool '{pool}', which does not exist");
                add(
                    FindingKind::VolumePool,
                    Harm::Refused,
                    text,
                    Remedy::Manual(by_hand),
                );
            }
            Err(VolumeError::InvalidNumber {
                attribute, text, ..
            }) => {
                let remedy = Remedy::RemoveAttributes(vec![attribute.into()]);
                add(
                    FindingKind::VolumeNumber,
                    Harm::Refused,
                    format!("has {attribute}=\"{text}\", which is not a number"),
                    remedy,
                );
            }
            Err(VolumeError::NoSource { .. }) => {
                let by_hand =
                    Remedy::Manual("give it a source, or the qube another template".into());
                let text = "is a snapshot, and there is nothing to make it from".into();
                add(FindingKind::VolumeSource, Harm::Refused, text, by_hand);
            }
            // Errors of properties and templates are reported at these.
            Err(_) | Ok(()) => {
                if let Some(vids) = vids {
                    check_vids(qubes, vm, own, vids, &mut add);
                }
            }
        }
    }
}

/// Checks that the pool, explicit or default, can hold the volume.
fn check_fit(
    qubes: &Qubes,
    name: &str,
    own: &TextMap,
    vm: &Vm,
    facts: &dyn Facts,
    add: &mut impl FnMut(FindingKind, Harm, String, Remedy),
) {
    let default =
        || property::global_value_by_name(qubes, &format!("default_pool_{name}"), facts).ok();
    let traits = volume_traits(name, vm.class.volume(name), own);
    let pool = match own.get("pool") {
        Some(pool) => qubes.pools.get(pool),
        // A snapshot is in the pool of its source.
        None if traits.snap_on_start && !traits.has_source => return,
        None => default().and_then(|value| qubes.pools.get(value.as_str()?)),
    };
    let Some((pool, misfit)) = pool.and_then(|pool| Some((pool, traits.find_problem(pool)?)))
    else {
        return;
    };
    let harm = if misfit.is_refused {
        Harm::Refused
    } else {
        Harm::Misread
    };
    let kernels = qubes.pools.iter().find(|pool| pool.has_kernels());
    let remedy = match (misfit.attributes_to_remove, kernels) {
        ([], Some(kernels)) if name == "kernel" && own.contains("pool") => Remedy::SetAttribute {
            name: "pool",
            value: kernels.name().to_owned(),
        },
        ([], _) => Remedy::Manual(format!("give it another pool, or qvm-remove {}", vm.name)),
        (names, _) => {
            Remedy::RemoveAttributes(names.iter().map(|name| (*name).to_owned()).collect())
        }
    };
    add(
        FindingKind::VolumeUnfit,
        harm,
        format!("is in pool '{}': {}", pool.name(), misfit.rule),
        remedy,
    );
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

/// Checks that the source of a snapshot exists and that no other qube has the same images.
fn check_vids(
    qubes: &Qubes,
    vm: &Vm,
    own: &VolumeConfig,
    vids: &Vids,
    add: &mut impl FnMut(FindingKind, Harm, String, Remedy),
) {
    let pool = own.attributes.get("pool").unwrap_or_default();
    let volume_ids = qubes.pools.get(pool).and_then(Pool::volume_ids);
    let is_class_snapshot = || {
        vm.class
            .volumes()
            .iter()
            .any(|class| class.name == own.name() && class.snap_on_start)
    };
    if let Some(source) = own.attributes.get("source").filter(|s| !s.is_empty())
        && volume_ids == Some(VolumeIds::File)
        && vids.is_missing(pool, source)
    {
        let remedy = match is_class_snapshot() {
            true => Remedy::RemoveAttributes(vec!["source".into()]),
            false => Remedy::Manual(format!("give it a source, or qvm-remove {}", vm.name)),
        };
        let text = format!("is a snapshot of '{source}', and no qube has that volume");
        add(FindingKind::VolumeSource, Harm::Refused, text, remedy);
    }
    let vid = own
        .attributes
        .get("vid")
        .filter(|vid| !vid.is_empty() && volume_ids != Some(VolumeIds::Kernel));
    if let Some((vid, owner)) = vid.and_then(|vid| Some((vid, vids.other_owner(vm, pool, vid)?))) {
        let text =
            format!("has the images of '{owner}' ({vid}): what one does to them, it does to both");
        add(
            FindingKind::VolumeShared,
            Harm::Misread,
            text,
            Remedy::RemoveAttributes(vec!["vid".into()]),
        );
    }
}

/// Checks flags that are `False`. Without the flag the class's default is in effect, which is the
/// same or the opposite.
fn check_flags(
    vm: &Vm,
    own: &VolumeConfig,
    release: Release,
    add: &mut impl FnMut(FindingKind, Harm, String, Remedy),
) {
    if !release.has_ephemeral_volumes() && own.attributes.contains("ephemeral") {
        let remedy = Remedy::RemoveAttributes(vec!["ephemeral".into()]);
        add(
            FindingKind::TooNew,
            Harm::Refused,
            format!("has ephemeral, which Qubes OS {release} does not know"),
            remedy,
        );
    }
    let class = vm.class.volumes().iter().find(|v| v.name == own.name());
    let is_default = |flag: &str| {
        class.is_some_and(|c| match flag {
            "rw" => c.rw,
            "save_on_stop" => c.save_on_stop,
            "snap_on_start" => c.snap_on_start,
            _ => false,
        })
    };
    let is_read = |flag: &str| flag == "ephemeral" && release.can_read_false_flags();
    let false_flags = FLAGS
        .into_iter()
        .filter(|flag| own.attributes.get(flag) == Some("False") && !is_read(flag));
    let mut false_flags = false_flags.peekable();
    if false_flags.peek().is_none() {
        return;
    }
    let (wrong, harmless): (Vec<&str>, Vec<&str>) = false_flags.partition(|flag| is_default(flag));
    let flags_text = |flags: &[&str]| {
        flags
            .iter()
            .map(|flag| format!("{flag}=\"False\""))
            .collect::<Vec<_>>()
            .join(" ")
    };
    if !harmless.is_empty() {
        let text = format!(
            "has {}, which every release up to 4.4.0 takes for true",
            flags_text(&harmless)
        );
        let names = harmless.into_iter().map(str::to_owned).collect();
        add(
            FindingKind::VolumeFlag,
            Harm::Misread,
            text,
            Remedy::RemoveAttributes(names),
        );
    }
    if !wrong.is_empty() {
        let text = format!(
            "has {}, which no release up to 4.4.0 can be told: it is true in this class",
            flags_text(&wrong)
        );
        add(
            FindingKind::VolumeFlag,
            Harm::Misread,
            text,
            Remedy::Manual("accept it as true, or use a later release".into()),
        );
    }
}

/// Checks that upstream's drivers accept all attributes.
fn check_attributes(own: &VolumeConfig, add: &mut impl FnMut(FindingKind, Harm, String, Remedy)) {
    let unknown: Vec<&str> = own
        .attributes
        .names()
        .filter(|name| !ATTRIBUTES.contains(name))
        .collect();
    if !unknown.is_empty() {
        let text = format!(
            "has {}, which upstream's drivers refuse",
            unknown.join(", ")
        );
        let names = unknown.into_iter().map(str::to_owned).collect();
        add(
            FindingKind::VolumeAttribute,
            Harm::Refused,
            text,
            Remedy::RemoveAttributes(names),
        );
    }
}
