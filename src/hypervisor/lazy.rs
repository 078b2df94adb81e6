//! The hypervisor that nobody has talked to yet.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use uuid::Uuid;

use super::libvirt::LibvirtHypervisor;
use super::{AttachedDisk, DomainStatus, Hypervisor, HypervisorError, Outcome, StoreIdentity};

/// libvirt, opened when first asked; in offline mode every question is an error that says so.
#[derive(Debug)]
pub struct LazyHypervisor {
    libvirt: LibvirtHypervisor,
    offline: bool,
}

impl LazyHypervisor {
    /// The hypervisor at `uri`. Nothing is opened.
    pub fn new(uri: impl Into<String>) -> LazyHypervisor {
        LazyHypervisor {
            libvirt: LibvirtHypervisor::new(uri),
            offline: false,
        }
    }

    /// Takes only domains of this store for those of its qubes.
    pub fn for_store(self, identity: StoreIdentity) -> LazyHypervisor {
        LazyHypervisor {
            libvirt: self.libvirt.for_store(identity),
            ..self
        }
    }

    /// The hypervisor that would be at `uri`, were we not offline.
    pub fn offline(uri: impl Into<String>) -> LazyHypervisor {
        LazyHypervisor {
            libvirt: LibvirtHypervisor::new(uri),
            offline: true,
        }
    }

    /// The hypervisor, unless we are offline; `purpose` says what for, as in "starting a qube".
    fn online(&self, purpose: &'static str) -> Result<&LibvirtHypervisor, HypervisorError> {
        if self.offline {
            Err(HypervisorError::Offline(purpose))
        } else {
            Ok(&self.libvirt)
        }
    }
}

impl Hypervisor for LazyHypervisor {
    fn uri(&self) -> &str {
        self.libvirt.uri()
    }

    fn states(&self) -> Result<HashMap<Uuid, DomainStatus>, HypervisorError> {
        self.online("the state of the qubes")?.states()
    }

    fn state(&self, uuid: Uuid) -> Result<Option<DomainStatus>, HypervisorError> {
        self.online("the state of a qube")?.state(uuid)
    }

    fn create_paused(&self, uuid: Uuid, xml: &str) -> Result<(), HypervisorError> {
        self.online("starting a qube")?.create_paused(uuid, xml)
    }

    fn resume(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.online("unpausing a qube")?.resume(uuid)
    }

    fn pause(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.online("pausing a qube")?.pause(uuid)
    }

    fn suspend(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.online("suspending a qube")?.suspend(uuid)
    }

    fn wake_up(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.online("waking a qube")?.wake_up(uuid)
    }

    fn shutdown(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.online("shutting down a qube")?.shutdown(uuid)
    }

    fn destroy(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.online("killing a qube")?.destroy(uuid)
    }

    fn undefine(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.online("removing a domain")?.undefine(uuid)
    }

    fn resize_disk(
        &self,
        uuid: Uuid,
        source: &Path,
        bytes: u64,
    ) -> Result<Outcome, HypervisorError> {
        self.online("resizing a disk")?
            .resize_disk(uuid, source, bytes)
    }

    fn free_memory_mib(&self) -> Result<u64, HypervisorError> {
        self.online("the free memory")?.free_memory_mib()
    }

    fn disks(&self, uuid: Uuid) -> Result<Option<Vec<AttachedDisk>>, HypervisorError> {
        self.online("the disks of a qube")?.disks(uuid)
    }

    fn disks_in_use(&self) -> Result<Vec<(Uuid, AttachedDisk)>, HypervisorError> {
        self.online("the disks of the domains")?.disks_in_use()
    }

    fn attach_disk(&self, uuid: Uuid, xml: &str) -> Result<Outcome, HypervisorError> {
        self.online("attaching a disk")?.attach_disk(uuid, xml)
    }

    fn detach_disk(&self, uuid: Uuid, target: &str) -> Result<Outcome, HypervisorError> {
        self.online("detaching a disk")?.detach_disk(uuid, target)
    }

    fn wait_while(
        &self,
        uuid: Uuid,
        limit: Option<Duration>,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Result<bool, HypervisorError> {
        self.online("waiting for a qube")?
            .wait_while(uuid, limit, goes_on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offline_every_question_says_so() {
        let hypervisor = LazyHypervisor::offline("qemu:///system");
        let error = hypervisor.states().unwrap_err();
        assert_eq!(
            error.to_string(),
            "offline mode: the state of the qubes needs the hypervisor; run it without --offline-mode and QUBES_OFFLINE"
        );
        assert!(matches!(
            hypervisor.create_paused(Uuid::nil(), "<domain/>"),
            Err(HypervisorError::Offline(_))
        ));
        assert!(matches!(
            hypervisor.destroy(Uuid::nil()),
            Err(HypervisorError::Offline(_))
        ));
        assert_eq!(hypervisor.uri(), "qemu:///system");
    }
}
