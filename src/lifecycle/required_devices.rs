//! The devices without which a qube does not start: block devices and PCI devices that are assigned
//! to it as required (`docs/spec/r4-devices.md` §1, `docs/spec/r4-features.md` §6 and §7). They
//! are in its domain from the beginning.
//!
//! They have to be there and to be the ones that were assigned. dom0's are looked at; what other
//! qubes expose they tell in QubesDB, which is not asked yet, so those refuse the start.

use std::fs;
use std::path::PathBuf;

use crate::devices::pci::{Address, PciBus};
use crate::devices::{DeviceError, block};
use crate::hypervisor::HypervisorError;
use crate::hypervisor::description::{
    BlockDevice, DeviceKind, DomainDescription, PciDevice, SourceKind,
};
use crate::hypervisor::toolstack;
use crate::hypervisor::uri::Family;
use crate::model::device::{AssignmentMode, DeviceAssignment};
use crate::model::{Qubes, VirtMode, Vm, VmName};

use super::{LifecycleError, Session};

/// Of disks that come to its volumes a qube has so many and no more.
pub(super) const NO_FREE_DISK_NAME: &str = "the qube has no name left for another disk (i to z)";

/// Whether the devices are looked at or taken for granted, as for showing a description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    AtDevices,
    AtNames,
}

/// The letters of disks' names: `i` of `xvdi`.
#[derive(Debug)]
pub(super) struct DiskLetters {
    taken: Vec<char>,
}

impl DiskLetters {
    /// Those that the volumes leave, and the devices that a description has.
    pub(super) fn beside(description: &DomainDescription) -> DiskLetters {
        let volumes = 'a'..=if description.kernel.is_some() {
            'd'
        } else {
            'c'
        };
        DiskLetters {
            taken: volumes
                .chain(description.block_devices.iter().map(|device| device.letter))
                .collect(),
        }
    }

    /// This letter, unless it is taken.
    fn take(&mut self, letter: char) -> Option<char> {
        let free = letter.is_ascii_lowercase() && !self.taken.contains(&letter);
        self.taken.extend(free.then_some(letter));
        free.then_some(letter)
    }

    /// The next one for a disk that comes to those the qube has.
    pub(super) fn next(&mut self) -> Option<char> {
        ('i'..='z').find_map(|letter| self.take(letter))
    }
}

impl Session {
    /// Puts the required devices into a description by their names, whether they are there or not.
    pub(super) fn add_required_devices_unchecked(
        &self,
        vm: &Vm,
        description: &mut DomainDescription,
    ) {
        // One that cannot even be named is told by the start.
        let named = |assignment: &DeviceAssignment| self.pci_device(assignment, Look::AtNames).ok();
        description.pci = required(vm, "pci").filter_map(named).collect();
        let mut letters = DiskLetters::beside(description);
        let named = |a: &DeviceAssignment| {
            self.block_device(a, Look::AtNames, description, &mut letters)
                .ok()
        };
        description.block_devices = required(vm, "block").filter_map(named).collect();
    }

