//! Properties and tags of one qube.

use super::system::{remedy, told};
use super::{At, Finding, Harm, Part, Remedy};
use crate::model::class::Class;
use crate::model::facts::Facts;
use crate::model::property::{Kind, Property, Scope, properties_of};
use crate::model::qubes::Qubes;
use crate::model::release::Release;
use crate::model::tags::is_tag;
use crate::model::vm::Vm;

/// What early stores of R4 say, and every release moves where it belongs.
const LEGACY: [&str; 2] = ["hvm", "dispvm_allowed"];

impl Qubes {
    pub(super) fn check_properties(&self, vm: &Vm, facts: &dyn Facts, found: &mut Vec<Finding>) {
        let mut add = |property: &str, harm, text, remedy| {
            found.push(Finding { at: At::property(&vm.name, property), harm, text, remedy });
        };
        if vm.class == Class::RemoteVM && facts.release() < Release::R4_3 {
            let text = format!("Qubes OS {} does not know class RemoteVM (since 4.3)", facts.release());
            let by_hand = Remedy::ByHand(format!("qvm-remove {}, or upgrade Qubes OS", vm.name));
            add("name", Harm::Refused, text, by_hand);
            return;
        }
        for name in vm.properties.names() {
            let out = || Remedy::TakeOut { what: format!("property {name}") };
            match Property::find(Scope::Class(&vm.class), name) {
                // Of a class nobody knows no property can be wrong.
                None if matches!(vm.class, Class::Unknown(_)) || LEGACY.contains(&name) => {}
                None => add(name, Harm::Refused, format!("a qube of class {} has no property {name}", vm.class), out()),
                Some(p) if p.computed => {
                    add(name, Harm::Refused, format!("{name} is computed and cannot be set"), out())
                }
                Some(p) if p.since > facts.release() => {
                    let text = format!("Qubes OS {} does not know {name} (since {})", facts.release(), p.since);
                    add(name, Harm::Refused, text, out());
                }
                Some(_) => {}
            }
        }
        if matches!(vm.class, Class::Unknown(_)) {
            return;
        }
        for property in properties_of(&vm.class).filter(|p| !p.computed) {
            let name = property.name;
            let stored = property.explicit(vm);
            let needed = matches!(name, "label" | "qid" | "uuid" | "template") && vm.class != Class::AdminVM;
            if stored.is_none() && !needed {
                continue;
            }
            let read = match name {
                // It knows more of which classes fit.
                "template" => self.template(vm).map(drop),
                _ => self.value(vm, property, facts).map(drop),
            };
            if let Err(error) = read {
                add(name, Harm::Refused, told(&error), remedy(property, vm.name.as_str()));
            } else if let Some(text) = stored {
                if name == "qid" && vm.qid().is_none() {
                    add(name, Harm::Refused, format!("qid {text} is not between 0 and 10000"), Remedy::NewQid);
                }
                self.check_disposable_template(vm, property, text, facts, &mut add);
            }
        }
    }

    fn check_disposable_template(
        &self,
        vm: &Vm,
        property: &Property,
        text: &str,
        facts: &dyn Facts,
        add: &mut impl FnMut(&str, Harm, String, Remedy),
    ) {
        let name = property.name;
        let named = matches!(property.kind, Kind::Qube { .. }).then(|| self.get(text)).flatten();
        let Some(named) = named.filter(|named| !self.is_template_for_dispvms(named, facts)) else { return };
        let what = "which is no template for disposables";
        if matches!(name, "default_dispvm" | "management_dispvm") {
            let text = format!("{name} is '{}', {what}: qubesd takes it for none", named.name);
            add(name, Harm::Misread, text, Remedy::Reset { property: name.into() });
        } else if name == "template" && vm.class == Class::DispVM {
            let by_hand = Remedy::ByHand(format!("qvm-prefs {} template_for_dispvms True", named.name));
            add(name, Harm::Misread, format!("{name} is '{}', {what}", named.name), by_hand);
        }
    }

    pub(super) fn check_tags(&self, vm: &Vm, found: &mut Vec<Finding>) {
        for tag in vm.tags.iter().filter(|tag| !is_tag(tag)) {
            found.push(Finding {
                at: At::Qube { name: vm.name.clone(), part: Part::Tag(tag.to_string()) },
                harm: Harm::Refused,
                text: format!("tag '{tag}' has other characters than letters, digits, '_' and '-'"),
                remedy: Remedy::TakeOut { what: "the tag".into() },
            });
        }
    }
}
