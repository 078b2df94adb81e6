//! In which order qubes stop: those that use others before those they use.

use std::collections::HashMap;

use super::facts::Facts;
use super::name::VmName;
use super::qubes::Qubes;
use super::vm::Vm;

/// What one qube does for another, so that it should outlive it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderRole {
    Netvm,
    Guivm,
    Audiovm,
}

impl ProviderRole {
    pub const ALL: [ProviderRole; 3] = [
        ProviderRole::Netvm,
        ProviderRole::Guivm,
        ProviderRole::Audiovm,
    ];

    /// The property that names it.
    pub fn as_str(self) -> &'static str {
        match self {
            ProviderRole::Netvm => "netvm",
            ProviderRole::Guivm => "guivm",
            ProviderRole::Audiovm => "audiovm",
        }
    }
}

impl Qubes {
    /// The qube that does this for `vm`. A reference that cannot be followed is nobody's.
    pub fn provider<'a>(
        &'a self,
        vm: &'a Vm,
        role: ProviderRole,
        facts: &dyn Facts,
    ) -> Option<&'a Vm> {
        match role {
            ProviderRole::Netvm => self.netvm(vm, facts),
            ProviderRole::Guivm => self.guivm(vm, facts),
            ProviderRole::Audiovm => self.audiovm(vm, facts),
        }
        .ok()
        .flatten()
        .filter(|provider| provider.name != vm.name)
    }

    /// `names` in groups: nobody of a group is used by somebody of a later one. Qubes that use each
    /// other in a circle are the last group, together with those that they use.
    pub fn group_by_stop_order(&self, names: &[VmName], facts: &dyn Facts) -> Vec<Vec<VmName>> {
        let mut users: HashMap<&VmName, usize> = names.iter().map(|name| (name, 0)).collect();
        let mut uses: HashMap<&VmName, Vec<&VmName>> = HashMap::new();
        for name in names {
            let Some(vm) = self.get(name.as_str()) else {
                continue;
            };
            let used = ProviderRole::ALL
                .iter()
                .filter_map(|role| Some(&self.provider(vm, *role, facts)?.name));
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
}
