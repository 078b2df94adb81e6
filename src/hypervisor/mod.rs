//! The lazy connection, libvirt behind it, domain XML from templates.

mod connection;
pub mod description;
mod device_xml;
mod domain;
mod events;
pub mod kvm;
pub mod lazy;
pub mod libvirt;
pub mod owner;
pub mod qmemman;
pub mod store_identity;
pub mod toolstack;
pub mod uri;
pub mod xenstore;
pub mod xml;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use uuid::Uuid;

pub use description::{Accelerator, DomainDescription};
pub use kvm::choose_accelerator;
pub use lazy::LazyHypervisor;
pub use libvirt::LibvirtHypervisor;
pub use owner::owner_for_image;
pub use store_identity::StoreIdentity;
pub use uri::{Family, UriFacts, choose_uri};
pub use xml::Templates;

use crate::model::PowerState;

/// What a hypervisor says of one domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DomainStatus {
    /// Power state of the domain.
    pub state: PowerState,
    /// The hypervisor's number of the running domain.
    pub id: Option<u32>,
    /// Memory the domain has now, KiB.
    pub memory_kib: u64,
    /// Memory it may have, KiB.
    pub max_memory_kib: u64,
    /// Number of virtual processors.
    pub vcpus: u32,
    /// Processor time used, nanoseconds.
    pub cpu_time_ns: u64,
}

/// A disk that a running domain has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedDisk {
    /// Its name in the domain's description: `xvdi`, `vdi`.
    pub target: String,
    /// The file or device of the backend that its data lie in; none for an empty drive.
    pub source: Option<PathBuf>,
}

/// What came of an order to a domain that may have gone meanwhile: gone is a normal case, no error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The domain was there and did as ordered.
    Done,
    /// There is no such domain, or it does not run.
    Absent,
}

/// Why the hypervisor could not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HypervisorError {
    /// Offline mode forbids asking the hypervisor; holds what would have needed it.
    #[error(
        "offline mode: {0} needs the hypervisor; run it without --offline-mode and QUBES_OFFLINE"
    )]
    Offline(&'static str),
    /// `libvirt.so.0` cannot be opened; holds the loader's reason.
    #[error("libvirt is not installed ({0}); install the package that brings libvirt.so.0")]
    NoLibrary(String),
    /// No connection can be opened, or an open one was lost.
    #[error("cannot reach the hypervisor at {uri}: {reason}")]
    Unreachable {
        /// URI of the connection.
        uri: String,
        /// What libvirt says, with a hint where there is one.
        reason: String,
    },
    /// A template of domain XML is missing, cannot be read, or cannot be rendered.
    #[error("template {template}: {reason}")]
    Template {
        /// Name of the template, for example `libvirt/xen.xml`.
        template: String,
        /// What is wrong with the template, on one line.
        reason: String,
    },
    /// A domain of another store, of which this store is a copy, runs under the UUID.
    #[error(
        "cannot start domain {uuid}: {name} runs under the same uuid and belongs to another store, of which this one is a \
         copy; shut it down there first"
    )]
    SameUuid {
        /// UUID of the domain that was to be started.
        uuid: Uuid,
        /// Name of the domain that runs.
        name: String,
    },
    /// The operation failed, in libvirt or in its preparation.
    #[error("libvirt refused to {action}: {reason}")]
    Refused {
        /// The operation with its object, as in "start domain UUID".
        action: String,
        /// Why it failed.
        reason: String,
    },
    /// The domain's QEMU did not answer in time.
    #[error("cannot {action}: no answer within {seconds} s; if its QEMU hangs, qvm-kill ends it")]
    NoAnswer {
        /// The operation with its object, as in "start domain UUID".
        action: String,
        /// How long the answer was waited for, in seconds.
        seconds: u64,
    },
}

/// The conversation with one hypervisor. Every domain is named by the uuid that qubes.xml holds.
pub trait Hypervisor {
    /// The connection's URI, as the record of a start keeps it.
    fn uri(&self) -> &str;

    /// The state of all domains of our store that run. A uuid that is not among them is Halted.
    /// Does not wait for a domain that does not answer.
    fn states(&self) -> Result<HashMap<Uuid, DomainStatus>, HypervisorError>;

    /// The state of one domain; `None` when it is not defined, or is another store's.
    fn state(&self, uuid: Uuid) -> Result<Option<DomainStatus>, HypervisorError>;

    /// Defines the domain from `xml`, replacing a stale definition of the same uuid or name, and
    /// creates it paused.
    fn create_paused(&self, uuid: Uuid, xml: &str) -> Result<(), HypervisorError>;

    /// Lets a paused domain run.
    fn resume(&self, uuid: Uuid) -> Result<Outcome, HypervisorError>;

    /// Stops the processors of a running domain.
    fn pause(&self, uuid: Uuid) -> Result<Outcome, HypervisorError>;

    /// Sends the guest to sleep (S3); one that cannot sleep is paused.
    fn suspend(&self, uuid: Uuid) -> Result<Outcome, HypervisorError>;

    /// Wakes a guest that sleeps.
    fn wake_up(&self, uuid: Uuid) -> Result<Outcome, HypervisorError>;

    /// Asks the guest to power off (ACPI, or xenstore under Xen). Returns when it was asked, not
    /// when it is gone.
    fn shutdown(&self, uuid: Uuid) -> Result<Outcome, HypervisorError>;

    /// Ends the domain at once. Done: it ran and does not any more, whoever ended it.
    fn destroy(&self, uuid: Uuid) -> Result<Outcome, HypervisorError>;

    /// Forgets the definition of a domain that does not run.
    fn undefine(&self, uuid: Uuid) -> Result<Outcome, HypervisorError>;

    /// Tells a running domain that the file or device `source`, which is one of its disks, has
    /// `bytes` bytes now.
    fn resize_disk(
        &self,
        uuid: Uuid,
        source: &Path,
        bytes: u64,
    ) -> Result<Outcome, HypervisorError>;

    /// Memory that no domain has, MiB.
    fn free_memory_mib(&self) -> Result<u64, HypervisorError>;

    /// The disks of a running domain; `None` when it does not run.
    fn disks(&self, uuid: Uuid) -> Result<Option<Vec<AttachedDisk>>, HypervisorError>;

    /// Every disk of every running domain, with its domain: also of domains that are no qubes of
    /// ours.
    fn disks_in_use(&self) -> Result<Vec<(Uuid, AttachedDisk)>, HypervisorError>;

    /// Gives a running domain the disk that `xml` describes, until it stops.
    fn attach_disk(&self, uuid: Uuid, xml: &str) -> Result<Outcome, HypervisorError>;

    /// Asks a running domain to let go of the disk `target`, which may take the guest a moment:
    /// gone it is when [`Hypervisor::disks`] no longer has it.
    fn detach_disk(&self, uuid: Uuid, target: &str) -> Result<Outcome, HypervisorError>;

    /// Waits until the domain does not run, by the hypervisor's events (registered before the first
    /// look at the state), at most for `limit`, and as long as `goes_on`, asked at every event of
    /// the domain and now and then while it runs, says so. False when it still runs. A lost
    /// connection is an error, not a stop.
    fn wait_while(
        &self,
        uuid: Uuid,
        limit: Option<Duration>,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Result<bool, HypervisorError>;

    /// Waits until the domain does not run, at most for `limit`. False when the time ran out.
    fn wait_until_inactive(
        &self,
        uuid: Uuid,
        limit: Option<Duration>,
    ) -> Result<bool, HypervisorError> {
        self.wait_while(uuid, limit, &mut || true)
    }
}
