//! Storage pools as the store has them (`docs/spec/r4-xml.md` §1.2, `docs/spec/r4-storage.md` §4).

use super::boolean::BooleanDialect;
use super::pool_driver::{DriverSpec, VolumeIds};
use super::text_map::TextMap;

/// One `<pool>` element: its attributes verbatim, `name` and `driver` among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pool {
    /// The attributes in the order of the file.
    pub attributes: TextMap,
}

impl Pool {
    /// Returns whether volatile volumes are ephemeral by default: encrypted with a key that is
    /// never stored.
    pub fn ephemeral_volatile(&self) -> bool {
        self.option("ephemeral_volatile")
            .is_some_and(|text| BooleanDialect::PoolFlag.is_true(text))
    }

    /// Returns the name; empty if the element has none.
    pub fn name(&self) -> &str {
        self.attributes.get("name").unwrap_or_default()
    }

    /// Returns the driver: `file-reflink`, `file`, `lvm_thin`, `linux-kernel`, …; empty if the
    /// element names none.
    pub fn driver(&self) -> &str {
        self.attributes.get("driver").unwrap_or_default()
    }

    /// Returns the row of the pool's driver; `None` for a driver that Qubes OS does not have.
    pub fn driver_spec(&self) -> Option<&'static DriverSpec> {
        DriverSpec::find(self.driver())
    }

    /// Returns the form of the volume ids in the pool; `None` if its driver is unknown.
    pub fn volume_ids(&self) -> Option<VolumeIds> {
        self.driver_spec().map(|driver| driver.volume_ids)
    }

    /// Returns whether the volumes in the pool are kernels.
    pub fn has_kernels(&self) -> bool {
        self.volume_ids() == Some(VolumeIds::Kernel)
    }

    /// Returns whether the pool keeps the volumes of qubes in files below its directory.
    pub fn has_files(&self) -> bool {
        self.volume_ids() == Some(VolumeIds::File)
    }

    /// Returns an option of the driver.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.attributes.get(name)
    }

    /// Returns how many revisions a volume keeps by default: 1 if the pool does not say, −1 for no
    /// snapshots at all.
    pub fn revisions_to_keep(&self) -> i64 {
        self.option("revisions_to_keep")
            .and_then(|n| n.trim().parse().ok())
            .unwrap_or(1)
    }
}

/// The pools of a system in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pools(pub Vec<Pool>);

impl Pools {
    /// Returns the first pool of this name.
    pub fn get(&self, name: &str) -> Option<&Pool> {
        self.0.iter().find(|p| p.name() == name)
    }

    /// Iterates over the pools in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Pool> {
        self.0.iter()
    }
}
