//! PCI devices of dom0 as R3's `pcidevs` has them: each required, `bb:ss.f`. In the store the port
//! is `bb_ss.f` (`docs/spec/r3-migration.md` §4).

use super::device::{AssignmentMode, DeviceAssignment, DeviceClass};
use super::facts::Facts;
use super::power::PowerState;
use super::property::PropertyError;
use super::qubes::Qubes;
use super::text_map::TextMap;
use super::vm::Vm;

const CLASS: &str = "pci";
const NO_RESET: &str = "no-strict-reset";

/// Whether this is `bb:ss.f` in hexadecimal digits.
pub fn is_pci_address(text: &str) -> bool {
    let [b1, b2, b':', s1, s2, b'.', f] = text.as_bytes() else {
        return false;
    };
    [b1, b2, s1, s2].iter().all(|b| b.is_ascii_hexdigit()) && matches!(f, b'0'..=b'7')
}

/// The port in the store for `bb:ss.f`. Releases from 4.3 on refuse a store with capitals in one.
pub fn pci_port(address: &str) -> String {
    address.replacen(':', "_", 1).to_ascii_lowercase()
}

impl Vm {
    /// The required PCI devices of dom0, `bb:ss.f`, in their order.
    pub fn pci_addresses(&self) -> Vec<String> {
        self.assignments(CLASS)
            .filter(|a| is_dom0s(a))
            .map(|a| a.port().replacen('_', ":", 1))
            .collect()
    }

    /// Whether a device must be able to forget what the qube left in it.
    pub fn pci_strict_reset(&self) -> bool {
        !self
            .assignments(CLASS)
            .any(|a| is_dom0s(a) && a.options.get(NO_RESET).is_some_and(is_yes))
    }
}

impl Qubes {
    /// Makes these, and no others of dom0's, the required PCI devices of a qube. Those it has keep
    /// their options.
    ///
    /// # Errors
    /// Nothing was changed: there is no such qube, it is not halted, or a text is no address.
    pub fn set_pci_addresses(
        &mut self,
        vm: &str,
        wanted: &[String],
        facts: &dyn Facts,
    ) -> Result<(), PropertyError> {
        self.require_halted(vm, facts)?;
        if let Some(bad) = wanted.iter().find(|address| !is_pci_address(address)) {
            let text = format!(
                "'{}' is no PCI device: bus:slot.function in hexadecimal digits",
                bad.escape_debug()
            );
            return Err(PropertyError::Refused(text));
        }
        let ports: Vec<String> = wanted.iter().map(|address| pci_port(address)).collect();
        let Some(vm) = self.edit(vm) else {
            return Ok(());
        };
        for class in vm.devices.iter_mut().filter(|d| &*d.class == CLASS) {
            class
                .assignments
                .retain(|a| !is_dom0s(a) || ports.iter().any(|port| port == a.port()));
        }
        for port in &ports {
            if !vm
                .assignments(CLASS)
                .any(|a| is_dom0s(a) && a.port() == port)
            {
                let attributes = TextMap::from_iter([("backend-domain", "dom0"), ("id", port)]);
                pci_of(vm).assignments.push(DeviceAssignment {
                    attributes,
                    options: TextMap::new(),
                });
            }
        }
        vm.devices
            .retain(|d| &*d.class != CLASS || !d.assignments.is_empty());
        Ok(())
    }

    /// Says of each required PCI device of a qube whether it must be able to forget.
    ///
    /// # Errors
    /// Nothing was changed: there is no such qube, or it is not halted.
    pub fn set_pci_strict_reset(
        &mut self,
        vm: &str,
        strict: bool,
        facts: &dyn Facts,
    ) -> Result<(), PropertyError> {
        self.require_halted(vm, facts)?;
        let Some(vm) = self.edit(vm) else {
            return Ok(());
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
        Ok(())
    }

    fn require_halted(&self, name: &str, facts: &dyn Facts) -> Result<(), PropertyError> {
        let vm = self
            .get(name)
            .ok_or_else(|| PropertyError::NoSuchQube(name.to_owned()))?;
        if !vm.class.is_local_guest() {
            return Err(PropertyError::Refused(format!(
                "{name} is no qube that PCI devices can be given to"
            )));
        }
        match facts.power_state(vm) {
            PowerState::Halted => Ok(()),
            _ => Err(PropertyError::Refused(format!(
                "PCI devices of {name} cannot be changed while it runs"
            ))),
        }
    }
}

fn is_dom0s(device: &DeviceAssignment) -> bool {
    device.mode() == Ok(AssignmentMode::Required)
        && device.backend().is_none_or(|backend| backend == "dom0")
}

fn is_yes(text: &str) -> bool {
    matches!(
        text.to_ascii_lowercase().as_str(),
        "1" | "yes" | "true" | "on"
    )
}

fn pci_of(vm: &mut Vm) -> &mut DeviceClass {
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
