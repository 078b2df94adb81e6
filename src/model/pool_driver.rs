//! The storage drivers of Qubes OS and the options of their pools (`docs/spec/r4-storage.md` §4).

/// A storage driver.
#[derive(Debug)]
pub struct PoolDriver {
    /// The name of the driver in the store.
    pub name: &'static str,
    /// The options of a pool, in upstream's order.
    pub options: &'static [&'static str],
    /// The options that a pool must have, in the order in which they are written.
    pub required_options: &'static [&'static str],
    /// The maximum number of revisions per volume; `None` if the driver keeps no revisions.
    pub max_revisions: Option<i64>,
}

/// The option that sets how many revisions are kept.
const REVISIONS: &str = "revisions_to_keep";
/// The option that makes volatile volumes ephemeral: encrypted with a key that is never stored.
const EPHEMERAL: &str = "ephemeral_volatile";

/// Every driver, sorted by name.
pub const POOL_DRIVERS: [PoolDriver; 6] = [
    PoolDriver {
        name: "callback",
        options: &["conf_id"],
        required_options: &["conf_id"],
        max_revisions: None,
    },
    PoolDriver {
        name: "file",
        options: &[REVISIONS, "dir_path", EPHEMERAL],
        required_options: &["dir_path"],
        max_revisions: Some(1),
    },
    PoolDriver {
        name: "file-reflink",
        options: &[REVISIONS, "dir_path", "setup_check", EPHEMERAL],
        required_options: &["dir_path"],
        max_revisions: Some(i64::MAX),
    },
    PoolDriver {
        name: "linux-kernel",
        options: &["dir_path"],
        required_options: &["dir_path"],
        max_revisions: None,
    },
    PoolDriver {
        name: "lvm_thin",
        options: &[REVISIONS, "volume_group", "thin_pool", EPHEMERAL],
        required_options: &["volume_group", "thin_pool"],
        max_revisions: Some(i64::MAX),
    },
    PoolDriver {
        name: "zfs",
        options: &[REVISIONS, "container", EPHEMERAL, "snap_on_start_forensics"],
        required_options: &["container"],
        max_revisions: Some(i64::MAX),
    },
];

impl PoolDriver {
    /// Returns the driver of this name.
    pub fn find(name: &str) -> Option<&'static PoolDriver> {
        POOL_DRIVERS.iter().find(|driver| driver.name == name)
    }

    /// Returns whether pools of the driver have the option.
    pub fn has_option(&self, option: &str) -> bool {
        self.options.contains(&option)
    }
}
