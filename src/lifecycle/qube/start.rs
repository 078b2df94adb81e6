//! Starting a qube: its netvm first, then its monitor, its storage and its domain.

use std::path::Path;

use uuid::Uuid;

use crate::hypervisor::description::{
    BlockDevice, DomainDescription, QemuUser, SourceKind, disks_for_volumes,
};
use crate::hypervisor::owner::{owner_able_to_open, owner_for_image};
use crate::hypervisor::uri::Family;
use crate::hypervisor::{HypervisorError, Outcome, toolstack};
use crate::lifecycle::qube::record::{self, Phase, Record};
use crate::lifecycle::qube::{
    self, DiskLetters, Drive, NO_FREE_DISK_NAME, QubeLock, StopMark, monitor,
};
use crate::lifecycle::reconcile::{self, QubeState};
use crate::lifecycle::volume::images;
use crate::lifecycle::{Context, LifecycleError, conversion};
use crate::model::{Class, Facts, PowerState, Qubes, ResolvedVolume, Vm, VmName, property, volume};
use crate::storage::{Attachment, LoopDevice, StorageError, VmStorage, VolumeDisk};
use crate::store::Read;

/// How long a chain of netvms may be, and how often a netvm may stop again while the lock of its
/// client is waited for.
const MAX_ATTEMPTS: usize = 16;

/// The outcome of a start that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartOutcome {
    /// The qube was halted and runs now.
    Started,
    /// The qube was running already.
    AlreadyRunning,
}

/// Starts a qube, and its netvm before it. If two commands start it at once, one does and the
/// other finds it running.
///
/// # Errors
/// Those of [`start_unless_stopped`].
pub fn start(context: &Context, name: &VmName) -> Result<StartOutcome, LifecycleError> {
    start_unless_stopped(context, &StopMark::read(&context.system, name)?, None)
}

/// Starts the qube of `mark`, with `drive` attached for this start only. The start counts as
/// begun when the mark was read: a kill or shutdown since then cancels it.
///
/// # Errors
/// The qube, its netvm or its storage cannot be started, or the start was cancelled. The start
/// is rolled back, now or by the next command; a netvm that it started keeps running.
pub fn start_unless_stopped(
    context: &Context,
    mark: &StopMark,
    drive: Option<&Drive>,
) -> Result<StartOutcome, LifecycleError> {
    let started = start_chain(context, mark, drive, MAX_ATTEMPTS);
    started.map_err(|error| qube::remove_after_failed_start(context, mark.qube(), error))
}

/// Starts the netvm and then the qube of `mark`; `depth` limits the chain of netvms.
fn start_chain(
    context: &Context,
    mark: &StopMark,
    drive: Option<&Drive>,
    depth: usize,
) -> Result<StartOutcome, LifecycleError> {
    let name = mark.qube();
    if name.is_dom0() {
        return Ok(StartOutcome::AlreadyRunning);
    }
    // Offline, fail before anything is read or locked.
    if context.system.is_offline() {
        return Err(HypervisorError::Offline("starting a qube").into());
    }
    // Ask the hypervisor before anything is written, so that a missing one leaves no trace.
    let mut qubes = context.read()?;
    conversion::require_converted(context, &qubes)?;
    let live = qube::find(&qubes, name)?
        .uuid()
        .map(|uuid| context.hypervisor().state(uuid))
        .transpose()?
        .flatten();
    let runs = live.is_some_and(|live| live.state.is_active());
    for _ in 0..MAX_ATTEMPTS {
        if let Some(netvm) = netvm_to_start(context, &qubes, name)? {
            context
                .system
                .report_step(|| format!("{name}: starting its netvm {netvm}"));
            start_netvm(context, name, &netvm, depth)?;
            // That took a while.
            qubes = context.read()?;
        }
        // Dropped, and so released, when the start is over, however it ends.
        let _memory = if runs {
            None
        } else {
            qube::reserve_memory(context, &qubes, name)?
        };
        let lock = qube::lock(context, name)?;
        mark.check()?;
        // Everything from here on is decided by the store as it is under the lock.
        qubes = context.read()?;
        match reconcile::reconcile_qube_in(context, &qubes, &lock)? {
            QubeState::Active(live) => return check_already_started(name, live.state),
            QubeState::Gone => return Err(LifecycleError::NoSuchQube(name.to_string())),
            QubeState::Halted => {}
        }
        // While the lock was waited for, the qube may have got another netvm, or its netvm may
        // have stopped.
        if netvm_to_start(context, &qubes, name)?.is_some() {
            continue;
        }
        return start_locked(context, &qubes, &lock, mark, drive).map(|()| StartOutcome::Started);
    }
    Err(LifecycleError::CannotStart {
        qube: name.clone(),
        reason: "its netvm stops again and again".into(),
    })
}

