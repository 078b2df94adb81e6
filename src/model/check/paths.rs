//! Paths of pools and volumes with parts that lead elsewhere.

use super::{At, Finding, Harm, Kind, Part, Remedy};
use crate::model::pool::Pool;
use crate::model::vm::{Vm, VolumeConfig};

/// Tells what is wrong with the directory of the pool at `position`.
pub(super) fn check_pool(position: usize, pool: &Pool, found: &mut Vec<Finding>) {
    let Some(path) = pool.option("dir_path").filter(|path| leads_elsewhere(path)) else { return };
    let text = format!("pool '{}' has dir_path \"{path}\", a path with '.' or '..'", pool.name());
    let by_hand = "write the path without them, if it is the one that is meant".to_owned();
    found.push(Finding {
        at: At::Pool(position),
        kind: Kind::PoolPath,
        harm: Harm::Misread,
        text,
        remedy: Remedy::ByHand(by_hand),
    });
}

/// Tells which ids of a volume's images our drivers refuse, because they lead out of the pool.
pub(super) fn check_volume(vm: &Vm, own: &VolumeConfig, found: &mut Vec<Finding>) {
    for attribute in ["vid", "source"] {
        let written = own.attributes.get(attribute).filter(|text| !text.is_empty());
        let Some(vid) = written.filter(|vid| leads_elsewhere(vid) || vid.starts_with('/')) else {
            continue;
        };
        let name = own.name();
        let by_hand = "write the id without them, if its image is the one that is meant";
        found.push(Finding {
            at: At::Qube { name: vm.name.clone(), part: Part::Volume(name.to_owned()) },
            kind: Kind::VolumePath,
            harm: Harm::Misread,
            text: format!("volume {name} has {attribute}=\"{vid}\", a path with '.' or '..', or from '/'"),
            remedy: Remedy::ByHand(by_hand.to_owned()),
        });
    }
}

fn leads_elsewhere(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "." | ".."))
}
