//! Stale temporary files, which a killed process or a power loss left beside their targets.
//!
//! A file that may still be in use is never removed: the caller holds the lock under which such
//! files are created, each file is locked before it is filled, and a young file is left alone
//! because it is not locked in its first moment. Only names that no other program uses are
//! considered.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use nix::libc;

use super::directory::{Directory, OpenMode};
use super::file_lock::{LockMode, try_lock};
use super::list_names;
use super::replace::{RANDOM_LENGTH, TEMPORARY_SUFFIX};

/// The age from which an unlocked temporary file is stale.
const MIN_AGE: Duration = Duration::from_secs(60);

/// Removes the stale temporary files in `directory` of the targets that `is_target` accepts. A file
/// that cannot be removed is ignored.
pub fn clear(directory: &Path, is_target: impl Fn(&str) -> bool) {
    for name in list_names(directory).unwrap_or_default() {
        let path = directory.join(&name);
        if name.to_str().and_then(target_name).is_some_and(&is_target) && is_stale(&path) {
            let _kept = fs::remove_file(path);
        }
    }
}

/// Removes stale temporary files as [`clear`] does, in a directory where others can write. Links
/// are not followed.
pub fn clear_in(directory: &Directory, is_target: impl Fn(&str) -> bool) {
    for name in directory.names().unwrap_or_default() {
        let is_temporary = name.to_str().and_then(target_name).is_some_and(&is_target);
        let opened = || directory.open_file(Path::new(&name), OpenMode::ReadWrite);
        if is_temporary && opened().is_ok_and(|file| is_abandoned(&file)) {
            let _kept = directory.remove_file(Path::new(&name));
        }
    }
}

/// Returns the name of the target of a temporary file; `None` if `name` is not a temporary name.
pub fn target_name(name: &str) -> Option<&str> {
    let (target, random) = name.strip_suffix(TEMPORARY_SUFFIX)?.rsplit_once('~')?;
    let ours = random.len() == RANDOM_LENGTH && random.bytes().all(|b| b.is_ascii_alphanumeric());
    ours.then_some(target)
}

fn is_stale(path: &Path) -> bool {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let Ok(file) = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags)
        .open(path)
    else {
        return false;
    };
    is_abandoned(&file)
}

fn is_abandoned(file: &File) -> bool {
    is_old(file) && try_lock(file, LockMode::Exclusive).unwrap_or(false)
}

fn is_old(file: &File) -> bool {
    let Ok(metadata) = file.metadata() else {
        return false;
    };
    // A file whose time lies in the future counts as young.
    metadata.is_file()
        && metadata
            .modified()
            .is_ok_and(|time| time.elapsed().is_ok_and(|age| age > MIN_AGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_unlocked_temporary_files_of_the_targets_are_removed() {
        let place = tempfile::tempdir().unwrap();
        let old = std::time::SystemTime::now() - 2 * MIN_AGE;
        let make = |name: &str, is_old: bool| {
            let file = File::create(place.path().join(name)).unwrap();
            if is_old {
                file.set_modified(old).unwrap();
            }
            file
        };
        make("work~aZ09aZ09.new", true);
        make("work~young123.new", false);
        make("other~aZ09aZ09.new", true);
        make("work", true);
        let held = make("work~held1234.new", true);
        assert!(try_lock(&held, LockMode::Exclusive).unwrap());
        let directory =
            Directory::open(place.path(), crate::fs::directory::LinkPolicy::Never).unwrap();
        clear_in(&directory, |target| target == "work");
        let mut names = directory.names().unwrap();
        names.sort();
        assert_eq!(
            names,
            [
                "other~aZ09aZ09.new",
                "work",
                "work~held1234.new",
                "work~young123.new"
            ]
        );
    }

    #[test]
    fn only_our_own_name_pattern_is_a_temporary_file() {
        assert_eq!(target_name("qubes.xml~aZ09aZ09.new"), Some("qubes.xml"));
        for name in [
            "qubes.xml",
            "qubes.xml~",
            "qubes.xml~original",
            "qubes.xml~20261121",
            "qubes.xml~a.new",
        ] {
            assert_eq!(target_name(name), None, "{name}");
        }
    }
}
