//! Candidates for the completion of arguments that name things of the store.

use super::complete::{Candidate, candidate};
use crate::lifecycle::qube::record;
use crate::lifecycle::{Context, volume};
use crate::model::property::{Completion, ValueType};
use crate::model::volume::names as volume_names;
use crate::model::{
    Class, Property, Qubes, Scope, Value, Vm, VmName, class_properties, global_properties, property,
};
use crate::storage::PoolDrivers;
use crate::system::{System, SystemOptions};
use crate::tools::ui::arguments::{self, Parsed};
use crate::tools::ui::invocation::read_until_exit;
use crate::tools::ui::selection::is_pattern;
use crate::tools::ui::values::Values;

/// What an argument names.
#[derive(Debug)]
pub enum CandidateKind<'a> {
    Qubes(QubeSubset),
    Templates,
    /// Qubes from which disposables can be created.
    DisposableTemplates,
    Netvms,
    Labels,
    Classes,
    Pools,
    /// `VM:VOLUME` of every qube.
    Volumes,
    /// Revisions of one volume, `VM:VOLUME`.
    Revisions(&'a str),
    Tags,
    /// Tags of one qube.
    TagsOf(Option<&'a str>),
    /// Features of one qube, and other known ones.
    Features {
        of: Option<&'a str>,
        only_own: bool,
    },
    /// Services that are set for one qube, and others that its template supports.
    Services {
        of: Option<&'a str>,
        only_own: bool,
    },
    /// Properties that can be set when a qube is created.
    PropertiesOfClass(Class),
    ValuesOfClass {
        class: Class,
        property: &'a str,
    },
    /// Copies of the store.
    Copies,
    /// Properties of a qube, or of the system.
    Properties {
        of: Option<&'a str>,
    },
    /// Values of one property.
    ValuesOf {
        of: Option<&'a str>,
        property: &'a str,
    },
    /// Fixed words.
    Words(Vec<&'static str>),
}

/// A subset of the qubes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QubeSubset {
    Any,
    ButDom0,
    /// Qubes with a domain on this machine.
    Guests,
    /// Guests without a record.
    Halted,
    /// Guests with a record; all guests if there is none.
    Running,
}

/// Features that the core reads (`docs/spec/r4-features.md` §2) and that a person sets.
pub const KNOWN_FEATURES: [&str; 26] = [
    "anon-timezone",
    "apparmor",
    "audio-model",
    "boot-mode.active",
    "gui",
    "gui-emulated",
    "internal",
    "ipv6",
    "linux-stubdom",
    "memory-hotplug",
    "net.fake-gateway",
    "net.fake-ip",
    "net.fake-netmask",
    "no-default-kernelopts",
    "no-nomodeset",
    "os",
    "pci-e820-host",
    "preload-dispvm-max",
    "prohibit-start",
    "qemu-extra-args",
    "qrexec",
    "selinux",
    "stubdom-qrexec",
    "timezone",
    "uefi",
    "video-model",
];

/// Returns the candidates of a kind that begin with `begun`. A store that cannot be read has none:
/// completion prints no errors. `words` is the command line, which may name the store.
pub fn candidates(kind: &CandidateKind, begun: &str, words: &[String]) -> Vec<Candidate> {
    let mut all = all_candidates(kind, begun, words);
    all.retain(|candidate| candidate.word.starts_with(begun));
    all
}

fn all_candidates(kind: &CandidateKind, begun: &str, words: &[String]) -> Vec<Candidate> {
    if let CandidateKind::Words(words) = kind {
        return words.iter().map(|w| candidate(w, "")).collect();
    }
    if let CandidateKind::Classes = kind {
        return Class::ALL
            .iter()
            .map(|c| candidate(c.as_str(), ""))
            .collect();
    }
    let options = SystemOptions {
        offline: true,
        ..system_options(words)
    };
    let Ok(system) = System::new(options) else {
        return Vec::new();
    };
    let context = Context::new(system);
    if let CandidateKind::Copies = kind {
        return crate::tools::commands::db::copy_times(&context)
            .iter()
            .map(|name| candidate(name, ""))
            .collect();
    }
    let Ok(qubes) = read_until_exit(&context) else {
        return Vec::new();
    };
    match kind {
        // Filter by prefix early: there may be a thousand names.
        CandidateKind::Qubes(which) => qube_candidates(*which, begun, &qubes, &context),
        _ => from_store(kind, &qubes, &context),
    }
}

/// Returns the classes of the qubes that an argument names; all classes for a pattern or a list.
fn matching_classes(qubes: &Qubes, word: &str) -> Vec<Class> {
    match is_pattern(word) || word.contains(',') {
        true => Class::ALL.to_vec(),
        false => qubes.class(word).cloned().into_iter().collect(),
    }
}

fn from_store(kind: &CandidateKind, qubes: &Qubes, context: &Context) -> Vec<Candidate> {
    let with_classes = |wanted: &dyn Fn(&Class) -> bool| {
        let fitting = qubes
            .names_with_classes()
            .filter(|(_, class)| wanted(class));
        fitting
            .map(|(name, class)| candidate(name.as_str(), class.as_str()))
            .collect()
    };
    match *kind {
        CandidateKind::Qubes(which) => qube_candidates(which, "", qubes, context),
        CandidateKind::DisposableTemplates => {
            let templates = qubes
                .iter()
                .filter(|vm| property::is_template_for_dispvms(qubes, vm, context));
            templates
                .map(|vm| candidate(vm.name.as_str(), vm.class.as_str()))
                .collect()
        }
        CandidateKind::Templates => with_classes(&|class| *class == Class::TemplateVM),
        CandidateKind::Netvms => {
            let values = Values::new(qubes, context);
            let providing = qubes
                .iter()
                .filter(|vm| values.is_true(vm, "provides_network"));
            providing
                .map(|vm| candidate(vm.name.as_str(), vm.class.as_str()))
                .collect()
        }
        CandidateKind::Labels => qubes
            .labels
            .iter()
            .map(|l| candidate(&l.name, ""))
            .collect(),
        CandidateKind::Pools => qubes
            .pools
            .iter()
            .map(|p| candidate(p.name(), p.driver()))
            .collect(),
        CandidateKind::Volumes => volume_candidates(qubes),
        CandidateKind::Revisions(volume) => {
            let found = volume.split_once(':').and_then(|(vm, volume)| {
                volume::details(context, qubes, qubes.get(vm)?, volume).ok()
            });
            found.map_or_else(Vec::new, |details| {
                details
                    .revisions
                    .iter()
                    .map(|revision| candidate(&revision.id, &revision.time))
                    .collect()
            })
        }
        CandidateKind::Tags => {
            let mut tags: Vec<&str> = qubes
                .iter()
                .flat_map(|vm| vm.tags.iter().map(|t| &**t))
                .collect();
            tags.sort_unstable();
            tags.dedup();
            tags.into_iter().map(|t| candidate(t, "")).collect()
        }
        CandidateKind::TagsOf(name) => {
            let vm = name.and_then(|name| qubes.get(name));
            vm.map(|vm| vm.tags.iter().map(|t| candidate(t, "")).collect())
                .unwrap_or_default()
        }
        CandidateKind::Features { of, only_own } => feature_candidates(of, only_own, qubes),
        CandidateKind::Services { of, only_own } => service_candidates(of, only_own, qubes),
        CandidateKind::PropertiesOfClass(ref class) => {
            let settable = class_properties(class).filter(|p| !p.computed && !p.write_once);
            settable.map(|p| candidate(p.name, p.doc)).collect()
        }
        CandidateKind::ValuesOfClass {
            ref class,
            property,
        } => {
            let found = Property::find(Scope::Class(class), &property.replace('-', "_"));
            found
                .map(|property| value_candidates(property, qubes, context))
                .unwrap_or_default()
        }
        CandidateKind::Properties { of: None } => global_properties()
            .map(|p| candidate(p.name, p.doc))
            .collect(),
        CandidateKind::Properties { of: Some(name) } => {
            let mut properties: Vec<_> = matching_classes(qubes, name)
                .iter()
                .flat_map(class_properties)
                .collect();
            properties.sort_by_key(|p| p.name);
            properties.dedup_by_key(|p| p.name);
            properties
                .iter()
                .map(|p| candidate(p.name, p.doc))
                .collect()
        }
        CandidateKind::ValuesOf { of, property } => {
            let name = property.replace('-', "_");
            let found = match of {
                None => Property::find(Scope::Global, &name),
                Some(of) => matching_classes(qubes, of)
                    .iter()
                    .find_map(|class| Property::find(Scope::Class(class), &name)),
            };
            found
                .map(|property| value_candidates(property, qubes, context))
                .unwrap_or_default()
        }
        CandidateKind::Classes | CandidateKind::Copies | CandidateKind::Words(_) => Vec::new(),
    }
}

/// Returns `VM:VOLUME` of every volume on this machine.
fn volume_candidates(qubes: &Qubes) -> Vec<Candidate> {
    let guests = qubes.iter().filter(|vm| vm.class.is_local_guest());
    let of = |vm: &Vm| -> Vec<Candidate> {
        let names = volume_names(vm).filter(|name| *name != "kernel");
        names
            .map(|name| candidate(&format!("{}:{name}", vm.name), vm.class.as_str()))
            .collect()
    };
    guests.flat_map(of).collect()
}

/// Returns the features of a qube, and other known ones unless `only_own`.
fn feature_candidates(of: Option<&str>, only_own: bool, qubes: &Qubes) -> Vec<Candidate> {
    let vm = of.and_then(|name| qubes.get(name));
    let own: Vec<&str> = vm.iter().flat_map(|vm| vm.features.names()).collect();
    let known = KNOWN_FEATURES
        .into_iter()
        .filter(|name| !only_own && !own.contains(name));
    let known = known.map(|name| candidate(name, "not set"));
    own.iter()
        .map(|name| candidate(name, ""))
        .chain(known)
        .collect()
}

/// Returns the services of a qube, and those its template supports unless `only_own`.
fn service_candidates(of: Option<&str>, only_own: bool, qubes: &Qubes) -> Vec<Candidate> {
    let vm = of.and_then(|name| qubes.get(name));
    let below = |vm: &Vm, prefix| {
        vm.features
            .names()
            .filter_map(|n| n.strip_prefix(prefix))
            .map(String::from)
            .collect()
    };
    let own: Vec<String> = vm.map(|vm| below(vm, "service.")).unwrap_or_default();
    let chain = vm
        .into_iter()
        .filter(|_| !only_own)
        .flat_map(|vm| property::template_chain(qubes, vm));
    let mut supported: Vec<String> = chain
        .flat_map(|vm| -> Vec<String> { below(vm, "supported-service.") })
        .collect();
    supported.retain(|name| !own.contains(name));
    let supported = supported
        .iter()
        .map(|name| candidate(name, "supported, not set"));
    own.iter()
        .map(|name| candidate(name, ""))
        .chain(supported)
        .collect()
}

/// Returns names and classes of a subset of the qubes. Records tell which run; the hypervisor is
/// not contacted.
fn qube_candidates(
    which: QubeSubset,
    begun: &str,
    qubes: &Qubes,
    context: &Context,
) -> Vec<Candidate> {
    let started = match which {
        QubeSubset::Halted | QubeSubset::Running => {
            record::names(&context.system).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    let fits = |name: &VmName, class: &Class| match which {
        QubeSubset::Any => true,
        QubeSubset::ButDom0 => !name.is_dom0(),
        QubeSubset::Guests => class.is_local_guest(),
        QubeSubset::Halted => class.is_local_guest() && !started.contains(name),
        QubeSubset::Running => {
            class.is_local_guest() && (started.is_empty() || started.contains(name))
        }
    };
    let fitting = qubes
        .names_with_classes()
        .filter(|(name, class)| name.as_str().starts_with(begun) && fits(name, class));
    fitting
        .map(|(name, class)| candidate(name.as_str(), class.as_str()))
        .collect()
}

/// Returns the names that a property can be set to, if it takes one of a set.
pub fn value_words(property: &Property, qubes: &Qubes, context: &Context) -> Vec<String> {
    value_candidates(property, qubes, context)
        .into_iter()
        .map(|candidate| candidate.word)
        .collect()
}

fn value_candidates(property: &Property, qubes: &Qubes, context: &Context) -> Vec<Candidate> {
    let words = |words: &[&str]| words.iter().map(|w| candidate(w, "")).collect();
    let mut values = match (property.completion, property.value_type) {
        (Completion::Netvms, _) => from_store(&CandidateKind::Netvms, qubes, context),
        (Completion::DisposableTemplates, _) => {
            from_store(&CandidateKind::DisposableTemplates, qubes, context)
        }
        (Completion::Kernels, _) => kernel_names(qubes, context)
            .iter()
            .map(|k| candidate(k, ""))
            .collect(),
        (Completion::Words(list), _) => words(list),
        (Completion::ByType, ValueType::Bool) => words(&["True", "False"]),
        (Completion::ByType, ValueType::Label) => {
            from_store(&CandidateKind::Labels, qubes, context)
        }
        (Completion::ByType, ValueType::Pool) => from_store(&CandidateKind::Pools, qubes, context),
        (
            Completion::ByType,
            ValueType::Qube {
                class: Some(Class::TemplateVM),
                ..
            },
        ) => from_store(&CandidateKind::Templates, qubes, context),
        (Completion::ByType, ValueType::Qube { .. }) => {
            let local = qubes
                .names_with_classes()
                .filter(|(_, class)| **class != Class::RemoteVM);
            local
                .map(|(name, class)| candidate(name.as_str(), class.as_str()))
                .collect()
        }
        (Completion::ByType, _) => Vec::new(),
    };
    if let ValueType::Qube {
        required: false, ..
    } = property.value_type
        && property.accepts_none
    {
        values.push(candidate("none", "no qube"));
    }
    values
}

/// Returns the installed kernels.
fn kernel_names(qubes: &Qubes, context: &Context) -> Vec<String> {
    let pool = property::global_value_by_name(qubes, "default_pool_kernel", context).ok();
    let driver = pool.as_ref().and_then(Value::as_str).and_then(|pool| {
        let mut drivers = PoolDrivers::read_only(&qubes.pools, &context.system);
        drivers.get(pool).ok()
    });
    driver
        .and_then(|driver| driver.volume_ids().ok())
        .unwrap_or_default()
}

/// Returns the options of a command line that name the store.
fn system_options(words: &[String]) -> SystemOptions {
    let mut given = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--root" | "--qubesxml" => {
                given.extend([Some(word), words.next()].into_iter().flatten().cloned())
            }
            w if w.starts_with("--root=") || w.starts_with("--qubesxml=") => {
                given.push(word.clone())
            }
            _ => {}
        }
    }
    let given = given.into_iter().map(Into::into).collect();
    match arguments::parse(&mut arguments::base_command("qubes"), given) {
        Ok(Parsed::Matches(matches)) => arguments::system_options(&matches),
        _ => SystemOptions::default(),
    }
}
