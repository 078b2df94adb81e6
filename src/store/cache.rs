//! Cache files in RUN about one content of the store: that upstream would load it (`RUN/sound`),
//! that no qube is broken (`RUN/unbroken`). They only spare the next command a check of every
//! qube; no name and no value is read from them.
//!
//! A cache file identifies the content by a checksum of all its bytes. Modification times are not
//! enough: a program that writes through a mapping of the file does not change them on tmpfs, and
//! not always elsewhere.

use std::path::Path;

use xxhash_rust::xxh3::xxh3_128;

use super::location::StoreLocation;
use crate::fs::run_directory::RunDirectory;
use crate::fs::stale_files;

/// The length and checksum of a store's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest {
    length: usize,
    sum: u128,
}

impl Digest {
    /// Computes the digest of these bytes.
    pub fn new(bytes: &[u8]) -> Digest {
        Digest {
            length: bytes.len(),
            sum: xxh3_128(bytes),
        }
    }

    /// Returns the first line of a cache file: the version of this program and the digest.
    fn stamp(self) -> String {
        format!(
            "{} {} {:032x}",
            env!("CARGO_PKG_VERSION"),
            self.length,
            self.sum
        )
    }
}

/// Returns the cached text `name` if it is about the content with this digest. The digest is
/// computed only if the cache file exists.
pub(super) fn read(
    place: &StoreLocation,
    digest: impl FnOnce() -> Digest,
    name: &str,
) -> Option<String> {
    let text = place.run_dir.read(Path::new(name)).ok()??;
    let (first, rest) = text.split_once('\n')?;
    (first == digest().stamp()).then(|| rest.to_string())
}

/// Writes the cache file `name` about the content with this digest, if RUN exists.
pub(super) fn write(place: &StoreLocation, digest: Digest, name: &str, text: &str) {
    // Without the cache file, the next command checks the qubes itself.
    let _not_cached = place.run_dir.write_unsynced(
        Path::new(name),
        place.group,
        &format!("{}\n{text}", digest.stamp()),
    );
}

/// Removes the temporary files of killed writers of cache files. Cache files are the only files in
/// RUN itself; all others are in its subdirectories.
pub(super) fn clear_stale_files(run_dir: &RunDirectory) {
    if let Ok(directory) = run_dir.open() {
        stale_files::clear_in(&directory, |_| true);
    }
}
