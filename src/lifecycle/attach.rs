//! Disks that come and go while a qube runs. Nothing of it is stored: with the domain they are
//! gone.

use std::thread;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::hypervisor::uri::Family;
use crate::hypervisor::{LiveDisk, Outcome};
use crate::model::VmName;

use super::drive::Drive;
use super::reconcile::QubeState;
use super::required_devices::NO_FREE_DISK_NAME;
use super::start::{attach_loop_device, find_qube};
use super::{LifecycleError, Session};

/// How long a guest may take to let go of a disk.
const PATIENCE: Duration = Duration::from_secs(30);

impl Session {
    /// The disks of a running qube, its volumes among them.
    pub fn disks(&self, name: &VmName) -> Result<Vec<LiveDisk>, LifecycleError> {
        let uuid = self.uuid_of(name)?;
        self.hypervisor()
            .disks(uuid)?
            .ok_or_else(|| LifecycleError::NotRunning(name.clone()))
    }

    /// Gives a running qube a drive of dom0's under the first free name from `i` on. Returns the
    /// name.
    ///
    /// # Errors
    /// The qube does not run, the drive does not exist, or the hypervisor refuses.
    pub fn attach_drive(&self, name: &VmName, drive: &Drive) -> Result<String, LifecycleError> {
        let uuid = self.uuid_of(name)?;
        let lock = self.lock_qube(name)?;
        let not_running = || LifecycleError::NotRunning(name.clone());
        let QubeState::Active(_) = self.reconcile(&lock)? else {
            return Err(not_running());
        };
        let taken = self.hypervisor().disks(uuid)?.ok_or_else(not_running)?;
        let is_free = |letter: &char| !taken.iter().any(|disk| disk.target.ends_with(*letter));
        let full = || drive.refused(NO_FREE_DISK_NAME);
        let letter = ('i'..='z').find(is_free).ok_or_else(full)?;
        let family = Family::of_uri(self.hypervisor().uri());
        let mut device = drive.device(family, letter)?;
        let loops = match family {
            Family::Xen => attach_loop_device(&mut device)?,
            Family::Qemu => None,
        };
        let outcome = self
            .hypervisor()
            .attach_disk(uuid, &self.disk_xml(&device)?)?;
        if outcome == Outcome::Absent {
            return Err(not_running());
        }
        self.release_loop_devices(uuid, loops.into_iter().collect())?;
        let now = self.hypervisor().disks(uuid)?.unwrap_or_default();
        let given = now.into_iter().find(|disk| disk.target.ends_with(letter));
        given.map(|disk| disk.target).ok_or_else(not_running)
    }

    /// Takes a disk from a running qube that is none of its volumes, and waits until the guest let
    /// go of it.
    ///
    /// # Errors
    /// It has no such disk, or the guest holds on to it.
    pub fn detach_drive(&self, name: &VmName, target: &str) -> Result<(), LifecycleError> {
        let uuid = self.uuid_of(name)?;
        let refused = |reason: &str| LifecycleError::Drive {
            drive: format!("{name}:{target}"),
            reason: reason.to_string(),
        };
        let is_volume = target.chars().last().is_none_or(|letter| letter < 'i');
        if is_volume || !self.disks(name)?.iter().any(|disk| disk.target == target) {
            return Err(refused("no such disk was attached to the qube"));
        }
        {
            let _others_wait = self.lock_qube(name)?;
            self.hypervisor().detach_disk(uuid, target)?;
        }
        let deadline = Instant::now() + PATIENCE;
        while self
            .hypervisor()
            .disks(uuid)?
            .is_some_and(|disks| disks.iter().any(|disk| disk.target == target))
        {
            if Instant::now() >= deadline {
                return Err(refused("the guest does not let go of it; unmount it there"));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn uuid_of(&self, name: &VmName) -> Result<Uuid, LifecycleError> {
        let qubes = self.read()?;
        let vm = find_qube(&qubes, name)?;
        if !vm.class.is_local_guest() {
            return Err(LifecycleError::NotAGuest(
                "only qubes of this machine can be given disks",
            ));
        }
        vm.uuid()
            .ok_or_else(|| LifecycleError::NotRunning(name.clone()))
    }
}
