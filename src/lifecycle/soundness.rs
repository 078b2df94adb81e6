//! Guarding the store against new damage, and reporting existing damage once.
//!
//! Existing damage stays as it is. Looking for it means checking every qube, which takes longer
//! than the write itself. So the result is cached in RUN: `sound` for a store that qubesd would
//! accept, and `unbroken` for one without a broken qube. `sound` stays valid after a change of
//! ours, which adds no damage; `unbroken` only if no qube came or went and none that changed is
//! broken. The caches are only an optimisation: without them the store is checked again.

use std::collections::HashSet;

use crate::model::check::{Harm, NetvmLoops, UniqueNumbers};
use crate::model::text_map::TextMap;
use crate::model::{Facts as _, Finding, Labels, Pools, Qubes, SavedDomain, VmName, check};
use crate::store::{Read, StoreError, Write};

use super::{Context, LifecycleError};

/// The cache entry for a store that qubesd would not refuse; its text names the release whose rules
/// were applied.
const SOUND: &str = "sound";

/// The parts of a store that every qube may depend on.
#[derive(PartialEq)]
struct SharedSettings {
    labels: Labels,
    pools: Pools,
    globals: TextMap,
}

impl SharedSettings {
    fn from_qubes(qubes: &Qubes) -> SharedSettings {
        SharedSettings {
            labels: qubes.labels.clone(),
            pools: qubes.pools.clone(),
            globals: qubes.globals.clone(),
        }
    }
}

/// The cache entry for a store in which every qube was checked and none is broken; its text names
/// the release whose rules were applied.
const UNBROKEN: &str = "unbroken";

/// Returns the release whose rules apply: a store that is sound for one release may not be for
/// another.
fn rules_name(context: &Context) -> String {
    context.facts().host().release().to_string()
}

/// Returns whether an earlier check found no broken qube in this store.
pub fn is_cached_unbroken(context: &Context, read: &Read) -> bool {
    read.read_cache(UNBROKEN)
        .is_some_and(|rules| rules == rules_name(context))
}

/// Caches that no qube of this store is broken.
pub fn cache_unbroken(context: &Context, read: &Read) {
    read.write_cache(UNBROKEN, &rules_name(context));
}

/// Registers checks with `write`: a change must not add damage; existing damage is reported
/// when the store is saved; and if there is none, that is cached.
pub(super) fn guard_against_damage(context: &Context, write: &mut Write) {
    let (fork, system) = (context.fork(), SharedSettings::from_qubes(write));
    write.check_before_save(move |after, before| refuse_new_damage(&fork, after, &system, before));
    let rules = rules_name(context);
    let is_cached = |name| write.read_cache(name).is_some_and(|known| known == rules);
    let was_unbroken = is_cached(UNBROKEN);
    match if is_cached(SOUND) {
        // Only a saved store is cached as sound, and each save checks every byte.
        write.assume_checked();
        None
    } else {
        describe_damage(context, write)
    } {
        None => {
            let fork = context.fork();
            write.after_first_save(move |write| {
                write.write_cache(SOUND, &rules);
                if was_unbroken && are_changed_qubes_unbroken(&fork, write) {
                    write.write_cache(UNBROKEN, &rules);
                }
            });
        }
        Some(damage) => {
            let (system, reported) = (context.system.clone(), context.damage_reported.clone());
            write.after_first_save(move |_| {
                if !reported.replace(true) {
                    let store = system.store_file().to_path_buf();
                    system.notify_error(&LifecycleError::Damaged { store, damage });
                }
            });
        }
    }
}

/// Refuses a change after which qubesd would refuse the store for a new reason. The rules of
/// each change report such reasons first, and better; this is the safety net.
fn refuse_new_damage(
    context: &Context,
    after: &Qubes,
    system: &SharedSettings,
    before: &dyn Fn() -> Result<Qubes, StoreError>,
) -> Result<(), String> {
    // Other qubes may depend on a pool, a label, a global property, or a removed qube.
    let all = SharedSettings::from_qubes(after) != *system || !after.removed_positions().is_empty();
    let touched: Vec<VmName> = after
        .saved_domains()
        .filter_map(|written| match written {
            SavedDomain::Changed { vm, .. } | SavedDomain::New { vm, .. } => Some(vm.name.clone()),
            SavedDomain::Unchanged { .. } => None,
        })
        .collect();
    let found = refusals(context, after, (!all).then_some(&touched));
    if found.is_empty() {
        return Ok(());
    }
    // Compare findings by their text: the positions of pools may have moved.
    let key = |finding: &Finding| (finding.at.qube().cloned(), finding.text.clone());
    let before = before().map_err(|error| error.to_string())?;
    let known: HashSet<_> = refusals(context, &before, (!all).then_some(&touched))
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

/// Returns why qubesd would refuse the system's settings and the qubes of `names`, or all qubes
/// if `names` is `None`.
fn refusals(context: &Context, qubes: &Qubes, names: Option<&Vec<VmName>>) -> Vec<Finding> {
    let mut found = check::system_findings(qubes, context.facts());
    found.retain(|finding| finding.harm == Harm::Refused);
    let mut ways = NetvmLoops::default();
    match names {
        Some(names) => {
            let vms = names.iter().filter_map(|name| qubes.get(name.as_str()));
            vms.for_each(|vm| {
                found.extend(check::qube_refusals(qubes, vm, context.facts(), &mut ways))
            });
        }
        None => qubes.iter().for_each(|vm| {
            found.extend(check::qube_refusals(qubes, vm, context.facts(), &mut ways))
        }),
    }
    found
}

/// Returns whether the changed qubes are not broken, and none was added or removed. The rules
/// of the change make sure that it does not break other qubes.
fn are_changed_qubes_unbroken(context: &Context, qubes: &Qubes) -> bool {
    let mut ways = NetvmLoops::default();
    qubes.removed_positions().is_empty()
        && qubes.saved_domains().all(|written| match written {
            SavedDomain::Unchanged { .. } => true,
            SavedDomain::Changed { vm, .. } => {
                check::qube_problems(qubes, vm, context.facts(), &mut ways).is_empty()
            }
            SavedDomain::New { .. } => false,
        })
}

/// Returns why qubesd would refuse the store, in one line; `None` if it would not. Qubes are
/// read one by one, so that none stays in memory.
fn describe_damage(context: &Context, qubes: &Qubes) -> Option<String> {
    let mut found: Vec<String> = qubes.diagnoses.iter().map(|d| d.text.clone()).collect();
    let (mut numbers, mut ways) = (UniqueNumbers::default(), NetvmLoops::default());
    let refused = |finding: Finding| (finding.harm == Harm::Refused).then_some(finding.text);
    for name in qubes.names() {
        qubes.inspect(name.as_str(), |vm| {
            let of_form = vm.diagnoses.iter().map(|d| d.text.clone());
            let own = check::qube_findings(qubes, vm, context.facts(), &mut ways)
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
    found.extend(
        check::system_findings(qubes, context.facts())
            .into_iter()
            .filter_map(refused),
    );
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
    Some(format!("{first}{others}"))
}