/// Returns the outcome for a domain that is active; an error if it is paused or suspended.
fn check_already_started(name: &VmName, state: PowerState) -> Result<StartOutcome, LifecycleError> {
    match state {
        PowerState::Paused | PowerState::Suspended => Err(LifecycleError::CannotStart {
            qube: name.clone(),
            reason: format!("it is {state}; unpause it"),
        }),
        _ => Ok(StartOutcome::AlreadyRunning),
    }
}

/// Returns the netvm of a qube if it has one that is not running yet.
fn netvm_to_start(
    context: &Context,
    qubes: &Qubes,
    name: &VmName,
) -> Result<Option<VmName>, LifecycleError> {
    let vm = qube::find(qubes, name)?;
    let Some(netvm) =
        property::netvm(qubes, vm, context.facts())?.filter(|n| n.class.is_local_guest())
    else {
        return Ok(None);
    };
    let live = netvm
        .uuid()
        .map(|uuid| context.hypervisor().state(uuid))
        .transpose()?
        .flatten();
    Ok((!live.is_some_and(|l| l.state.is_active())).then(|| netvm.name.clone()))
}

/// Starts the netvm of `client`.
fn start_netvm(
    context: &Context,
    client: &VmName,
    netvm: &VmName,
    depth: usize,
) -> Result<(), LifecycleError> {
    if depth == 0 || netvm == client {
        return Err(LifecycleError::NetvmLoop(netvm.clone()));
    }
    let started = StopMark::read(&context.system, netvm)
        .and_then(|mark| start_chain(context, &mark, None, depth - 1));
    started
        .map(drop)
        .map_err(|source| LifecycleError::NetvmNotStarted {
            netvm: netvm.clone(),
            source: Box::new(source),
        })
}

/// Starts a halted qube whose lock is held, by the store as it was read under that lock.
fn start_locked(
    context: &Context,
    qubes: &Read,
    lock: &QubeLock,
    mark: &StopMark,
    drive: Option<&Drive>,
) -> Result<(), LifecycleError> {
    let vm = qube::find(qubes, lock.name())?;
    check_start_allowed(qubes, vm, context.facts())?;
    refuse_live_images(context, qubes, vm)?;
    let storage = VmStorage::for_qube(&context.system, qubes, vm, context.facts())?;
    storage.verify()?;
    images::require_own_images(context, qubes, vm, &storage)?;
    storage.refuse_foreign_images()?;
    let copying = VmStorage::for_qube(
        &mark.with_cancellable_copies(&context.system),
        qubes,
        vm,
        context.facts(),
    )?;
    let uuid = vm.uuid().ok_or_else(|| LifecycleError::CannotStart {
        qube: vm.name.clone(),
        reason: "it has no uuid in qubes.xml".into(),
    })?;
    // All checks come before the first change.
    let mut description = describe_start(context, qubes, vm, drive)?;
    let mut record = Record::new(&context.system, uuid, context.hypervisor().uri());
    record.save(&context.system, lock.name())?;
    let step = |what: &str| {
        context
            .system
            .report_step(|| format!("{}: {what}", lock.name()))
    };
    step("starting its monitor");
    let storage_started = monitor::spawn(context, lock.name(), &record).and_then(|()| {
        step("starting its storage");
        Ok(copying.start()?)
    });
    let storage_run = match storage_started {
        Ok(storage_run) => storage_run,
        Err(error) => {
            return Err(remove_record_after_failure(
                context,
                lock,
                cancellation_or(mark, error),
            ));
        }
    };
    step("creating its domain");
    if let Err(error) = create_domain(context, qubes, &record, mark, &mut description, &storage) {
        let error = cancellation_or(mark, error);
        let rolled_back =
            destroy_domain(context, &record).and_then(|()| Ok(storage.roll_back(&storage_run)?));
        let error = qube::explain_with_iommu(
            context,
            &description,
            qube::explain_with_memory(context, qubes, vm, error),
        );
        return Err(roll_back(context, lock, rolled_back, error));
    }
    step("resuming its domain");
    if let Err(error) = resume_domain(context, lock.name(), &record) {
        // The guest may have run, if only for a moment: commit what it wrote.
        let rolled_back = destroy_domain(context, &record).and_then(|()| Ok(storage.stop()?));
        return Err(roll_back(
            context,
            lock,
            rolled_back,
            cancellation_or(mark, error),
        ));
    }
    record.phase = Phase::Running;
    record.save(&context.system, lock.name())
}

