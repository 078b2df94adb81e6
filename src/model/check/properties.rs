//! Checks of a qube's properties, tags and features.

use super::system::describe_error;
use super::{Finding, FindingKind, Harm, Location, QubePart, Remedy};
use crate::model::class::Class;
use crate::model::facts::Facts;
use crate::model::name::VmName;
use crate::model::property;
use crate::model::property::{Property, PropertyError, Scope, ValueType};
use crate::model::qid::Qid;
use crate::model::qubes::Qubes;
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
    let mut add = |property: &str, kind, harm, text, remedy| {
        found.push(Finding {
            at: Location::property(&vm.name, property),
            kind,
            harm,
            text,
            remedy,
        });
    };
    let release = facts.host().release();
    let Some(class) = vm.class.spec() else {
        // The properties of an unknown class are unknown, too.
        return;
    };
    if class.since > release {
        let text = format!(
            "Qubes OS {release} does not know class {} (since {})",
            class.name, class.since
        );
        let by_hand = Remedy::Manual(format!("qvm-remove {}, or upgrade Qubes OS", vm.name));
        add("name", FindingKind::TooNew, Harm::Refused, text, by_hand);
        return;
    }
    for name in vm.properties.names() {
        let remove = || Remedy::Remove {
            what: format!("property {name}"),
        };
        match Property::find(Scope::Class(&vm.class), name) {
            None if Property::is_legacy_name(name) => {}
            None => {
                let text = format!("a qube of class {} has no property {name}", vm.class);
                add(
                    name,
                    FindingKind::UnknownProperty,
                    Harm::Refused,
                    text,
                    remove(),
                );
            }
            Some(p) if p.computed => {
                let text = format!("{name} is computed and cannot be set");
                add(
                    name,
                    FindingKind::ComputedProperty,
                    Harm::Refused,
                    text,
                    remove(),
                );
            }
            Some(p) if p.since > facts.host().release() => {
                let text = format!(
                    "Qubes OS {} does not know {name} (since {})",
                    facts.host().release(),
                    p.since
                );
                add(name, FindingKind::TooNew, Harm::Refused, text, remove());
            }
            Some(property) => check_value(qubes, vm, property, facts, &mut add),
        }
    }
    for name in REQUIRED
        .iter()
        .filter(|name| vm.class != Class::AdminVM && !vm.properties.contains(name))
    {
        if let Some(property) = Property::find(Scope::Class(&vm.class), name) {
            check_value(qubes, vm, property, facts, &mut add);
        }
    }
}

/// Checks a property that is stored or has to be.
fn check_value(
    qubes: &Qubes,
    vm: &Vm,
    property: &Property,
    facts: &dyn Facts,
    add: &mut impl FnMut(&str, FindingKind, Harm, String, Remedy),
) {
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
        let harm = if name == "label" && stored.is_none() {
            Harm::Misread
        } else {
            Harm::Refused
        };
        add(
            name,
            kind,
            harm,
            describe_error(&error),
            remedy(qubes, property, vm, facts),
        );
    } else if let Some(text) = stored {
        if let Some(rule) = property.setter_error(text) {
            let text = format!("{name} is '{}': {rule}", text.escape_debug());
            add(
                name,
                FindingKind::BadValue,
                Harm::Refused,
                text,
                Remedy::Reset {
                    property: name.into(),
                },
            );
        }
        let max = facts.host().release().highest_qid();
        if name == "qid" && vm.qid().is_none_or(|qid| qid.number() > max) {
            let text = match vm.qid() {
                None => format!("qid {text} is not between 0 and {}", Qid::MAX),
                Some(_) => format!(
                    "qid {text} is above {max}, the highest of Qubes OS {}",
                    facts.host().release()
                ),
            };
            add(
                name,
                FindingKind::BadValue,
                Harm::Refused,
                text,
                Remedy::NewQid,
            );
        }
        if name == "kernel" && !is_kernel_name(text) && property.setter_error(text).is_none() {
            let text = format!("kernel is '{text}', which cannot name one of dom0's kernels");
            add(
                name,
                FindingKind::BadValue,
                Harm::Misread,
                text,
                Remedy::Reset {
                    property: name.into(),
                },
            );
        }
        if matches!(property.value_type, ValueType::Qube { .. }) {
            check_tagged_reference(qubes, property, text, add);
            check_disposable_template(qubes, vm, property, text, facts, add);
        }
    }
}

