//! Required devices: block and PCI devices that are assigned to a qube as required, and without
//! which it does not start (`docs/spec/r4-devices.md` §1, `docs/spec/r4-features.md` §6 and §7).
//! They are part of its domain from the beginning.
//!
//! Each must exist and be the device that was assigned. Only devices of dom0 are supported: other
//! qubes list theirs in QubesDB, which is not read yet, so such a device refuses the start.

use std::fs;
use std::path::PathBuf;

use crate::devices::pci::{PciAddress, PciBus};
use crate::devices::{DeviceError, block};
use crate::hypervisor::HypervisorError;
use crate::hypervisor::description::{
    BlockDevice, DeviceKind, DomainDescription, PciDevice, SourceKind,
};
use crate::hypervisor::toolstack;
use crate::hypervisor::uri::Family;
use crate::lifecycle::qube::StartError;
use crate::lifecycle::qube::disk_names::{DiskLetters, choose_disk_name};
use crate::lifecycle::{Context, LifecycleError};
use crate::model::boolean::BooleanDialect;
use crate::model::device::{AssignmentMode, DeviceAssignment};
use crate::model::{Qubes, VirtMode, Vm, VmName};

/// How far a device is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DeviceCheck {
    /// It exists, is the assigned one, and can be used.
    Full,
    /// Its name is valid: enough to show a description.
    NameOnly,
}

/// Adds the required devices to a description by their names, whether they exist or not.
pub(in crate::lifecycle) fn add_required_devices_unchecked(
    context: &Context,
    vm: &Vm,
    description: &mut DomainDescription,
) {
    // A device with an invalid name is left out; the start reports it.
    let named =
        |assignment: &DeviceAssignment| pci_device(context, assignment, DeviceCheck::NameOnly).ok();
    description.pci = required_assignments(vm, "pci").filter_map(named).collect();
    let mut letters = DiskLetters::new(description);
    let named = |a: &DeviceAssignment| {
        block_device(context, a, DeviceCheck::NameOnly, description, &mut letters).ok()
    };
    description.block_devices = required_assignments(vm, "block")
        .filter_map(named)
        .collect();
}

/// Adds the required devices to the description of a domain that is about to start.
///
/// # Errors
/// A device does not exist, is not the one that was assigned, is in use, or is of a kind that
/// this version cannot attach.
pub(in crate::lifecycle) fn add_required_devices(
    context: &Context,
    qubes: &Qubes,
    vm: &Vm,
    description: &mut DomainDescription,
) -> Result<(), LifecycleError> {
    let refused = |class: &str, assignment: &DeviceAssignment, reason: String| {
        refused_device(&vm.name, class, assignment, &reason)
    };
    refuse_unsupported_classes(vm)?;
    (description.pci, description.block_devices) = (Vec::new(), Vec::new());
    let mut letters = DiskLetters::new(description);
    for assignment in required_assignments(vm, "pci") {
        let device = pci_device(context, assignment, DeviceCheck::Full);
        let device = device.and_then(|device| match description.virt_mode {
            VirtMode::Pvh => {
                Err("a qube of virt_mode pvh cannot have PCI devices; use hvm".to_string())
            }
            VirtMode::Hvm | VirtMode::Pv => Ok(device),
        });
        description
            .pci
            .push(device.map_err(|reason| refused("pci", assignment, reason))?);
    }
    for assignment in required_assignments(vm, "block") {
        let device = block_device(
            context,
            assignment,
            DeviceCheck::Full,
            description,
            &mut letters,
        );
        let device = device.map_err(|reason| refused("block", assignment, reason))?;
        if let Some(holder) = other_user_of_disk(context, qubes, vm, &device)? {
            return Err(refused(
                "block",
                assignment,
                format!("it is attached to {holder}"),
            ));
        }
        description.block_devices.push(device);
    }
    Ok(())
}

