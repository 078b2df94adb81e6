//! Tags, features and services of qubes.

use std::collections::BTreeSet;

use super::candidate::{Candidate, candidate};
use crate::model::{Qubes, Vm, property};

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

/// Returns the tags of all qubes, sorted.
pub fn tags(qubes: &Qubes) -> Vec<Candidate> {
    let of_each = qubes.iter().flat_map(|vm| &vm.tags);
    let tags: BTreeSet<&str> = of_each.map(|tag| &**tag).collect();
    tags.into_iter().map(|tag| candidate(tag, "")).collect()
}

/// Returns the tags of one qube.
pub fn tags_of(name: Option<&str>, qubes: &Qubes) -> Vec<Candidate> {
    let vm = name.and_then(|name| qubes.get(name));
    let tags = vm.into_iter().flat_map(|vm| &vm.tags);
    tags.map(|tag| candidate(tag, "")).collect()
}

/// Returns the features of a qube, and other known ones unless `only_own`.
pub fn features(of: Option<&str>, only_own: bool, qubes: &Qubes) -> Vec<Candidate> {
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
pub fn services(of: Option<&str>, only_own: bool, qubes: &Qubes) -> Vec<Candidate> {
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
