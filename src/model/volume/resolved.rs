//! A volume with all values, and its form in the store.

use crate::model::boolean::boolean_text;
use crate::model::release::Release;
use crate::model::text_map::TextMap;
use crate::model::vm::VolumeConfig;

/// A volume of a qube with all values resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedVolume {
    /// `root`, `private`, `volatile`, `kernel`, or a custom name.
    pub name: String,
    /// The name of the pool.
    pub pool: String,
    /// The pool's driver: `file-reflink`, `lvm_thin`, …
    pub driver: String,
    /// The id, unique in the pool.
    pub vid: String,
    /// Whether the guest can write to it.
    pub rw: bool,
    /// Whether changes are kept when the qube stops.
    pub save_on_stop: bool,
    /// Whether it is a snapshot of `source`, created when the qube starts.
    pub snap_on_start: bool,
    /// The configured size in bytes; 0 if only the driver knows it (kernels).
    pub size: u64,
    /// The vid of the volume that a snapshot is made of, in the same pool.
    pub source: Option<String>,
    /// The number of revisions to keep; −1 means no snapshots at all.
    pub revisions_to_keep: i64,
    /// Whether it is encrypted with a key that is never stored.
    pub ephemeral: bool,
    /// The explicit value of `ephemeral`. `None` means that the pool decides.
    pub own_ephemeral: Option<bool>,
}

impl ResolvedVolume {
    /// Returns the configuration as it is written for a release, which may not support ephemeral
    /// volumes.
    pub fn config_for(&self, release: Release) -> VolumeConfig {
        let mut config = self.config();
        if !release.has_ephemeral_volumes() {
            config.attributes.remove("ephemeral");
        } else if self.own_ephemeral == Some(false) && release.can_read_false_flags() {
            config.attributes.set("ephemeral", boolean_text(false));
        }
        config
    }

    /// Returns the configuration as it is written, in upstream's order.
    ///
    /// A false boolean is left out: every tagged release reads the text `False` as true, and a
    /// missing attribute as the class's default (`docs/spec/r4-xml.md` §1.8).
    pub fn config(&self) -> VolumeConfig {
        let mut attributes = TextMap::new();
        attributes.set("name", &self.name);
        attributes.set("pool", &self.pool);
        attributes.set("vid", &self.vid);
        attributes.set("revisions_to_keep", &self.revisions_to_keep.to_string());
        let flags = [
            ("rw", self.rw),
            ("save_on_stop", self.save_on_stop),
            ("snap_on_start", self.snap_on_start),
            ("ephemeral", self.own_ephemeral == Some(true)),
        ];
        for (flag, _) in flags.into_iter().filter(|(_, on)| *on) {
            attributes.set(flag, boolean_text(true));
        }
        if self.size != 0 {
            attributes.set("size", &self.size.to_string());
        }
        if let Some(source) = &self.source {
            attributes.set("source", source);
        }
        VolumeConfig { attributes }
    }
}
