//! Every kind of thing that can be wrong with a store, as one word that scripts and summaries go
//! by.

use std::fmt;

/// What is wrong. Prints as the word of `qubes-db check --json`; `docs/repair.md` says of each what
/// a repair does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FindingKind {
    /// The text of the file is no well-formed XML, or is something else altogether.
    Form,
    /// Of R1 to R3.
    OldFormat,
    LabelNumber,
    LabelTwice,
    PoolName,
    PoolTwice,
    PoolDriver,
    PoolOption,
    /// A flag of a pool that says `False`.
    PoolFlag,
    /// Two pools in which one image can lie.
    PoolOverlap,
    DefaultKernel,
    NoDom0,
    QubeName,
    QubeNameTwice,
    UnknownClass,
    /// A class or a property that the release does not know yet.
    TooNew,
    UnknownProperty,
    ComputedProperty,
    PropertyTwice,
    /// A property, feature or tag without a name.
    Nameless,
    MissingProperty,
    BadValue,
    /// A property that names what is not there.
    Dangling,
    /// A template of another class, or a netvm that provides no network.
    Unfit,
    NetvmLoop,
    NotForDisposables,
    QidTwice,
    UuidTwice,
    DispidTwice,
    BadTag,
    /// A feature with a value that qubesd cannot work with.
    BadFeature,
    DeviceBackend,
    DeviceMode,
    DeviceIdentity,
    DevicePort,
    DeviceTwice,
    /// Flags of a volume that say `False`.
    VolumeFlag,
    VolumeAttribute,
    VolumePool,
    VolumeSource,
    /// A volume that its pool cannot hold.
    VolumeUnfit,
    VolumeNumber,
    VolumeShared,
    /// Two qubes with one directory of files beside the images.
    DirectoryShared,
    /// A path with `..` in it.
    UnsafePath,
}

impl FindingKind {
    /// Each once, in the order of a file.
    pub const ALL: [FindingKind; 45] = [
        FindingKind::Form,
        FindingKind::OldFormat,
        FindingKind::LabelNumber,
        FindingKind::LabelTwice,
        FindingKind::PoolName,
        FindingKind::PoolTwice,
        FindingKind::PoolDriver,
        FindingKind::PoolOption,
        FindingKind::PoolFlag,
        FindingKind::PoolOverlap,
        FindingKind::DefaultKernel,
        FindingKind::NoDom0,
        FindingKind::QubeName,
        FindingKind::QubeNameTwice,
        FindingKind::UnknownClass,
        FindingKind::TooNew,
        FindingKind::UnknownProperty,
        FindingKind::ComputedProperty,
        FindingKind::PropertyTwice,
        FindingKind::Nameless,
        FindingKind::MissingProperty,
        FindingKind::BadValue,
        FindingKind::Dangling,
        FindingKind::Unfit,
        FindingKind::NetvmLoop,
        FindingKind::NotForDisposables,
        FindingKind::QidTwice,
        FindingKind::UuidTwice,
        FindingKind::DispidTwice,
        FindingKind::BadTag,
        FindingKind::BadFeature,
        FindingKind::DeviceBackend,
        FindingKind::DeviceMode,
        FindingKind::DeviceIdentity,
        FindingKind::DevicePort,
        FindingKind::DeviceTwice,
        FindingKind::VolumeFlag,
        FindingKind::VolumeAttribute,
        FindingKind::VolumePool,
        FindingKind::VolumeSource,
        FindingKind::VolumeUnfit,
        FindingKind::VolumeNumber,
        FindingKind::VolumeShared,
        FindingKind::DirectoryShared,
        FindingKind::UnsafePath,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            FindingKind::Form => "form",
            FindingKind::OldFormat => "old-format",
            FindingKind::LabelNumber => "label-number",
            FindingKind::LabelTwice => "label-twice",
            FindingKind::PoolName => "pool-name",
            FindingKind::PoolTwice => "pool-twice",
            FindingKind::PoolDriver => "pool-driver",
            FindingKind::PoolOption => "pool-option",
            FindingKind::PoolFlag => "pool-flag",
            FindingKind::PoolOverlap => "pool-overlap",
            FindingKind::DefaultKernel => "default-kernel",
            FindingKind::NoDom0 => "no-dom0",
            FindingKind::QubeName => "qube-name",
            FindingKind::QubeNameTwice => "qube-name-twice",
            FindingKind::UnknownClass => "unknown-class",
            FindingKind::TooNew => "too-new",
            FindingKind::UnknownProperty => "unknown-property",
            FindingKind::ComputedProperty => "computed-property",
            FindingKind::PropertyTwice => "property-twice",
            FindingKind::Nameless => "nameless",
            FindingKind::MissingProperty => "missing-property",
            FindingKind::BadValue => "bad-value",
            FindingKind::Dangling => "dangling",
            FindingKind::Unfit => "unfit",
            FindingKind::NetvmLoop => "netvm-loop",
            FindingKind::NotForDisposables => "not-for-disposables",
            FindingKind::QidTwice => "qid-twice",
            FindingKind::UuidTwice => "uuid-twice",
            FindingKind::DispidTwice => "dispid-twice",
            FindingKind::BadTag => "bad-tag",
            FindingKind::BadFeature => "bad-feature",
            FindingKind::DeviceBackend => "device-backend",
            FindingKind::DeviceMode => "device-mode",
            FindingKind::DeviceIdentity => "device-identity",
            FindingKind::DevicePort => "device-port",
            FindingKind::DeviceTwice => "device-twice",
            FindingKind::VolumeFlag => "volume-flag",
            FindingKind::VolumeAttribute => "volume-attribute",
            FindingKind::VolumePool => "volume-pool",
            FindingKind::VolumeSource => "volume-source",
            FindingKind::VolumeUnfit => "volume-unfit",
            FindingKind::VolumeNumber => "volume-number",
            FindingKind::VolumeShared => "volume-shared",
            FindingKind::DirectoryShared => "directory-shared",
            FindingKind::UnsafePath => "unsafe-path",
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
