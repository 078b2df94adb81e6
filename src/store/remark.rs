//! Remarks that are left in RUN about one content of the store, for the next command: that upstream would not refuse it
//! (`RUN/sound`), that no qube is broken (`RUN/unbroken`). They spare a look at every qube, and decide nothing else: no
//! name and no value comes from them.
//!
//! A remark names the content that it is about by a checksum of all its bytes. Times would not do: a program that writes
//! through a mapping of the file leaves none on tmpfs, and not always one elsewhere.

use std::io::{self, Read as _, Write as _};
use std::path::Path;

use xxhash_rust::xxh3::xxh3_128;

use super::transaction::StorePlace;
use crate::fs::beneath::{Directory, Links, Use};
use crate::fs::replace::Access;

/// No remark is longer, bytes.
const LONGEST: u64 = 4096;

/// The length and checksum of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest {
    length: usize,
    sum: u128,
}

impl Digest {
    pub fn of(bytes: &[u8]) -> Digest {
        Digest { length: bytes.len(), sum: xxh3_128(bytes) }
    }

    /// The first line of a remark: which version of ours looked at which content.
    fn stamp(self) -> String {
        format!("{} {} {:032x}", env!("CARGO_PKG_VERSION"), self.length, self.sum)
    }
}

/// Returns what somebody has left under `name` about the content with this digest, which is computed only if there is
/// a remark at all.
pub(super) fn about(place: &StorePlace, digest: impl FnOnce() -> Digest, name: &str) -> Option<String> {
    let text = read(place, name).ok()?;
    let (first, rest) = text.split_once('\n')?;
    (first == digest().stamp()).then(|| rest.to_string())
}

fn read(place: &StorePlace, name: &str) -> io::Result<String> {
    let file = Directory::open(&place.run_dir, Links::Never)?.open_file(Path::new(name), Use::Read)?;
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}

/// Leaves a remark for others, where there is a RUN.
pub(super) fn leave(place: &StorePlace, digest: Digest, name: &str, text: &str) {
    let write = || {
        let run = Directory::open(&place.run_dir, Links::Never)?;
        run.replace_unsynced(Path::new(name), Access::shared(place.group), |file| {
            file.write_all(format!("{}\n{text}", digest.stamp()).as_bytes())
        })
    };
    // Where it cannot be left, the next command looks for itself.
    let _looks_again = write();
}
