//! Reads new content back before it is written, and compares it with what was meant: a store that a
//! reader would refuse or misread never gets to the disk. In release builds this is done only near
//! the limits, because it takes as long as reading a store; in debug builds always.

use std::collections::BTreeSet;

use crate::format::error::FormatError;
use crate::format::{Bytes, MAX_BYTES};
use crate::model::{Class, Qubes, SavedDomain, TextMap, Vm, VmName};

/// Number of items of one kind above which a store is near a limit.
const NEAR_LIMIT: usize = super::parse::MAX_ITEMS / 4;

/// Whether a reader could ignore items: it reads a limited number of each kind.
fn is_near_a_limit(qubes: &Qubes) -> bool {
    let of_system = [
        qubes.globals.len(),
        qubes.labels.iter().count(),
        qubes.pools.iter().count(),
    ];
    let of_qubes = qubes.saved_domains().any(|change| match change {
        SavedDomain::Changed { vm, .. } | SavedDomain::New { vm } => {
            let assignments = vm.devices.iter().map(|class| class.assignments.len()).max();
            [
                vm.properties.len(),
                vm.features.len(),
                vm.tags.len(),
                vm.volumes.len(),
                vm.devices.len(),
            ]
            .into_iter()
            .chain(assignments)
            .any(|count| count > NEAR_LIMIT)
        }
        SavedDomain::Unchanged { .. } => false,
    });
    of_qubes || of_system.into_iter().any(|count| count > NEAR_LIMIT)
}

/// Compares the bytes of a new store with the collection that they were made from. Untouched
/// domains were copied and are not compared.
///
/// # Errors
/// The bytes are too large, cannot be read, or differ from the collection.
pub(crate) fn verify(written: &Bytes, qubes: &Qubes) -> Result<(), FormatError> {
    if written.len() > MAX_BYTES {
        return Err(FormatError::TooLarge {
            bytes: written.len() as u64,
        });
    }
    if !cfg!(debug_assertions) && !is_near_a_limit(qubes) {
        return Ok(());
    }
    let there = super::open(written)?.0;
    let differs = |what: String| Err(FormatError::ReadBackMismatch { what });
    // A store without dom0 is read as one with an empty dom0.
    if !guests(&there).eq(guests(qubes)) {
        return differs(format!("{} qubes instead of {}", there.len(), qubes.len()));
    }
    if !there.labels.iter().eq(qubes.labels.iter())
        || there.pools.iter().count() != qubes.pools.iter().count()
    {
        return differs(format!(
            "other labels or pools; {} pools",
            there.pools.iter().count()
        ));
    }
    if let Some(what) = difference("global properties", &qubes.globals, &there.globals) {
        return differs(what);
    }
    for change in qubes.saved_domains() {
        if let SavedDomain::Changed { vm, .. } | SavedDomain::New { vm } = change
            && let Some(what) = there
                .inspect(vm.name.as_str(), |there| qube_difference(vm, there))
                .flatten()
        {
            return differs(format!("{}: {what}", vm.name));
        }
    }
    Ok(())
}

/// Returns names and classes of all qubes but dom0.
fn guests(qubes: &Qubes) -> impl Iterator<Item = (&VmName, &Class)> {
    qubes
        .names_with_classes()
        .filter(|(name, _)| !name.is_dom0())
}

/// Describes how a qube would be misread.
fn qube_difference(meant: &Vm, there: &Vm) -> Option<String> {
    let count = |what: &str, meant: usize, there: usize| {
        (meant != there).then(|| format!("{there} {what} of {meant}"))
    };
    let tags = |vm: &Vm| vm.tags.iter().cloned().collect::<BTreeSet<_>>();
    let volumes = |vm: &Vm| {
        vm.volumes
            .iter()
            .filter(|volume| !volume.name().is_empty())
            .count()
    };
    let devices = |vm: &Vm| vm.devices.iter().map(|class| class.assignments.len()).sum();
    difference("properties", &meant.properties, &there.properties)
        .or_else(|| difference("features", &meant.features, &there.features))
        .or_else(|| {
            (tags(meant) != tags(there))
                .then(|| format!("{} tags of {}", there.tags.len(), meant.tags.len()))
        })
        .or_else(|| count("volumes", volumes(meant), volumes(there)))
        .or_else(|| count("device assignments", devices(meant), devices(there)))
}

/// Describes the difference between two maps.
fn difference(what: &str, meant: &TextMap, there: &TextMap) -> Option<String> {
    if meant == there {
        return None;
    }
    let sorted = |map: &TextMap| {
        map.iter()
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .collect::<BTreeSet<_>>()
    };
    let (meant, there) = (sorted(meant), sorted(there));
    let first = meant.symmetric_difference(&there).next()?;
    Some(format!(
        "{} {what} of {}, '{}' among what differs",
        there.len(),
        meant.len(),
        first.0.escape_debug()
    ))
}
