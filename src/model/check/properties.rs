//! Checks of a qube's properties, tags and features.

use super::system::describe_error;
use super::{Finding, FindingKind, Harm, Location, Problem, QubePart, Remedy};
use crate::model::class::Class;
use crate::model::facts::Facts;
use crate::model::name::VmName;
use crate::model::property;
use crate::model::property::{Property, PropertyError, Scope, ValueType};
use crate::model::qid::Qid;
use crate::model::qubes::Qubes;
use crate::model::release::Release;
use crate::model::rules::creation::check_template;
use crate::model::rules::qubesd::{
    TAGGED_REFERENCES, find_feature_problem, find_reference_problem, is_kernel_name,
};
use crate::model::tags::is_valid_tag;
use crate::model::vm::Vm;

/// Properties that must be set if the class has them.
const REQUIRED: [&str; 4] = ["label", "qid", "uuid", "template"];

/// Checks the stored properties and that the required ones are stored.
pub(super) fn check_properties(
    qubes: &Qubes,
    vm: &Vm,
    facts: &dyn Facts,
    found: &mut Vec<Finding>,
) {
    let release = facts.host().release();
    let Some(class) = vm.class.spec() else {
        // The properties of an unknown class are unknown, too.
        return;
    };
    let mut add = |name: &str, problems: Vec<Problem>| {
        let at = || Location::property(&vm.name, name);
        found.extend(problems.into_iter().map(|problem| problem.at(at())));
    };
    if class.since > release {
        let (name, since) = (class.name, class.since);
        let text = format!("Qubes OS {release} does not know class {name} (since {since})");
        let by_hand = Remedy::manual(format!("qvm-remove {}, or upgrade Qubes OS", vm.name));
        add(
            "name",
            vec![Problem::refused(FindingKind::TooNew, text, by_hand)],
        );
        return;
    }
    for name in vm.properties.names() {
        add(name, find_stored_problems(qubes, vm, name, facts));
    }
    for name in REQUIRED
        .iter()
        .filter(|name| vm.class != Class::AdminVM && !vm.properties.contains(name))
    {
        if let Some(property) = Property::find(Scope::Class(&vm.class), name) {
            add(name, find_value_problems(qubes, vm, property, facts));
        }
    }
}

/// Checks a stored property.
fn find_stored_problems(qubes: &Qubes, vm: &Vm, name: &str, facts: &dyn Facts) -> Vec<Problem> {
    let release = facts.host().release();
    let (kind, text) = match Property::find(Scope::Class(&vm.class), name) {
        None if Property::is_legacy_name(name) => return Vec::new(),
        None => (
            FindingKind::UnknownProperty,
            format!("a qube of class {} has no property {name}", vm.class),
        ),
        Some(property) if property.computed => (
            FindingKind::ComputedProperty,
            format!("{name} is computed and cannot be set"),
        ),
        Some(Property { since, .. }) if *since > release => (
            FindingKind::TooNew,
            format!("Qubes OS {release} does not know {name} (since {since})"),
        ),
        Some(property) => return find_value_problems(qubes, vm, property, facts),
    };
    let remedy = Remedy::remove(format!("property {name}"));
    vec![Problem::refused(kind, text, remedy)]
}

/// Checks a property that is stored or has to be.
fn find_value_problems(
    qubes: &Qubes,
    vm: &Vm,
    property: &Property,
    facts: &dyn Facts,
) -> Vec<Problem> {
    let name = property.name;
    let read = match name {
        // `crate::model::property::template` also checks the template's class.
        "template" => property::template(qubes, vm).map(drop),
        _ => property::value(qubes, vm, property, facts).map(drop),
    };
    let stored = property.explicit_value(vm);
    if let Err(error) = read {
        let kind = classify(property, stored, &error, qubes);
        // Upstream loads a qube without a label, but its tools cannot show it.
        let harm = Harm::of_refusal(name != "label" || stored.is_some());
        let remedy = remedy(qubes, property, vm, facts);
        return vec![Problem::new(kind, harm, describe_error(&error), remedy)];
    }
    let Some(text) = stored else {
        return Vec::new();
    };
    let refused_by_setter = property.setter_error(text).map(|rule| {
        let text = format!("{name} is '{}': {rule}", text.escape_debug());
        Problem::refused(FindingKind::BadValue, text, Remedy::reset(name))
    });
    let specific = match name {
        "qid" => find_qid_problem(vm, text, facts.host().release()),
        "kernel" if refused_by_setter.is_none() => find_kernel_problem(text),
        _ => None,
    };
    let problems = [
        refused_by_setter,
        specific,
        find_tag_problem(qubes, property, text),
        find_disposable_misfit(qubes, vm, property, text, facts),
    ];
    problems.into_iter().flatten().collect()
}

/// Checks that the release can load a qid.
fn find_qid_problem(vm: &Vm, text: &str, release: Release) -> Option<Problem> {
    let max = release.highest_qid();
    let text = match vm.qid() {
        None => format!("qid {text} is not between 0 and {}", Qid::MAX),
        Some(qid) if qid.number() > max => {
            format!("qid {text} is above {max}, the highest of Qubes OS {release}")
        }
        Some(_) => return None,
    };
    let kind = FindingKind::BadValue;
    Some(Problem::refused(kind, text, Remedy::NewQid))
}

