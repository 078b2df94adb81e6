//! Checks of a qube's device assignments.

use super::{Finding, FindingKind, Location, Problem, QubePart, Remedy};
use crate::model::device::{AssignmentMode, DeviceAssignment};
use crate::model::facts::Facts;
use crate::model::qubes::Qubes;
use crate::model::release::Release;
use crate::model::vm::Vm;

pub(super) fn check_devices(qubes: &Qubes, vm: &Vm, facts: &dyn Facts, found: &mut Vec<Finding>) {
    let release = facts.host().release();
    for (class_position, class) in vm.devices.iter().enumerate() {
        for (position, device) in class.assignments.iter().enumerate() {
            let problems = [
                find_backend_problem(qubes, device),
                find_mode_problem(device, release),
                find_identity_problem(device, release),
                find_duplicate(device, &class.assignments[..position]),
                find_port_problem(&class.class, device.port()),
            ];
            found.extend(problems.into_iter().flatten().map(|problem| {
                let part = QubePart::Device {
                    class: class_position,
                    position,
                };
                problem
                    .about(&format!("{} device '{}'", class.class, device.port()))
                    .at(Location::part(&vm.name, part))
            }));
        }
    }
}

fn find_backend_problem(qubes: &Qubes, device: &DeviceAssignment) -> Option<Problem> {
    let backend = device.backend().filter(|b| !qubes.contains(b))?;
    let text =
        format!("is of '{backend}', a qube that does not exist: qubesd drops the assignment");
    let kind = FindingKind::DeviceBackend;
    Some(Problem::misread(kind, text, remove_assignment()))
}

fn find_mode_problem(device: &DeviceAssignment, release: Release) -> Option<Problem> {
    let kind = FindingKind::DeviceMode;
    Some(match device.mode() {
        Err("manual") => Problem::refused(kind, "has mode 'manual'", remove_assignment()),
        Err(text) if device.attributes.contains("required") => {
            let text = text.escape_debug();
            let text = format!("has required='{text}', which is not a boolean");
            Problem::refused(kind, text, remove_assignment())
        }
        Err(mode) => {
            let text = format!("has mode '{mode}': qubesd drops the assignment");
            Problem::misread(kind, text, remove_assignment())
        }
        Ok(AssignmentMode::Required) => return None,
        Ok(_) if release.has_device_modes() => return None,
        Ok(mode) => {
            let text = format!(
                "has mode '{}', and Qubes OS {release} takes every assignment for required",
                mode.as_str()
            );
            Problem::misread(kind, text, accept())
        }
    })
}

fn find_identity_problem(device: &DeviceAssignment, release: Release) -> Option<Problem> {
    let identity = device.identity();
    (identity != "*" && !release.has_device_modes()).then(|| {
        let text = format!(
            "is for '{identity}' alone, and Qubes OS {release} gives whatever is at that port"
        );
        Problem::misread(FindingKind::DeviceIdentity, text, accept())
    })
}

fn find_duplicate(device: &DeviceAssignment, earlier: &[DeviceAssignment]) -> Option<Problem> {
    let is_same = |other: &DeviceAssignment| key(other) == key(device);
    earlier.iter().any(is_same).then(|| {
        let (kind, text) = (FindingKind::DeviceTwice, "is assigned twice");
        Problem::refused(kind, text, remove_assignment())
    })
}

fn find_port_problem(class: &str, port: &str) -> Option<Problem> {
    if class != "pci" || is_pci_port(port) {
        return None;
    }
    let (text, remedy) = match is_pci_port(&port.to_ascii_lowercase()) {
        true => (
            "has capitals in its PCI address",
            Remedy::manual("write small letters"),
        ),
        false => ("has no PCI address", remove_assignment()),
    };
    Some(Problem::refused(FindingKind::DevicePort, text, remedy))
}

fn remove_assignment() -> Remedy {
    Remedy::remove("the assignment")
}

/// Returns the remedy for an assignment that the release cannot represent.
fn accept() -> Remedy {
    Remedy::manual("take the assignment out, or accept it as required")
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
