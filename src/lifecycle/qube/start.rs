//! Starting a qube: its netvm first, then its monitor, its storage and its domain.

use crate::hypervisor::HypervisorError;
use crate::lifecycle::qube::record::{self, Phase, Record};
use crate::lifecycle::qube::start_domain::{
    create_domain, describe_start, destroy_domain, resume_domain,
};
use crate::lifecycle::qube::start_rules::{check_start_allowed, refuse_live_images};
use crate::lifecycle::qube::{self, Drive, QubeLock, StartError, StopMark, monitor};
use crate::lifecycle::reconcile::{self, QubeState};
use crate::lifecycle::volume::images;
use crate::lifecycle::{Context, LifecycleError, conversion};
use crate::model::{PowerState, Qubes, Vm, VmName, property};
use crate::storage::VmStorage;
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
    Err(StartError::failed(name, "its netvm stops again and again"))
}

/// Returns the outcome for a domain that is active; an error if it is paused or suspended.
fn check_already_started(name: &VmName, state: PowerState) -> Result<StartOutcome, LifecycleError> {
    match state {
        PowerState::Paused | PowerState::Suspended => Err(StartError::failed(
            name,
            format!("it is {state}; unpause it"),
        )),
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
        return Err(StartError::NetvmLoop(netvm.clone()).into());
    }
    let started = StopMark::read(&context.system, netvm)
        .and_then(|mark| start_chain(context, &mark, None, depth - 1));
    let failed = |source| StartError::NetvmNotStarted {
        netvm: netvm.clone(),
        source: Box::new(source),
    };
    Ok(started.map(drop).map_err(failed)?)
}

/// Opens the storage of a halted qube, if its settings and its images allow a start.
fn open_startable_storage(
    context: &Context,
    qubes: &Read,
    vm: &Vm,
) -> Result<VmStorage, LifecycleError> {
    check_start_allowed(qubes, vm, context.facts())?;
    refuse_live_images(context, qubes, vm)?;
    let storage = VmStorage::for_qube(&context.system, qubes, vm, context.facts())?;
    storage.verify()?;
    images::require_own_images(context, qubes, vm, &storage)?;
    storage.refuse_foreign_images()?;
    Ok(storage)
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
    let storage = open_startable_storage(context, qubes, vm)?;
    let copying = VmStorage::for_qube(
        &mark.with_cancellable_copies(&context.system),
        qubes,
        vm,
        context.facts(),
    )?;
    let no_uuid = || StartError::failed(&vm.name, "it has no uuid in qubes.xml");
    let uuid = vm.uuid().ok_or_else(no_uuid)?;
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
    let fail = |rolled_back, error| Err(roll_back(context, lock, rolled_back, error));
    let storage_run = match storage_started {
        Ok(storage_run) => storage_run,
        Err(error) => return fail(Ok(()), cancellation_or(mark, error)),
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
        return fail(rolled_back, error);
    }
    step("resuming its domain");
    if let Err(error) = resume_domain(context, lock.name(), &record) {
        // The guest may have run, if only for a moment: commit what it wrote.
        let rolled_back = destroy_domain(context, &record).and_then(|()| Ok(storage.stop()?));
        return fail(rolled_back, cancellation_or(mark, error));
    }
    record.phase = Phase::Running;
    record.save(&context.system, lock.name())
}

/// Returns the error of a failed start, and removes its record if everything was rolled back; the
/// error of that removal comes first.
fn roll_back(
    context: &Context,
    lock: &QubeLock,
    rolled_back: Result<(), LifecycleError>,
    error: LifecycleError,
) -> LifecycleError {
    match rolled_back {
        Ok(()) => record::remove(&context.system, lock.name())
            .err()
            .unwrap_or(error),
        // The record stays, so that the next command reconciles the qube.
        Err(_) => error,
    }
}

/// Returns that the start was cancelled, if it was: whatever else failed follows from that. Else
/// returns `error`.
fn cancellation_or(mark: &StopMark, error: LifecycleError) -> LifecycleError {
    mark.check().err().unwrap_or(error)
}
