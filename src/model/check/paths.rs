//! Unsafe paths: `..` in a pool's directory, and volume ids that are not paths inside the pool.

use super::{Finding, FindingKind, Location, Problem, QubePart, Remedy};
use crate::model::pool::Pool;
use crate::model::qubes::Qubes;
use crate::model::rules::qubesd::is_file_vid;
use crate::model::vm::Vm;

pub(super) fn check_pool_paths(qubes: &Qubes, found: &mut Vec<Finding>) {
    for (position, pool) in qubes.pools.iter().enumerate() {
        let Some(directory) = pool.option("dir_path").filter(|path| has_dots(path)) else {
            continue;
        };
        let text = format!(
            "pool '{}' has dir_path=\"{directory}\": '..' leads where links make it lead",
            pool.name()
        );
        let remedy = Remedy::manual("write the directory that is meant");
        let problem = Problem::misread(FindingKind::UnsafePath, text, remedy);
        found.push(problem.at(Location::Pool(position)));
    }
}

pub(super) fn check_volume_paths(qubes: &Qubes, vm: &Vm, found: &mut Vec<Finding>) {
    for volume in &vm.volumes {
        let pool = volume
            .attributes
            .get("pool")
            .and_then(|pool| qubes.pools.get(pool));
        let is_directory = pool.is_some_and(Pool::has_files);
        // An empty vid is the same as none: the driver chooses one.
        let names_no_file = |vid: &str| is_directory && !vid.is_empty() && !is_file_vid(vid);
        let vid = volume
            .attributes
            .get("vid")
            .filter(|vid| is_outside_pool(vid) || names_no_file(vid));
        let Some(vid) = vid else { continue };
        let text = format!(
            "volume {} has vid=\"{vid}\", which is not a path inside its pool: no command here \
             uses it",
            volume.name()
        );
        let remedy = Remedy::manual("write the id of the image that is meant, below its pool");
        let problem = Problem::misread(FindingKind::UnsafePath, text, remedy);
        let part = QubePart::Volume(volume.name().to_owned());
        found.push(problem.at(Location::part(&vm.name, part)));
    }
}

/// Returns whether a component of the path is `..`.
fn has_dots(path: &str) -> bool {
    path.split('/').any(|part| part == "..")
}

/// Returns whether a vid leads out of its pool.
fn is_outside_pool(vid: &str) -> bool {
    vid.starts_with('/') || has_dots(vid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dot_dot_components_and_absolute_paths_lead_out() {
        assert!(
            ["..", "a/../b", "../a", "/a", "a/.."]
                .into_iter()
                .all(is_outside_pool)
        );
        assert!(
            ["appvms/work/private", "a..b/c", "...", "a/.b"]
                .into_iter()
                .all(|vid| !is_outside_pool(vid))
        );
    }
}
