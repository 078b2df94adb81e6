//! The names and values of R3's qvm-prefs and qubes-prefs (`docs/spec/r3-tools.md` §2, §4), which
//! installers and scripts still use: what R4 keeps in a feature, in a device, or under another
//! name.

use super::earlier_list;
use super::failure::{Failure, quoted};
use super::invocation::Invocation;
use super::prefs::stored_text;
use crate::format::parse_device_list;
use crate::lifecycle::Session;
use crate::model::property::parse_bool;
use crate::model::{Property, Qubes, Scope, Vm};

/// Where R4 keeps what was a property.
enum Place {
    /// A switch; it is on unless the feature is empty, or off unless it is set.
    Switch {
        feature: &'static str,
        default: bool,
    },
    Feature(&'static str),
    PciDevices,
    PciStrictReset,
    /// Can be read, under this heading of the list.
    Computed(&'static str),
    /// Nowhere; what to do instead.
    Gone(&'static str),
}

const PLACES: [(&str, Place); 23] = [
    (
        "config",
        Place::Gone(
            "there is no such file any more; the store and the templates of libvirt take its place",
        ),
    ),
    (
        "conf_file",
        Place::Gone(
            "there is no such file any more; the store and the templates of libvirt take its place",
        ),
    ),
    ("dir", Place::Computed("dir")),
    ("dir_path", Place::Computed("dir")),
    (
        "dispvm_netvm",
        Place::Gone("a disposable has the netvm of its template: set default_dispvm"),
    ),
    (
        "drive",
        Place::Gone("a drive is given to one start: qvm-start --drive"),
    ),
    (
        "guiagent_installed",
        Place::Switch {
            feature: "gui",
            default: false,
        },
    ),
    (
        "internal",
        Place::Switch {
            feature: "internal",
            default: false,
        },
    ),
    ("is_template", Place::Gone("qvm-check --template tells")),
    ("last_backup", Place::Computed("last_backup")),
    (
        "pci_e820_host",
        Place::Switch {
            feature: "pci-e820-host",
            default: true,
        },
    ),
    ("pci_strictreset", Place::PciStrictReset),
    ("pcidevs", Place::PciDevices),
    ("private_img", Place::Computed("private_img")),
    (
        "qrexec_installed",
        Place::Switch {
            feature: "qrexec",
            default: false,
        },
    ),
    (
        "root_cow_img",
        Place::Gone("there is no such file any more: a root volume has revisions"),
    ),
    ("root_img", Place::Computed("root_img")),
    ("root_volatile_img", Place::Computed("root_volatile_img")),
    (
        "seamless_gui_mode",
        Place::Gone("a qube with a GUI agent is seamless"),
    ),
    ("services", Place::Gone("qvm-service lists them")),
    ("timezone", Place::Feature("timezone")),
    ("type", Place::Computed("type")),
    ("volatile_img", Place::Computed("root_volatile_img")),
];

pub fn run_for_qube(
    call: &mut Invocation,
    session: &Session,
    qubes: &Qubes,
    vm: &Vm,
) -> Result<Option<u8>, Failure> {
    let Some(given) = call.value("property") else {
        return match call.has("list") && !call.has("json") {
            true => earlier_list::print(&mut call.out, qubes, vm, session).map(Some),
            false => Ok(None),
        };
    };
    let name = given.replace('-', "_");
    let place = PLACES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, place)| place);
    let Some(place) = place.filter(|_| Property::find(Scope::Class(&vm.class), &name).is_none())
    else {
        return Ok(None);
    };
    let value = match (call.value("value"), call.has("default")) {
        (Some(text), _) => text.to_string(),
        (None, true) => "default".to_string(),
        (None, false) => return show(call, session, qubes, vm, &name, place).map(Some),
    };
    let notes = set(session, vm, &name, place, &value)?;
    notes
        .iter()
        .for_each(|note| call.inform(vm.name.as_str(), note));
    Ok(Some(0))
}

fn show(
    call: &mut Invocation,
    session: &Session,
    qubes: &Qubes,
    vm: &Vm,
    name: &str,
    place: &Place,
) -> Result<u8, Failure> {
    let text = match place {
        Place::Switch { feature, default } => Some(word(is_on(vm, feature, *default)).to_string()),
        Place::Feature(feature) => vm.features.get(feature).map(str::to_owned),
        Place::PciDevices => Some(python_list(&vm.pci_addresses())),
        Place::PciStrictReset => Some(word(vm.pci_strict_reset()).to_string()),
        Place::Computed(heading) => {
            earlier_list::value(heading, qubes, vm, session).filter(|text| text != "None")
        }
        Place::Gone(instead) => return Err(gone(name, instead)),
    };
    if call.has("json") {
        let text = text.map_or(serde_json::Value::Null, serde_json::Value::from);
        return call.print_json(&text).map(|()| 0);
    }
    text.map_or(Ok(0), |text| call.out.line(&text).map(|()| 0))
}

fn set(
    session: &Session,
    vm: &Vm,
    name: &str,
    place: &Place,
    text: &str,
) -> Result<Vec<String>, Failure> {
    let is_default = text == "default";
    let boolean = || {
        parse_bool(text).ok_or_else(|| {
            Failure::error(format!(
                "{name}: {} is neither True nor False",
                quoted(text)
            ))
        })
    };
    Ok(match place {
        Place::Switch { feature, .. } | Place::Feature(feature) if is_default => {
            session.remove_feature(&vm.name, feature)?
        }
        Place::Switch { feature, default } => match (boolean()?, default) {
            (true, true) | (false, false) => session.remove_feature(&vm.name, feature)?,
            (true, false) => session.set_feature(&vm.name, feature, "1")?,
            (false, true) => session.set_feature(&vm.name, feature, "")?,
        },
        Place::Feature(feature) => session.set_feature(&vm.name, feature, text)?,
        Place::PciDevices => {
            let list = if is_default { "[]" } else { text };
            let wrong = || {
                Failure::error(format!(
                    "pcidevs: {} is no list such as ['00:19.0', '03:00.0']",
                    quoted(text)
                ))
            };
            session.set_pci_addresses(&vm.name, &parse_device_list(list).ok_or_else(wrong)?)?;
            Vec::new()
        }
        Place::PciStrictReset => {
            session.set_pci_strict_reset(&vm.name, is_default || boolean()?)?;
            Vec::new()
        }
        Place::Computed(_) => {
            return Err(Failure::error(format!(
                "property '{name}' is computed and cannot be set"
            )));
        }
        Place::Gone(instead) => return Err(gone(name, instead)),
    })
}

fn gone(name: &str, instead: &str) -> Failure {
    Failure::error(format!("property '{name}' is one of Qubes R3: {instead}"))
}

/// Whether a feature that R3 had as a property is on.
pub(super) fn is_on(vm: &Vm, feature: &str, default: bool) -> bool {
    vm.features
        .get(feature)
        .map_or(default, |text| !text.is_empty())
}

pub(super) fn word(on: bool) -> &'static str {
    if on { "True" } else { "False" }
}