/// Returns the PCI device of an assignment.
fn pci_device(
    context: &Context,
    assignment: &DeviceAssignment,
    check: DeviceCheck,
) -> Result<PciDevice, String> {
    // All PCI devices belong to dom0.
    if assignment
        .backend()
        .is_some_and(|backend| backend != VmName::DOM0)
    {
        return Err("only dom0 has PCI devices".to_string());
    }
    let bus = PciBus::host();
    let found = match check {
        DeviceCheck::NameOnly => bus.resolve_port(assignment.port()),
        DeviceCheck::Full => bus.find(assignment.port(), assignment.identity()),
    };
    let address: PciAddress = found.map_err(|error| error.to_string())?;
    let is_qemu = Family::from_uri(context.hypervisor().uri()) == Family::Qemu;
    if check == DeviceCheck::Full && is_qemu && !bus.has_iommu(address) {
        return Err(NO_IOMMU.to_string());
    }
    let is_set = |option: &str| {
        assignment
            .options
            .get(option)
            .is_some_and(|text| !text.is_empty())
    };
    Ok(PciDevice {
        domain: format!("{:04x}", address.domain),
        bus: format!("{:02x}", address.bus),
        slot: format!("{:02x}", address.slot),
        function: format!("{:x}", address.function),
        permissive: is_set("permissive"),
        no_strict_reset: is_set("no-strict-reset"),
    })
}

/// Returns the block device of an assignment.
fn block_device(
    context: &Context,
    assignment: &DeviceAssignment,
    check: DeviceCheck,
    description: &DomainDescription,
    letters: &mut DiskLetters,
) -> Result<BlockDevice, String> {
    check_block_assignment(assignment, check)?;
    let text = |error: DeviceError| error.to_string();
    let (path, is_read_only) = match check {
        DeviceCheck::NameOnly => (block::device_node(assignment.port()).map_err(text)?, false),
        DeviceCheck::Full => {
            let device = block::find_free_device(assignment.port()).map_err(text)?;
            (device.node, device.is_read_only)
        }
    };
    let kind = device_kind(assignment)?;
    let requested = assignment
        .options
        .get("read-only")
        .map(parse_read_only)
        .transpose()?;
    if is_read_only && requested == Some(false) {
        return Err("it is read-only, but option read-only is no".to_string());
    }
    let (target, letter) = choose_disk_name(assignment, kind, description, letters)?;
    Ok(BlockDevice {
        source: SourceKind::Block,
        path,
        kind,
        target,
        letter,
        read_only: is_read_only || requested == Some(true) || kind == DeviceKind::Cdrom,
        backend: None,
        script: match Family::from_uri(context.hypervisor().uri()) {
            Family::Xen => toolstack::block_script(),
            Family::Qemu => None,
        },
    })
}

/// Returns the other qube that a block device of dom0 is attached to, as the hypervisor reports
/// it.
fn other_user_of_disk(
    context: &Context,
    qubes: &Qubes,
    vm: &Vm,
    device: &BlockDevice,
) -> Result<Option<String>, LifecycleError> {
    let in_use = context.hypervisor().disks_in_use()?;
    let is_device =
        |source: PathBuf| fs::canonicalize(source).is_ok_and(|source| source == device.path);
    let others = in_use
        .into_iter()
        .filter(|(uuid, _)| Some(*uuid) != vm.uuid());
    let mut holders = others.filter(|(_, disk)| disk.source.clone().is_some_and(is_device));
    let holder = holders.next().map(|(uuid, _)| {
        let known = qubes.iter().find(|other| other.uuid() == Some(uuid));
        known.map_or_else(|| format!("domain {uuid}"), |other| other.name.to_string())
    });
    Ok(holder)
}