fn find_kernel_problem(text: &str) -> Option<Problem> {
    (!is_kernel_name(text)).then(|| {
        let text = format!("kernel is '{text}', which cannot name one of dom0's kernels");
        Problem::misread(FindingKind::BadValue, text, Remedy::reset("kernel"))
    })
}

/// Checks that the referenced qube's name fits into the tag that qubesd derives from some
/// references while it loads the store.
fn find_tag_problem(qubes: &Qubes, property: &Property, text: &str) -> Option<Problem> {
    let name = property.name;
    let is_tagged = TAGGED_REFERENCES.iter().any(|(tagged, _)| *tagged == name);
    let named = qubes.name(text).filter(|_| is_tagged)?;
    let misfit = find_reference_problem(name, named)?;
    let text = format!("{name} is '{text}': {misfit}");
    let kind = FindingKind::Unfit;
    Some(Problem::refused(kind, text, Remedy::reset(name)))
}

/// Checks that a reference to a template for disposables is one.
fn find_disposable_misfit(
    qubes: &Qubes,
    vm: &Vm,
    property: &Property,
    text: &str,
    facts: &dyn Facts,
) -> Option<Problem> {
    let name = property.name;
    let is_default = match name {
        "default_dispvm" | "management_dispvm" => true,
        "template" if vm.class == Class::DispVM => false,
        _ => return None,
    };
    let named = qubes
        .get(text)
        .filter(|named| !property::is_template_for_dispvms(qubes, named, facts))?;
    let named = &named.name;
    let text = format!("{name} is '{named}', which is not a template for disposables");
    let kind = FindingKind::NotForDisposables;
    Some(match is_default {
        true => {
            let text = format!("{text}: qubesd takes it for none");
            Problem::misread(kind, text, Remedy::reset(name))
        }
        false => {
            let by_hand = format!("qvm-prefs {named} template_for_dispvms True");
            Problem::misread(kind, text, Remedy::Manual(by_hand))
        }
    })
}

/// Returns the remedy for an invalid value. For `netvm` it is none rather than the default,
/// because a repair must not connect a qube to the network.
fn remedy(qubes: &Qubes, property: &Property, vm: &Vm, facts: &dyn Facts) -> Remedy {
    let name = property.name;
    match (name, property.value_type) {
        ("netvm", _) => Remedy::set(name, ""),
        ("uuid", _) => Remedy::NewUuid,
        ("qid", _) => Remedy::NewQid,
        ("template", _) => match fallback_template(qubes, vm, facts) {
            Some(template) => Remedy::set(name, template.as_str()),
            None => Remedy::manual(format!(
                "qvm-prefs {0} template TEMPLATE, or qvm-remove {0}",
                vm.name
            )),
        },
        (_, ValueType::Label) => Remedy::set(name, fallback_label(qubes)),
        _ => Remedy::reset(name),
    }
}

/// Returns the system's default template, if it suits this qube.
fn fallback_template<'q>(qubes: &'q Qubes, vm: &Vm, facts: &dyn Facts) -> Option<&'q VmName> {
    let global = vm.class.template()?.default;
    let value = property::global_value_by_name(qubes, global, facts).ok()?;
    let template = qubes.get(value.as_qube()?.as_str())?;
    check_template(qubes, &vm.class, template, facts).ok()?;
    Some(&template.name)
}

/// Returns the label of least trust: red, or else the first.
fn fallback_label(qubes: &Qubes) -> String {
    let red = qubes
        .labels
        .find("red")
        .or_else(|| qubes.labels.iter().next());
    red.map_or("red".to_owned(), |label| label.name.to_string())
}

/// Checks the characters of tags.
pub(super) fn check_tags(vm: &Vm, found: &mut Vec<Finding>) {
    for tag in vm.tags.iter().filter(|tag| !is_valid_tag(tag)) {
        let text = format!("tag '{tag}' has other characters than letters, digits, '_' and '-'");
        let problem = Problem::refused(FindingKind::BadTag, text, Remedy::remove("the tag"));
        found.push(problem.at(Location::part(&vm.name, QubePart::Tag(tag.to_string()))));
    }
}

/// Checks the values of features that qubesd interprets.
pub(super) fn check_features(vm: &Vm, facts: &dyn Facts, found: &mut Vec<Finding>) {
    for (name, value) in vm.features.iter() {
        if let Some(misfit) = find_feature_problem(vm, name, value, facts.host().release()) {
            let text = format!("feature {name} is '{value}': {}", misfit.rule);
            let harm = Harm::of_refusal(misfit.is_refused);
            let remedy = Remedy::remove("the feature");
            let problem = Problem::new(FindingKind::BadFeature, harm, text, remedy);
            let part = QubePart::Feature(name.to_owned());
            found.push(problem.at(Location::part(&vm.name, part)));
        }
    }
}

/// Classifies an invalid value.
fn classify(
    property: &Property,
    stored: Option<&str>,
    error: &PropertyError,
    qubes: &Qubes,
) -> FindingKind {
    let Some(text) = stored else {
        // The value is not set, and there is no default or it is invalid.
        return if matches!(error, PropertyError::Unset { .. }) {
            FindingKind::MissingProperty
        } else {
            FindingKind::BadValue
        };
    };
    match property.value_type {
        ValueType::Qube { .. } if qubes.contains(text) => FindingKind::Unfit,
        ValueType::Qube { .. } | ValueType::Label | ValueType::Pool => FindingKind::Dangling,
        _ => FindingKind::BadValue,
    }
}
