//! What drivers tell of a volume: its names, and what they refuse.

use std::fmt::Display;
use std::path::PathBuf;

use super::{Remedy, StorageError};
pub use crate::model::{Volume, VolumeKind};

impl Volume {
    /// Returns the volume if drivers support its flags.
    ///
    /// # Errors
    /// Both `snap_on_start` and `save_on_stop` are set.
    pub fn require_supported(self) -> Result<Volume, StorageError> {
        match self.snap_on_start && self.save_on_stop {
            true => Err(self.refusal("both snap_on_start and save_on_stop is not supported")),
            false => Ok(self),
        }
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
            rw: true,
            save_on_stop: true,
            ..Volume::default()
        }
    }

    /// Whether the guest writes to the only image of the volume (`docs/spec/r4-storage.md` §1).
    pub fn has_snapshots_disabled(&self) -> bool {
        self.revisions_to_keep == -1 && self.kind() == VolumeKind::Origin
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
        match self.kind() {
            VolumeKind::Volatile => Ok(None),
            VolumeKind::Snapshot => self.source_vid().map(Some),
            VolumeKind::Origin => Ok(Some(&self.vid)),
        }
    }

    /// Refuses a volume that is not persistent, which cannot be `verb`.
    pub(super) fn require_origin(&self, verb: &str) -> Result<(), StorageError> {
        match self.kind() {
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