/// Returns the error of a domain that Xen failed to create; if it has PCI devices and the
/// machine no IOMMU, that is the error.
pub(in crate::lifecycle) fn explain_with_iommu(
    context: &Context,
    description: &DomainDescription,
    error: LifecycleError,
) -> LifecycleError {
    let refused = matches!(
        error,
        LifecycleError::Hypervisor(HypervisorError::Refused { .. })
    );
    let is_xen = Family::from_uri(context.hypervisor().uri()) == Family::Xen;
    if !refused || !is_xen || description.pci.is_empty() || description.virt_mode != VirtMode::Hvm {
        return error;
    }
    match VmName::from_store(&description.qube) {
        Ok(qube) if toolstack::lacks_iommu(context.system.program_path()) => {
            StartError::failed(&qube, format!("it has PCI devices, and {NO_IOMMU}"))
        }
        _ => error,
    }
}

/// The reason why a machine without IOMMU cannot attach PCI devices.
const NO_IOMMU: &str =
    "this machine has no IOMMU, or it is switched off (VT-d or AMD-Vi in the firmware's settings)";

/// Returns the error that a required device cannot be used for `reason`.
fn refused_device(
    qube: &VmName,
    class: &str,
    assignment: &DeviceAssignment,
    reason: &str,
) -> LifecycleError {
    let device = format!(
        "{}:{}",
        assignment.backend().unwrap_or("*"),
        assignment.port()
    );
    StartError::failed(
        qube,
        format!("its required {class} device {device} cannot be used: {reason}"),
    )
}

/// Fails if a device of another class than block and PCI is required.
fn refuse_unsupported_classes(vm: &Vm) -> Result<(), LifecycleError> {
    let others = vm
        .devices
        .iter()
        .filter(|class| !matches!(&*class.class, "pci" | "block"));
    if let Some((class, assignment)) = others
        .flat_map(|class| {
            class
                .assignments
                .iter()
                .map(move |assignment| (&*class.class, assignment))
        })
        .find(|(_, assignment)| assignment.mode() == Ok(AssignmentMode::Required))
    {
        return Err(refused_device(
            &vm.name,
            class,
            assignment,
            "this version attaches only block and PCI devices at a start",
        ));
    }
    Ok(())
}

/// Returns the required devices of a class that are assigned to a qube.
fn required_assignments<'v>(
    vm: &'v Vm,
    class: &'v str,
) -> impl Iterator<Item = &'v DeviceAssignment> {
    vm.assignments(class)
        .filter(|assignment| assignment.mode() == Ok(AssignmentMode::Required))
}

/// Fails if a block device is not identified by its port alone, or does not belong to dom0.
fn check_block_assignment(assignment: &DeviceAssignment, check: DeviceCheck) -> Result<(), String> {
    let incomplete = "its assignment does not name a qube and a port";
    let backend = assignment.backend().ok_or(incomplete)?;
    if assignment.port() == "*" {
        return Err(incomplete.to_string());
    }
    if backend != VmName::DOM0 {
        return Err(format!(
            "this version attaches only devices of dom0, and {backend} lists its devices in \
             QubesDB"
        ));
    }
    if check == DeviceCheck::Full && assignment.identity() != "*" {
        let identity = assignment.identity();
        return Err(format!(
            "this version cannot check whether it is '{}', which QubesDB says; assign it by \
             its port alone",
            identity.escape_debug()
        ));
    }
    Ok(())
}

/// Returns the kind that option devtype asks for.
fn device_kind(assignment: &DeviceAssignment) -> Result<DeviceKind, String> {
    match assignment.options.get("devtype") {
        None | Some("disk") => Ok(DeviceKind::Disk),
        Some("cdrom") => Ok(DeviceKind::Cdrom),
        Some(other) => Err(format!(
            "option devtype is '{}', expected disk or cdrom",
            other.escape_debug()
        )),
    }
}

/// Parses the value of option read-only.
fn parse_read_only(text: &str) -> Result<bool, String> {
    BooleanDialect::Literal.parse(text).ok_or_else(|| {
        format!(
            "option read-only is '{}', expected yes or no",
            text.escape_debug()
        )
    })
}
