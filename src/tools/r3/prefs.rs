//! The names and values of R3's qvm-prefs and qubes-prefs (`docs/spec/r3-tools.md` §2, §4), which
//! installers and scripts still use: what R4 keeps in a feature, in a device, or under another
//! name.

use super::list;
use super::value_texts::{is_on, python_list};
use crate::format::parse_device_list;
use crate::lifecycle::{Context, qube};
use crate::model::boolean::{BooleanDialect, boolean_text};
use crate::model::{Property, Qubes, Scope, Vm};
use crate::tools::commands::prefs::arguments::PropertyArguments;
use crate::tools::ui::arguments::JsonOption;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::quoted::quoted;

/// Where R4 keeps a property of R3.
enum R3Property {
    /// A boolean feature with this default.
    Switch {
        feature: &'static str,
        default: bool,
    },
    Feature(&'static str),
    PciDevices,
    PciStrictReset,
    /// Read only, with this name in the list.
    Computed(&'static str),
    /// Removed; says what to do instead.
    Gone(&'static str),
}

const R3_PROPERTIES: [(&str, R3Property); 23] = [
    (
        "config",
        R3Property::Gone(
            "there is no such file any more; the store and the templates of libvirt take its place",
        ),
    ),
    (
        "conf_file",
        R3Property::Gone(
            "there is no such file any more; the store and the templates of libvirt take its place",
        ),
    ),
    ("dir", R3Property::Computed("dir")),
    ("dir_path", R3Property::Computed("dir")),
    (
        "dispvm_netvm",
        R3Property::Gone("a disposable has the netvm of its template: set default_dispvm"),
    ),
    (
        "drive",
        R3Property::Gone("a drive is given to one start: qvm-start --drive"),
    ),
    (
        "guiagent_installed",
        R3Property::Switch {
            feature: "gui",
            default: false,
        },
    ),
    (
        "internal",
        R3Property::Switch {
            feature: "internal",
            default: false,
        },
    ),
    (
        "is_template",
        R3Property::Gone("qvm-check --template tells"),
    ),
    ("last_backup", R3Property::Computed("last_backup")),
    (
        "pci_e820_host",
        R3Property::Switch {
            feature: "pci-e820-host",
            default: true,
        },
    ),
    ("pci_strictreset", R3Property::PciStrictReset),
    ("pcidevs", R3Property::PciDevices),
    ("private_img", R3Property::Computed("private_img")),
    (
        "qrexec_installed",
        R3Property::Switch {
            feature: "qrexec",
            default: false,
        },
    ),
    (
        "root_cow_img",
        R3Property::Gone("there is no such file any more: a root volume has revisions"),
    ),
    ("root_img", R3Property::Computed("root_img")),
    (
        "root_volatile_img",
        R3Property::Computed("root_volatile_img"),
    ),
    (
        "seamless_gui_mode",
        R3Property::Gone("a qube with a GUI agent is seamless"),
    ),
    ("services", R3Property::Gone("qvm-service lists them")),
    ("timezone", R3Property::Feature("timezone")),
    ("type", R3Property::Computed("type")),
    ("volatile_img", R3Property::Computed("root_volatile_img")),
];

pub fn run_for_qube(
    call: &mut Invocation,
    context: &Context,
    qubes: &Qubes,
    vm: &Vm,
    prefs: &PropertyArguments,
) -> Result<Option<u8>, Failure> {
    let Some(given) = &prefs.property else {
        return match prefs.is_r3_list() {
            true => list::print(&mut call.out, qubes, vm, context).map(Some),
            false => Ok(None),
        };
    };
    let name = given.replace('-', "_");
    let property = R3_PROPERTIES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, property)| property);
    let Some(property) =
        property.filter(|_| Property::find(Scope::Class(&vm.class), &name).is_none())
    else {
        return Ok(None);
    };
    let value = match (&prefs.value, prefs.default) {
        (Some(text), _) => text.to_string(),
        (None, true) => "default".to_string(),
        (None, false) => {
            return show(call, context, qubes, vm, &name, property, prefs.output).map(Some);
        }
    };
    let notes = set(context, vm, &name, property, &value)?;
    notes
        .iter()
        .for_each(|note| call.inform(vm.name.as_str(), note));
    Ok(Some(0))
}

fn show(
    call: &mut Invocation,
    context: &Context,
    qubes: &Qubes,
    vm: &Vm,
    name: &str,
    property: &R3Property,
    output: JsonOption,
) -> Result<u8, Failure> {
    let text = match property {
        R3Property::Switch { feature, default } => {
            Some(boolean_text(is_on(vm, feature, *default)).to_string())
        }
        R3Property::Feature(feature) => vm.features.get(feature).map(str::to_owned),
        R3Property::PciDevices => Some(python_list(&vm.pci_addresses())),
        R3Property::PciStrictReset => Some(boolean_text(vm.pci_strict_reset()).to_string()),
        R3Property::Computed(heading) => {
            list::value(heading, qubes, vm, context.facts()).filter(|text| text != "None")
        }
        R3Property::Gone(instead) => return Err(removed_property(name, instead)),
    };
    if output.json {
        let text = text.map_or(serde_json::Value::Null, serde_json::Value::from);
        return call.print_json(&text).map(|()| 0);
    }
    text.map_or(Ok(0), |text| call.out.line(&text).map(|()| 0))
}

fn set(
    context: &Context,
    vm: &Vm,
    name: &str,
    property: &R3Property,
    text: &str,
) -> Result<Vec<String>, Failure> {
    let is_default = text == "default";
    let boolean = || {
        BooleanDialect::Literal.parse(text).ok_or_else(|| {
            Failure::error(format!(
                "{name}: {} is neither True nor False",
                quoted(text)
            ))
        })
    };
    Ok(match property {
        R3Property::Switch { feature, .. } | R3Property::Feature(feature) if is_default => {
            qube::remove_feature(context, &vm.name, feature)?
        }
        R3Property::Switch { feature, default } => match (boolean()?, default) {
            (true, true) | (false, false) => qube::remove_feature(context, &vm.name, feature)?,
            (true, false) => qube::set_feature(context, &vm.name, feature, "1")?,
            (false, true) => qube::set_feature(context, &vm.name, feature, "")?,
        },
        R3Property::Feature(feature) => qube::set_feature(context, &vm.name, feature, text)?,
        R3Property::PciDevices => {
            let list = if is_default { "[]" } else { text };
            let wrong = || {
                Failure::error(format!(
                    "pcidevs: {} is not a list such as ['00:19.0', '03:00.0']",
                    quoted(text)
                ))
            };
            qube::set_pci_addresses(
                context,
                &vm.name,
                &parse_device_list(list).ok_or_else(wrong)?,
            )?
        }
        R3Property::PciStrictReset => {
            qube::set_pci_strict_reset(context, &vm.name, is_default || boolean()?)?
        }
        R3Property::Computed(_) => {
            return Err(Failure::error(format!(
                "property '{name}' is computed and cannot be set"
            )));
        }
        R3Property::Gone(instead) => return Err(removed_property(name, instead)),
    })
}

fn removed_property(name: &str, instead: &str) -> Failure {
    Failure::error(format!("property '{name}' is one of Qubes R3: {instead}"))
}

/// A property of R3's system that R4 does not have.
const FIREWALL_NETVM: &str = "default_fw_netvm";

pub fn run_for_system(
    call: &mut Invocation,
    context: &Context,
    qubes: &Qubes,
    prefs: &PropertyArguments,
) -> Result<Option<u8>, Failure> {
    match prefs.property.as_ref().map(|name| name.replace('-', "_")) {
        None if prefs.is_r3_list() => list::print_system(&mut call.out, qubes, context).map(Some),
        Some(name) if name == FIREWALL_NETVM => Err(removed_property(
            "default-fw-netvm",
            "each qube that provides network says itself what it is connected to: set its netvm",
        )),
        _ => Ok(None),
    }
}
