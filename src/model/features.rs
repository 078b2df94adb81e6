//! Features of qubes: names with texts, inherited from templates, netvms or dom0
//! (`docs/spec/r4-features.md` §1). A feature is missing, off (empty), or on (anything else, also
//! `0`).

use core::net::Ipv4Addr;

use super::boolean::BooleanDialect;
use super::class::Class;
use super::draft::Draft;
use super::effect::{Change, Effect};
use super::facts::Facts;
use super::name::VmName;
use super::qubes::Qubes;
use super::rules::qubesd::find_feature_problem;
use super::vm::Vm;
use crate::model::property;
use crate::model::tags;
use crate::model::tags::TAG_CREATED_WITH;

/// Why a feature cannot be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeatureError {
    /// The store has no qube of this name.
    #[error("no such domain: '{0}'")]
    NoSuchQube(String),
    /// The name or the value of the feature breaks a rule.
    #[error("feature '{feature}' of qube '{vm}' cannot be set to '{value}': {rule}")]
    Refused {
        /// The name of the qube.
        vm: String,
        /// The name of the feature.
        feature: String,
        /// The proposed value; empty when the feature is removed.
        value: String,
        /// The rule that is broken, for the end of the message.
        rule: String,
    },
    /// Only the system writes the feature.
    #[error("feature '{feature}' of qube '{vm}' is managed by the system and cannot be changed")]
    Reserved {
        /// The name of the qube.
        vm: String,
        /// The name of the feature.
        feature: String,
    },
}

/// Features that only the system writes (`docs/spec/r4-features.md` §1).
pub(super) const RESERVED_FEATURES: [&str; 4] = [
    "deferred-netvm-original",
    "preload-dispvm",
    "preload-dispvm-completed",
    "preload-dispvm-in-progress",
];

/// The maximum number of netvms along which a feature is looked up. A start allows fewer, and
/// upstream fails at about ten times as many. Without a limit, a crafted store with one chain of
/// all its qubes would need quadratic time.
const MAX_NETVMS: usize = 64;

const PRELOAD_MAX: &str = "preload-dispvm-max";

/// The services by which a preloaded disposable reports that it is ready.
const READY_SERVICES: [&str; 2] = ["qubes.WaitForRunningSystem", "qubes.WaitForSession"];

/// Maximum lengths of names below a QubesDB directory: keys have at most 63 bytes
/// (`docs/spec/r4-features.md` §4, §5).
const SERVICE_MAX: usize = 48;
const VM_CONFIG_MAX: usize = 52;
const PERSIST_MAX: usize = 54;

/// Returns whether the result of a lookup means on.
pub fn is_on(found: Option<&str>) -> bool {
    found.is_some_and(|text| BooleanDialect::Feature.is_true(text))
}

/// Looks up a feature of the qube, then along its templates.
pub fn get_with_template<'a>(qubes: &'a Qubes, vm: &'a Vm, name: &str) -> Option<&'a str> {
    property::template_chain(qubes, vm).find_map(|v| v.features.get(name))
}

/// Looks up a feature of the qube, then along its nearest 64 netvms.
pub fn get_with_netvm<'a>(
    qubes: &'a Qubes,
    vm: &'a Vm,
    name: &str,
    facts: &'a dyn Facts,
) -> Option<&'a str> {
    // In a loop of netvms the limit ends the search.
    let chain = std::iter::successors(Some(vm), |v| {
        property::netvm(qubes, v, facts).ok().flatten()
    });
    chain
        .take(MAX_NETVMS + 1)
        .find_map(|v| v.features.get(name))
}

/// Looks up a feature of the qube, then of dom0.
pub fn get_with_adminvm<'a>(qubes: &'a Qubes, vm: &'a Vm, name: &str) -> Option<&'a str> {
    vm.features
        .get(name)
        .or_else(|| qubes.get(VmName::DOM0)?.features.get(name))
}

/// Looks up a feature of the qube, then along its templates, then of dom0.
pub fn get_with_template_and_adminvm<'a>(
    qubes: &'a Qubes,
    vm: &'a Vm,
    name: &str,
) -> Option<&'a str> {
    get_with_template(qubes, vm, name).or_else(|| qubes.get(VmName::DOM0)?.features.get(name))
}

