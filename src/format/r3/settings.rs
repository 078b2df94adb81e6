//! Imports the settings of one qube: properties, features, devices, volumes
//! (`docs/spec/r3-migration.md` §3, §4).

use uuid::Uuid;

use super::old_element::{OldElement, sanitize};
use super::pools::ImageLocation;
use super::python_literal;
use crate::format::document::parse::diagnosis;
use crate::model::boolean::boolean_text;
use crate::model::device::{DeviceAssignment, DeviceClass};
use crate::model::property::{Property, Scope};
use crate::model::rules::pci::{is_pci_address, pci_port};
use crate::model::{Class, Labels, TextMap, Vm, VolumeConfig};

/// R3 limits maxmem to memory times this factor.
const MAXMEM_FACTOR: u32 = 10;

/// Longest name of a service, in bytes: with its directory it is a key in QubesDB
/// (`docs/spec/r4-features.md` §4).
const SERVICE_MAX: usize = 48;

/// Imports the settings of a qube. dom0 has no images, and only few settings.
pub(super) fn import_settings(
    old: &OldElement,
    vm: &mut Vm,
    labels: &Labels,
    place: Option<&ImageLocation>,
) {
    import_label(old, vm, labels);
    import_backup(old, vm);
    let Some(place) = place else { return };
    import_flags(old, vm);
    import_texts(old, vm);
    import_kernel(old, vm);
    let has_devices = import_devices(old, vm);
    let balances = import_services(old, vm, has_devices);
    import_memory(old, vm, balances);
    import_agents(old, vm);
    import_volumes(vm, place);
    drop_invalid_properties(vm);
}

/// Removes values that R3 accepted and R4 would refuse the store for.
fn drop_invalid_properties(vm: &mut Vm) {
    // The identity of a qube is checked where qubes are created.
    const IDENTITY: [&str; 3] = ["name", "qid", "uuid"];
    let misfit = |name: &str| {
        if IDENTITY.contains(&name) {
            return None;
        }
        let property = Property::find(Scope::Class(&vm.class), name)?;
        let text = vm.properties.get(name)?;
        let rule = property.setter_error(text)?;
        Some((
            name.to_owned(),
            format!("{name}='{}': {rule}; the default is used", sanitize(text)),
        ))
    };
    let found: Vec<(String, String)> = vm.properties.names().filter_map(misfit).collect();
    for (name, text) in found {
        vm.properties.remove(&name);
        vm.diagnoses.push(diagnosis(text));
    }
}

fn import_label(old: &OldElement, vm: &mut Vm, labels: &Labels) {
    let default = old.class.default_label();
    let stored = old.text("label");
    let known = stored
        .as_deref()
        .and_then(|text| labels.iter().find(|l| &*l.name == text));
    if let (Some(text), None) = (&stored, known) {
        vm.diagnoses.push(diagnosis(format!(
            "label='{}' is not a label; {default} is used",
            sanitize(text)
        )));
    }
    vm.properties
        .set("label", known.map_or(default, |l| &l.name));
}

/// Imports what the last backup recorded.
fn import_backup(old: &OldElement, vm: &mut Vm) {
    if vm.class != Class::AdminVM
        && let Some(time) = old.number("backup_timestamp", &mut vm.diagnoses)
    {
        vm.properties.set("backup_timestamp", &time.to_string());
    }
    if old.flag("backup_content", false, &mut vm.diagnoses) {
        vm.features.set("backup-content", "1");
        for (attribute, feature) in [
            ("backup_path", "backup-path"),
            ("backup_size", "backup-size"),
        ] {
            if let Some(text) = old
                .text(attribute)
                .filter(|t| t.bytes().all(|b| matches!(b, b' '..=b'~')))
            {
                vm.features.set(feature, &text);
            }
        }
    }
}