    /// Puts the required devices into the description of a domain that is to start.
    ///
    /// # Errors
    /// One is not there, is another one than was assigned, is in use, or is none that this version
    /// can give.
    pub(super) fn add_required_devices(
        &self,
        qubes: &Qubes,
        vm: &Vm,
        description: &mut DomainDescription,
    ) -> Result<(), LifecycleError> {
        let refused = |class: &str, assignment: &DeviceAssignment, reason: String| {
            let device = format!(
                "{}:{}",
                assignment.backend().unwrap_or("*"),
                assignment.port()
            );
            let reason = format!("its required {class} device {device} cannot be used: {reason}");
            LifecycleError::CannotStart {
                qube: vm.name.clone(),
                reason,
            }
        };
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
            return Err(refused(
                class,
                assignment,
                "this version attaches only block and PCI devices at a start".into(),
            ));
        }
        (description.pci, description.block_devices) = (Vec::new(), Vec::new());
        let mut letters = DiskLetters::beside(description);
        for assignment in required(vm, "pci") {
            let device = self.pci_device(assignment, Look::AtDevices);
            let device = device.and_then(|device| match description.virt_mode {
                VirtMode::Pvh => {
                    Err("a qube of virt_mode pvh can have no PCI devices; hvm can".to_string())
                }
                VirtMode::Hvm | VirtMode::Pv => Ok(device),
            });
            description
                .pci
                .push(device.map_err(|reason| refused("pci", assignment, reason))?);
        }
        for assignment in required(vm, "block") {
            let device = self.block_device(assignment, Look::AtDevices, description, &mut letters);
            let device = device.map_err(|reason| refused("block", assignment, reason))?;
            if let Some(holder) = self.other_user_of_disk(qubes, vm, &device)? {
                return Err(refused("block", assignment, format!("{holder} has it")));
            }
            description.block_devices.push(device);
        }
        Ok(())
    }

    fn pci_device(&self, assignment: &DeviceAssignment, look: Look) -> Result<PciDevice, String> {
        // Nobody but dom0 has any.
        if assignment
            .backend()
            .is_some_and(|backend| backend != VmName::DOM0)
        {
            return Err("only dom0 has PCI devices".to_string());
        }
        let bus = PciBus::of_this_machine();
        let found = match look {
            Look::AtNames => bus.address_of(assignment.port()),
            Look::AtDevices => bus.find(assignment.port(), assignment.identity()),
        };
        let address: Address = found.map_err(|error| error.to_string())?;
        let is_qemu = Family::of_uri(self.hypervisor().uri()) == Family::Qemu;
        if look == Look::AtDevices && is_qemu && !bus.is_confined(address) {
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

    fn block_device(
        &self,
        assignment: &DeviceAssignment,
        look: Look,
        description: &DomainDescription,
        letters: &mut DiskLetters,
    ) -> Result<BlockDevice, String> {
        let unnamed = "its assignment does not say which qube has it, or at which port";
        let backend = assignment.backend().ok_or(unnamed)?;
        if assignment.port() == "*" {
            return Err(unnamed.to_string());
        }
        if backend != VmName::DOM0 {
            return Err(format!(
                "what {backend} exposes only QubesDB knows, which this version does not ask"
            ));
        }
        if look == Look::AtDevices && assignment.identity() != "*" {
            let identity = assignment.identity();
            return Err(format!(
                "whether it is '{}' only QubesDB knows, which this version does not ask; assign it by its port alone",
                identity.escape_debug()
            ));
        }
        let words = |error: DeviceError| error.to_string();
        let (path, is_read_only) = match look {
            Look::AtNames => (block::node_of(assignment.port()).map_err(words)?, false),
            Look::AtDevices => {
                let device = block::free_device(assignment.port()).map_err(words)?;
                (device.node, device.is_read_only)
            }
        };
        let kind = match assignment.options.get("devtype") {
            None | Some("disk") => DeviceKind::Disk,
            Some("cdrom") => DeviceKind::Cdrom,
            Some(other) => {
                return Err(format!(
                    "option devtype is '{}': disk or cdrom",
                    other.escape_debug()
                ));
            }
        };
        let wish = assignment
            .options
            .get("read-only")
            .map(yes_or_no)
            .transpose()?;
        if is_read_only && wish == Some(false) {
            return Err("it cannot be written to, and option read-only says no".to_string());
        }
        let (target, letter) = target(assignment, kind, description, letters)?;
        Ok(BlockDevice {
            source: SourceKind::Block,
            path,
            kind,
            target,
            letter,
            read_only: is_read_only || wish == Some(true) || kind == DeviceKind::Cdrom,
            backend: None,
            script: match Family::of_uri(self.hypervisor().uri()) {
                Family::Xen => toolstack::block_script(),
                Family::Qemu => None,
            },
        })
    }

    /// The other qube that has this device of dom0's, by the hypervisor's word.
    fn other_user_of_disk(
        &self,
        qubes: &Qubes,
        vm: &Vm,
        device: &BlockDevice,
    ) -> Result<Option<String>, LifecycleError> {
        let in_use = self.hypervisor().disks_in_use()?;
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

    /// The error of a domain that Xen did not make: with a PCI device and without an IOMMU, this is
    /// why.
    pub(super) fn explain_with_iommu(
        &self,
        description: &DomainDescription,
        error: LifecycleError,
    ) -> LifecycleError {
        let refused = matches!(
            error,
            LifecycleError::Hypervisor(HypervisorError::Refused { .. })
        );
        let is_xen = Family::of_uri(self.hypervisor().uri()) == Family::Xen;
        if !refused
            || !is_xen
            || description.pci.is_empty()
            || description.virt_mode != VirtMode::Hvm
        {
            return error;
        }
        match VmName::from_store(&description.qube) {
            Ok(qube) if toolstack::lacks_iommu(self.system.program_path()) => {
                LifecycleError::CannotStart {
                    qube,
                    reason: format!("it has PCI devices, and {NO_IOMMU}"),
                }
            }
            _ => error,
        }
    }
}

const NO_IOMMU: &str =
    "this machine has no IOMMU, or it is switched off (VT-d or AMD-Vi in the firmware's settings)";

fn required<'v>(vm: &'v Vm, class: &'v str) -> impl Iterator<Item = &'v DeviceAssignment> {
    vm.assignments(class)
        .filter(|assignment| assignment.mode() == Ok(AssignmentMode::Required))
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "on" | "1" => Ok(true),
        "no" | "false" | "off" | "0" => Ok(false),
        _ => Err(format!(
            "option read-only is '{}': yes or no",
            text.escape_debug()
        )),
    }
}

/// The name that the guest knows a block device by: the one asked for, `xvdd` for a CD where no
/// kernel's volume has it, else the next free one.
fn target(
    assignment: &DeviceAssignment,
    kind: DeviceKind,
    description: &DomainDescription,
    letters: &mut DiskLetters,
) -> Result<(String, char), String> {
    if let Some(wish) = assignment.options.get("frontend-dev") {
        let one = |text: &str| {
            text.chars()
                .next()
                .filter(|letter| text.len() == letter.len_utf8())
        };
        let letter = wish
            .strip_prefix("xvd")
            .or_else(|| wish.strip_prefix("sd"))
            .and_then(one);
        let free = letter.and_then(|letter| letters.take(letter));
        let refused = || {
            format!(
                "option frontend-dev is '{}': xvd or sd and a free letter",
                wish.escape_debug()
            )
        };
        return Ok((wish.to_string(), free.ok_or_else(refused)?));
    }
    let preferred = (kind == DeviceKind::Cdrom && description.kernel.is_none()).then_some('d');
    let letter = preferred
        .and_then(|letter| letters.take(letter))
        .or_else(|| letters.next());
    let letter = letter.ok_or(NO_FREE_DISK_NAME)?;
    Ok((format!("xvd{letter}"), letter))
}
