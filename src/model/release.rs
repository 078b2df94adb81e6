//! Releases of Qubes OS, as far as they differ in what a store may contain.

use std::fmt;

use super::qid::Qid;

/// A release of Qubes OS whose core must be able to load the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Release {
    /// Qubes OS 4.0: qids up to 254, no ephemeral volumes.
    R4_0,
    /// Qubes OS 4.1, the first with ephemeral volumes.
    R4_1,
    /// Qubes OS 4.2, the first with qids above 254.
    R4_2,
    /// Qubes OS 4.3, the first with modes of device assignments and with remote qubes.
    R4_3,
    /// Qubes OS 4.4, the first that reads a volume flag `False` as false.
    R4_4,
}

impl Release {
    /// The release that the store is written for if none is configured.
    pub const DEFAULT: Release = Release::R4_3;

    /// Every release, oldest first.
    pub const ALL: [Release; 5] = [
        Release::R4_0,
        Release::R4_1,
        Release::R4_2,
        Release::R4_3,
        Release::R4_4,
    ];

    /// Returns the highest qid that the release loads (`docs/spec/r4-properties.md` §9).
    pub fn highest_qid(self) -> u16 {
        if self < Release::R4_2 { 254 } else { Qid::MAX }
    }

    /// Returns whether the release reads the text `False` of a volume flag as false. Earlier ones
    /// read it as true.
    pub fn can_read_false_flags(self) -> bool {
        self >= Release::R4_4
    }

    /// Returns whether the release supports ephemeral volumes, encrypted with a key that is never
    /// stored (`docs/spec/r4-xml.md` §1.8).
    pub fn has_ephemeral_volumes(self) -> bool {
        self >= Release::R4_1
    }

    /// Returns whether device assignments have a mode and an identity in the release
    /// (`docs/spec/r4-xml.md` §1.7).
    pub fn has_device_modes(self) -> bool {
        self >= Release::R4_3
    }

    /// Parses a release: `4.2`, `R4.2`, `4.2.1`, `Qubes OS release 4.2 (R4.2)`.
    pub fn parse(text: &str) -> Option<Release> {
        let at = text.find("4.")?;
        match text[at + 2..].split(|c: char| !c.is_ascii_digit()).next()? {
            "0" => Some(Release::R4_0),
            "1" => Some(Release::R4_1),
            "2" => Some(Release::R4_2),
            "3" => Some(Release::R4_3),
            "4" => Some(Release::R4_4),
            _ => None,
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Release::R4_0 => "4.0",
            Release::R4_1 => "4.1",
            Release::R4_2 => "4.2",
            Release::R4_3 => "4.3",
            Release::R4_4 => "4.4",
        })
    }
}