/// Describes the domain of a start, with its required devices and `drive`, but without disks.
fn describe_start(
    context: &Context,
    qubes: &Qubes,
    vm: &Vm,
    drive: Option<&Drive>,
) -> Result<DomainDescription, LifecycleError> {
    let mut description = qube::describe_domain(context, qubes, vm)?;
    qube::add_required_devices(context, qubes, vm, &mut description)?;
    if let Some(drive) = drive {
        let family = Family::from_uri(context.hypervisor().uri());
        let letter = DiskLetters::new(&description)
            .reserve_next()
            .ok_or_else(|| drive.error(NO_FREE_DISK_NAME))?;
        description
            .block_devices
            .push(drive.block_device(family, letter)?);
    }
    Ok(description)
}

/// Refuses a start that would copy an image while its owner writes to it. A volume that keeps
/// no snapshots has only the one image that a running guest writes to
/// (`docs/spec/r4-storage.md` §3).
fn refuse_live_images(context: &Context, qubes: &Qubes, vm: &Vm) -> Result<(), LifecycleError> {
    let refused = |reason: String| {
        Err(LifecycleError::CannotStart {
            qube: vm.name.clone(),
            reason,
        })
    };
    let is_live = |volume: &ResolvedVolume| volume.save_on_stop && volume.revisions_to_keep == -1;
    let volumes = volume::resolve_all(qubes, vm, context.facts()).map_err(StorageError::from)?;
    for volume in volumes.iter().filter(|volume| volume.source.is_some()) {
        let (owner, origin) = volume::find_origin(qubes, vm, &volume.name, context.facts())
            .map_err(StorageError::from)?;
        if is_live(&origin) && context.facts().power_state(owner).is_active() {
            let name = &volume.name;
            return refused(format!(
                "its volume {name} is based on that of {owner}, which runs and keeps no \
                 snapshots of it (revisions_to_keep is -1): shut {owner} down first",
                owner = owner.name
            ));
        }
    }
    if volumes.iter().any(is_live)
        && let Some(user) = property::disposables_of(qubes, &vm.name)
            .find(|user| context.facts().power_state(user).is_active())
    {
        return refused(format!(
            "disposable {} is based on its volumes and runs, and it keeps no snapshots of them \
             (revisions_to_keep is -1): shut that disposable down first",
            user.name
        ));
    }
    Ok(())
}

/// Creates the domain, paused. Fails if the start was cancelled before or meanwhile.
fn create_domain(
    context: &Context,
    qubes: &Qubes,
    record: &Record,
    mark: &StopMark,
    description: &mut DomainDescription,
    storage: &VmStorage,
) -> Result<(), LifecycleError> {
    if description.console_log.is_some() {
        qube::create_console_log(context, &description.qube)?;
    }
    let mut disks = storage.disks()?;
    let is_xen = Family::from_uri(context.hypervisor().uri()) == Family::Xen;
    let mut loops = match is_xen && toolstack::is_vanilla_xen() {
        true => attach_loop_devices(&mut disks)?,
        false => Vec::new(),
    };
    for device in description.block_devices.iter_mut().filter(|_| is_xen) {
        loops.extend(attach_loop_device(device)?);
    }
    description.disks = disks_for_volumes(
        disks
            .iter()
            .map(|d| (d.name.as_str(), d.attachment.clone(), d.rw)),
    )?;
    description.owner = choose_qemu_owner(context, &disks, &description.block_devices)?;
    let xml = qube::render_domain_xml(context, qubes, description)?;
    mark.check()?;
    context.hypervisor().create_paused(record.domain, &xml)?;
    release_loop_devices(context, record.domain, loops)?;
    // A kill that came before the domain existed found nothing to destroy.
    mark.check()
}