/// Sets a feature.
///
/// # Errors
/// Nothing was changed: there is no such qube, only the system writes the feature, or name or
/// value break a rule.
pub fn set(
    draft: &mut Draft,
    vm: &str,
    name: &str,
    value: &str,
    facts: &dyn Facts,
) -> Result<Change, FeatureError> {
    let qubes = &mut draft.qubes;
    let qube = qubes
        .get(vm)
        .ok_or_else(|| FeatureError::NoSuchQube(vm.to_owned()))?;
    check_reserved(qube, name)?;
    check(name, value)
        .and_then(|()| check_for_qube(qubes, qube, name, value, facts))
        .map_err(|rule| FeatureError::Refused {
            vm: vm.to_owned(),
            feature: name.to_owned(),
            value: value.to_owned(),
            rule,
        })?;
    let owner = qube.name.clone();
    let Some(qube) = qubes.edit(vm) else {
        return Ok(Change::STORE_ONLY);
    };
    if name == "service.meminfo-writer" && qube.class.is_local_guest() {
        match value.is_empty() {
            true => qube.properties.set("maxmem", "0"),
            false => {
                qube.properties.remove("maxmem");
            }
        }
        qube.features.remove(name);
        return Ok(Effect::MaxmemHotplug { vm: owner }.into());
    }
    qube.features.set(name, value);
    Ok(change_of(owner, name, !value.is_empty()))
}

/// Removes a feature. A missing one is not an error.
///
/// # Errors
/// There is no such qube, only the system writes the feature, or no feature can have this name.
pub fn remove(draft: &mut Draft, vm: &str, name: &str) -> Result<Change, FeatureError> {
    let qubes = &mut draft.qubes;
    let qube = qubes
        .get(vm)
        .ok_or_else(|| FeatureError::NoSuchQube(vm.to_owned()))?;
    check_reserved(qube, name)?;
    if !qube.features.contains(name) {
        // An invalid name is a mistake of the caller, but a stored feature can be removed
        // whatever its name.
        return match check(name, "") {
            Err(rule) if !name.starts_with("custom-persist.") => Err(FeatureError::Refused {
                vm: vm.to_owned(),
                feature: name.to_owned(),
                value: String::new(),
                rule,
            }),
            _ => Ok(Change::STORE_ONLY),
        };
    }
    let owner = qube.name.clone();
    if let Some(qube) = qubes.edit(vm) {
        qube.features.remove(name);
    }
    Ok(change_of(owner, name, false))
}

/// Checks the rules that depend on the qube.
fn check_for_qube(
    qubes: &Qubes,
    vm: &Vm,
    name: &str,
    value: &str,
    facts: &dyn Facts,
) -> Result<(), String> {
    if let Some(problem) = find_feature_problem(vm, name, value, facts.host().release()) {
        return Err(problem.rule);
    }
    match name {
        PRELOAD_MAX => check_preloads(qubes, vm, value, facts),
        TAG_CREATED_WITH => check_creation_tags(qubes, value),
        _ => Ok(()),
    }
}

/// Checks that disposables can be preloaded: their agent must report when they are ready. For
/// the feature of dom0, the system's default_dispvm is checked.
fn check_preloads(qubes: &Qubes, vm: &Vm, value: &str, facts: &dyn Facts) -> Result<(), String> {
    let template = match vm.class {
        Class::AdminVM if vm.features.get(PRELOAD_MAX) == Some(value) => None,
        Class::AdminVM => {
            let default = property::global_value_by_name(qubes, "default_dispvm", facts).ok();
            default.and_then(|value| qubes.get(value.as_qube()?.as_str()))
        }
        _ => Some(vm).filter(|vm| Class::DispVM.can_have_template(&vm.class)),
    };
    let Some(template) = template else {
        return Ok(());
    };
    let is_on = |feature: &str| is_on(get_with_template(qubes, template, feature));
    if !is_on("qrexec") {
        return Err(format!(
            "disposables of '{}' cannot be preloaded: it does not support qrexec",
            template.name
        ));
    }
    let missing: Vec<&str> = READY_SERVICES
        .into_iter()
        .filter(|service| !is_on(&format!("supported-rpc.{service}")))
        .collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "disposables of '{}' cannot be preloaded: it does not support the RPC(s) {}",
            template.name,
            missing.join(", ")
        )),
    }
}

/// Checks that every word is a valid tag for a created qube.
fn check_creation_tags(qubes: &Qubes, value: &str) -> Result<(), String> {
    match value
        .split_whitespace()
        .find_map(|word| tags::find_creation_problem(qubes, word))
    {
        Some(problem) => Err(problem),
        None => Ok(()),
    }
}

