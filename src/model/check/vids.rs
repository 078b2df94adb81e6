//! Checks of the sources of snapshots and of images that several qubes have.

use std::collections::{HashMap, HashSet};

use super::{FindingKind, Problem, Remedy};
use crate::model::name::VmName;
use crate::model::pool::Pool;
use crate::model::pool_driver::VolumeIds;
use crate::model::qubes::Qubes;
use crate::model::vm::{Vm, VolumeConfig};

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

/// Checks that the source of a snapshot exists and that no other qube has the same images.
pub(super) fn find_vid_problems(
    qubes: &Qubes,
    vm: &Vm,
    own: &VolumeConfig,
    vids: &Vids,
) -> [Option<Problem>; 2] {
    let pool = own.attributes.get("pool").unwrap_or_default();
    let ids = qubes.pools.get(pool).and_then(Pool::volume_ids);
    let stored = |name: &str| own.attributes.get(name).filter(|text| !text.is_empty());
    let missing = stored("source")
        .filter(|source| ids == Some(VolumeIds::File) && vids.is_missing(pool, source));
    let missing = missing.map(|source| {
        let remedy = match vm.class.volume(own.name()) {
            Some(class) if class.snap_on_start => Remedy::remove_attributes(["source"]),
            _ => Remedy::manual(format!("give it a source, or qvm-remove {}", vm.name)),
        };
        let text = format!("is a snapshot of '{source}', and no qube has that volume");
        Problem::refused(FindingKind::VolumeSource, text, remedy)
    });
    let shared = stored("vid")
        .filter(|_| ids != Some(VolumeIds::Kernel))
        .and_then(|vid| Some((vid, vids.other_owner(vm, pool, vid)?)));
    let shared = shared.map(|(vid, owner)| {
        let text =
            format!("has the images of '{owner}' ({vid}): what one does to them, it does to both");
        let remedy = Remedy::remove_attributes(["vid"]);
        Problem::misread(FindingKind::VolumeShared, text, remedy)
    });
    [missing, shared]
}
