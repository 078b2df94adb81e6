//! The order in which qubes are stopped: users before their providers.

use std::collections::HashMap;

use super::facts::Facts;
use super::name::VmName;
use super::qubes::Qubes;
use super::vm::Vm;
use crate::model::property;

/// A service that one qube provides to another, so that it should stop after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderRole {
    /// Gives the other qube its network.
    Netvm,
    /// Shows the windows of the other qube.
    Guivm,
    /// Plays the sound of the other qube.
    Audiovm,
}

impl ProviderRole {
    /// Every role.
    pub const ALL: [ProviderRole; 3] = [
        ProviderRole::Netvm,
        ProviderRole::Guivm,
        ProviderRole::Audiovm,
    ];

    /// Returns the property that names the provider.
    pub fn as_str(self) -> &'static str {
        match self {
            ProviderRole::Netvm => "netvm",
            ProviderRole::Guivm => "guivm",
            ProviderRole::Audiovm => "audiovm",
        }
    }
}

/// Returns the qube that provides the service to `vm`. `None` if the reference is invalid.
pub fn provider<'a>(
    qubes: &'a Qubes,
    vm: &'a Vm,
    role: ProviderRole,
    facts: &dyn Facts,
) -> Option<&'a Vm> {
    match role {
        ProviderRole::Netvm => property::netvm(qubes, vm, facts),
        ProviderRole::Guivm => property::guivm(qubes, vm, facts),
        ProviderRole::Audiovm => property::audiovm(qubes, vm, facts),
    }
    .ok()
    .flatten()
    .filter(|provider| provider.name != vm.name)
}

/// Groups `names` so that no qube is used by a qube of a later group.
///
/// Qubes that use each other in a cycle form the last group, together with their providers.
pub fn group_by_stop_order(qubes: &Qubes, names: &[VmName], facts: &dyn Facts) -> Vec<Vec<VmName>> {
    let mut users: HashMap<&VmName, usize> = names.iter().map(|name| (name, 0)).collect();
    let mut uses: HashMap<&VmName, Vec<&VmName>> = HashMap::new();
    for name in names {
        let Some(vm) = qubes.get(name.as_str()) else {
            continue;
        };
        let used = ProviderRole::ALL
            .iter()
            .filter_map(|role| Some(&provider(qubes, vm, *role, facts)?.name));
        let used: Vec<&VmName> = used
            .filter_map(|used| users.get_key_value(used).map(|(key, _)| *key))
            .collect();
        for provider in &used {
            *users.entry(*provider).or_default() += 1;
        }
        uses.insert(name, used);
    }
    let mut left: Vec<&VmName> = names.iter().collect();
    let mut groups = Vec::new();
    while !left.is_empty() {
        let (mut group, later): (Vec<_>, Vec<_>) =
            left.iter().partition(|name| users.get(**name) == Some(&0));
        left = later;
        if group.is_empty() {
            group = std::mem::take(&mut left);
        }
        for provider in group.iter().filter_map(|name| uses.get(name)).flatten() {
            users
                .entry(*provider)
                .and_modify(|count| *count = count.saturating_sub(1));
        }
        groups.push(group.into_iter().cloned().collect());
    }
    groups
}
