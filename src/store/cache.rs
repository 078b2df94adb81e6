//! Remarks that are left in RUN about one content of the store, for the next command: that upstream
//! would not refuse it (`RUN/sound`), that no qube is broken (`RUN/unbroken`). They spare a look at
//! every qube, and decide nothing else: no name and no value comes from them.
//!
//! A remark names the content that it is about by a checksum of all its bytes. Times would not do:
//! a program that writes through a mapping of the file leaves none on tmpfs, and not always one
//! elsewhere.

use std::path::Path;

use xxhash_rust::xxh3::xxh3_128;

use super::transaction::StoreLocation;
use crate::fs::run_directory::RunDirectory;
use crate::fs::stale_files;

/// The length and checksum of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest {
    length: usize,
    sum: u128,
}

impl Digest {
    pub fn new(bytes: &[u8]) -> Digest {
        Digest {
            length: bytes.len(),
            sum: xxh3_128(bytes),
        }
    }

    /// The first line of a remark: which version of ours looked at which content.
    fn stamp(self) -> String {
        format!(
            "{} {} {:032x}",
            env!("CARGO_PKG_VERSION"),
            self.length,
            self.sum
        )
    }
}

/// Returns what somebody has left under `name` about the content with this digest, which is
/// computed only if there is a remark at all.
pub(super) fn read(
    place: &StoreLocation,
    digest: impl FnOnce() -> Digest,
    name: &str,
) -> Option<String> {
    let text = place.run_dir.read(Path::new(name)).ok()??;
    let (first, rest) = text.split_once('\n')?;
    (first == digest().stamp()).then(|| rest.to_string())
}

/// Leaves a remark for others, where there is a RUN.
pub(super) fn write(place: &StoreLocation, digest: Digest, name: &str, text: &str) {
    // Where it cannot be left, the next command looks for itself.
    let _looks_again = place.run_dir.write_unsynced(
        Path::new(name),
        place.group,
        &format!("{}\n{text}", digest.stamp()),
    );
}

/// Removes what writers of remarks left when they were killed. Remarks are the only files that lie
/// in RUN itself.
pub(super) fn clear_stale_files(run_dir: &RunDirectory) {
    if let Ok(directory) = run_dir.open() {
        stale_files::clear_in(&directory, |_| true);
    }
}
