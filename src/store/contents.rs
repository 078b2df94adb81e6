//! `RUN/contents`: where the domains of the store lie, for the next reader. Of no value by itself: whoever finds that it is
//! of another state of the store looks for himself.
//!
//! It is believed only for the very file it was made of: device, inode, length, and both times to the nanosecond, of which
//! nobody can set the time of change. Two changes within one tick of the clock have the same times, so it is made only
//! of a file that has been at rest for some seconds: whatever changes later has another time.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::unistd::Gid;

use super::replace::{Access, Replacement};
use super::transaction::Version;

/// Seconds.
const REST: i64 = 2;

/// What an earlier reader has left for this state of the file.
pub(super) fn of(run_dir: &Path, version: Version) -> Option<String> {
    let mut kept = fs::read_to_string(run_dir.join("contents")).ok()?;
    let (stamp, _) = kept.split_once('\n')?;
    let length = (stamp == self::stamp(version)).then_some(stamp.len() + 1)?;
    kept.drain(..length);
    Some(kept)
}

/// Leaves the table for others, where there is a RUN and the file has been at rest.
pub(super) fn keep(run_dir: &Path, group: Option<Gid>, version: Version, table: &str) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if i64::try_from(now).is_ok_and(|now| now - version.last_change() > REST) && run_dir.is_dir() {
        let write = || {
            let mut new = Replacement::begin(&run_dir.join("contents"), Access::shared(group))?;
            new.file().write_all(format!("{}\n{table}", stamp(version)).as_bytes())?;
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
