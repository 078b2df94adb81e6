//! The output of R3's `qvm-prefs --list` and `qubes-prefs --list`: its names, order and words
//! (`docs/spec/r3-tools.md` §2). The values are those in effect in R4.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::value_texts::{is_on, python_list};
use crate::lifecycle::Context;
use crate::model::boolean::boolean_text;
use crate::model::{Class, Facts, Property, Qubes, Scope, Value, Vm, features, property, volume};
use crate::tools::ui::failure::Failure;
use crate::tools::ui::output::Output;

/// The marks of R3 for computed values.
const DEFAULT: &str = " (default)";
const AUTO: &str = " (auto)";

/// The lines of R3's list for which R4 has values, in R3's order.
const HEADINGS: [&str; 30] = [
    "name",
    "label",
    "type",
    "template",
    "netvm",
    "updateable",
    "autostart",
    "installed_by_rpm",
    "include_in_backups",
    "last_backup",
    "dir",
    "pcidevs",
    "pci_strictreset",
    "pci_e820_host",
    "root_img",
    "root_volatile_img",
    "private_img",
    "vcpus",
    "memory",
    "maxmem",
    "MAC",
    "kernel",
    "kernelopts",
    "debug",
    "default_user",
    "qrexec_installed",
    "qrexec_timeout",
    "guiagent_installed",
    "timezone",
    "internal",
];

/// Prints R3's list of a qube.
pub fn print(out: &mut Output, qubes: &Qubes, vm: &Vm, context: &Context) -> Result<u8, Failure> {
    for heading in HEADINGS {
        if let Some(text) = value(heading, qubes, vm, context.facts()) {
            out.line(&format!("{heading:<19}: {text}"))?;
        }
    }
    Ok(0)
}

/// Prints R3's properties of the system.
pub fn print_system(out: &mut Output, qubes: &Qubes, context: &Context) -> Result<u8, Failure> {
    for name in [
        "clockvm",
        "default-kernel",
        "default-netvm",
        "default-template",
        "updatevm",
    ] {
        let value =
            property::global_value_by_name(qubes, &name.replace('-', "_"), context.facts()).ok();
        let text = value
            .filter(|v| *v != Value::Qube(None))
            .map(|v| v.to_string())
            .unwrap_or_default();
        out.line(&format!("{name:<18}: {text}"))?;
    }
    Ok(0)
}

/// Returns the value of a line; `None` if the qube has no such line.
pub fn value(heading: &str, qubes: &Qubes, vm: &Vm, facts: &dyn Facts) -> Option<String> {
    let kind = R3Type::for_qube(qubes, vm, facts);
    match heading {
        "type" => Some(kind.as_str().to_owned()),
        "last_backup" => Some(last_backup(qubes, vm, facts)),
        "dir" => Some(directory(qubes, vm, facts)),
        "pcidevs" => Some(python_list(&vm.pci_addresses())),
        "pci_strictreset" => Some(boolean_text(vm.pci_strict_reset()).to_owned()),
        "pci_e820_host" => Some(boolean_text(is_on(vm, "pci-e820-host", true)).to_owned()),
        "internal" => Some(boolean_text(is_on(vm, "internal", false)).to_owned()),
        "root_img" => image(qubes, vm, "root", facts),
        "root_volatile_img" => image(qubes, vm, "volatile", facts),
        "private_img" => image(qubes, vm, "private", facts),
        "MAC" => marked(qubes, vm, "mac", AUTO, facts)
            .map(|text| text.to_ascii_uppercase().replace("(AUTO)", "(auto)")),
        "kernel" | "kernelopts" if kind.is_hvm() => None,
        "kernel" | "kernelopts" => marked(qubes, vm, heading, DEFAULT, facts),
        "debug" => text(qubes, vm, heading, facts)
            .map(|on| if on == "True" { "on" } else { "off" }.to_owned()),
        "qrexec_installed" | "guiagent_installed" if kind.is_hvm() => {
            let feature = if heading == "qrexec_installed" {
                "qrexec"
            } else {
                "gui"
            };
            Some(
                boolean_text(features::is_on(features::get_with_template(
                    qubes, vm, feature,
                )))
                .to_owned(),
            )
        }
        "timezone" if kind.is_hvm() => {
            Some(vm.features.get(heading).unwrap_or("localtime").to_owned())
        }
        "qrexec_installed" | "guiagent_installed" | "timezone" => None,
        "netvm" if kind == R3Type::Net => None,
        // R3 printed 0 for dom0.
        "maxmem" | "vcpus" if kind == R3Type::Admin => Some("0".to_owned()),
        _ => text(qubes, vm, heading, facts),
    }
}