/// `['a', 'b']`. Addresses have no quotes.
pub(super) fn python_list(items: &[String]) -> String {
    let quoted: Vec<String> = items.iter().map(|item| format!("'{item}'")).collect();
    format!("[{}]", quoted.join(", "))
}

/// What a text given for a property means: the text to store, or nothing for the default. The word
/// `default` stands for that where no value is called so (no qube can be); with `--set`, R3's words
/// count for all that had them there.
pub fn wanted<'a>(property: &Property, text: &'a str, by_set: bool) -> Option<&'a str> {
    match (property.name, text) {
        ("netvm", "default") | ("mac", "auto") => None,
        ("kernel" | "kernelopts", "default") if by_set => None,
        ("kernel", none) if by_set && none.eq_ignore_ascii_case("none") => Some(""),
        _ => Some(stored_text(property, text)),
    }
}

/// The same for properties of the system: with `--set`, `none` is no qube.
pub fn wanted_of_system<'a>(property: &Property, text: &'a str, by_set: bool) -> &'a str {
    let refers = matches!(
        property.value_type,
        crate::model::property::ValueType::Qube { .. }
    );
    if by_set && refers && text.eq_ignore_ascii_case("none") {
        ""
    } else {
        stored_text(property, text)
    }
}

/// R3's property of the system that R4 does not have.
const FIREWALL_NETVM: &str = "default_fw_netvm";

pub fn run_for_system(
    call: &mut Invocation,
    session: &Session,
    qubes: &Qubes,
) -> Result<Option<u8>, Failure> {
    match call.value("property").map(|name| name.replace('-', "_")) {
        None if call.has("list") && !call.has("json") => {
            earlier_list::print_system(&mut call.out, qubes, session).map(Some)
        }
        Some(name) if name == FIREWALL_NETVM => Err(gone(
            "default-fw-netvm",
            "each qube that provides network says itself what it is connected to: set its netvm",
        )),
        _ => Ok(None),
    }
}
