//! Remarks that readers leave in RUN about one state of the store, for the next reader: where the domains lie
//! (`RUN/contents`), that no qube is broken (`RUN/unbroken`). Of no value by themselves: whoever finds one of another state
//! looks for himself.
//!
//! A remark is believed only for the very file it was made about: device, inode, length, and both times to the nanosecond, of
//! which nobody can set the time of change. Two changes within one tick of the clock have the same times, so it is left
//! only about a file that has been at rest for some seconds: whatever changes later has another time.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::unistd::Gid;

use super::replace::{Access, Replacement};
use super::version::Version;

/// Seconds.
const REST: i64 = 2;

/// What an earlier reader has left under `name` about this state of the file.
pub(super) fn about(run_dir: &Path, version: Version, name: &str) -> Option<String> {
    let mut kept = fs::read_to_string(run_dir.join(name)).ok()?;
    let (stamp, _) = kept.split_once('\n')?;
    let length = (stamp == self::stamp(version)).then_some(stamp.len() + 1)?;
    kept.drain(..length);
    Some(kept)
}

/// Leaves a remark for others, where there is a RUN and the file has been at rest.
pub(super) fn leave(run_dir: &Path, group: Option<Gid>, version: Version, name: &str, text: &str) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if i64::try_from(now).is_ok_and(|now| now - version.last_change() > REST) && run_dir.is_dir() {
        let write = || {
            let mut new = Replacement::begin(&run_dir.join(name), Access::shared(group))?;
            new.file().write_all(format!("{}\n{text}", stamp(version)).as_bytes())?;
            new.commit_unsynced()
        };
        // Where it cannot be left, the next reader looks for himself.
        let _looks_again = write();
    }
}

/// The file's state, and which version of ours has looked.
fn stamp(version: Version) -> String {
    format!("{} {}", env!("CARGO_PKG_VERSION"), version.in_full())
}