/// Checks that the referenced qube's name fits into the tag that qubesd derives from some
/// references while it loads the store.
fn check_tagged_reference(
    qubes: &Qubes,
    property: &Property,
    text: &str,
    add: &mut impl FnMut(&str, FindingKind, Harm, String, Remedy),
) {
    let name = property.name;
    let is_tagged = TAGGED_REFERENCES.iter().any(|(tagged, _)| *tagged == name);
    let misfit = qubes
        .name(text)
        .filter(|_| is_tagged)
        .and_then(|named| find_reference_problem(name, named));
    if let Some(misfit) = misfit {
        let text = format!("{name} is '{text}': {misfit}");
        add(
            name,
            FindingKind::Unfit,
            Harm::Refused,
            text,
            Remedy::Reset {
                property: name.into(),
            },
        );
    }
}

/// Checks that a reference to a template for disposables is one.
fn check_disposable_template(
    qubes: &Qubes,
    vm: &Vm,
    property: &Property,
    text: &str,
    facts: &dyn Facts,
    add: &mut impl FnMut(&str, FindingKind, Harm, String, Remedy),
) {
    let name = property.name;
    if !matches!(name, "default_dispvm" | "management_dispvm" | "template")
        || vm.class == Class::AppVM && name == "template"
    {
        return;
    }
    let Some(named) = qubes
        .get(text)
        .filter(|named| !property::is_template_for_dispvms(qubes, named, facts))
    else {
        return;
    };
    let what = "which is not a template for disposables";
    if matches!(name, "default_dispvm" | "management_dispvm") {
        let text = format!(
            "{name} is '{}', {what}: qubesd takes it for none",
            named.name
        );
        add(
            name,
            FindingKind::NotForDisposables,
            Harm::Misread,
            text,
            Remedy::Reset {
                property: name.into(),
            },
        );
    } else if name == "template" && vm.class == Class::DispVM {
        let by_hand = Remedy::Manual(format!(
            "qvm-prefs {} template_for_dispvms True",
            named.name
        ));
        let text = format!("{name} is '{}', {what}", named.name);
        add(
            name,
            FindingKind::NotForDisposables,
            Harm::Misread,
            text,
            by_hand,
        );
    }
}

/// Returns the remedy for an invalid value. For `netvm` it is none rather than the default,
/// because a repair must not connect a qube to the network.
fn remedy(qubes: &Qubes, property: &Property, vm: &Vm, facts: &dyn Facts) -> Remedy {
    let name = property.name.to_owned();
    match (property.name, property.value_type) {
        ("netvm", _) => Remedy::Set {
            property: name,
            value: String::new(),
        },
        ("uuid", _) => Remedy::NewUuid,
        ("qid", _) => Remedy::NewQid,
        ("template", _) => match fallback_template(qubes, vm, facts) {
            Some(template) => Remedy::Set {
                property: name,
                value: template.to_string(),
            },
            None => Remedy::Manual(format!(
                "qvm-prefs {0} template TEMPLATE, or qvm-remove {0}",
                vm.name
            )),
        },
        (_, ValueType::Label) => Remedy::Set {
            property: name,
            value: fallback_label(qubes),
        },
        _ => Remedy::Reset { property: name },
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
        found.push(Finding {
            at: Location::Qube {
                name: vm.name.clone(),
                part: QubePart::Tag(tag.to_string()),
            },
            kind: FindingKind::BadTag,
            harm: Harm::Refused,
            text: format!("tag '{tag}' has other characters than letters, digits, '_' and '-'"),
            remedy: Remedy::Remove {
                what: "the tag".into(),
            },
        });
    }
}

/// Checks the values of features that qubesd interprets.
pub(super) fn check_features(vm: &Vm, facts: &dyn Facts, found: &mut Vec<Finding>) {
    for (name, value) in vm.features.iter() {
        if let Some(misfit) = find_feature_problem(vm, name, value, facts.host().release()) {
            found.push(Finding {
                at: Location::Qube {
                    name: vm.name.clone(),
                    part: QubePart::Feature(name.to_owned()),
                },
                kind: FindingKind::BadFeature,
                harm: if misfit.is_refused {
                    Harm::Refused
                } else {
                    Harm::Misread
                },
                text: format!("feature {name} is '{value}': {}", misfit.rule),
                remedy: Remedy::Remove {
                    what: "the feature".into(),
                },
            });
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