fn import_flags(old: &OldElement, vm: &mut Vm) {
    let installed_by_rpm = old.flag("installed_by_rpm", false, &mut vm.diagnoses);
    let included = old.flag("include_in_backups", !installed_by_rpm, &mut vm.diagnoses);
    for (property, is, default) in [
        ("installed_by_rpm", installed_by_rpm, false),
        ("include_in_backups", included, true),
        ("debug", old.flag("debug", false, &mut vm.diagnoses), false),
        (
            "autostart",
            old.flag("autostart", false, &mut vm.diagnoses),
            false,
        ),
        ("provides_network", old.class.provides_network(), false),
    ] {
        if is != default {
            vm.properties.set(property, boolean_text(is));
        }
    }
    if old.class.provides_network() {
        // R4 sets this when somebody makes a qube provide network.
        vm.features.set("servicevm", "1");
    }
    if old.flag("internal", false, &mut vm.diagnoses) {
        vm.features.set("internal", "1");
    }
}

fn import_texts(old: &OldElement, vm: &mut Vm) {
    if let Some(mac) = old.text("mac") {
        match is_mac(&mac) {
            true => vm.properties.set("mac", &mac.to_ascii_lowercase()),
            false => vm.diagnoses.push(diagnosis(format!(
                "mac='{}' is not a MAC address; the default is used",
                sanitize(&mac)
            ))),
        }
    }
    if let Some(uuid) = old.text("uuid") {
        match Uuid::try_parse(&uuid) {
            Ok(uuid) => vm.properties.set("uuid", &uuid.to_string()),
            Err(_) => vm.diagnoses.push(diagnosis(format!(
                "uuid='{}' is not a UUID; it is not imported",
                sanitize(&uuid)
            ))),
        }
    }
    // R3 always uses the user of the template, if there is one.
    if vm.class != Class::AppVM
        && let Some(user) = old.text("default_user").filter(|u| u != "user")
    {
        vm.properties.set("default_user", &user);
    }
    for (property, default) in [("qrexec_timeout", 60), ("vcpus", 2)] {
        let number = old
            .number(property, &mut vm.diagnoses)
            .filter(|n| *n != default);
        if let Some(number) = number {
            vm.properties.set(property, &number.to_string());
        }
    }
}