/// The name of a class in R3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum R3Type {
    Admin,
    Net,
    Proxy,
    Hvm,
    Template,
    TemplateHvm,
    Disp,
    App,
    Other,
}

impl R3Type {
    fn for_qube(qubes: &Qubes, vm: &Vm, facts: &dyn Facts) -> R3Type {
        let mode = property::value_by_name(qubes, vm, "virt_mode", facts).ok();
        let brings_its_kernel = property::value_by_name(qubes, vm, "kernel", facts)
            .is_ok_and(|k| k.as_str() == Some(""));
        let is_hvm = mode.is_some_and(|m| m.as_str() == Some("hvm")) && brings_its_kernel;
        match vm.class {
            Class::AdminVM => R3Type::Admin,
            Class::DispVM => R3Type::Disp,
            Class::TemplateVM if is_hvm => R3Type::TemplateHvm,
            Class::TemplateVM => R3Type::Template,
            Class::RemoteVM | Class::Unknown(_) => R3Type::Other,
            _ if property::provides_network(qubes, vm, facts) => {
                match property::value_by_name(qubes, vm, "netvm", facts)
                    .is_ok_and(|v| v.as_qube().is_some())
                {
                    true => R3Type::Proxy,
                    false => R3Type::Net,
                }
            }
            _ if is_hvm => R3Type::Hvm,
            _ => R3Type::App,
        }
    }

    fn is_hvm(self) -> bool {
        matches!(self, R3Type::Hvm | R3Type::TemplateHvm)
    }

    fn as_str(self) -> &'static str {
        match self {
            R3Type::Admin => "AdminVM",
            R3Type::Net => "NetVM",
            R3Type::Proxy => "ProxyVM",
            R3Type::Hvm => "HVM",
            R3Type::Template => "TemplateVM",
            R3Type::TemplateHvm => "TemplateHVM",
            R3Type::Disp => "DisposableVM",
            R3Type::App => "AppVM",
            R3Type::Other => "VM",
        }
    }
}

fn text(qubes: &Qubes, vm: &Vm, name: &str, facts: &dyn Facts) -> Option<String> {
    if name == "name" {
        return Some(vm.name.to_string());
    }
    let property = Property::find(Scope::Class(&vm.class), name)?;
    match property::value(qubes, vm, property, facts) {
        Ok(Value::None | Value::Qube(None)) => Some("None".to_owned()),
        Ok(value) => Some(value.to_string()),
        Err(_) => None,
    }
}

/// Returns a value, with a mark if it is computed.
fn marked(qubes: &Qubes, vm: &Vm, name: &str, mark: &str, facts: &dyn Facts) -> Option<String> {
    let property = Property::find(Scope::Class(&vm.class), name)?;
    let mark = if property.is_default(vm) { mark } else { "" };
    text(qubes, vm, name, facts).map(|text| text + mark)
}

fn last_backup(qubes: &Qubes, vm: &Vm, facts: &dyn Facts) -> String {
    let seconds = property::value_by_name(qubes, vm, "backup_timestamp", facts)
        .ok()
        .and_then(|v| v.as_int());
    let time = seconds.and_then(|s| Timestamp::from_second(s).ok());
    time.map_or("None".to_owned(), |t| {
        t.to_zoned(TimeZone::system())
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string()
    })
}

/// Returns the directory of the images, else that of the other files.
fn directory(qubes: &Qubes, vm: &Vm, facts: &dyn Facts) -> String {
    let of_images =
        image(qubes, vm, "private", facts).and_then(|i| Some(i.rsplit_once('/')?.0.to_owned()));
    of_images.unwrap_or_else(|| {
        format!(
            "{}/{}/{}",
            facts.host().base_dir(),
            vm.class.directory(),
            vm.name
        )
    })
}

/// Returns the file of a volume, for a snapshot that of its source; `None` if it is not a file.
fn image(qubes: &Qubes, vm: &Vm, volume: &str, facts: &dyn Facts) -> Option<String> {
    let volume = volume::resolve(qubes, vm, volume, facts).ok()?;
    let pool = qubes
        .pools
        .get(&volume.pool)
        .filter(|pool| pool.has_files())?;
    let vid = volume.source.as_ref().unwrap_or(&volume.vid);
    Some(format!(
        "{}/{vid}.img",
        pool.option("dir_path")?.trim_end_matches('/')
    ))
}
