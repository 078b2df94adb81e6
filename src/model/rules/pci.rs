//! PCI devices of dom0 as R3's property `pcidevs` lists them: required devices, written `bb:ss.f`.
//! The store has the port as `bb_ss.f` (`docs/spec/r3-migration.md` §4).

use crate::model::boolean::BooleanDialect;
use crate::model::device::{AssignmentMode, DeviceAssignment, DeviceClass};
use crate::model::draft::Draft;
use crate::model::effect::Change;
use crate::model::facts::Facts;
use crate::model::power::PowerState;
use crate::model::property::PropertyError;
use crate::model::qubes::Qubes;
use crate::model::text_map::TextMap;
use crate::model::vm::Vm;

const CLASS: &str = "pci";
const NO_RESET: &str = "no-strict-reset";

/// Returns whether the text is `bb:ss.f` in hexadecimal digits.
pub fn is_pci_address(text: &str) -> bool {
    let [b1, b2, b':', s1, s2, b'.', f] = text.as_bytes() else {
        return false;
    };
    [b1, b2, s1, s2].iter().all(|b| b.is_ascii_hexdigit()) && matches!(f, b'0'..=b'7')
}

/// Returns the port in the store for the address `bb:ss.f`, in lower case: releases from 4.3 on
/// refuse a store with capitals in a port.
pub fn pci_port(address: &str) -> String {
    address.replacen(':', "_", 1).to_ascii_lowercase()
}

impl Vm {
    /// Returns the addresses `bb:ss.f` of the required PCI devices from dom0, in the order of the
    /// store.
    pub fn pci_addresses(&self) -> Vec<String> {
        self.assignments(CLASS)
            .filter(|a| is_required_from_dom0(a))
            .map(|a| a.port().replacen('_', ":", 1))
            .collect()
    }

    /// Returns whether each PCI device must support a reset between qubes.
    pub fn pci_strict_reset(&self) -> bool {
        !self.assignments(CLASS).any(|a| {
            is_required_from_dom0(a)
                && a.options
                    .get(NO_RESET)
                    .is_some_and(|text| BooleanDialect::Literal.is_true(text))
        })
    }
}

/// Sets the required PCI devices from dom0. Devices that the qube keeps keep their options.
///
/// # Errors
/// Nothing was changed: there is no such qube, it is not halted, or a text is not an address.
pub fn set_addresses(
    draft: &mut Draft,
    vm: &str,
    addresses: &[String],
    facts: &dyn Facts,
) -> Result<Change, PropertyError> {
    require_halted(draft, vm, facts)?;
    if let Some(bad) = addresses.iter().find(|address| !is_pci_address(address)) {
        let text = format!(
            "'{}' is not a PCI address; write bus:slot.function in hexadecimal",
            bad.escape_debug()
        );
        return Err(PropertyError::Refused(text));
    }
    let ports: Vec<String> = addresses.iter().map(|address| pci_port(address)).collect();
    let Some(vm) = draft.qubes.edit(vm) else {
        return Ok(Change::STORE_ONLY);
    };
    for class in vm.devices.iter_mut().filter(|d| &*d.class == CLASS) {
        class
            .assignments
            .retain(|a| !is_required_from_dom0(a) || ports.iter().any(|port| port == a.port()));
    }
    for port in &ports {
        if !vm
            .assignments(CLASS)
            .any(|a| is_required_from_dom0(a) && a.port() == port)
        {
            let attributes = TextMap::from_iter([("backend-domain", "dom0"), ("id", port)]);
            pci_devices_mut(vm).assignments.push(DeviceAssignment {
                attributes,
                options: TextMap::new(),
            });
        }
    }
    vm.devices
        .retain(|d| &*d.class != CLASS || !d.assignments.is_empty());
    Ok(Change::STORE_ONLY)
}

/// Sets whether each required PCI device must support a reset between qubes.
///
/// # Errors
/// Nothing was changed: there is no such qube, or it is not halted.
pub fn set_strict_reset(
    draft: &mut Draft,
    vm: &str,
    strict: bool,
    facts: &dyn Facts,
) -> Result<Change, PropertyError> {
    require_halted(draft, vm, facts)?;
    let Some(vm) = draft.qubes.edit(vm) else {
        return Ok(Change::STORE_ONLY);
    };
    for device in vm
        .devices
        .iter_mut()
        .filter(|d| &*d.class == CLASS)
        .flat_map(|d| &mut d.assignments)
    {
        match strict {
            true => drop(device.options.remove(NO_RESET)),
            false => device.options.set(NO_RESET, "True"),
        }
    }
    Ok(Change::STORE_ONLY)
}

fn require_halted(qubes: &Qubes, name: &str, facts: &dyn Facts) -> Result<(), PropertyError> {
    let vm = qubes
        .get(name)
        .ok_or_else(|| PropertyError::NoSuchQube(name.to_owned()))?;
    if !vm.class.is_local_guest() {
        return Err(PropertyError::Refused(format!(
            "PCI devices cannot be assigned to {name}"
        )));
    }
    match facts.power_state(vm) {
        PowerState::Halted => Ok(()),
        _ => Err(PropertyError::Refused(format!(
            "PCI devices of {name} cannot be changed while it runs"
        ))),
    }
}

fn is_required_from_dom0(device: &DeviceAssignment) -> bool {
    device.mode() == Ok(AssignmentMode::Required)
        && device.backend().is_none_or(|backend| backend == "dom0")
}

fn pci_devices_mut(vm: &mut Vm) -> &mut DeviceClass {
    let at = vm
        .devices
        .iter()
        .position(|d| &*d.class == CLASS)
        .unwrap_or_else(|| {
            vm.devices.push(DeviceClass {
                class: CLASS.into(),
                assignments: Vec::new(),
            });
            vm.devices.len() - 1
        });
    &mut vm.devices[at]
}
