//! Starting a qube: the netvm first, then its storage, its domain, and somebody who watches it.

use std::path::Path;

use uuid::Uuid;

use crate::hypervisor::description::{
    BlockDevice, DomainDescription, Owner, SourceKind, disks_of_volumes,
};
use crate::hypervisor::owner::{owner_for_image, owner_who_opens};
use crate::hypervisor::uri::Family;
use crate::hypervisor::{HypervisorError, Outcome, toolstack};
use crate::model::{Class, Facts, PowerState, Qubes, ResolvedVolume, Vm, VmName};
use crate::storage::{Attachment, LoopDevice, StorageError, VmStorage, VolumeDisk};

use super::drive::Drive;
use super::qube_lock::QubeLock;
use super::reconcile::QubeState;
use super::record::{Phase, Record};
use super::required_devices::{DiskLetters, NO_FREE_DISK_NAME};
use super::stop_mark::StopMark;
use super::{LifecycleError, Session, monitor};

/// How deep a chain of netvms may be, and how often one may stop while its client waits for its own
/// lock.
const PATIENCE: usize = 16;

/// What a start came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartOutcome {
    /// It was halted and runs now.
    Started,
    /// Somebody else had started it.
    AlreadyRunning,
}

impl Session {
    /// Starts a qube and first its netvm. Of two starts at once one does it and the other finds it
    /// running.
    pub fn start(&self, name: &VmName) -> Result<StartOutcome, LifecycleError> {
        self.start_unless_stopped(&StopMark::read(&self.system, name)?, None)
    }

    /// Starts the qube of a mark, with a drive attached for this start. The start counts as begun
    /// when the mark was read: a kill or shutdown since then ends it.
    pub fn start_unless_stopped(
        &self,
        mark: &StopMark,
        drive: Option<&Drive>,
    ) -> Result<StartOutcome, LifecycleError> {
        let started = self.start_chain(mark, drive, PATIENCE);
        started.map_err(|error| self.remove_after_failed_start(mark.qube(), error))
    }

    fn start_chain(
        &self,
        mark: &StopMark,
        drive: Option<&Drive>,
        depth: usize,
    ) -> Result<StartOutcome, LifecycleError> {
        let name = mark.qube();
        if name.is_dom0() {
            return Ok(StartOutcome::AlreadyRunning);
        }
        // Offline says so before anything is looked at, let alone locked.
        if self.system.is_offline() {
            return Err(HypervisorError::Offline("starting a qube").into());
        }
        // A hypervisor that is not there is told before anything is written.
        let qubes = self.read()?;
        self.require_converted(&qubes)?;
        let uuid = find_qube(&qubes, name)?.uuid();
        drop(qubes);
        let live = uuid
            .map(|uuid| self.hypervisor().state(uuid))
            .transpose()?
            .flatten();
        let runs = live.is_some_and(|live| live.state.is_active());
        for _ in 0..PATIENCE {
            if let Some(netvm) = self.netvm_to_start(name)? {
                self.system
                    .step(|| format!("{name}: starting its netvm {netvm}"));
                self.start_netvm(name, &netvm, depth)?;
            }
            // Let go when the start is over, however it ends.
            let _memory = if runs {
                None
            } else {
                self.reserve_memory(name)?
            };
            let lock = self.lock_qube(name)?;
            mark.check()?;
            match self.reconcile(&lock)? {
                QubeState::Active(live) => return self.check_already_started(name, live.state),
                QubeState::Gone => return Err(LifecycleError::NoSuchQube(name.to_string())),
                QubeState::Halted => {}
            }
            // It may have been given another netvm, or that may have stopped, while the lock was
            // waited for.
            if self.netvm_to_start(name)?.is_some() {
                continue;
            }
            return self
                .start_locked(&lock, mark, drive)
                .map(|()| StartOutcome::Started);
        }
        Err(LifecycleError::CannotStart {
            qube: name.clone(),
            reason: "its netvm stops again and again".into(),
        })
    }

    fn check_already_started(
        &self,
        name: &VmName,
        state: PowerState,
    ) -> Result<StartOutcome, LifecycleError> {
        match state {
            PowerState::Paused | PowerState::Suspended => Err(LifecycleError::CannotStart {
                qube: name.clone(),
                reason: format!("it is {state}; unpause it"),
            }),
            _ => Ok(StartOutcome::AlreadyRunning),
        }
    }

