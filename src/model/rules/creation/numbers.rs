//! Free numbers for new qubes.

use super::error::CreationError;
use crate::model::class::Class;
use crate::model::qid::Qid;
use crate::model::qubes::Qubes;
use crate::model::release::Release;
use crate::model::vm::Vm;

/// Returns the smallest free qid from 1.
pub(in crate::model) fn find_free_qid(
    qubes: &Qubes,
    release: Release,
) -> Result<Qid, CreationError> {
    let max = release.highest_qid().min(Qid::MAX - 1);
    let mut is_taken = vec![false; usize::from(Qid::MAX) + 1];
    for qid in qubes.iter().filter_map(Vm::qid) {
        is_taken[usize::from(qid.number())] = true;
    }
    (1..=max)
        .find(|n| !is_taken[usize::from(*n)])
        .and_then(Qid::new)
        .ok_or(CreationError::NoFreeQid { release, max })
}

/// Returns a random number that no disposable has (`docs/spec/r4-properties.md` §6).
///
/// # Errors
/// None was found in 100 tries.
pub fn find_free_dispid(
    qubes: &Qubes,
    random: &mut dyn FnMut(u16) -> u16,
) -> Result<u16, CreationError> {
    let disposables = qubes
        .names_with_classes()
        .filter(|(_, class)| **class == Class::DispVM);
    let taken: Vec<u16> = disposables
        .filter_map(|(name, _)| {
            qubes
                .get(name.as_str())?
                .properties
                .get("dispid")?
                .trim()
                .parse()
                .ok()
        })
        .collect();
    (0..100)
        .map(|_| random(10_000))
        .find(|id| !taken.contains(id))
        .ok_or(CreationError::NoFreeDispid)
}
