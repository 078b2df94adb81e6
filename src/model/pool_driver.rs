//! The storage drivers of Qubes OS and the options of their pools (`docs/spec/r4-storage.md` §4).
//!
//! One row per driver. Adding a pool, checking a store, help, completion and the drivers themselves
//! (`storage::pools`) read it.

/// The driver of the contributor's example, which opens and refuses everything else.
pub const EXAMPLE: &str = "example";
/// The driver whose images are written in place, with snapshots of the device mapper.
pub const FILE: &str = "file";
/// The driver whose images are files that share blocks.
pub const FILE_REFLINK: &str = "file-reflink";
/// The driver of dom0's kernels.
pub const LINUX_KERNEL: &str = "linux-kernel";
/// The driver whose images are logical volumes of a thin pool.
pub const LVM_THIN: &str = "lvm_thin";

/// A storage driver.
#[derive(Debug)]
pub struct DriverSpec {
    /// The name of the driver in the store.
    pub name: &'static str,
    /// The options of a pool, in upstream's order.
    pub options: &'static [DriverOption],
    /// The form of the volume ids in a pool.
    pub volume_ids: VolumeIds,
    /// The maximum number of revisions per volume; `None` if the driver keeps no revisions.
    pub max_revisions: Option<i64>,
    /// Whether the changes of a snapshot can be kept when its qube stops.
    pub keeps_changes_of_snapshots: bool,
    /// Whether an unknown size of a pool is listed as 0, as upstream does.
    pub lists_unknown_size: bool,
}

/// An option of the pools of a driver.
#[derive(Debug)]
pub struct DriverOption {
    /// The name of the option in the store.
    pub name: &'static str,
    /// What the value is.
    pub value: OptionValue,
    /// Whether the option of an existing pool can be changed.
    pub is_settable: bool,
}

/// The kind of an option's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionValue {
    /// A text that a new pool must have.
    Text,
    /// The absolute path of a directory that a new pool must have.
    Directory,
    /// How many revisions are kept.
    Revisions,
    /// A flag that is stored only if it is true: every release up to 4.4.0 reads the text `False`
    /// as true.
    Flag,
    /// A boolean that is used only while the pool is set up, and not saved, as in upstream.
    SetupFlag,
}

/// The form of the ids of the volumes in a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VolumeIds {
    /// A path in the pool's directory: `appvms/QUBE/VOLUME`.
    File,
    /// A logical volume: `GROUP/vm-QUBE-VOLUME`.
    Logical,
    /// A dataset: `CONTAINER/QUBE/VOLUME`.
    Dataset,
    /// The version of a kernel. Kernels are read-only and belong to no qube.
    Kernel,
    /// Those of the driver that this one wraps, whose options are in a separate file.
    Wrapped,
}

const fn option(name: &'static str, value: OptionValue) -> DriverOption {
    DriverOption {
        name,
        value,
        is_settable: false,
    }
}

const DIRECTORY: DriverOption = option("dir_path", OptionValue::Directory);
const REVISIONS: DriverOption = DriverOption {
    is_settable: true,
    ..option("revisions_to_keep", OptionValue::Revisions)
};
/// Makes volatile volumes ephemeral: encrypted with a key that is never stored.
const EPHEMERAL: DriverOption = DriverOption {
    is_settable: true,
    ..option("ephemeral_volatile", OptionValue::Flag)
};

/// The names of the options that can be changed, of whichever driver.
pub const SETTABLE_OPTIONS: [&str; 2] = [REVISIONS.name, EPHEMERAL.name];

/// Every driver, sorted by name.
pub const DRIVERS: [DriverSpec; 7] = [
    DriverSpec {
        name: "callback",
        options: &[option("conf_id", OptionValue::Text)],
        volume_ids: VolumeIds::Wrapped,
        max_revisions: None,
        keeps_changes_of_snapshots: true,
        lists_unknown_size: false,
    },
    DriverSpec {
        name: EXAMPLE,
        options: &[DIRECTORY],
        volume_ids: VolumeIds::File,
        max_revisions: None,
        keeps_changes_of_snapshots: false,
        lists_unknown_size: false,
    },
    DriverSpec {
        name: FILE,
        options: &[REVISIONS, DIRECTORY, EPHEMERAL],
        volume_ids: VolumeIds::File,
        max_revisions: Some(1),
        keeps_changes_of_snapshots: false,
        lists_unknown_size: true,
    },
    DriverSpec {
        name: FILE_REFLINK,
        options: &[
            REVISIONS,
            DIRECTORY,
            option("setup_check", OptionValue::SetupFlag),
            EPHEMERAL,
        ],
        volume_ids: VolumeIds::File,
        max_revisions: Some(i64::MAX),
        keeps_changes_of_snapshots: true,
        lists_unknown_size: false,
    },
    DriverSpec {
        name: LINUX_KERNEL,
        options: &[DIRECTORY],
        volume_ids: VolumeIds::Kernel,
        max_revisions: None,
        keeps_changes_of_snapshots: false,
        lists_unknown_size: false,
    },
    DriverSpec {
        name: LVM_THIN,
        options: &[
            REVISIONS,
            option("volume_group", OptionValue::Text),
            option("thin_pool", OptionValue::Text),
            EPHEMERAL,
        ],
        volume_ids: VolumeIds::Logical,
        max_revisions: Some(i64::MAX),
        keeps_changes_of_snapshots: true,
        lists_unknown_size: true,
    },
    DriverSpec {
        name: "zfs",
        options: &[
            REVISIONS,
            option("container", OptionValue::Text),
            EPHEMERAL,
            option("snap_on_start_forensics", OptionValue::Flag),
        ],
        volume_ids: VolumeIds::Dataset,
        max_revisions: Some(i64::MAX),
        keeps_changes_of_snapshots: true,
        lists_unknown_size: true,
    },
];

impl DriverSpec {
    /// Returns the driver of this name.
    pub fn find(name: &str) -> Option<&'static DriverSpec> {
        DRIVERS.iter().find(|driver| driver.name == name)
    }

    /// Returns whether the volumes in pools of the driver `name` are kernels.
    pub fn has_kernels(name: &str) -> bool {
        DriverSpec::find(name).is_some_and(|driver| driver.volume_ids == VolumeIds::Kernel)
    }

    /// Returns the names of all drivers.
    pub fn names() -> impl Iterator<Item = &'static str> {
        DRIVERS.iter().map(|driver| driver.name)
    }

    /// Returns the option of this name.
    pub fn option(&self, name: &str) -> Option<&'static DriverOption> {
        self.options.iter().find(|option| option.name == name)
    }

    /// Returns the names of the options, in upstream's order.
    pub fn option_names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.options.iter().map(|option| option.name)
    }

    /// Returns the options that a pool must have, in the order in which they are written.
    pub fn required_options(&self) -> impl Iterator<Item = &'static DriverOption> + use<> {
        self.options.iter().filter(|option| option.is_required())
    }
}

impl DriverOption {
    /// Returns whether every pool of the driver has the option.
    pub fn is_required(&self) -> bool {
        matches!(self.value, OptionValue::Text | OptionValue::Directory)
    }
}
