//! Device assignments of one qube.

use super::{At, Finding, Harm, Part, Remedy};
use crate::model::device::{Assignment, Mode};
use crate::model::facts::Facts;
use crate::model::qubes::Qubes;
use crate::model::release::Release;
use crate::model::vm::Vm;

impl Qubes {
    pub(super) fn check_devices(&self, vm: &Vm, facts: &dyn Facts, found: &mut Vec<Finding>) {
        for class in &vm.devices {
            for (position, device) in class.assignments.iter().enumerate() {
                let what = format!("{} device '{}'", class.class, device.port());
                let taken_out = || Remedy::TakeOut { what: "the assignment".into() };
                let mut add = |harm, text: String, remedy| {
                    let part = Part::Device { class: class.class.to_string(), position };
                    found.push(Finding {
                        at: At::Qube { name: vm.name.clone(), part },
                        harm,
                        text: format!("{what} {text}"),
                        remedy,
                    });
                };
                if let Some(backend) = device.backend().filter(|b| !self.contains(b)) {
                    let text = format!("is of '{backend}', and there is no such qube: qubesd drops the assignment");
                    add(Harm::Misread, text, taken_out());
                }
                match device.mode() {
                    Err("manual") => add(Harm::Refused, "has mode 'manual'".into(), taken_out()),
                    Err(mode) => {
                        add(Harm::Misread, format!("has mode '{mode}': qubesd drops the assignment"), taken_out())
                    }
                    Ok(mode) if mode != Mode::Required && facts.release() < Release::R4_3 => {
                        let text = format!(
                            "has mode '{}', and Qubes OS {} takes every assignment for required",
                            mode.as_str(),
                            facts.release()
                        );
                        add(
                            Harm::Misread,
                            text,
                            Remedy::ByHand("take the assignment out, or accept it as required".into()),
                        );
                    }
                    Ok(_) => {}
                }
                let same = |other: &Assignment| key(other) == key(device);
                if class.assignments.iter().take(position).any(same) {
                    add(Harm::Refused, "is assigned twice".into(), taken_out());
                }
                if &*class.class == "pci" && !is_pci_port(device.port()) {
                    add(Harm::Refused, "has no PCI address".into(), taken_out());
                }
            }
        }
    }
}

/// What makes two assignments the same for upstream.
fn key(device: &Assignment) -> (Option<&str>, &str, &str) {
    (device.backend(), device.port(), device.identity())
}

/// `*`, `BB_DD.F`, `BB:DD.F`, `SSSS:BB:DD.F`, or a path of `BB_DD.F` with dashes between and `SSSS_` in front of the
/// first.
fn is_pci_port(port: &str) -> bool {
    let is_hex = |text: &str, length: usize| text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit());
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
