//! Finds what `qubes-db check` cannot see in the store alone: pools, volumes and directories of
//! qubes that coincide on disk.

use std::collections::HashMap;

use crate::format::{self, Bytes, Damage, SourceLines};
use crate::lifecycle::Context;
use crate::lifecycle::qube::directory;
use crate::lifecycle::volume::images;
use crate::model::Location;
use crate::model::check::FindingKind;
use crate::storage::overlap::find_overlap;

/// Returns the pools and volumes of the store `bytes` that have images in common, and the qubes
/// that share a directory. What cannot be examined is skipped.
pub fn find_damage(context: &Context, bytes: &Bytes) -> Vec<Damage> {
    let Ok(qubes) = format::read(bytes.clone()) else {
        return Vec::new();
    };
    if qubes.needs_conversion {
        return Vec::new();
    }
    let places = SourceLines::new(bytes);
    let pools: Vec<_> = qubes.pools.iter().collect();
    let mut found = Vec::new();
    for (position, pool) in pools.iter().enumerate() {
        let earlier = pools[..position]
            .iter()
            .filter(|other| other.name() != pool.name());
        let overlaps =
            earlier.filter_map(|other| find_overlap(pool, other, &context.system).ok().flatten());
        for shared in overlaps {
            found.push(Damage::for_manual_repair(
                places.find_line(&Location::Pool(position)),
                None,
                FindingKind::PoolOverlap,
                format!("pool '{}': {shared}", pool.name()),
                "move its volumes to a pool with a directory of its own, and remove it",
            ));
        }
    }
    let Ok(owners) = images::find_owners_in_text(context, &qubes, bytes) else {
        return found;
    };
    let mut pairs = owners.find_shared();
    pairs.extend(owners.find_aliased().unwrap_or_default());
    for (later, first) in pairs {
        found.push(Damage::for_manual_repair(
            Some(later.line),
            later.qube.clone(),
            FindingKind::VolumeShared,
            format!(
                "volume {} has the image of volume {}: each change of one changes both",
                later.volume, first.volume
            ),
            "give one of them a vid or pool of its own",
        ));
    }
    found.extend(shared_directories(context, bytes));
    found
}

/// Returns the qubes that share a directory.
fn shared_directories(context: &Context, bytes: &Bytes) -> Vec<Damage> {
    let claims = directory::directories_in(context, bytes).unwrap_or_default();
    let mut firsts = HashMap::new();
    let mut found = Vec::new();
    for (later, identity) in claims
        .iter()
        .filter_map(|(claim, identity)| Some((claim, (*identity)?)))
    {
        let first = *firsts.entry(identity).or_insert(later);
        // Two domains of the same name are reported elsewhere.
        if first.has_same_location(later) {
            continue;
        }
        found.push(Damage::for_manual_repair(
            Some(later.line),
            later.qube.clone(),
            FindingKind::DirectoryShared,
            format!(
                "{} is the directory of {}, too: they share firewall and notes",
                later.display_path(&context.system),
                first.label()
            ),
            "replace the link by a directory of its own",
        ));
    }
    found
}
