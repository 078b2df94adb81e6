//! Checks of a qube's device assignments.

use super::{Finding, FindingKind, Harm, Location, QubePart, Remedy};
use crate::model::device::{AssignmentMode, DeviceAssignment};
use crate::model::facts::Facts;
use crate::model::qubes::Qubes;
use crate::model::vm::Vm;

/// The manual remedy for an assignment that the release cannot represent.
const ACCEPT: &str = "take the assignment out, or accept it as required";

pub(super) fn check_devices(qubes: &Qubes, vm: &Vm, facts: &dyn Facts, found: &mut Vec<Finding>) {
    for (class_position, class) in vm.devices.iter().enumerate() {
        for (position, device) in class.assignments.iter().enumerate() {
            let what = format!("{} device '{}'", class.class, device.port());
            let remove_assignment = || Remedy::Remove {
                what: "the assignment".into(),
            };
            let mut add = |kind, harm, text: String, remedy| {
                let part = QubePart::Device {
                    class: class_position,
                    position,
                };
                found.push(Finding {
                    at: Location::Qube {
                        name: vm.name.clone(),
                        part,
                    },
                    kind,
                    harm,
                    text: format!("{what} {text}"),
                    remedy,
                });
            };
            if let Some(backend) = device.backend().filter(|b| !qubes.contains(b)) {
                let text = format!(
                    "is of '{backend}', and there is no such qube: qubesd drops the assignment"
                );
                add(
                    FindingKind::DeviceBackend,
                    Harm::Misread,
                    text,
                    remove_assignment(),
                );
            }
            match device.mode() {
                Err("manual") => {
                    add(
                        FindingKind::DeviceMode,
                        Harm::Refused,
                        "has mode 'manual'".into(),
                        remove_assignment(),
                    );
                }
                Err(text) if device.attributes.contains("required") => {
                    let text = format!(
                        "has required='{}', which is not a boolean",
                        text.escape_debug()
                    );
                    add(
                        FindingKind::DeviceMode,
                        Harm::Refused,
                        text,
                        remove_assignment(),
                    );
                }
                Err(mode) => {
                    let text = format!("has mode '{mode}': qubesd drops the assignment");
                    add(
                        FindingKind::DeviceMode,
                        Harm::Misread,
                        text,
                        remove_assignment(),
                    );
                }
                Ok(mode)
                    if mode != AssignmentMode::Required
                        && !facts.host().release().has_device_modes() =>
                {
                    let text = format!(
                        "has mode '{}', and Qubes OS {} takes every assignment for required",
                        mode.as_str(),
                        facts.host().release()
                    );
                    add(
                        FindingKind::DeviceMode,
                        Harm::Misread,
                        text,
                        Remedy::Manual(ACCEPT.into()),
                    );
                }
                Ok(_) => {}
            }
            if device.identity() != "*" && !facts.host().release().has_device_modes() {
                let text = format!(
                    "is for '{}' alone, and Qubes OS {} gives whatever is at that port",
                    device.identity(),
                    facts.host().release()
                );
                add(
                    FindingKind::DeviceIdentity,
                    Harm::Misread,
                    text,
                    Remedy::Manual(ACCEPT.into()),
                );
            }
            let same = |other: &DeviceAssignment| key(other) == key(device);
            if class.assignments.iter().take(position).any(same) {
                add(
                    FindingKind::DeviceTwice,
                    Harm::Refused,
                    "is assigned twice".into(),
                    remove_assignment(),
                );
            }
            let port = device.port();
            if &*class.class == "pci" && !is_pci_port(port) {
                let (text, remedy) = match is_pci_port(&port.to_ascii_lowercase()) {
                    true => (
                        "has capitals in its PCI address",
                        Remedy::Manual("write small letters".into()),
                    ),
                    false => ("has no PCI address", remove_assignment()),
                };
                add(FindingKind::DevicePort, Harm::Refused, text.into(), remedy);
            }
        }
    }
}

/// Returns what identifies an assignment for upstream.
fn key(device: &DeviceAssignment) -> (Option<&str>, &str, &str) {
    (device.backend(), device.port(), device.identity())
}

/// Returns whether a port is `*`, `BB_DD.F` in small letters, `BB:DD.F`, `SSSS:BB:DD.F`, or a path
/// of `BB_DD.F` with dashes between and `SSSS_` in front of the first.
fn is_pci_port(port: &str) -> bool {
    let is_digit = |b: u8| b.is_ascii_hexdigit() && !b.is_ascii_uppercase();
    let is_hex = |text: &str, length: usize| text.len() == length && text.bytes().all(is_digit);
    let is_hop = |hop: &str| {
        let parts: Vec<&str> = hop.split(['_', ':', '.']).collect();
        match parts.as_slice() {
            [bus, device, function] => is_hex(bus, 2) && is_hex(device, 2) && is_hex(function, 1),
            [segment, bus, device, function] => {
                is_hex(segment, 4) && is_hex(bus, 2) && is_hex(device, 2) && is_hex(function, 1)
            }
            _ => false,
        }
    };
    port == "*" || port.split('-').all(is_hop)
}
