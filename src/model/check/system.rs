//! Checks of global properties.

use super::{Finding, FindingKind, Harm, Location, Remedy};
use crate::model::class::Class;
use crate::model::facts::Facts;
use crate::model::property;
use crate::model::property::{Property, PropertyError, Scope, Value, ValueType};
use crate::model::qubes::Qubes;
use crate::model::rules::qubesd::{can_have_network, find_reference_problem, is_kernel_name};
use crate::model::text_map::TextMap;
use crate::model::volume::volume_traits;

/// Checks all stored global properties and the default kernel.
pub(super) fn check_globals(qubes: &Qubes, facts: &dyn Facts, found: &mut Vec<Finding>) {
    for (name, text) in qubes.globals.iter() {
        let mut add = |kind, harm, text, remedy| {
            found.push(Finding {
                at: Location::Global(name.to_owned()),
                kind,
                harm,
                text,
                remedy,
            });
        };
        let reset = || Remedy::Reset {
            property: name.to_owned(),
        };
        let remove = || Remedy::Remove {
            what: format!("property {name}"),
        };
        if name == "default_fw_netvm" {
            // A property of R3, which upstream converts into netvms when it loads the store.
            continue;
        }
        let Some(property) = Property::find(Scope::Global, name) else {
            let text = format!(
                "the system has no property {name}: qubesd ignores it and loses it when it \
                 saves"
            );
            add(FindingKind::UnknownProperty, Harm::Misread, text, remove());
            continue;
        };
        if property.computed {
            // qubesd refuses computed properties; it ignores unknown ones.
            let text = format!("property {name} of the system cannot be set");
            add(FindingKind::ComputedProperty, Harm::Refused, text, remove());
            continue;
        }
        if property.since > facts.host().release() {
            let text = format!(
                "{name} is of Qubes OS {}, later than {}, which ignores and loses it",
                property.since,
                facts.host().release()
            );
            add(FindingKind::TooNew, Harm::Misread, text, remove());
        }
        match property::global_value(qubes, property, facts) {
            Err(error) => {
                let is_name = matches!(
                    property.value_type,
                    ValueType::Qube { .. } | ValueType::Pool
                );
                add(
                    if is_name {
                        FindingKind::Dangling
                    } else {
                        FindingKind::BadValue
                    },
                    Harm::Refused,
                    describe_error(&error),
                    reset(),
                );
            }
            Ok(value) => {
                check_default_fits(qubes, property, &value, &mut add);
                let for_disposables = matches!(name, "default_dispvm" | "management_dispvm");
                if let Some(vm) = value
                    .as_qube()
                    .filter(|_| for_disposables)
                    .and_then(|q| qubes.get(q.as_str()))
                    && !property::is_template_for_dispvms(qubes, vm, facts)
                {
                    let text = format!(
                        "{name} is '{text}', which is not a template for disposables: qubesd \
                         takes it for none"
                    );
                    add(FindingKind::NotForDisposables, Harm::Misread, text, reset());
                }
            }
        }
    }
    check_default_kernel(qubes, facts, found);
}

/// Checks that a valid default suits the qubes that follow it.
fn check_default_fits(
    qubes: &Qubes,
    property: &Property,
    value: &Value,
    add: &mut impl FnMut(FindingKind, Harm, String, Remedy),
) {
    let name = property.name;
    let reset = || Remedy::Reset {
        property: name.to_owned(),
    };
    let qube = value.as_qube().and_then(|qube| qubes.get(qube.as_str()));
    match (name, qube) {
        ("default_guivm" | "default_audiovm", Some(vm)) => {
            if let Some(misfit) = find_reference_problem(name, &vm.name) {
                let follower = name.trim_start_matches("default_");
                let is_followed = qubes
                    .iter()
                    .any(|vm| vm.class.is_local_guest() && !vm.properties.contains(follower));
                let harm = if is_followed {
                    Harm::Refused
                } else {
                    Harm::Misread
                };
                add(
                    FindingKind::Unfit,
                    harm,
                    format!("{name} is '{value}': {misfit}"),
                    reset(),
                );
            }
        }
        ("default_netvm", Some(vm)) if !can_have_network(&vm.class) => {
            let text = format!(
                "{name} is '{value}', which has no network: qubesd cannot compute the \
                 addresses of qubes that follow it"
            );
            add(FindingKind::Unfit, Harm::Misread, text, reset());
        }
        ("default_kernel", _) if value.as_str().is_some_and(|text| !is_kernel_name(text)) => {
            let text = format!("{name} is '{value}', which cannot name one of dom0's kernels");
            let by_hand = Remedy::Manual("qubes-prefs default_kernel VERSION".into());
            add(FindingKind::BadValue, Harm::Misread, text, by_hand);
        }
        _ if matches!(property.value_type, ValueType::Pool) => {
            check_default_pool(qubes, name, &value.to_string(), add)
        }
        _ => {}
    }
}

/// Checks that volumes can be created in a default pool.
fn check_default_pool(
    qubes: &Qubes,
    name: &str,
    pool: &str,
    add: &mut impl FnMut(FindingKind, Harm, String, Remedy),
) {
    let Some(pool) = qubes.pools.get(pool) else {
        return;
    };
    let volume = name.strip_prefix("default_pool_").unwrap_or("volatile");
    let Some(class) = Class::TemplateVM.volume(volume) else {
        return;
    };
    if let Some(misfit) = volume_traits(volume, Some(class), &TextMap::new()).find_problem(pool) {
        let text = format!(
            "{name} is '{}', in which no qube can be made: {}",
            pool.name(),
            misfit.rule
        );
        let remedy = match qubes.pools.iter().find(|pool| pool.has_kernels()) {
            Some(kernels) if volume == "kernel" => Remedy::Set {
                property: name.to_owned(),
                value: kernels.name().to_owned(),
            },
            _ => Remedy::Reset {
                property: name.to_owned(),
            },
        };
        add(FindingKind::Unfit, Harm::Misread, text, remedy);
    }
}

/// Checks that a default kernel is set if a qube uses it: without one, qubesd loads the store
/// but cannot save it.
fn check_default_kernel(qubes: &Qubes, facts: &dyn Facts, found: &mut Vec<Finding>) {
    if property::global_value_by_name(qubes, "default_kernel", facts).is_ok()
        || qubes.globals.contains("default_kernel")
    {
        return;
    }
    let inherits = qubes.iter().find(|vm| {
        vm.class.is_local_guest()
            && !property::template_chain(qubes, vm).any(|v| v.properties.contains("kernel"))
    });
    if let Some(vm) = inherits {
        found.push(Finding {
            at: Location::Global("default_kernel".into()),
            kind: FindingKind::DefaultKernel,
            harm: Harm::Misread,
            text: format!(
                "default_kernel is not set, and '{}' has no kernel of its own: qubesd cannot \
                 save the store",
                vm.name
            ),
            remedy: Remedy::Manual("qubes-prefs default_kernel VERSION".into()),
        });
    }
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
