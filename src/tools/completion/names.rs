//! Names of the store: qubes, volumes, revisions.

use super::candidate::{Candidate, candidate};
use super::offer::QubeSubset;
use crate::lifecycle::qube::record;
use crate::lifecycle::{Context, volume};
use crate::model::volume::names as volume_names;
use crate::model::{Class, Qubes, Vm, VmName};
use crate::tools::ui::values::Values;

/// Returns qubes with their classes.
fn with_classes<'q>(qubes: impl Iterator<Item = (&'q VmName, &'q Class)>) -> Vec<Candidate> {
    qubes
        .map(|(name, class)| candidate(name.as_str(), class.as_str()))
        .collect()
}

/// Returns the qubes whose class satisfies `fits`.
pub fn of_class(qubes: &Qubes, fits: impl Fn(&Class) -> bool) -> Vec<Candidate> {
    with_classes(qubes.names_with_classes().filter(|(_, class)| fits(class)))
}

/// Returns the qubes that satisfy `fits`.
pub fn qubes_that(qubes: &Qubes, fits: impl Fn(&Vm) -> bool) -> Vec<Candidate> {
    let fitting = qubes.iter().filter(|vm| fits(vm));
    with_classes(fitting.map(|vm| (&vm.name, &vm.class)))
}

/// Returns the qubes that provide network.
pub fn netvms(qubes: &Qubes, context: &Context) -> Vec<Candidate> {
    let values = Values::new(qubes, context);
    qubes_that(qubes, |vm| values.is_true(vm, "provides_network"))
}

/// Returns names and classes of a subset of the qubes. Records tell which run; the hypervisor is
/// not contacted.
pub fn qubes(which: QubeSubset, begun: &str, qubes: &Qubes, context: &Context) -> Vec<Candidate> {
    let started = match which {
        QubeSubset::Halted | QubeSubset::Running => {
            record::names(&context.system).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    let fits = |name: &VmName, class: &Class| match which {
        QubeSubset::Any => true,
        QubeSubset::ButDom0 => !name.is_dom0(),
        QubeSubset::ButRemote => *class != Class::RemoteVM,
        QubeSubset::Guests => class.is_local_guest(),
        QubeSubset::Halted => class.is_local_guest() && !started.contains(name),
        QubeSubset::Running => {
            class.is_local_guest() && (started.is_empty() || started.contains(name))
        }
    };
    with_classes(
        qubes
            .names_with_classes()
            .filter(|(name, class)| name.as_str().starts_with(begun) && fits(name, class)),
    )
}

/// Returns `VM:VOLUME` of every volume on this machine.
pub fn volumes(qubes: &Qubes) -> Vec<Candidate> {
    let guests = qubes.iter().filter(|vm| vm.class.is_local_guest());
    let of = |vm: &Vm| -> Vec<Candidate> {
        let names = volume_names(vm).filter(|name| *name != "kernel");
        names
            .map(|name| candidate(&format!("{}:{name}", vm.name), vm.class.as_str()))
            .collect()
    };
    guests.flat_map(of).collect()
}

/// Returns the revisions of a volume, `VM:VOLUME`, with their times.
pub fn revisions(volume: &str, qubes: &Qubes, context: &Context) -> Option<Vec<Candidate>> {
    let (vm, name) = volume.split_once(':')?;
    let details = volume::details(context, qubes, qubes.get(vm)?, name).ok()?;
    let revisions = details.revisions.iter();
    Some(
        revisions
            .map(|revision| candidate(&revision.id, &revision.time))
            .collect(),
    )
}
