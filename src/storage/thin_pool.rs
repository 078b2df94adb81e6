//! Finds the LVM thin pool that holds a directory, from which the system's default pool is computed
//! (`docs/spec/r4-properties.md` §2.1).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use nix::sys::stat::{major, minor};

use crate::exec::Program;

/// An LVM thin pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThinPool {
    /// The volume group.
    pub group: String,
    /// The name within the group.
    pub name: String,
}

/// Returns the thin pool that holds the file system of `directory`; `None` if there is none or it
/// cannot be determined.
pub fn find_thin_pool(directory: &Path) -> Option<ThinPool> {
    let device = fs::metadata(directory).ok()?.dev();
    let (major, minor) = (major(device).to_string(), minor(device).to_string());
    // Only device mapper devices have this directory. Check it first, as dmsetup needs root.
    if !Path::new(&format!("/sys/dev/block/{major}:{minor}/dm")).is_dir() {
        return None;
    }
    let table = Program::new("dmsetup")
        .args(["-j", &*major, "-m", &*minor, "table"])
        .timeout(Duration::from_secs(10));
    let table = String::from_utf8(table.output().ok()?).ok()?;
    let name =
        fs::read_to_string(format!("/sys/dev/block/{}/dm/name", pool_device(&table)?)).ok()?;
    parse_mapped_name(name.trim_end())
}

/// Returns the device of the pool from a device mapper table of target `thin`: `START LENGTH thin
/// MAJOR:MINOR ID`.
fn pool_device(table: &str) -> Option<&str> {
    match table.lines().next()?.split_whitespace().collect::<Vec<_>>()[..] {
        [_, _, "thin", device, ..] => Some(device),
        _ => None,
    }
}

/// Parses `GROUP-POOL-tpool`, in which a hyphen of either name is doubled.
fn parse_mapped_name(mapped: &str) -> Option<ThinPool> {
    let both = mapped.strip_suffix("-tpool")?;
    let mut at = 0;
    while let Some(hyphen) = both[at..].find('-').map(|found| at + found) {
        if both[hyphen + 1..].starts_with('-') {
            at = hyphen + 2;
            continue;
        }
        let plain = |name: &str| name.replace("--", "-");
        return Some(ThinPool {
            group: plain(&both[..hyphen]),
            name: plain(&both[hyphen + 1..]),
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_mapper_names_are_parsed() {
        let pool = |group: &str, name: &str| {
            Some(ThinPool {
                group: group.into(),
                name: name.into(),
            })
        };
        assert_eq!(
            parse_mapped_name("qubes_dom0-pool00-tpool"),
            pool("qubes_dom0", "pool00")
        );
        assert_eq!(
            parse_mapped_name("qubes--dom0-root--pool-tpool"),
            pool("qubes-dom0", "root-pool")
        );
        assert_eq!(parse_mapped_name("a----b-c-tpool"), pool("a--b", "c"));
        assert_eq!(parse_mapped_name("qubes_dom0-pool00"), None);
        assert_eq!(parse_mapped_name("a--b-tpool"), None);
    }

    #[test]
    fn only_a_thin_volume_has_a_pool() {
        assert_eq!(pool_device("0 41943040 thin 253:2 7\n"), Some("253:2"));
        assert_eq!(pool_device("0 41943040 linear 8:2 2048\n"), None);
        assert_eq!(pool_device(""), None);
    }

    #[test]
    fn a_directory_outside_of_device_mapper_has_no_pool() {
        assert_eq!(find_thin_pool(Path::new("/proc")), None);
        assert_eq!(find_thin_pool(Path::new("/nonexistent")), None);
    }
}
