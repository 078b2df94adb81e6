//! The kinds of findings, as words for scripts and summaries.

use std::fmt;

/// The kind of a finding. Prints as the word of `qubes-db check --json`; `docs/repair.md` lists
/// what a repair does about each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FindingKind {
    /// The file is not well-formed XML, or not a store at all.
    Form,
    /// The store is one of R1 to R3.
    OldFormat,
    /// A label's id is not `label-N`.
    LabelNumber,
    /// Two labels have one name or number.
    LabelTwice,
    /// A pool has no name.
    PoolName,
    /// Two pools have one name.
    PoolTwice,
    /// A pool has no driver, or one that Qubes OS does not include.
    PoolDriver,
    /// A pool option is missing, unknown or invalid.
    PoolOption,
    /// A pool flag is `False`, which upstream reads as true.
    PoolFlag,
    /// One image can belong to two pools.
    PoolOverlap,
    /// A qube needs `default_kernel`, and it is not set.
    DefaultKernel,
    /// dom0 is missing or has no label.
    NoDom0,
    /// A qube's name is missing or invalid.
    QubeName,
    /// Two qubes have one name.
    QubeNameTwice,
    /// A qube's class is unknown.
    UnknownClass,
    /// The release does not know the class, property or attribute yet.
    TooNew,
    /// The class, or the system, does not have the property.
    UnknownProperty,
    /// A computed property is stored.
    ComputedProperty,
    /// A property is stored twice.
    PropertyTwice,
    /// A property, feature or tag has no name.
    Nameless,
    /// A required property is not set.
    MissingProperty,
    /// The value of a property is invalid.
    BadValue,
    /// A reference to a qube, label or pool that does not exist.
    Dangling,
    /// A reference to an unsuitable qube: a template of the wrong class, a netvm without network.
    Unfit,
    /// The netvms of a qube lead back to it.
    NetvmLoop,
    /// A reference to a qube that is not a template for disposables.
    NotForDisposables,
    /// Two qubes have one qid.
    QidTwice,
    /// Two qubes have one UUID.
    UuidTwice,
    /// Two disposables have one dispid.
    DispidTwice,
    /// A tag has invalid characters.
    BadTag,
    /// A feature has a value that qubesd cannot use.
    BadFeature,
    /// The backend of a device assignment does not exist.
    DeviceBackend,
    /// The mode of a device assignment is invalid or unknown to the release.
    DeviceMode,
    /// A device assignment names an identity, and the release ignores it.
    DeviceIdentity,
    /// The port of a PCI device is invalid.
    DevicePort,
    /// A device is assigned twice.
    DeviceTwice,
    /// A volume flag is `False`, which upstream reads as true.
    VolumeFlag,
    /// A volume attribute is unknown.
    VolumeAttribute,
    /// The pool of a volume does not exist.
    VolumePool,
    /// The source of a snapshot is missing.
    VolumeSource,
    /// The pool cannot hold the volume.
    VolumeUnfit,
    /// A number of a volume is invalid.
    VolumeNumber,
    /// Two volumes have one image.
    VolumeShared,
    /// Two qubes have one directory for files beside the images.
    DirectoryShared,
    /// A path contains `..`, or a vid is not a path inside its pool.
    UnsafePath,
}

impl FindingKind {
    /// All kinds, in the order in which the store holds their subjects.
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

    /// Returns the word for the kind.
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