    /// The netvm of a qube when it has one that does not run yet.
    fn netvm_to_start(&self, name: &VmName) -> Result<Option<VmName>, LifecycleError> {
        let qubes = self.read()?;
        let vm = find_qube(&qubes, name)?;
        let Some(netvm) = qubes.netvm(vm, self)?.filter(|n| n.class.is_local_guest()) else {
            return Ok(None);
        };
        let live = netvm
            .uuid()
            .map(|uuid| self.hypervisor().state(uuid))
            .transpose()?
            .flatten();
        Ok((!live.is_some_and(|l| l.state.is_active())).then(|| netvm.name.clone()))
    }

    fn start_netvm(
        &self,
        client: &VmName,
        netvm: &VmName,
        depth: usize,
    ) -> Result<(), LifecycleError> {
        let failed = |reason: String| LifecycleError::NetvmNotStarted {
            netvm: netvm.clone(),
            reason,
        };
        if depth == 0 || netvm == client {
            return Err(failed("the netvms form a loop".into()));
        }
        let started = StopMark::read(&self.system, netvm)
            .and_then(|mark| self.start_chain(&mark, None, depth - 1));
        started.map(drop).map_err(|e| failed(e.to_string()))
    }

    fn start_locked(
        &self,
        lock: &QubeLock,
        mark: &StopMark,
        drive: Option<&Drive>,
    ) -> Result<(), LifecycleError> {
        let qubes = self.read()?;
        let vm = find_qube(&qubes, lock.name())?;
        check_start_allowed(&qubes, vm, self)?;
        self.refuse_live_images(&qubes, vm)?;
        let storage = VmStorage::for_qube(&self.system, &qubes, vm, self)?;
        storage.verify()?;
        self.require_own_images(&qubes, vm, &storage)?;
        storage.refuse_foreign_images()?;
        let copying = VmStorage::for_qube(
            &mark.with_cancellable_copies(&self.system),
            &qubes,
            vm,
            self,
        )?;
        let uuid = vm.uuid().ok_or_else(|| LifecycleError::CannotStart {
            qube: vm.name.clone(),
            reason: "it has no uuid in qubes.xml".into(),
        })?;
        // Everything that can be found out is found out before anything is touched.
        let mut description = self.describe(&qubes, vm)?;
        self.add_required_devices(&qubes, vm, &mut description)?;
        if let Some(drive) = drive {
            let family = Family::of_uri(self.hypervisor().uri());
            let letter = DiskLetters::beside(&description)
                .next()
                .ok_or_else(|| drive.refused(NO_FREE_DISK_NAME))?;
            description
                .block_devices
                .push(drive.device(family, letter)?);
        }
        let mut record = Record::new(&self.system, uuid, self.hypervisor().uri());
        record.store(&self.system, lock.name())?;
        let step = |what: &str| self.system.step(|| format!("{}: {what}", lock.name()));
        step("starting its monitor");
        let begun = monitor::spawn(self, lock.name(), &record).and_then(|()| {
            step("starting its storage");
            Ok(copying.start()?)
        });
        let started = match begun {
            Ok(begun) => begun,
            Err(error) => {
                return Err(self.remove_record_after_failure(lock, cancellation_or(mark, error)));
            }
        };
        step("creating its domain");
        if let Err(error) = self.create_domain(&record, mark, &mut description, &storage) {
            let error = cancellation_or(mark, error);
            let undone = self
                .destroy_domain(&record)
                .and_then(|()| Ok(storage.roll_back(&started)?));
            let error =
                self.explain_with_iommu(&description, self.explain_with_memory(&qubes, vm, error));
            return Err(self.roll_back(lock, undone, error));
        }
        step("letting its domain run");
        if let Err(error) = self.resume_domain(lock.name(), &record) {
            // It may have run, if only for a moment: what it wrote counts.
            let undone = self
                .destroy_domain(&record)
                .and_then(|()| Ok(storage.stop()?));
            return Err(self.roll_back(lock, undone, cancellation_or(mark, error)));
        }
        record.phase = Phase::Running;
        record.store(&self.system, lock.name())
    }

