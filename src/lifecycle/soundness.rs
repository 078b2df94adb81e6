//! Damage that was there before a write stays, and is told once. Whether there is any takes a look
//! at every qube, which costs more than the write; so a store that was found sound, or made of a
//! sound one by us (who add no damage), is remembered in `RUN/sound`, and one in which no qube is
//! broken in `RUN/unbroken`. These remarks are of no value: whoever finds others looks again.

use std::collections::HashSet;

use crate::model::check::{Harm, NetvmLoops, UniqueNumbers};
use crate::model::text_map::TextMap;
use crate::model::{Facts as _, Finding, Labels, Pools, Qubes, SavedDomain, VmName};
use crate::store::{Read, StoreError, Write};

use super::Session;

/// The remark about a store that upstream would not refuse; its text says by whose rules.
const SOUND: &str = "sound";

/// What of a store every qube may depend on.
#[derive(PartialEq)]
struct SharedSettings {
    labels: Labels,
    pools: Pools,
    globals: TextMap,
}

impl SharedSettings {
    fn of(qubes: &Qubes) -> SharedSettings {
        SharedSettings {
            labels: qubes.labels.clone(),
            pools: qubes.pools.clone(),
            globals: qubes.globals.clone(),
        }
    }
}

/// The remark about a store in which all qubes were looked at and none is broken; its text says by
/// whose rules.
const UNBROKEN: &str = "unbroken";

impl Session {
    /// What is sound for one release may not be for another.
    fn rules(&self) -> String {
        self.release().to_string()
    }

    /// Whether somebody has found that no qube of this store is broken.
    pub fn is_recorded_unbroken(&self, read: &Read) -> bool {
        read.remark(UNBROKEN)
            .is_some_and(|rules| rules == self.rules())
    }

    /// Tells the next one that no qube of this store is broken.
    pub fn record_unbroken(&self, read: &Read) {
        read.leave_remark(UNBROKEN, &self.rules());
    }

    /// Sees to it that no change adds damage, that damage is told when `write` is saved, and that
    /// its absence is remembered.
    pub(super) fn guard_against_damage(&self, write: &mut Write) {
        let (session, system) = (self.fork(), SharedSettings::of(write));
        write.check_before_save(move |after, before| {
            session.refuse_new_damage(after, &system, before)
        });
        let rules = self.rules();
        let is_known = |name| write.remark(name).is_some_and(|known| known == rules);
        let was_unbroken = is_known(UNBROKEN);
        match if is_known(SOUND) {
            None
        } else {
            self.describe_damage(write)
        } {
            None => {
                let session = self.fork();
                write.once_saved(move |write| {
                    write.leave_remark(SOUND, &rules);
                    if was_unbroken && session.are_changed_qubes_unbroken(write) {
                        write.leave_remark(UNBROKEN, &rules);
                    }
                });
            }
            Some(text) => {
                let (system, told) = (self.system.clone(), self.damage_reported.clone());
                write.once_saved(move |_| {
                    if !told.replace(true) {
                        system.tell(&format!("{}: {text}", system.store_file().display()));
                    }
                });
            }
        }
    }

    /// Refuses a change after which qubesd would refuse the store for something that was not wrong
    /// before. The rules of each change say so first, and better; this is what makes it sure.
    fn refuse_new_damage(
        &self,
        after: &Qubes,
        system: &SharedSettings,
        before: &dyn Fn() -> Result<Qubes, StoreError>,
    ) -> Result<(), String> {
        // Other qubes may depend on a pool, a label, a global property, or a qube that is gone.
        let all = SharedSettings::of(after) != *system || !after.removed_positions().is_empty();
        let touched: Vec<VmName> = after
            .saved_domains()
            .filter_map(|written| match written {
                SavedDomain::Changed { vm, .. } | SavedDomain::New { vm, .. } => {
                    Some(vm.name.clone())
                }
                SavedDomain::Unchanged { .. } => None,
            })
            .collect();
        let found = self.refusals(after, (!all).then_some(&touched));
        if found.is_empty() {
            return Ok(());
        }
        // Positions of pools may have moved, so what was there is known by its text.
        let key = |finding: &Finding| (finding.at.qube().cloned(), finding.text.clone());
        let before = before().map_err(|error| error.to_string())?;
        let known: HashSet<_> = self
            .refusals(&before, (!all).then_some(&touched))
            .iter()
            .map(key)
            .collect();
        match found.iter().find(|finding| !known.contains(&key(finding))) {
            None => Ok(()),
            Some(new) => {
                let qube = new
                    .at
                    .qube()
                    .map(|name| format!("{name}: "))
                    .unwrap_or_default();
                Err(format!(
                    "qubesd would refuse the store after this change: {qube}{}",
                    new.text
                ))
            }
        }
    }

    /// What qubesd refuses the store for in the system and in the qubes of these names; in all
    /// where none are named.
    fn refusals(&self, qubes: &Qubes, names: Option<&Vec<VmName>>) -> Vec<Finding> {
        let mut found = qubes.system_findings(self);
        found.retain(|finding| finding.harm == Harm::Refused);
        let mut ways = NetvmLoops::default();
        match names {
            Some(names) => {
                let vms = names.iter().filter_map(|name| qubes.get(name.as_str()));
                vms.for_each(|vm| found.extend(qubes.qube_refusals(vm, self, &mut ways)));
            }
            None => qubes
                .iter()
                .for_each(|vm| found.extend(qubes.qube_refusals(vm, self, &mut ways))),
        }
        found
    }

    /// Whether nothing is wrong with what was changed, where no qube came or went. That it does no
    /// harm to others is the rules' part.
    fn are_changed_qubes_unbroken(&self, qubes: &Qubes) -> bool {
        let mut ways = NetvmLoops::default();
        qubes.removed_positions().is_empty()
            && qubes.saved_domains().all(|written| match written {
                SavedDomain::Unchanged { .. } => true,
                SavedDomain::Changed { vm, .. } => {
                    qubes.qube_problems(vm, self, &mut ways).is_empty()
                }
                SavedDomain::New { .. } => false,
            })
    }

    /// What upstream would refuse the store for; nothing when it would not. No qube stays in memory
    /// for it.
    fn describe_damage(&self, qubes: &Qubes) -> Option<String> {
        let mut found: Vec<String> = qubes.diagnoses.iter().map(|d| d.text.clone()).collect();
        let (mut numbers, mut ways) = (UniqueNumbers::default(), NetvmLoops::default());
        let refused = |finding: Finding| (finding.harm == Harm::Refused).then_some(finding.text);
        for name in qubes.names() {
            qubes.inspect(name.as_str(), |vm| {
                let of_form = vm.diagnoses.iter().map(|d| d.text.clone());
                let own = qubes
                    .qube_findings(vm, self, &mut ways)
                    .into_iter()
                    .chain(numbers.find_duplicates(vm))
                    .filter_map(refused);
                found.extend(
                    of_form
                        .chain(own)
                        .map(|text| format!("{}: {text}", vm.name)),
                );
            });
        }
        found.extend(qubes.system_findings(self).into_iter().filter_map(refused));
        let mut all = found.iter();
        let first: String = all
            .next()?
            .chars()
            .map(|c| if c.is_control() { '_' } else { c })
            .collect();
        let others = match all.count() {
            0 => String::new(),
            n => format!(", and {n} more"),
        };
        Some(format!(
            "qubesd would refuse it: {first}{others}; that stays as it was (qubes-db check, qubes-db repair)"
        ))
    }
}
