//! Checks of global properties.

use super::{Finding, FindingKind, Harm, Location, Problem, Remedy};
use crate::model::class::Class;
use crate::model::facts::Facts;
use crate::model::property;
use crate::model::property::{Property, PropertyError, Scope, Value, ValueType};
use crate::model::qubes::Qubes;
use crate::model::release::Release;
use crate::model::rules::qubesd::{can_have_network, find_reference_problem, is_kernel_name};
use crate::model::text_map::TextMap;
use crate::model::volume::volume_traits;

/// Checks all stored global properties and the default kernel.
pub(super) fn check_globals(qubes: &Qubes, facts: &dyn Facts, found: &mut Vec<Finding>) {
    let release = facts.host().release();
    for (name, text) in qubes.globals.iter() {
        let problems = match Property::find(Scope::Global, name) {
            // A property of R3, which upstream converts into netvms when it loads the store.
            None if name == "default_fw_netvm" => Vec::new(),
            None => vec![describe_unknown(name)],
            Some(property) if property.computed => vec![describe_computed(name)],
            Some(property) => {
                let mut problems = Vec::from_iter(find_new_property(property, release));
                problems.extend(find_value_problems(qubes, property, text, facts));
                problems
            }
        };
        let at = || Location::Global(name.to_owned());
        found.extend(problems.into_iter().map(|problem| problem.at(at())));
    }
    let at = || Location::Global("default_kernel".to_owned());
    found.extend(find_missing_kernel(qubes, facts).map(|problem| problem.at(at())));
}

fn describe_unknown(name: &str) -> Problem {
    let text =
        format!("the system has no property {name}: qubesd ignores it and loses it when it saves");
    Problem::misread(FindingKind::UnknownProperty, text, remove(name))
}

fn describe_computed(name: &str) -> Problem {
    // qubesd refuses computed properties; it ignores unknown ones.
    let text = format!("property {name} of the system cannot be set");
    Problem::refused(FindingKind::ComputedProperty, text, remove(name))
}

fn find_new_property(property: &Property, release: Release) -> Option<Problem> {
    let Property { name, since, .. } = property;
    (*since > release).then(|| {
        let text = format!(
            "{name} is of Qubes OS {since}, later than {release}, which ignores and loses it"
        );
        Problem::misread(FindingKind::TooNew, text, remove(name))
    })
}

fn remove(name: &str) -> Remedy {
    Remedy::remove(format!("property {name}"))
}

/// Checks the value of a property.
fn find_value_problems(
    qubes: &Qubes,
    property: &'static Property,
    text: &str,
    facts: &dyn Facts,
) -> Vec<Problem> {
    let name = property.name;
    let value = match property::global_value(qubes, property, facts) {
        Ok(value) => value,
        Err(error) => {
            let kind = match property.value_type {
                ValueType::Qube { .. } | ValueType::Pool => FindingKind::Dangling,
                _ => FindingKind::BadValue,
            };
            let text = describe_error(&error);
            return vec![Problem::refused(kind, text, Remedy::reset(name))];
        }
    };
    let for_disposables = matches!(name, "default_dispvm" | "management_dispvm");
    let template = value.as_qube().filter(|_| for_disposables);
    let unusable = template
        .and_then(|template| qubes.get(template.as_str()))
        .filter(|template| !property::is_template_for_dispvms(qubes, template, facts));
    let unusable = unusable.map(|_| {
        let text = format!(
            "{name} is '{text}', which is not a template for disposables: qubesd takes it for none"
        );
        Problem::misread(FindingKind::NotForDisposables, text, Remedy::reset(name))
    });
    let problems = [find_default_misfit(qubes, property, &value), unusable];
    problems.into_iter().flatten().collect()
}

/// Checks that a valid default suits the qubes that follow it.
fn find_default_misfit(qubes: &Qubes, property: &Property, value: &Value) -> Option<Problem> {
    let name = property.name;
    let qube = value.as_qube().and_then(|qube| qubes.get(qube.as_str()));
    match (name, qube) {
        ("default_guivm" | "default_audiovm", Some(vm)) => {
            let misfit = find_reference_problem(name, &vm.name)?;
            let follower = name.trim_start_matches("default_");
            let is_followed = qubes
                .iter()
                .any(|vm| vm.class.is_local_guest() && !vm.properties.contains(follower));
            let text = format!("{name} is '{value}': {misfit}");
            let harm = Harm::of_refusal(is_followed);
            let kind = FindingKind::Unfit;
            Some(Problem::new(kind, harm, text, Remedy::reset(name)))
        }
        ("default_netvm", Some(vm)) if !can_have_network(&vm.class) => {
            let text = format!(
                "{name} is '{value}', which has no network: qubesd cannot compute the addresses \
                 of qubes that follow it"
            );
            let kind = FindingKind::Unfit;
            Some(Problem::misread(kind, text, Remedy::reset(name)))
        }
        ("default_kernel", _) if value.as_str().is_some_and(|text| !is_kernel_name(text)) => {
            let text = format!("{name} is '{value}', which cannot name one of dom0's kernels");
            let kind = FindingKind::BadValue;
            Some(Problem::misread(kind, text, choose_kernel()))
        }
        _ if matches!(property.value_type, ValueType::Pool) => {
            find_pool_misfit(qubes, name, &value.to_string())
        }
        _ => None,
    }
}

/// Checks that volumes can be created in a default pool.
fn find_pool_misfit(qubes: &Qubes, name: &str, pool: &str) -> Option<Problem> {
    let pool = qubes.pools.get(pool)?;
    let volume = name.strip_prefix("default_pool_").unwrap_or("volatile");
    let class = Class::TemplateVM.volume(volume)?;
    let misfit = volume_traits(volume, Some(class), &TextMap::new()).find_problem(pool)?;
    let text = format!(
        "{name} is '{}', in which no qube can be made: {}",
        pool.name(),
        misfit.rule
    );
    let remedy = match qubes.pools.iter().find(|pool| pool.has_kernels()) {
        Some(kernels) if volume == "kernel" => Remedy::set(name, kernels.name()),
        _ => Remedy::reset(name),
    };
    Some(Problem::misread(FindingKind::Unfit, text, remedy))
}

/// Checks that a default kernel is set if a qube uses it: without one, qubesd loads the store
/// but cannot save it.
fn find_missing_kernel(qubes: &Qubes, facts: &dyn Facts) -> Option<Problem> {
    if property::global_value_by_name(qubes, "default_kernel", facts).is_ok()
        || qubes.globals.contains("default_kernel")
    {
        return None;
    }
    let vm = qubes.iter().find(|vm| {
        vm.class.is_local_guest()
            && !property::template_chain(qubes, vm).any(|v| v.properties.contains("kernel"))
    })?;
    let text = format!(
        "default_kernel is not set, and '{}' has no kernel of its own: qubesd cannot save the \
         store",
        vm.name
    );
    Some(Problem::misread(
        FindingKind::DefaultKernel,
        text,
        choose_kernel(),
    ))
}

fn choose_kernel() -> Remedy {
    Remedy::manual("qubes-prefs default_kernel VERSION")
}

/// Describes the error of a value without the owner of the property.
pub(super) fn describe_error(error: &PropertyError) -> String {
    match error {
        PropertyError::InvalidStoredValue {
            property,
            text,
            reason,
            ..
        } => format!("{property} is '{text}': {reason}"),
        PropertyError::Unset { property, .. } => format!("{property} is missing"),
        other => other.to_string(),
    }
}
