//! Global properties.

use super::{At, Finding, Harm, Kind as Of, Remedy};
use crate::model::facts::Facts;
use crate::model::property::{Kind, Property, PropertyError, Scope};
use crate::model::qubes::Qubes;

impl Qubes {
    pub(super) fn check_globals(&self, facts: &dyn Facts, found: &mut Vec<Finding>) {
        for (name, text) in self.globals.iter() {
            let mut add = |kind, harm, text, remedy| {
                found.push(Finding { at: At::Global(name.to_owned()), kind, harm, text, remedy });
            };
            let reset = || Remedy::Reset { property: name.to_owned() };
            let taken_out = || Remedy::TakeOut { what: format!("property {name}") };
            if name == "default_fw_netvm" {
                // Of R3: upstream turns it into netvms when it loads.
                continue;
            }
            let Some(property) = Property::find(Scope::Global, name) else {
                let text = format!("the system has no property {name}: qubesd ignores it and loses it when it saves");
                add(Of::UnknownProperty, Harm::Misread, text, taken_out());
                continue;
            };
            if property.since > facts.release() {
                let text = format!(
                    "{name} is of Qubes OS {}, later than {}, which ignores and loses it",
                    property.since,
                    facts.release()
                );
                add(Of::TooNew, Harm::Misread, text, taken_out());
            }
            match self.global(property, facts) {
                Err(error) if property.computed => {
                    add(Of::ComputedProperty, Harm::Refused, told(&error), reset());
                }
                Err(error) => {
                    let is_name = matches!(property.kind, Kind::Qube { .. } | Kind::Pool);
                    add(if is_name { Of::Dangling } else { Of::BadValue }, Harm::Refused, told(&error), reset());
                }
                Ok(value) => {
                    let for_disposables = matches!(name, "default_dispvm" | "management_dispvm");
                    if let Some(vm) = value.as_qube().filter(|_| for_disposables).and_then(|q| self.get(q.as_str()))
                        && !self.is_template_for_dispvms(vm, facts)
                    {
                        let text = format!(
                            "{name} is '{text}', which is no template for disposables: qubesd takes it for none"
                        );
                        add(Of::NotForDisposables, Harm::Misread, text, reset());
                    }
                }
            }
        }
        self.check_default_kernel(facts, found);
    }

    /// Without one, qubesd loads the store and cannot save it.
    fn check_default_kernel(&self, facts: &dyn Facts, found: &mut Vec<Finding>) {
        if self.global_value("default_kernel", facts).is_ok() || self.globals.contains("default_kernel") {
            return;
        }
        let inherits = self
            .iter()
            .find(|vm| vm.class.is_local_guest() && !self.template_chain(vm).any(|v| v.properties.contains("kernel")));
        if let Some(vm) = inherits {
            found.push(Finding {
                at: At::Global("default_kernel".into()),
                kind: Of::DefaultKernel,
                harm: Harm::Misread,
                text: format!(
                    "default_kernel is not set, and '{}' has no kernel of its own: qubesd cannot save the store",
                    vm.name
                ),
                remedy: Remedy::ByHand("qubes-prefs default_kernel VERSION".into()),
            });
        }
    }
}

/// What is wrong with a value, without whose it is.
pub(super) fn told(error: &PropertyError) -> String {
    match error {
        PropertyError::Stored { property, text, reason, .. } => format!("{property} is '{text}': {reason}"),
        PropertyError::Unset { property, .. } => format!("{property} is missing"),
        other => other.to_string(),
    }
}
