//! A hypervisor whose connection is opened at the first call, or never in offline mode.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use uuid::Uuid;

use super::libvirt::LibvirtHypervisor;
use super::{AttachedDisk, DomainStatus, Hypervisor, HypervisorError, Outcome, StoreIdentity};

/// A hypervisor that connects to libvirt at the first call. In offline mode every call returns
/// [`HypervisorError::Offline`].
#[derive(Debug)]
pub struct LazyHypervisor {
    libvirt: LibvirtHypervisor,
    offline: bool,
}

impl LazyHypervisor {
    /// Creates the hypervisor at `uri` without opening a connection.
    pub fn new(uri: impl Into<String>) -> LazyHypervisor {
        LazyHypervisor {
            libvirt: LibvirtHypervisor::new(uri),
            offline: false,
        }
    }

    /// Limits the domains to those of one store.
    pub fn for_store(self, identity: StoreIdentity) -> LazyHypervisor {
        LazyHypervisor {
            libvirt: self.libvirt.for_store(identity),
            ..self
        }
    }

    /// Creates the hypervisor of offline mode, which never connects to `uri`.
    pub fn offline(uri: impl Into<String>) -> LazyHypervisor {
        LazyHypervisor {
            libvirt: LibvirtHypervisor::new(uri),
            offline: true,
        }
    }

    /// Returns the hypervisor, or an error with `purpose` ("starting a qube") in offline mode.
    fn require_online(&self, purpose: &'static str) -> Result<&LibvirtHypervisor, HypervisorError> {
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
        self.require_online("the state of the qubes")?.states()
    }

    fn state(&self, uuid: Uuid) -> Result<Option<DomainStatus>, HypervisorError> {
        self.require_online("the state of a qube")?.state(uuid)
    }

    fn create_paused(&self, uuid: Uuid, xml: &str) -> Result<(), HypervisorError> {
        self.require_online("starting a qube")?
            .create_paused(uuid, xml)
    }

    fn resume(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.require_online("unpausing a qube")?.resume(uuid)
    }

    fn pause(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.require_online("pausing a qube")?.pause(uuid)
    }

    fn suspend(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.require_online("suspending a qube")?.suspend(uuid)
    }

    fn wake_up(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.require_online("waking a qube")?.wake_up(uuid)
    }

    fn shutdown(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.require_online("shutting down a qube")?.shutdown(uuid)
    }

    fn destroy(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.require_online("killing a qube")?.destroy(uuid)
    }

    fn undefine(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.require_online("removing a domain")?.undefine(uuid)
    }

    fn resize_disk(
        &self,
        uuid: Uuid,
        source: &Path,
        bytes: u64,
    ) -> Result<Outcome, HypervisorError> {
        self.require_online("resizing a disk")?
            .resize_disk(uuid, source, bytes)
    }

    fn free_memory_mib(&self) -> Result<u64, HypervisorError> {
        self.require_online("the free memory")?.free_memory_mib()
    }

    fn disks(&self, uuid: Uuid) -> Result<Option<Vec<AttachedDisk>>, HypervisorError> {
        self.require_online("the disks of a qube")?.disks(uuid)
    }

    fn disks_in_use(&self) -> Result<Vec<(Uuid, AttachedDisk)>, HypervisorError> {
        self.require_online("the disks of the domains")?
            .disks_in_use()
    }

    fn attach_disk(&self, uuid: Uuid, xml: &str) -> Result<Outcome, HypervisorError> {
        self.require_online("attaching a disk")?
            .attach_disk(uuid, xml)
    }

    fn detach_disk(&self, uuid: Uuid, target: &str) -> Result<Outcome, HypervisorError> {
        self.require_online("detaching a disk")?
            .detach_disk(uuid, target)
    }

    fn wait_while(
        &self,
        uuid: Uuid,
        limit: Option<Duration>,
        keep_waiting: &mut dyn FnMut() -> bool,
    ) -> Result<bool, HypervisorError> {
        self.require_online("waiting for a qube")?
            .wait_while(uuid, limit, keep_waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_in_offline_mode_is_an_error_with_its_purpose() {
        let hypervisor = LazyHypervisor::offline("qemu:///system");
        let error = hypervisor.states().unwrap_err();
        assert_eq!(
            error.to_string(),
            "offline mode: the state of the qubes needs the hypervisor; \
             run it without --offline-mode and QUBES_OFFLINE"
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