    /// A guest whose volume keeps no snapshots writes to the only image there is: nobody may begin
    /// with a copy of that meanwhile (`docs/spec/r4-storage.md` §3).
    fn refuse_live_images(&self, qubes: &Qubes, vm: &Vm) -> Result<(), LifecycleError> {
        let refused = |reason: String| {
            Err(LifecycleError::CannotStart {
                qube: vm.name.clone(),
                reason,
            })
        };
        let is_live =
            |volume: &ResolvedVolume| volume.save_on_stop && volume.revisions_to_keep == -1;
        let volumes = qubes.volumes(vm, self).map_err(StorageError::from)?;
        for volume in volumes.iter().filter(|volume| volume.source.is_some()) {
            let (owner, origin) = qubes
                .volume_origin(vm, &volume.name, self)
                .map_err(StorageError::from)?;
            if is_live(&origin) && self.power_state(owner).is_active() {
                let name = &volume.name;
                return refused(format!(
                    "its volume {name} begins as that of {owner}, which runs and keeps no snapshots of it (revisions_to_keep \
                     is -1): shut {owner} down first",
                    owner = owner.name
                ));
            }
        }
        if volumes.iter().any(is_live)
            && let Some(user) = qubes
                .disposables_of(&vm.name)
                .find(|user| self.power_state(user).is_active())
        {
            return refused(format!(
                "disposable {} began with its volumes and runs, and it keeps no snapshots of them (revisions_to_keep is -1): \
                 shut that down first",
                user.name
            ));
        }
        Ok(())
    }

    fn create_domain(
        &self,
        record: &Record,
        mark: &StopMark,
        description: &mut DomainDescription,
        storage: &VmStorage,
    ) -> Result<(), LifecycleError> {
        if description.console_log.is_some() {
            self.make_console_log(&description.qube)?;
        }
        let mut disks = storage.disks()?;
        let is_xen = Family::of_uri(self.hypervisor().uri()) == Family::Xen;
        let mut loops = match is_xen && toolstack::is_vanilla_xen() {
            true => attach_loop_devices(&mut disks)?,
            false => Vec::new(),
        };
        for device in description.block_devices.iter_mut().filter(|_| is_xen) {
            loops.extend(attach_loop_device(device)?);
        }
        description.disks = disks_of_volumes(
            disks
                .iter()
                .map(|d| (d.name.as_str(), d.attachment.clone(), d.rw)),
        )?;
        description.owner = self.choose_qemu_owner(&disks, &description.block_devices)?;
        let xml = self.domain_xml(description)?;
        mark.check()?;
        self.hypervisor().create_paused(record.domain, &xml)?;
        self.release_loop_devices(record.domain, loops)?;
        // A kill that came before there was a domain found none to destroy.
        mark.check()
    }

    /// Lets go of loop devices once Xen's backend has them open; they vanish when it closes them.
    pub(super) fn release_loop_devices(
        &self,
        domain: Uuid,
        loops: Vec<LoopDevice>,
    ) -> Result<(), LifecycleError> {
        if loops.is_empty() {
            return Ok(());
        }
        let number = self.hypervisor().state(domain)?.and_then(|live| live.id);
        let devices: Vec<&Path> = loops.iter().map(LoopDevice::path).collect();
        Ok(toolstack::wait_until_open(
            number.unwrap_or_default(),
            &devices,
        )?)
    }

    /// Whom root's QEMU is to be: somebody who can open the images. An ordinary user's is that
    /// user.
    fn choose_qemu_owner(
        &self,
        disks: &[VolumeDisk],
        drives: &[BlockDevice],
    ) -> Result<Option<Owner>, LifecycleError> {
        let is_roots_qemu =
            Family::of_uri(self.hypervisor().uri()) == Family::Qemu && self.system.is_superuser();
        let image = disks
            .iter()
            .filter(|d| d.rw)
            .find_map(|d| match &d.attachment {
                Attachment::File(image) => Some(image),
                _ => None,
            });
        // Devices belong to no group of ours: where there are any, libvirt gives QEMU what it
        // needs.
        let has_devices = disks
            .iter()
            .any(|d| d.rw && matches!(d.attachment, Attachment::Device(_)));
        let Some(image) = image.filter(|_| is_roots_qemu && !has_devices) else {
            return Ok(None);
        };
        let failed = |source| LifecycleError::Io {
            what: image.display().to_string(),
            source,
        };
        let drives = drives
            .iter()
            .map(|drive| (drive.path.as_path(), !drive.read_only));
        owner_for_image(image)
            .map(|owner| Some(owner_who_opens(owner, drives)))
            .map_err(failed)
    }

