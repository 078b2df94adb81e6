//! What `qubes-db check` cannot see in the text of a store alone: pools, volumes and directories of
//! qubes that meet on disk.

use std::collections::HashMap;

use crate::format::{self, Bytes, Damage, SourceLines};
use crate::lifecycle::Session;
use crate::model::Location;
use crate::model::check::FindingKind;
use crate::storage::overlap::find_overlap;

impl Session {
    /// Tells which pools and which volumes of the store `bytes` have images in common, and which
    /// qubes the files beside them. Of what cannot be looked at nothing is told.
    pub fn damage_on_disk(&self, bytes: &Bytes) -> Vec<Damage> {
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
            let met =
                earlier.filter_map(|other| find_overlap(pool, other, &self.system).ok().flatten());
            for how in met {
                found.push(Damage::for_manual_repair(
                    places.find_line(&Location::Pool(position)),
                    None,
                    FindingKind::PoolOverlap,
                    format!("pool '{}': {how}", pool.name()),
                    "move its volumes to a pool with a directory of its own, and remove it",
                ));
            }
        }
        let Ok(owners) = self.owners_in(&qubes, bytes) else {
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
                    "volume {} has the image of volume {}: what one does to them, it does to both",
                    later.volume, first.volume
                ),
                "give one of them a vid or pool of its own",
            ));
        }
        found.extend(self.shared_directories(bytes));
        found
    }

    fn shared_directories(&self, bytes: &Bytes) -> Vec<Damage> {
        let claims = self.directories_in(bytes).unwrap_or_default();
        let mut firsts = HashMap::new();
        let mut found = Vec::new();
        for (later, identity) in claims
            .iter()
            .filter_map(|(claim, identity)| Some((claim, (*identity)?)))
        {
            let first = *firsts.entry(identity).or_insert(later);
            // Two domains of one name are told as that.
            if first.names_the_same(later) {
                continue;
            }
            found.push(Damage::for_manual_repair(
                Some(later.line),
                later.qube.clone(),
                FindingKind::DirectoryShared,
                format!(
                    "{} is the directory of {}, too: they have one firewall and one set of notes",
                    later.shown(&self.system),
                    first.label()
                ),
                "give one of them a directory of its own, in the place of the link",
            ));
        }
        found
    }
}
