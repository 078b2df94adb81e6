//! A volume with all its settings resolved, as the drivers take it.

use std::fmt::Display;
use std::path::PathBuf;

use super::{Remedy, StorageError};
use crate::model::VmName;
use crate::model::volume::ResolvedVolume;

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

/// A volume with all its settings resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// The name of the qube that the volume belongs to, for messages.
    pub owner: String,
    /// The name within the qube: `root`, `private`, `volatile`, `kernel`, …
    pub name: String,
    /// The name of the pool.
    pub pool: String,
    /// The volume id, unique in the pool ([`crate::model::volume::default_vid`] makes it).
    pub vid: String,
    /// What becomes of the data at start and stop.
    pub kind: VolumeKind,
    /// Whether the guest may write to the volume.
    pub rw: bool,
    /// The configured size in bytes; 0 where the driver determines it (kernels).
    pub size: u64,
    /// The number of revisions to keep; −1 disables snapshots.
    pub revisions_to_keep: i64,
    /// The vid of the volume that a [`VolumeKind::Snapshot`] is made of, in the same pool.
    pub source: Option<String>,
    /// Whether the volume is encrypted with a key that is discarded at stop.
    pub ephemeral: bool,
}

impl Volume {
    /// Converts a volume that the model has resolved.
    ///
    /// # Errors
    /// Both `snap_on_start` and `save_on_stop` are set, which no driver supports.
    pub fn from_resolved(owner: &VmName, resolved: ResolvedVolume) -> Result<Volume, StorageError> {
        let kind = match (resolved.snap_on_start, resolved.save_on_stop) {
            (false, false) => VolumeKind::Volatile,
            (true, false) => VolumeKind::Snapshot,
            (false, true) => VolumeKind::Origin,
            (true, true) => {
                let text = format!(
                    "volume {owner}:{}: both snap_on_start and save_on_stop is not supported",
                    resolved.name
                );
                return Err(StorageError::Refused(text));
            }
        };
        Ok(Volume {
            owner: owner.to_string(),
            name: resolved.name,
            pool: resolved.pool,
            vid: resolved.vid,
            kind,
            rw: resolved.rw,
            size: resolved.size,
            revisions_to_keep: resolved.revisions_to_keep,
            source: resolved.source,
            ephemeral: resolved.ephemeral,
        })
    }

    /// Describes a volume whose settings are unknown, so that its images can be removed.
    pub fn orphan(pool: &str, vid: &str) -> Volume {
        let mut parts = vid.rsplit('/');
        let (name, owner) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        Volume {
            owner: owner.to_string(),
            name: name.to_string(),
            pool: pool.to_string(),
            vid: vid.to_string(),
            kind: VolumeKind::Origin,
            rw: true,
            size: 0,
            revisions_to_keep: 0,
            source: None,
            ephemeral: false,
        }
    }

    /// Whether the guest writes to the only image of the volume (`docs/spec/r4-storage.md` §1).
    pub fn has_snapshots_disabled(&self) -> bool {
        self.revisions_to_keep == -1 && self.kind == VolumeKind::Origin
    }

    /// Returns the name that tools take and print: `work:private`.
    pub fn full_name(&self) -> String {
        format!("{}:{}", self.owner, self.name)
    }

    /// Returns the name for messages: `volume work:private`.
    pub fn label(&self) -> String {
        format!("volume {}:{}", self.owner, self.name)
    }

    /// Returns the vid of a snapshot's source.
    pub(super) fn source_vid(&self) -> Result<&str, StorageError> {
        let missing = || self.refusal("it is a snapshot without a source");
        self.source.as_deref().ok_or_else(missing)
    }

    /// Returns the vid of the committed data that a start needs: the source's, or the volume's own;
    /// `None` for a volatile volume.
    pub(super) fn committed_vid(&self) -> Result<Option<&str>, StorageError> {
        match self.kind {
            VolumeKind::Volatile => Ok(None),
            VolumeKind::Snapshot => self.source_vid().map(Some),
            VolumeKind::Origin => Ok(Some(&self.vid)),
        }
    }

    /// Refuses a volume that is not persistent, which cannot be `verb`.
    pub(super) fn require_origin(&self, verb: &str) -> Result<(), StorageError> {
        match self.kind {
            VolumeKind::Origin => Ok(()),
            VolumeKind::Snapshot | VolumeKind::Volatile => Err(self.refusal(format_args!(
                "it is not kept from start to start and cannot be {verb}"
            ))),
        }
    }

    /// Refuses to resize a read-only volume.
    pub(super) fn require_writable(&self) -> Result<(), StorageError> {
        match self.rw {
            true => Ok(()),
            false => Err(self.refusal("it is read-only and cannot be resized")),
        }
    }

    /// Returns the error that the qube has to be shut down `when`: "before importing", "first".
    pub(super) fn in_use(&self, when: &str) -> StorageError {
        self.refusal(format_args!(
            "it is in use or was not stopped cleanly; shut the qube down {when}"
        ))
    }

    /// Returns the error of an operation on the volume that `remedy` makes possible.
    pub(super) fn not_ready(&self, why: impl Display, remedy: Remedy) -> StorageError {
        StorageError::NotReady {
            reason: format!("{}: {why}", self.label()),
            remedy,
        }
    }

    /// Returns the refusal of an operation on the volume.
    pub(super) fn refusal(&self, why: impl Display) -> StorageError {
        StorageError::Refused(format!("{}: {why}", self.label()))
    }
}

/// What the guest gets of a started volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attachment {
    /// A raw image file.
    File(PathBuf),
    /// A block device.
    Device(PathBuf),
    /// Nothing is attached (a kernel without modules.img).
    None,
}
