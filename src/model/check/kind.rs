//! Every kind of thing that can be wrong with a store, as one word that scripts and summaries go
//! by.

use std::fmt;

/// What is wrong. Prints as the word of `qubes-db check --json`; `docs/repair.md` says of each what
/// a repair does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
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

impl Kind {
    /// Each once, in the order of a file.
    pub const ALL: [Kind; 45] = [
        Kind::Form,
        Kind::OldFormat,
        Kind::LabelNumber,
        Kind::LabelTwice,
        Kind::PoolName,
        Kind::PoolTwice,
        Kind::PoolDriver,
        Kind::PoolOption,
        Kind::PoolFlag,
        Kind::PoolOverlap,
        Kind::DefaultKernel,
        Kind::NoDom0,
        Kind::QubeName,
        Kind::QubeNameTwice,
        Kind::UnknownClass,
        Kind::TooNew,
        Kind::UnknownProperty,
        Kind::ComputedProperty,
        Kind::PropertyTwice,
        Kind::Nameless,
        Kind::MissingProperty,
        Kind::BadValue,
        Kind::Dangling,
        Kind::Unfit,
        Kind::NetvmLoop,
        Kind::NotForDisposables,
        Kind::QidTwice,
        Kind::UuidTwice,
        Kind::DispidTwice,
        Kind::BadTag,
        Kind::BadFeature,
        Kind::DeviceBackend,
        Kind::DeviceMode,
        Kind::DeviceIdentity,
        Kind::DevicePort,
        Kind::DeviceTwice,
        Kind::VolumeFlag,
        Kind::VolumeAttribute,
        Kind::VolumePool,
        Kind::VolumeSource,
        Kind::VolumeUnfit,
        Kind::VolumeNumber,
        Kind::VolumeShared,
        Kind::DirectoryShared,
        Kind::UnsafePath,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Form => "form",
            Kind::OldFormat => "old-format",
            Kind::LabelNumber => "label-number",
            Kind::LabelTwice => "label-twice",
            Kind::PoolName => "pool-name",
            Kind::PoolTwice => "pool-twice",
            Kind::PoolDriver => "pool-driver",
            Kind::PoolOption => "pool-option",
            Kind::PoolFlag => "pool-flag",
            Kind::PoolOverlap => "pool-overlap",
            Kind::DefaultKernel => "default-kernel",
            Kind::NoDom0 => "no-dom0",
            Kind::QubeName => "qube-name",
            Kind::QubeNameTwice => "qube-name-twice",
            Kind::UnknownClass => "unknown-class",
            Kind::TooNew => "too-new",
            Kind::UnknownProperty => "unknown-property",
            Kind::ComputedProperty => "computed-property",
            Kind::PropertyTwice => "property-twice",
            Kind::Nameless => "nameless",
            Kind::MissingProperty => "missing-property",
            Kind::BadValue => "bad-value",
            Kind::Dangling => "dangling",
            Kind::Unfit => "unfit",
            Kind::NetvmLoop => "netvm-loop",
            Kind::NotForDisposables => "not-for-disposables",
            Kind::QidTwice => "qid-twice",
            Kind::UuidTwice => "uuid-twice",
            Kind::DispidTwice => "dispid-twice",
            Kind::BadTag => "bad-tag",
            Kind::BadFeature => "bad-feature",
            Kind::DeviceBackend => "device-backend",
            Kind::DeviceMode => "device-mode",
            Kind::DeviceIdentity => "device-identity",
            Kind::DevicePort => "device-port",
            Kind::DeviceTwice => "device-twice",
            Kind::VolumeFlag => "volume-flag",
            Kind::VolumeAttribute => "volume-attribute",
            Kind::VolumePool => "volume-pool",
            Kind::VolumeSource => "volume-source",
            Kind::VolumeUnfit => "volume-unfit",
            Kind::VolumeNumber => "volume-number",
            Kind::VolumeShared => "volume-shared",
            Kind::DirectoryShared => "directory-shared",
            Kind::UnsafePath => "unsafe-path",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