fn check_reserved(vm: &Vm, name: &str) -> Result<(), FeatureError> {
    match RESERVED_FEATURES.contains(&name) {
        true => Err(FeatureError::Reserved {
            vm: vm.name.to_string(),
            feature: name.to_owned(),
        }),
        false => Ok(()),
    }
}

/// Returns what follows from setting (`on`), emptying or removing a feature.
fn change_of(vm: VmName, name: &str, on: bool) -> Change {
    let feature = name.into();
    match name.strip_prefix("service.") {
        Some(service) if vm.is_dom0() => Effect::Dom0Service {
            service: service.into(),
            on,
        }
        .into(),
        Some(_) => Effect::QubesDbFeature { vm, feature }.into(),
        None if name.starts_with("vm-config.") || name.starts_with("custom-persist.") => {
            Effect::QubesDbFeature { vm, feature }.into()
        }
        None => Change::STORE_ONLY,
    }
}

/// Checks name and value of a feature.
fn check(name: &str, value: &str) -> Result<(), String> {
    if name.is_empty()
        || !name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
    {
        return Err("a feature's name is made of letters, digits, . _ and -".into());
    }
    if !value.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return Err("a feature's value is made of printable ASCII characters".into());
    }
    if let Some(service) = name.strip_prefix("service.") {
        return check_service(service);
    }
    if let Some(key) = name.strip_prefix("vm-config.") {
        return match key.len() <= VM_CONFIG_MAX
            && key.starts_with(|c: char| c.is_ascii_alphabetic())
        {
            true => Ok(()),
            false => Err(format!(
                "a vm-config key has at most {VM_CONFIG_MAX} characters and a letter first"
            )),
        };
    }
    if let Some(key) = name.strip_prefix("custom-persist.") {
        return check_persist(key, value);
    }
    let is_fake_address = matches!(
        name,
        "net.fake-ip" | "net.fake-gateway" | "net.fake-netmask"
    );
    match is_fake_address && !value.is_empty() && value.parse::<Ipv4Addr>().is_err() {
        true => Err("it must be an IPv4 address".into()),
        false => Ok(()),
    }
}

fn check_service(service: &str) -> Result<(), String> {
    if matches!(service, "" | "." | "..") || service.contains('/') {
        return Err("a service's name must not be empty, '.' or '..', nor have a slash".into());
    }
    match service.len() <= SERVICE_MAX || service.starts_with("app-dispvm.") {
        true => Ok(()),
        false => Err(format!(
            "a service's name has at most {SERVICE_MAX} characters"
        )),
    }
}

/// Checks a custom-persist feature: `/path`, or `file|dir:owner:group:mode:/path`.
fn check_persist(key: &str, value: &str) -> Result<(), String> {
    if key.is_empty() || key.len() > PERSIST_MAX {
        return Err(format!(
            "a custom-persist key has 1 to {PERSIST_MAX} characters"
        ));
    }
    if value.starts_with('/') {
        return Ok(());
    }
    let fields: Vec<&str> = value.splitn(5, ':').collect();
    let is_valid = match fields[..] {
        ["file" | "dir", owner, group, mode, path] => {
            let is_valid_mode = u32::from_str_radix(mode, 8).is_ok_and(|m| m <= 0o7777);
            !owner.is_empty() && !group.is_empty() && is_valid_mode && path.starts_with('/')
        }
        _ => false,
    };
    match is_valid {
        true => Ok(()),
        false => Err("it must be an absolute path, or (file or dir):owner:group:mode:path".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_names_and_values_are_refused() {
        for (name, value) in [
            ("gui", ""),
            (
                "service.app-dispvm.a-very-long-name-of-an-application-that-is-longer-than-48",
                "1",
            ),
            ("custom-persist.x", "file:user:user:0640:/home/user/a:b"),
            ("net.fake-ip", "192.168.1.2"),
        ] {
            assert_eq!(check(name, value), Ok(()), "{name}={value}");
        }
        for (name, value) in [
            ("", "1"),
            ("bad name", "1"),
            ("gui", "a\nb"),
            ("gui", "ż"),
            ("service.", "1"),
            ("service...", "1"),
            (
                "service.a-very-long-name-of-an-application-that-is-longer-than-48",
                "1",
            ),
            ("vm-config.1x", "1"),
            ("custom-persist.x", "relative"),
            ("custom-persist.x", "file:user:user:9999:/x"),
            ("net.fake-ip", "300.1.1.1"),
        ] {
            assert!(check(name, value).is_err(), "{name}={value}");
        }
    }
}
