//! The hypervisor: libvirt behind a lazy connection, and domain XML from templates.

pub mod description;
pub mod kvm;
pub mod libvirt;
pub mod owner;
pub mod qmemman;
pub mod store_identity;
pub mod toolstack;
pub mod uri;
pub mod xenstore;
pub mod xml;

use std::path::PathBuf;

use uuid::Uuid;

pub use description::{Accelerator, DomainDescription};
pub use kvm::choose_accelerator;
pub use libvirt::Hypervisor;
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
    #[error("cannot {action}: no answer within {seconds} s")]
    NoAnswer {
        /// The operation with its object, as in "start domain UUID".
        action: String,
        /// The time limit, in seconds.
        seconds: u64,
    },
}