fn is_mac(text: &str) -> bool {
    text.split(':').count() == 6
        && text
            .split(':')
            .all(|pair| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn import_kernel(old: &OldElement, vm: &mut Vm) {
    if old.class.is_hvm() {
        vm.properties.set("virt_mode", "hvm");
        vm.properties.set("kernel", "");
        return;
    }
    vm.properties.set("virt_mode", "pv");
    for (property, follows) in [
        ("kernel", "uses_default_kernel"),
        ("kernelopts", "uses_default_kernelopts"),
    ] {
        if !old.flag(follows, true, &mut vm.diagnoses) {
            vm.properties
                .set(property, &old.text(property).unwrap_or_default());
        }
    }
}

/// Imports PCI devices: their backend is dom0, and they are required, as every assignment in R3.
/// Returns whether there are any.
fn import_devices(old: &OldElement, vm: &mut Vm) -> bool {
    let stored = old.text("pcidevs").unwrap_or_default();
    let Some(addresses) = python_literal::parse_device_list(&stored) else {
        vm.diagnoses.push(diagnosis(format!(
            "pcidevs={} is not a list of devices; none is assigned",
            sanitize(&stored)
        )));
        return false;
    };
    let reset = old.flag("pci_strictreset", true, &mut vm.diagnoses);
    let mut assignments: Vec<DeviceAssignment> = Vec::new();
    for address in addresses {
        if !is_pci_address(&address) {
            let text = format!(
                "'{}' in pcidevs is not a PCI device; it is not assigned",
                sanitize(&address)
            );
            vm.diagnoses.push(diagnosis(text));
            continue;
        }
        let id = pci_port(&address);
        if assignments.iter().any(|a| a.port() == id) {
            continue;
        }
        let attributes = TextMap::from_iter([("backend-domain", "dom0"), ("id", &*id)]);
        let options = TextMap::from_iter((!reset).then_some(("no-strict-reset", "True")));
        assignments.push(DeviceAssignment {
            attributes,
            options,
        });
    }
    if assignments.is_empty() {
        return false;
    }
    if !old.flag("pci_e820_host", true, &mut vm.diagnoses) {
        vm.features.set("pci-e820-host", "");
    }
    vm.devices.push(DeviceClass {
        class: "pci".into(),
        assignments,
    });
    true
}

/// Imports services. Returns whether the qube takes part in memory balancing: R3 expresses that
/// with a service, R4 with maxmem.
fn import_services(old: &OldElement, vm: &mut Vm, has_devices: bool) -> bool {
    let mut balances = !has_devices && !old.class.is_hvm();
    let Some(stored) = old.text("services") else {
        return balances;
    };
    let Some(services) = python_literal::parse_services(&stored) else {
        vm.diagnoses.push(diagnosis(format!(
            "services={} is not a list of services; none is imported",
            sanitize(&stored)
        )));
        return balances;
    };
    for (name, on) in services {
        let feature = match &*name {
            "meminfo-writer" => {
                balances &= on;
                continue;
            }
            "qubes-update-check" => "check-updates".to_string(),
            "qubes-dvm" => "dvm".to_string(),
            "yum-proxy-setup" => "updates-proxy-setup".to_string(),
            _ => format!("service.{name}"),
        };
        let is_name_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        match !matches!(&*name, "" | "." | "..")
            && name.len() <= SERVICE_MAX
            && name.bytes().all(is_name_byte)
        {
            true => vm.features.set(&feature, if on { "1" } else { "" }),
            false => {
                let text = format!(
                    "'{}' in services is not a name of a service; it is not imported",
                    sanitize(&name)
                );
                vm.diagnoses.push(diagnosis(text));
            }
        }
    }
    balances
}

fn import_memory(old: &OldElement, vm: &mut Vm, balances: bool) {
    let memory = old
        .number("memory", &mut vm.diagnoses)
        .unwrap_or(old.class.default_memory());
    if memory != 400 {
        vm.properties.set("memory", &memory.to_string());
    }
    if !balances {
        vm.properties.set("maxmem", "0");
        return;
    }
    let limit = memory.saturating_mul(MAXMEM_FACTOR);
    let maxmem = old
        .number("maxmem", &mut vm.diagnoses)
        .unwrap_or(4000)
        .min(limit);
    if maxmem != 4000 {
        vm.properties.set("maxmem", &maxmem.to_string());
    }
}

/// Imports which agents are installed, and the settings of HVM qubes.
fn import_agents(old: &OldElement, vm: &mut Vm) {
    if !old.class.is_hvm() {
        // Every PV qube had the agents; a qube with a template inherits these features.
        if vm.class != Class::AppVM {
            ["qrexec", "gui"]
                .iter()
                .for_each(|feature| vm.features.set(feature, "1"));
        }
        return;
    }
    for (attribute, feature) in [
        ("qrexec_installed", "qrexec"),
        ("guiagent_installed", "gui"),
    ] {
        if old.flag(attribute, false, &mut vm.diagnoses) {
            vm.features.set(feature, "1");
        }
    }
    vm.features.set("linux-stubdom", "");
    let timezone = old.text("timezone").unwrap_or("localtime".into());
    match timezone == "localtime" || timezone.parse::<i32>().is_ok() {
        true => vm.features.set("timezone", &timezone),
        false => {
            let text = format!(
                "timezone='{}' is neither localtime nor seconds; localtime is used",
                sanitize(&timezone)
            );
            vm.diagnoses.push(diagnosis(text));
            vm.features.set("timezone", "localtime");
        }
    }
}

/// Describes the volumes. Images stay where they are, which for qubes that provide network is not
/// R4's usual place.
fn import_volumes(vm: &mut Vm, place: &ImageLocation) {
    let own_root = (vm.class != Class::AppVM).then_some("root");
    for name in own_root.into_iter().chain(["private", "volatile"]) {
        let vid = format!("{}/{name}", place.below);
        let attributes = TextMap::from_iter([("name", name), ("pool", &place.pool), ("vid", &vid)]);
        vm.volumes.push(VolumeConfig { attributes });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pci_and_mac_addresses_are_validated() {
        assert!(is_pci_address("02:00.0") && is_pci_address("0a:1F.7"));
        for bad in [
            "",
            "0000:02:00.0",
            "02:00.8",
            "02_00.0",
            "../../.",
            "zz:00.0",
        ] {
            assert!(!is_pci_address(bad), "{bad}");
        }
        assert!(is_mac("00:16:3E:5E:6C:55"));
        assert!(
            !is_mac("00:16:3E:5E:6C")
                && !is_mac("00:16:3E:5E:6C:5g")
                && !is_mac("+0:16:3E:5E:6C:55")
        );
    }
}
