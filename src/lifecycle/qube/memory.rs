//! Reserving memory for a start: Qubes' memory manager frees it if one runs; otherwise the free
//! memory is checked.

use std::path::Path;

use crate::hypervisor::HypervisorError;
use crate::hypervisor::qmemman::{self, MemoryReply, MemoryReservation};
use crate::hypervisor::uri::Family;
use crate::lifecycle::qube::StartError;
use crate::lifecycle::{Context, LifecycleError, qube};
use crate::model::{Qubes, Vm, VmName, property};

/// The socket of the memory manager.
const SOCKET: &str = "/run/qubes/qmemman.sock";
const MIB: u64 = 1 << 20;

/// Reserves memory for the start of a qube. The reservation must be held until the domain is
/// running.
///
/// Must be called before the qube's lock is taken: freeing memory takes as long as other qubes
/// need to give it up. The holder of a reservation may wait for a lock, but no holder of a lock
/// may wait for a reservation.
///
/// # Errors
/// There is not enough memory, or the memory manager does not answer.
pub(in crate::lifecycle) fn reserve_memory(
    context: &Context,
    qubes: &Qubes,
    name: &VmName,
) -> Result<Option<MemoryReservation>, LifecycleError> {
    let vm = qube::find(qubes, name)?;
    let bytes = property::memory_for_start(qubes, vm, context.facts())?;
    let socket = context.system.path_below_root(SOCKET);
    match ask_qmemman(&socket, name, bytes)? {
        MemoryReply::Reserved(reservation) => Ok(Some(reservation)),
        MemoryReply::Insufficient => Err(not_enough(
            name,
            bytes.div_ceil(MIB),
            "and other qubes cannot give so much".to_string(),
        )),
        MemoryReply::NoService => check_free_memory(context, qubes, vm).map(|()| None),
        MemoryReply::UntrustedSocket(whose) => {
            let why = "so it is not asked for memory; remove it";
            context
                .system
                .notify(&format!("{name}: {}: {whose}, {why}", socket.display()));
            check_free_memory(context, qubes, vm).map(|()| None)
        }
    }
}

/// Asks the memory manager for `bytes`.
fn ask_qmemman(socket: &Path, name: &VmName, bytes: u64) -> Result<MemoryReply, LifecycleError> {
    qmemman::request_memory(socket, bytes).map_err(|source| LifecycleError::Io {
        what: format!(
            "{name}: cannot ask the memory manager at {} (systemctl restart qubes-qmemman \
             restarts it)",
            socket.display()
        ),
        source,
    })
}

/// Fails if less memory is available than a guest under QEMU gets: the kernel would kill some
/// process later.
fn check_free_memory(context: &Context, qubes: &Qubes, vm: &Vm) -> Result<(), LifecycleError> {
    if Family::from_uri(context.hypervisor().uri()) != Family::Qemu {
        return Ok(());
    }
    let needed = property::memory(qubes, vm, context.facts())?;
    match context.system.available_memory_mib() {
        Some(available) if available < needed => {
            Err(not_enough(&vm.name, needed, free_text(available)))
        }
        _ => Ok(()),
    }
}

/// Returns the error of a domain that Xen failed to create; if too little memory is free, that
/// is the error.
pub(in crate::lifecycle) fn explain_with_memory(
    context: &Context,
    qubes: &Qubes,
    vm: &Vm,
    error: LifecycleError,
) -> LifecycleError {
    let refused = matches!(
        error,
        LifecycleError::Hypervisor(HypervisorError::Refused { .. })
    );
    let is_xen = Family::from_uri(context.hypervisor().uri()) == Family::Xen;
    match property::memory_for_start(qubes, vm, context.facts()) {
        Ok(bytes) if refused && is_xen => memory_error_or(error, &vm.name, bytes, || {
            context.hypervisor().free_memory_mib()
        }),
        _ => error,
    }
}

/// Returns that memory is missing if less is free than a start needs; else `error`.
fn memory_error_or(
    error: LifecycleError,
    qube: &VmName,
    needed: u64,
    free_mib: impl FnOnce() -> Result<u64, HypervisorError>,
) -> LifecycleError {
    let needed_mib = needed.div_ceil(MIB);
    match free_mib() {
        Ok(free) if free < needed_mib => not_enough(qube, needed_mib, free_text(free)),
        // If free memory is unknown, keep the original error.
        Ok(_) | Err(_) => error,
    }
}

/// Returns the error that too little memory is free, as `free` says.
fn not_enough(qube: &VmName, needed_mib: u64, free: String) -> LifecycleError {
    let qube = qube.clone();
    StartError::NotEnoughMemory {
        qube,
        needed_mib,
        free,
    }
    .into()
}

/// Returns the clause that `free` MiB are free.
fn free_text(free: u64) -> String {
    format!("{free} MiB are free")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_that_xen_refused_is_explained_by_memory_only_if_too_little_is_free() {
        let qube = VmName::from_store("work").unwrap();
        let told = |free: Result<u64, HypervisorError>| {
            let (action, reason) = (
                "start domain 1".to_string(),
                "libxenlight failed to create domain".to_string(),
            );
            let refused = HypervisorError::Refused { action, reason }.into();
            memory_error_or(refused, &qube, 400 * MIB + 1, || free).to_string()
        };
        let short = "not enough memory to start work: it needs 401 MiB, 400 MiB are free; \
                     shut other qubes down, or give it less";
        assert_eq!(told(Ok(400)), short);
        let refused = "libvirt refused to start domain 1: libxenlight failed to create domain";
        assert_eq!(told(Ok(401)), refused);
        assert_eq!(
            told(Err(HypervisorError::Offline("the free memory"))),
            refused
        );
    }
}
