//! Remarks that are left in RUN about one state of the store, for whoever comes next: where the domains lie
//! (`RUN/contents`), that no qube is broken (`RUN/unbroken`). Of no value by themselves: whoever finds one of another state
//! looks for himself.
//!
//! A remark is believed only for the very file it was made about: device, inode, length, and both times to the nanosecond, of
//! which nobody can set the time of change. Two changes within one tick of the clock have the same times, so a reader leaves it
//! only about a file that has been at rest for some seconds: whatever changes later has another time. A writer sets
//! the file apart, and need not wait.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::unistd::Gid;

use super::version::Version;
use crate::fs::run_directory::RunDirectory;
use crate::fs::stale_files;

/// Seconds.
const REST: i64 = 2;

/// Behind the state of a file that was set apart: who finds this may leave remarks of his own at once.
const APART: &str = " apart";

/// What somebody said about a state of the file.
pub(super) struct Remark {
    pub text: String,
    /// The file in this state was set apart.
    pub is_apart: bool,
}

/// What somebody has left under `name` about this state of the file.
pub(super) fn about(run_dir: &RunDirectory, version: Version, name: &str) -> Option<Remark> {
    let mut text = run_dir.read(Path::new(name)).ok()??;
    let (first, _) = text.split_once('\n')?;
    let behind = first.strip_prefix(stamp(version).as_str())?;
    let is_apart = behind == APART;
    let length = (is_apart || behind.is_empty()).then_some(first.len() + 1)?;
    text.drain(..length);
    Some(Remark { text, is_apart })
}

/// Leaves a remark for others, where there is a RUN and the file has been at rest.
pub(super) fn leave(run_dir: &RunDirectory, group: Option<Gid>, version: Version, name: &str, text: &str) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if i64::try_from(now).is_ok_and(|now| now - version.last_change() > REST) {
        put(run_dir, group, name, &format!("{}\n{text}", stamp(version)));
    }
}

/// The same about a file that was [set apart](super::version::set_apart), however short a time ago.
pub(super) fn leave_at_once(run_dir: &RunDirectory, group: Option<Gid>, version: Version, name: &str, text: &str) {
    put(run_dir, group, name, &format!("{}{APART}\n{text}", stamp(version)));
}

fn put(run_dir: &RunDirectory, group: Option<Gid>, name: &str, text: &str) {
    // Where it cannot be left, the next reader looks for himself.
    let _looks_again = run_dir.write_note(Path::new(name), group, text);
}

/// Removes what writers of remarks left when they were killed. Remarks are the only files that lie in RUN itself.
pub(super) fn clear_stale_files(run_dir: &RunDirectory) {
    if let Ok(directory) = run_dir.open() {
        stale_files::clear_in(&directory, |_| true);
    }
}

/// The file's state, and which version of ours has looked.
fn stamp(version: Version) -> String {
    format!("{} {}", env!("CARGO_PKG_VERSION"), version.in_full())
}