/// Drops loop devices once Xen's backend has opened them; they vanish when it closes them.
pub(in crate::lifecycle) fn release_loop_devices(
    context: &Context,
    domain: Uuid,
    loops: Vec<LoopDevice>,
) -> Result<(), LifecycleError> {
    if loops.is_empty() {
        return Ok(());
    }
    let number = context.hypervisor().state(domain)?.and_then(|live| live.id);
    let devices: Vec<&Path> = loops.iter().map(LoopDevice::path).collect();
    Ok(toolstack::wait_until_open(
        number.unwrap_or_default(),
        &devices,
    )?)
}

/// Returns the user whom root's QEMU runs as: one who can open the images. The QEMU of an
/// ordinary user always runs as that user.
fn choose_qemu_owner(
    context: &Context,
    disks: &[VolumeDisk],
    drives: &[BlockDevice],
) -> Result<Option<QemuUser>, LifecycleError> {
    let is_root_qemu = Family::from_uri(context.hypervisor().uri()) == Family::Qemu
        && context.system.is_superuser();
    let image = disks
        .iter()
        .filter(|d| d.rw)
        .find_map(|d| match &d.attachment {
            Attachment::File(image) => Some(image),
            _ => None,
        });
    // Block devices do not belong to group qubes: where a volume is one, libvirt sets QEMU's
    // access itself.
    let has_devices = disks
        .iter()
        .any(|d| d.rw && matches!(d.attachment, Attachment::Device(_)));
    let Some(image) = image.filter(|_| is_root_qemu && !has_devices) else {
        return Ok(None);
    };
    let failed = |source| LifecycleError::Io {
        what: format!("cannot use image {}", image.display()),
        source,
    };
    let drives = drives
        .iter()
        .map(|drive| (drive.path.as_path(), !drive.read_only));
    owner_for_image(image)
        .map(|owner| Some(owner_able_to_open(owner, drives)))
        .map_err(failed)
}

/// Resumes the domain that was created paused.
fn resume_domain(context: &Context, name: &VmName, record: &Record) -> Result<(), LifecycleError> {
    match context.hypervisor().resume(record.domain)? {
        Outcome::Done => Ok(()),
        Outcome::Absent => {
            let reason = format!(
                "its domain ended at once; see {}",
                qube::console_log(context, name.as_str()).display()
            );
            Err(LifecycleError::CannotStart {
                qube: name.clone(),
                reason,
            })
        }
    }
}

/// Destroys the domain of a start that failed.
fn destroy_domain(context: &Context, record: &Record) -> Result<(), LifecycleError> {
    context.hypervisor().destroy(record.domain)?;
    context.hypervisor().undefine(record.domain)?;
    Ok(())
}

/// Returns the error of a failed start, and removes its record if everything was rolled back.
fn roll_back(
    context: &Context,
    lock: &QubeLock,
    rolled_back: Result<(), LifecycleError>,
    error: LifecycleError,
) -> LifecycleError {
    match rolled_back {
        Ok(()) => remove_record_after_failure(context, lock, error),
        // The record stays, so that the next command reconciles the qube.
        Err(_) => error,
    }
}

/// Removes the record of a failed start; returns `error`, or the error of the removal.
fn remove_record_after_failure(
    context: &Context,
    lock: &QubeLock,
    error: LifecycleError,
) -> LifecycleError {
    match record::remove(&context.system, lock.name()) {
        Ok(()) => error,
        Err(second) => second,
    }
}

/// Returns that the start was cancelled, if it was: whatever else failed follows from that. Else
/// returns `error`.
fn cancellation_or(mark: &StopMark, error: LifecycleError) -> LifecycleError {
    mark.check().err().unwrap_or(error)
}

/// Puts loop devices under the disks that are files: a Xen without Qubes' own block script takes
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
pub(in crate::lifecycle) fn attach_loop_device(
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

/// Checks the rules that forbid a start whatever the state.
///
/// # Errors
/// The qube is prohibited from starting, is being restored, or its template is not one for
/// disposables any more.
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
        && !property::template(qubes, vm)?
            .is_some_and(|t| property::is_template_for_dispvms(qubes, t, facts))
    {
        let reason =
            "its template is no longer one for disposables (template_for_dispvms)".to_string();
        return Err(LifecycleError::CannotStart {
            qube: vm.name.clone(),
            reason,
        });
    }
    Ok(())
}
