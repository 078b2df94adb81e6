//! Features: names with texts, looked up along templates, netvms, or dom0
//! (`docs/spec/r4-features.md` §1). A feature is absent, off (empty), or on (anything else, `0`
//! too).

use core::net::Ipv4Addr;

use super::class::Class;
use super::facts::Facts;
use super::name::VmName;
use super::property::Effect;
use super::qubes::Qubes;
use super::qubesd_rules::{can_have_disposables, find_feature_problem};
use super::vm::Vm;

/// Why a feature cannot be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeatureError {
    #[error("no such domain: '{0}'")]
    NoSuchQube(String),
    #[error("feature '{feature}' of qube '{vm}' cannot be set to '{value}': {rule}")]
    Refused {
        vm: String,
        feature: String,
        value: String,
        rule: String,
    },
    #[error(
        "feature '{feature}' of qube '{vm}' is kept by the system; it cannot be changed by hand"
    )]
    Reserved { vm: String, feature: String },
}

/// Features that only the system writes (`docs/spec/r4-features.md` §1).
pub(super) const RESERVED: [&str; 4] = [
    "deferred-netvm-original",
    "preload-dispvm",
    "preload-dispvm-completed",
    "preload-dispvm-in-progress",
];

/// How many netvms a feature is looked for along. A start allows fewer, and upstream ends with an
/// error at about ten times as many; a store of somebody else's may have a chain of all its qubes,
/// and each looks along it.
const MOST_NETVMS: usize = 64;

const PRELOAD_MAX: &str = "preload-dispvm-max";

/// The services by which a preloaded disposable says that it is ready.
const READY_SERVICES: [&str; 2] = ["qubes.WaitForRunningSystem", "qubes.WaitForSession"];

/// The tags that a qube wants on what it creates.
pub(super) const TAG_CREATED_WITH: &str = "tag-created-vm-with";

/// Longest names below a QubesDB directory: keys have at most 63 bytes (`docs/spec/r4-features.md`
/// §4, §5).
const SERVICE_MAX: usize = 48;
const VM_CONFIG_MAX: usize = 52;
const PERSIST_MAX: usize = 54;

impl Qubes {
    /// Whether what a lookup found is on.
    pub fn is_feature_on(&self, found: Option<&str>) -> bool {
        found.is_some_and(|f| !f.is_empty())
    }

    /// Own, else the template's, else its template's.
    pub fn feature_with_template<'a>(&'a self, vm: &'a Vm, name: &str) -> Option<&'a str> {
        self.template_chain(vm).find_map(|v| v.features.get(name))
    }

    /// Own, else along the netvms, of which the nearest 64 are asked.
    pub fn feature_with_netvm<'a>(
        &'a self,
        vm: &'a Vm,
        name: &str,
        facts: &'a dyn Facts,
    ) -> Option<&'a str> {
        // A loop is gone round until the limit.
        let chain = std::iter::successors(Some(vm), |v| self.netvm(v, facts).ok().flatten());
        chain
            .take(MOST_NETVMS + 1)
            .find_map(|v| v.features.get(name))
    }

    /// Own, else dom0's.
    pub fn feature_with_adminvm<'a>(&'a self, vm: &'a Vm, name: &str) -> Option<&'a str> {
        vm.features
            .get(name)
            .or_else(|| self.get(VmName::DOM0)?.features.get(name))
    }

    /// Own, else along the templates, else dom0's.
    pub fn feature_with_template_and_adminvm<'a>(
        &'a self,
        vm: &'a Vm,
        name: &str,
    ) -> Option<&'a str> {
        self.feature_with_template(vm, name)
            .or_else(|| self.get(VmName::DOM0)?.features.get(name))
    }

    /// Sets a feature.
    ///
    /// # Errors
    /// Nothing was changed: there is no such qube, the system keeps the feature itself, or name or
    /// value break a rule.
    pub fn set_feature(
        &mut self,
        vm: &str,
        name: &str,
        value: &str,
        facts: &dyn Facts,
    ) -> Result<Vec<Effect>, FeatureError> {
        let qube = self
            .get(vm)
            .ok_or_else(|| FeatureError::NoSuchQube(vm.to_owned()))?;
        check_reserved(qube, name)?;
        check(name, value)
            .and_then(|()| self.check_feature_of(qube, name, value, facts))
            .map_err(|rule| FeatureError::Refused {
                vm: vm.to_owned(),
                feature: name.to_owned(),
                value: value.to_owned(),
                rule,
            })?;
        let owner = qube.name.clone();
        let Some(qube) = self.edit(vm) else {
            return Ok(Vec::new());
        };
        if name == "service.meminfo-writer" && qube.class.is_local_guest() {
            match value.is_empty() {
                true => qube.properties.set("maxmem", "0"),
                false => {
                    qube.properties.remove("maxmem");
                }
            }
            qube.features.remove(name);
            return Ok(vec![Effect::MaxmemHotplug { vm: owner }]);
        }
        qube.features.set(name, value);
        Ok(effects(owner, name, !value.is_empty()))
    }

    /// Takes a feature away. Legal where it is absent.
    ///
    /// # Errors
    /// There is no such qube, or the system keeps the feature itself.
    pub fn remove_feature(&mut self, vm: &str, name: &str) -> Result<Vec<Effect>, FeatureError> {
        let qube = self
            .get(vm)
            .ok_or_else(|| FeatureError::NoSuchQube(vm.to_owned()))?;
        check_reserved(qube, name)?;
        if !qube.features.contains(name) {
            // A name that no feature can have is a mistake; a stored one can be taken away,
            // whatever its name.
            return match check(name, "") {
                Err(rule) if !name.starts_with("custom-persist.") => Err(FeatureError::Refused {
                    vm: vm.to_owned(),
                    feature: name.to_owned(),
                    value: String::new(),
                    rule,
                }),
                _ => Ok(Vec::new()),
            };
        }
        let owner = qube.name.clone();
        if let Some(qube) = self.edit(vm) {
            qube.features.remove(name);
        }
        Ok(effects(owner, name, false))
    }
}

