//! The storage drivers that Qubes OS brings along, and the options of their pools
//! (`docs/spec/r4-storage.md` §4).

/// One driver.
#[derive(Debug)]
pub struct PoolDriver {
    pub name: &'static str,
    /// Its options in the order in which upstream lists them.
    pub options: &'static [&'static str],
    /// Those among them that a pool must have, in the order in which they are written down.
    pub required_options: &'static [&'static str],
    /// How many revisions a pool's volumes may keep at most; none: they keep no revisions at all.
    pub max_revisions: Option<i64>,
}

/// How many revisions a pool may keep.
const REVISIONS: &str = "revisions_to_keep";
/// Whether a pool's volatile volumes are encrypted with a key nobody keeps.
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
    /// The driver of this name.
    pub fn find(name: &str) -> Option<&'static PoolDriver> {
        POOL_DRIVERS.iter().find(|driver| driver.name == name)
    }

    pub fn has_option(&self, option: &str) -> bool {
        self.options.contains(&option)
    }
}
