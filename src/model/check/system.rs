//! Labels, pools and global properties.

use super::{At, Finding, Harm, Remedy};
use crate::model::facts::Facts;
use crate::model::property::{Kind, Property, PropertyError, Scope};
use crate::model::qubes::Qubes;
use crate::model::release::Release;

/// The drivers that the releases of Qubes OS bring along.
const DRIVERS: [&str; 7] = ["file", "file-reflink", "linux-kernel", "lvm_thin", "zfs", "callback", "wipe"];

impl Qubes {
    pub(super) fn check_labels(&self, found: &mut Vec<Finding>) {
        let mut seen: Vec<(u32, &str)> = Vec::new();
        for label in self.labels.iter() {
            let same = seen.iter().find(|(index, name)| *index == label.index || *name == &*label.name);
            if let Some((index, name)) = same {
                found.push(Finding {
                    at: At::Label(label.index),
                    harm: Harm::Misread,
                    text: format!(
                        "label {} '{}' has the number or the name of label {index} '{name}'",
                        label.index, label.name
                    ),
                    remedy: Remedy::ByHand("give one of them another number and name".into()),
                });
            }
            seen.push((label.index, &label.name));
        }
    }

    pub(super) fn check_pools(&self, facts: &dyn Facts, found: &mut Vec<Finding>) {
        for (position, pool) in self.pools.iter().enumerate() {
            let mut add = |harm, text: String, remedy| {
                found.push(Finding {
                    at: At::Pool(position),
                    harm,
                    text: format!("pool '{}' {text}", pool.name()),
                    remedy,
                });
            };
            if self.pools.iter().take(position).any(|p| p.name() == pool.name()) {
                let by_hand = Remedy::ByHand("take one of them out, or give it another name".into());
                add(Harm::Misread, "stands there twice".into(), by_hand);
            }
            match pool.driver() {
                "" => add(
                    Harm::Misread,
                    "has no driver: qubesd leaves it out, and refuses volumes in it".into(),
                    Remedy::ByHand("add its driver".into()),
                ),
                driver if !DRIVERS.contains(&driver) => {
                    let text = format!(
                        "has a driver that Qubes OS does not bring along, '{driver}': without it qubesd leaves the pool out, and refuses volumes in it"
                    );
                    add(Harm::Misread, text, Remedy::ByHand("install what provides the driver".into()));
                }
                _ => {}
            }
            let taken_out = || Remedy::TakeOutAttributes(vec!["ephemeral_volatile".into()]);
            match pool.option("ephemeral_volatile") {
                Some(_) if facts.release() < Release::R4_1 => {
                    add(Harm::Refused, "has ephemeral_volatile, which Qubes OS 4.0 does not know".into(), taken_out());
                }
                Some(text) if !pool.ephemeral_volatile() => {
                    add(
                        Harm::Misread,
                        format!("has ephemeral_volatile=\"{text}\", which every release up to 4.4.0 takes for true"),
                        taken_out(),
                    );
                }
                _ => {}
            }
        }
    }

    pub(super) fn check_globals(&self, facts: &dyn Facts, found: &mut Vec<Finding>) {
        for (name, text) in self.globals.iter() {
            let mut add =
                |harm, text, remedy| found.push(Finding { at: At::Global(name.to_owned()), harm, text, remedy });
            let reset = || Remedy::Reset { property: name.to_owned() };
            let taken_out = || Remedy::TakeOut { what: format!("property {name}") };
            if name == "default_fw_netvm" {
                // Of R3: upstream turns it into netvms when it loads.
                continue;
            }
            let Some(property) = Property::find(Scope::Global, name) else {
                let text = format!("the system has no property {name}: qubesd ignores it and loses it when it saves");
                add(Harm::Misread, text, taken_out());
                continue;
            };
            if property.since > facts.release() {
                let text = format!(
                    "{name} is of Qubes OS {}, later than {}, which ignores and loses it",
                    property.since,
                    facts.release()
                );
                add(Harm::Misread, text, taken_out());
            }
            match self.global(property, facts) {
                Err(error) => add(Harm::Refused, told(&error), reset()),
                Ok(value) => {
                    let for_disposables = matches!(name, "default_dispvm" | "management_dispvm");
                    if let Some(vm) = value.as_qube().filter(|_| for_disposables).and_then(|q| self.get(q.as_str()))
                        && !self.is_template_for_dispvms(vm, facts)
                    {
                        let text = format!(
                            "{name} is '{text}', which is no template for disposables: qubesd takes it for none"
                        );
                        add(Harm::Misread, text, reset());
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

/// What to do about a value that cannot be read. No netvm rather than the default one: a repair connects nothing.
pub(super) fn remedy(property: &Property, qube: &str) -> Remedy {
    let name = property.name.to_owned();
    match (property.name, property.kind) {
        ("netvm", _) => Remedy::Set { property: name, value: String::new() },
        ("uuid", _) => Remedy::NewUuid,
        ("qid", _) => Remedy::NewQid,
        ("template", _) => Remedy::ByHand(format!("qvm-prefs {qube} template TEMPLATE, or qvm-remove {qube}")),
        (_, Kind::Label) => Remedy::Set { property: name, value: "red".into() },
        _ => Remedy::Reset { property: name },
    }
}