impl Qubes {
    /// The rules for a feature that depend on whose it is.
    fn check_feature_of(
        &self,
        vm: &Vm,
        name: &str,
        value: &str,
        facts: &dyn Facts,
    ) -> Result<(), String> {
        if let Some(misfit) = find_feature_problem(vm, name, value, facts.release()) {
            return Err(misfit.rule);
        }
        match name {
            PRELOAD_MAX => self.check_preloads(vm, value, facts),
            TAG_CREATED_WITH => self.check_tags_of_creations(value),
            _ => Ok(()),
        }
    }

    /// Disposables can be preloaded only where their agent says when they are ready; of dom0's
    /// feature the qube that it is about decides, the system's default_dispvm.
    fn check_preloads(&self, vm: &Vm, value: &str, facts: &dyn Facts) -> Result<(), String> {
        let template = match vm.class {
            Class::AdminVM if vm.features.get(PRELOAD_MAX) == Some(value) => None,
            Class::AdminVM => {
                let default = self.global_value_by_name("default_dispvm", facts).ok();
                default.and_then(|value| self.get(value.as_qube()?.as_str()))
            }
            _ => Some(vm).filter(|vm| can_have_disposables(&vm.class)),
        };
        let Some(template) = template else {
            return Ok(());
        };
        let is_on =
            |feature: &str| self.is_feature_on(self.feature_with_template(template, feature));
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

    /// Every word is a tag that a new qube can get.
    fn check_tags_of_creations(&self, value: &str) -> Result<(), String> {
        match value
            .split_whitespace()
            .find_map(|word| self.find_creation_tag_problem(word))
        {
            Some(misfit) => Err(misfit),
            None => Ok(()),
        }
    }
}

fn check_reserved(vm: &Vm, name: &str) -> Result<(), FeatureError> {
    match RESERVED.contains(&name) {
        true => Err(FeatureError::Reserved {
            vm: vm.name.to_string(),
            feature: name.to_owned(),
        }),
        false => Ok(()),
    }
}

fn effects(vm: VmName, name: &str, on: bool) -> Vec<Effect> {
    match name.strip_prefix("service.") {
        Some(service) if vm.is_dom0() => vec![Effect::Dom0Service {
            service: service.into(),
            on,
        }],
        Some(_) => vec![Effect::QubesDbFeature {
            vm,
            feature: name.into(),
        }],
        None if name.starts_with("vm-config.") || name.starts_with("custom-persist.") => {
            vec![Effect::QubesDbFeature {
                vm,
                feature: name.into(),
            }]
        }
        None => Vec::new(),
    }
}

/// The rules for a feature's name and value.
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
        return Err("a service's name is not empty, is no dots, and has no slash".into());
    }
    match service.len() <= SERVICE_MAX || service.starts_with("app-dispvm.") {
        true => Ok(()),
        false => Err(format!(
            "a service's name has at most {SERVICE_MAX} characters"
        )),
    }
}

/// `/path`, or `file|dir:owner:group:mode:/path`.
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
    let is_right = match fields[..] {
        ["file" | "dir", owner, group, mode, path] => {
            let mode_is_right = u32::from_str_radix(mode, 8).is_ok_and(|m| m <= 0o7777);
            !owner.is_empty() && !group.is_empty() && mode_is_right && path.starts_with('/')
        }
        _ => false,
    };
    match is_right {
        true => Ok(()),
        false => Err("it must be an absolute path, or (file or dir):owner:group:mode:path".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_follow_the_rules() {
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
