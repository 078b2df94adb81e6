//! The attributes of a volume in the store.

use super::error::VolumeError;
use crate::model::boolean::BooleanDialect;
use crate::model::class_volume::ClassVolume;
use crate::model::property::read_int;
use crate::model::rules::qubesd::VolumeTraits;
use crate::model::text_map::TextMap;
use crate::model::vm::{Vm, VolumeConfig};

/// The attributes of a volume that upstream's drivers accept, in the order in which it writes them
/// (`docs/spec/r4-xml.md` §1.8).
pub const ATTRIBUTES: [&str; 10] = [
    "name",
    "pool",
    "vid",
    "revisions_to_keep",
    "rw",
    "save_on_stop",
    "snap_on_start",
    "ephemeral",
    "size",
    "source",
];

/// A volume whose pool and size are explicit, so that nothing else has to be resolved.
#[derive(Debug, Clone, Copy)]
pub struct ExplicitVolume<'a> {
    /// The name of its pool, which may not exist.
    pub pool: &'a str,
    /// The vid, if it is explicit.
    pub vid: Option<&'a str>,
    /// The configured size in bytes.
    pub size: u64,
}

impl VolumeConfig {
    /// Returns pool, vid and size if the configuration alone determines them.
    ///
    /// They equal what [`super::resolve`] resolves, except for the vid in a pool of kernels.
    /// `class` is the default of the qube's class for this volume. `None` means that the volume
    /// must be resolved.
    pub fn explicit_volume(&self, class: Option<&ClassVolume>) -> Option<ExplicitVolume<'_>> {
        let (mut pool, mut vid, mut keep) = (None, None, None);
        let (mut snap, mut size, mut source) = (None, None, None);
        for (name, text) in self.attributes.iter() {
            match name {
                "pool" => pool = Some(text),
                "vid" => vid = Some(text),
                "revisions_to_keep" => keep = Some(text),
                "snap_on_start" => snap = Some(text),
                "size" => size = Some(text),
                "source" => source = Some(text),
                "name" | "rw" | "save_on_stop" | "ephemeral" | "internal" => {}
                // An attribute that upstream's drivers do not know.
                _ => return None,
            }
        }
        if let Some(keep) = keep {
            plain_number(keep)?;
        }
        let size = match size {
            Some(size) => plain_number(size)?,
            None => class.map_or(0, |class| class.size),
        };
        let snaps = snap.map_or(class.is_some_and(|c| c.snap_on_start), is_true);
        let has_source = source.is_some_and(|source| !source.is_empty());
        let pool = pool.filter(|_| has_source || !snaps)?;
        Some(ExplicitVolume { pool, vid, size })
    }
}

/// Returns the properties that decide whether a pool can hold the volume, from its attributes and
/// the defaults of its class.
pub(in crate::model) fn volume_traits<'a>(
    name: &'a str,
    class: Option<&ClassVolume>,
    own: &TextMap,
) -> VolumeTraits<'a> {
    let on = |attribute: &str, default: Option<bool>| {
        own.get(attribute).map_or(default == Some(true), is_true)
    };
    let has_source = own.get("source").is_some_and(|source| !source.is_empty());
    VolumeTraits {
        name,
        rw: on("rw", class.map(|c| c.rw)),
        save_on_stop: on("save_on_stop", class.map(|c| c.save_on_stop)),
        snap_on_start: on("snap_on_start", class.map(|c| c.snap_on_start)),
        has_source,
        revisions_to_keep: own
            .get("revisions_to_keep")
            .and_then(|text| read_int(text)?.as_int()),
    }
}

/// Returns whether a flag is true.
pub(super) fn is_true(text: &str) -> bool {
    BooleanDialect::VolumeFlag.is_true(text)
}

/// Parses a number of up to 18 digits, which cannot overflow.
fn plain_number(text: &str) -> Option<u64> {
    let add = |number, byte: u8| match byte {
        b'0'..=b'9' => Some(10 * number + u64::from(byte - b'0')),
        _ => None,
    };
    if (1..=18).contains(&text.len()) {
        text.bytes().try_fold(0, add)
    } else {
        None
    }
}

pub(super) fn number(
    vm: &Vm,
    volume: &str,
    own: &TextMap,
    attribute: &'static str,
) -> Result<Option<i64>, VolumeError> {
    let Some(text) = own.get(attribute) else {
        return Ok(None);
    };
    let bad = || VolumeError::InvalidNumber {
        vm: vm.name.to_string(),
        volume: volume.to_owned(),
        attribute,
        text: text.to_owned(),
    };
    // As qubesd reads it, but a number beyond 64 bits becomes the nearest one.
    read_int(text)
        .and_then(|number| number.as_int())
        .map(Some)
        .ok_or_else(bad)
}
