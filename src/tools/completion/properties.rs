//! Properties and their values.

use super::candidate::{Candidate, candidate};
use super::offer::{Offer, QubeSubset};
use crate::lifecycle::Context;
use crate::model::property::{self, Completion, ValueType};
use crate::model::{Class, Property, Qubes, Scope, Value, class_properties, global_properties};
use crate::storage::PoolDrivers;
use crate::tools::ui::selection::is_pattern;

/// Returns the properties that can be set when a qube is created.
pub fn at_creation(class: &Class) -> Vec<Candidate> {
    described(class_properties(class).filter(|p| !p.computed && !p.write_once))
}

/// Returns the properties of a qube, or of the system.
pub fn names(of: Option<&str>, qubes: &Qubes) -> Vec<Candidate> {
    let Some(of) = of else {
        return described(global_properties());
    };
    let classes = matching_classes(qubes, of);
    let mut properties: Vec<_> = classes.iter().flat_map(class_properties).collect();
    properties.sort_by_key(|p| p.name);
    properties.dedup_by_key(|p| p.name);
    described(properties.into_iter())
}

fn described<'p>(properties: impl Iterator<Item = &'p Property>) -> Vec<Candidate> {
    properties.map(|p| candidate(p.name, p.doc)).collect()
}

/// Returns the values of a property of a qube, or of the system.
pub fn values_of(of: Option<&str>, name: &str, qubes: &Qubes, context: &Context) -> Vec<Candidate> {
    let name = name.replace('-', "_");
    let found = match of {
        None => Property::find(Scope::Global, &name),
        Some(of) => matching_classes(qubes, of)
            .iter()
            .find_map(|class| Property::find(Scope::Class(class), &name)),
    };
    found.map_or_else(Vec::new, |property| {
        value_candidates(property, qubes, context)
    })
}

/// Returns the values of a property of a new qube.
pub fn values_of_class(
    class: &Class,
    name: &str,
    qubes: &Qubes,
    context: &Context,
) -> Vec<Candidate> {
    let found = Property::find(Scope::Class(class), &name.replace('-', "_"));
    found.map_or_else(Vec::new, |property| {
        value_candidates(property, qubes, context)
    })
}

/// Returns the classes of the qubes that an argument names; all classes for a pattern or a list.
fn matching_classes(qubes: &Qubes, word: &str) -> Vec<Class> {
    match is_pattern(word) || word.contains(',') {
        true => Class::all().cloned().collect(),
        false => qubes.class(word).cloned().into_iter().collect(),
    }
}

/// Returns the names that a property can be set to, if it takes one of a set.
pub fn value_words(property: &Property, qubes: &Qubes, context: &Context) -> Vec<String> {
    value_candidates(property, qubes, context)
        .into_iter()
        .map(|candidate| candidate.word)
        .collect()
}

fn value_candidates(property: &Property, qubes: &Qubes, context: &Context) -> Vec<Candidate> {
    let offer = match (property.completion, property.value_type) {
        (Completion::Netvms, _) => Offer::Netvms,
        (Completion::DisposableTemplates, _) => Offer::DisposableTemplates,
        (Completion::Kernels, _) => Offer::Words(kernel_names(qubes, context)),
        (Completion::Words(list), _) => Offer::words(list.iter().copied()),
        (Completion::ByType, ValueType::Bool) => Offer::words(["True", "False"]),
        (Completion::ByType, ValueType::Label) => Offer::Labels,
        (Completion::ByType, ValueType::Pool) => Offer::Pools,
        (
            Completion::ByType,
            ValueType::Qube {
                class: Some(Class::TemplateVM),
                ..
            },
        ) => Offer::Templates,
        (Completion::ByType, ValueType::Qube { .. }) => Offer::Qubes(QubeSubset::ButRemote),
        (Completion::ByType, _) => Offer::Nothing,
    };
    let mut values = offer.in_store("", qubes, context);
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
    let pool = property::global_value_by_name(qubes, "default_pool_kernel", context.facts()).ok();
    let driver = pool.as_ref().and_then(Value::as_str).and_then(|pool| {
        let mut drivers = PoolDrivers::read_only(&qubes.pools, &context.system);
        drivers.get(pool).ok()
    });
    driver
        .and_then(|driver| driver.volume_ids().ok())
        .unwrap_or_default()
}
