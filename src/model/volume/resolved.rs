//! A volume with all values, and its form in the store.

use crate::model::boolean::boolean_text;
use crate::model::release::Release;
use crate::model::text_map::TextMap;
use crate::model::vm::VolumeConfig;

/// The life cycle of a volume, from the flags `snap_on_start` and `save_on_stop`
/// (`docs/spec/r4-storage.md` §1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VolumeKind {
    /// Created empty at each start, discarded at each stop.
    Volatile,
    /// A snapshot of its source, made at each start and discarded at each stop.
    Snapshot,
    /// Persistent; changes are committed at each stop.
    Origin,
}

/// A volume of a qube with all settings resolved, as the drivers take it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Volume {
    /// The name of the qube that the volume belongs to, for messages.
    pub owner: String,
    /// The name within the qube: `root`, `private`, `volatile`, `kernel`, or a custom name.
    pub name: String,
    /// The name of the pool.
    pub pool: String,
    /// The pool's driver: `file-reflink`, `lvm_thin`, …; empty if the volume is an orphan.
    pub driver: String,
    /// The volume id, unique in the pool ([`super::default_vid`] makes it).
    pub vid: String,
    /// Whether the guest may write to the volume.
    pub rw: bool,
    /// Whether changes are kept when the qube stops.
    pub save_on_stop: bool,
    /// Whether it is a snapshot of `source`, created when the qube starts.
    pub snap_on_start: bool,
    /// The configured size in bytes; 0 if only the driver knows it (kernels).
    pub size: u64,
    /// The vid of the volume that a snapshot is made of, in the same pool.
    pub source: Option<String>,
    /// The number of revisions to keep; −1 disables snapshots.
    pub revisions_to_keep: i64,
    /// Whether the volume is encrypted with a key that is discarded at stop.
    pub ephemeral: bool,
    /// The explicit value of `ephemeral`. `None` means that the pool decides.
    pub own_ephemeral: Option<bool>,
}

impl Volume {
    /// Returns what becomes of the data at start and stop. No driver supports a volume with both
    /// flags.
    pub fn kind(&self) -> VolumeKind {
        match (self.snap_on_start, self.save_on_stop) {
            (_, true) => VolumeKind::Origin,
            (true, false) => VolumeKind::Snapshot,
            (false, false) => VolumeKind::Volatile,
        }
    }

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