    fn resume_domain(&self, name: &VmName, record: &Record) -> Result<(), LifecycleError> {
        match self.hypervisor().resume(record.domain)? {
            Outcome::Done => Ok(()),
            Outcome::Absent => {
                let reason = format!(
                    "it ended at once; {} says why",
                    self.console_log(name.as_str()).display()
                );
                Err(LifecycleError::CannotStart {
                    qube: name.clone(),
                    reason,
                })
            }
        }
    }

    fn destroy_domain(&self, record: &Record) -> Result<(), LifecycleError> {
        self.hypervisor().destroy(record.domain)?;
        self.hypervisor().undefine(record.domain)?;
        Ok(())
    }

    /// The error of a start that failed. What could not be undone is left to the record, which then
    /// stays for the next command.
    fn roll_back(
        &self,
        lock: &QubeLock,
        undone: Result<(), LifecycleError>,
        error: LifecycleError,
    ) -> LifecycleError {
        match undone {
            Ok(()) => self.remove_record_after_failure(lock, error),
            Err(_next_command_settles) => error,
        }
    }

    fn remove_record_after_failure(
        &self,
        lock: &QubeLock,
        error: LifecycleError,
    ) -> LifecycleError {
        match super::record::remove(&self.system, lock.name()) {
            Ok(()) => error,
            Err(second) => second,
        }
    }
}

/// Why a start failed: because it was ended, if it was, and whatever else that led to.
fn cancellation_or(mark: &StopMark, error: LifecycleError) -> LifecycleError {
    mark.check().err().unwrap_or(error)
}

/// Puts loop devices under the disks that are files: a Xen without Qubes' script for that takes
/// only devices.
fn attach_loop_devices(disks: &mut [VolumeDisk]) -> Result<Vec<LoopDevice>, LifecycleError> {
    let mut loops = Vec::new();
    for disk in disks {
        if let Attachment::File(image) = &disk.attachment {
            let device = LoopDevice::attach(image, disk.rw)?;
            disk.attachment = Attachment::Device(device.path().to_path_buf());
            loops.push(device);
        }
    }
    Ok(loops)
}

/// Puts a loop device under a drive that is a file: Xen takes only devices.
pub(super) fn attach_loop_device(
    drive: &mut BlockDevice,
) -> Result<Option<LoopDevice>, LifecycleError> {
    if drive.source != SourceKind::File {
        return Ok(None);
    }
    let device = LoopDevice::attach(&drive.path, !drive.read_only)?;
    drive.path = device.path().to_path_buf();
    drive.source = SourceKind::Block;
    Ok(Some(device))
}

/// The rules that forbid a start whatever the state.
fn check_start_allowed(qubes: &Qubes, vm: &Vm, facts: &dyn Facts) -> Result<(), LifecycleError> {
    if let Some(reason) = vm.features.get("prohibit-start").filter(|r| !r.is_empty()) {
        return Err(LifecycleError::StartProhibited {
            qube: vm.name.clone(),
            reason: reason.to_string(),
        });
    }
    if vm.has_tag("backup-restore-in-progress") {
        let reason =
            "it is being restored from a backup (tag backup-restore-in-progress)".to_string();
        return Err(LifecycleError::StartProhibited {
            qube: vm.name.clone(),
            reason,
        });
    }
    if vm.class == Class::DispVM
        && !qubes
            .template(vm)?
            .is_some_and(|t| qubes.is_template_for_dispvms(t, facts))
    {
        let reason =
            "its template no longer is one for disposables (template_for_dispvms)".to_string();
        return Err(LifecycleError::CannotStart {
            qube: vm.name.clone(),
            reason,
        });
    }
    Ok(())
}

/// The qube, or the error that says there is none.
pub(super) fn find_qube<'a>(qubes: &'a Qubes, name: &VmName) -> Result<&'a Vm, LifecycleError> {
    qubes
        .get(name.as_str())
        .ok_or_else(|| LifecycleError::NoSuchQube(name.to_string()))
}
