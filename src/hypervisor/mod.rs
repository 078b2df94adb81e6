//! The hypervisor: the trait, its implementation on libvirt behind a lazy connection, and domain
//! XML from templates.

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

/// The status of one domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DomainStatus {
    /// Power state of the domain.
    pub state: PowerState,
    /// The ID of the running domain (Xen's domid).
    pub id: Option<u32>,
    /// Current memory, KiB.
    pub memory_kib: u64,
    /// Maximum memory, KiB.
    pub max_memory_kib: u64,
    /// Number of virtual processors.
    pub vcpus: u32,
    /// Used CPU time, nanoseconds.
    pub cpu_time_ns: u64,
}

/// A disk of a running domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedDisk {
    /// The target in the domain XML: `xvdi`, `vdi`.
    pub target: String,
    /// The file or device in the backend; `None` for an empty drive.
    pub source: Option<PathBuf>,
}

/// The outcome of an operation on a domain. A domain that has stopped meanwhile is a normal case,
/// not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The operation was done.
    Done,
    /// The domain is not defined or does not run.
    Absent,
}

/// An error of the hypervisor or of the connection to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HypervisorError {
    /// Offline mode has no hypervisor; holds the operation that needs it.
    #[error(
        "offline mode: {0} needs the hypervisor; run it without --offline-mode and QUBES_OFFLINE"
    )]
    Offline(&'static str),
    /// `libvirt.so.0` cannot be opened; holds the loader's reason.
    #[error("libvirt is not installed ({0}); install the package that provides libvirt.so.0")]
    NoLibrary(String),
    /// No connection can be opened, or an open one was lost.
    #[error("cannot reach the hypervisor at {uri}: {reason}")]
    Unreachable {
        /// URI of the connection.
        uri: String,
        /// libvirt's message, with a hint if there is one.
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
        "cannot start domain {uuid}: {name} runs under the same uuid and belongs to another store, \
         of which this one is a copy; shut it down there first"
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
    #[error("cannot {action}: no answer within {seconds} s; if its QEMU hangs, run qvm-kill")]
    NoAnswer {
        /// The operation with its object, as in "start domain UUID".
        action: String,
        /// The time limit, in seconds.
        seconds: u64,
    },
}

/// Operations on the domains of one hypervisor. A domain is identified by its uuid in qubes.xml.
pub trait Hypervisor {
    /// Returns the URI of the connection, as the record of a started qube stores it.
    fn uri(&self) -> &str;

    /// Returns the status of all running domains of our store. A domain that is not listed is
    /// halted. Does not wait for a domain that does not answer.
    fn states(&self) -> Result<HashMap<Uuid, DomainStatus>, HypervisorError>;

    /// Returns the status of one domain; `None` if it is not defined or belongs to another store.
    fn state(&self, uuid: Uuid) -> Result<Option<DomainStatus>, HypervisorError>;

    /// Defines the domain from `xml`, replacing a stale definition of the same uuid or name, and
    /// starts it paused.
    fn create_paused(&self, uuid: Uuid, xml: &str) -> Result<(), HypervisorError>;

    /// Resumes a paused domain.
    fn resume(&self, uuid: Uuid) -> Result<Outcome, HypervisorError>;

    /// Pauses a running domain.
    fn pause(&self, uuid: Uuid) -> Result<Outcome, HypervisorError>;

    /// Suspends the guest to RAM (S3); pauses it if it cannot suspend.
    fn suspend(&self, uuid: Uuid) -> Result<Outcome, HypervisorError>;

    /// Wakes a suspended guest.
    fn wake_up(&self, uuid: Uuid) -> Result<Outcome, HypervisorError>;

    /// Asks the guest to power off (ACPI, or xenstore under Xen). Returns once it is asked, not
    /// once it is off.
    fn shutdown(&self, uuid: Uuid) -> Result<Outcome, HypervisorError>;

    /// Kills the domain at once. [`Outcome::Done`] if it ran and has stopped, whoever stopped it.
    fn destroy(&self, uuid: Uuid) -> Result<Outcome, HypervisorError>;

    /// Removes the definition of a domain that does not run.
    fn undefine(&self, uuid: Uuid) -> Result<Outcome, HypervisorError>;

    /// Tells a running domain the new size, in bytes, of its disk with the file or device `source`.
    fn resize_disk(
        &self,
        uuid: Uuid,
        source: &Path,
        bytes: u64,
    ) -> Result<Outcome, HypervisorError>;

    /// Returns the free memory of the host, MiB.
    fn free_memory_mib(&self) -> Result<u64, HypervisorError>;

    /// Returns the disks of a running domain; `None` if it does not run.
    fn disks(&self, uuid: Uuid) -> Result<Option<Vec<AttachedDisk>>, HypervisorError>;

    /// Returns every disk of every running domain, including domains that are not qubes of this
    /// store.
    fn disks_in_use(&self) -> Result<Vec<(Uuid, AttachedDisk)>, HypervisorError>;

    /// Attaches the disk that `xml` describes to a running domain until it stops.
    fn attach_disk(&self, uuid: Uuid, xml: &str) -> Result<Outcome, HypervisorError>;

    /// Asks a running domain to detach the disk `target`. The guest may take a moment: the disk is
    /// detached once [`Hypervisor::disks`] no longer lists it.
    fn detach_disk(&self, uuid: Uuid, target: &str) -> Result<Outcome, HypervisorError>;

    /// Waits for the hypervisor's events until the domain does not run. Returns false if it still
    /// runs after `limit`, or once `keep_waiting` returns false; that is called at every event of
    /// the domain, and periodically while it runs.
    ///
    /// # Errors
    /// The connection is lost: that does not mean that the domain has stopped.
    fn wait_while(
        &self,
        uuid: Uuid,
        limit: Option<Duration>,
        keep_waiting: &mut dyn FnMut() -> bool,
    ) -> Result<bool, HypervisorError>;

    /// Waits until the domain does not run. Returns false if it still runs after `limit`.
    fn wait_until_inactive(
        &self,
        uuid: Uuid,
        limit: Option<Duration>,
    ) -> Result<bool, HypervisorError> {
        self.wait_while(uuid, limit, &mut || true)
    }
}
