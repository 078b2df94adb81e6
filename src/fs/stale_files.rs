//! Temporary files that a kill or a power loss left beside their targets.
//!
//! Nothing that somebody may still be writing is touched: the caller holds the store's lock, under
//! which such files are made; each is locked itself before it is filled, save for its first moment,
//! so a young one is left alone; and only names that nobody but us gives are looked at.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use nix::libc;

use super::directory::{Directory, OpenMode};
use super::file_lock::{LockMode, try_lock};
use super::list_names;
use super::replace::{RANDOM_LETTERS, TEMPORARY};

/// How long nobody has written to a file before it is stale.
const AGE: Duration = Duration::from_secs(60);

/// Removes what was left behind in `directory` of writing those targets that `is_target` names.
/// What cannot be removed is no reason to fail.
pub fn clear(directory: &Path, is_target: impl Fn(&str) -> bool) {
    for name in list_names(directory).unwrap_or_default() {
        let path = directory.join(&name);
        if name.to_str().and_then(target_name).is_some_and(&is_target) && is_stale(&path) {
            let _stays = fs::remove_file(path);
        }
    }
}

/// As [`clear`], in a directory where others can write: what is removed is the name, whatever it
/// leads to.
pub fn clear_in(directory: &Directory, is_target: impl Fn(&str) -> bool) {
    for name in directory.names().unwrap_or_default() {
        let is_temporary = name.to_str().and_then(target_name).is_some_and(&is_target);
        let opened = || directory.open_file(Path::new(&name), OpenMode::ReadWrite);
        if is_temporary && opened().is_ok_and(|file| is_abandoned(&file)) {
            let _stays = directory.remove_file(Path::new(&name));
        }
    }
}

/// The name of the file that a temporary one of this name was to become.
pub fn target_name(name: &str) -> Option<&str> {
    let (target, random) = name.strip_suffix(TEMPORARY)?.rsplit_once('~')?;
    let ours = random.len() == RANDOM_LETTERS && random.bytes().all(|b| b.is_ascii_alphanumeric());
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
    // A time in the future is not old.
    metadata.is_file()
        && metadata
            .modified()
            .is_ok_and(|time| time.elapsed().is_ok_and(|age| age > AGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_temporary_files_of_the_targets_go_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let old = std::time::SystemTime::now() - 2 * AGE;
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
    fn only_names_of_our_own_making_are_temporary_files() {
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
