//! Volumes of one qube.

use super::{At, Finding, Harm, Part, Remedy};
use crate::model::facts::Facts;
use crate::model::qubes::Qubes;
use crate::model::vm::{Vm, VolumeConfig};
use crate::model::volume::{VolumeError, class_volumes};

/// The attributes that every release up to 4.4.0 takes for true when they say `False` (`spec/r4-xml.md` §1.8).
const FLAGS: [&str; 4] = ["rw", "save_on_stop", "snap_on_start", "ephemeral"];

impl Qubes {
    pub(super) fn check_volumes(&self, vm: &Vm, facts: &dyn Facts, found: &mut Vec<Finding>) {
        for own in &vm.volumes {
            let name = own.name();
            let mut add = |harm, text: String, remedy| {
                let at = At::Qube { name: vm.name.clone(), part: Part::Volume(name.to_owned()) };
                found.push(Finding { at, harm, text: format!("volume {name} {text}"), remedy });
            };
            check_flags(vm, own, &mut add);
            if !vm.class.is_local_guest() {
                continue;
            }
            match self.volume(vm, name, facts) {
                Err(VolumeError::NoSuchPool { pool, .. }) => {
                    let by_hand = Remedy::ByHand(format!("add pool '{pool}', or move the volume to another"));
                    add(Harm::Refused, format!("is in pool '{pool}', which does not exist"), by_hand);
                }
                Err(VolumeError::BadNumber { attribute, text, .. }) => {
                    let remedy = Remedy::TakeOutAttributes(vec![attribute.into()]);
                    add(Harm::Refused, format!("has {attribute}=\"{text}\", which is no number"), remedy);
                }
                Err(VolumeError::NoSource { .. }) => {
                    let by_hand = Remedy::ByHand("give it a source, or the qube another template".into());
                    add(Harm::Refused, "is a snapshot, and there is nothing to make it from".into(), by_hand);
                }
                // A property or a template that is wrong is told where it stands.
                Err(_) | Ok(_) => {}
            }
        }
    }
}

/// A flag that says `False`: taken out, the class's default counts, which says the same or is the opposite.
fn check_flags(vm: &Vm, own: &VolumeConfig, add: &mut impl FnMut(Harm, String, Remedy)) {
    let class = class_volumes(&vm.class).iter().find(|v| v.name == own.name());
    let is_default = |flag: &str| {
        class.is_some_and(|c| match flag {
            "rw" => c.rw,
            "save_on_stop" => c.save_on_stop,
            "snap_on_start" => c.snap_on_start,
            _ => false,
        })
    };
    let said: Vec<&str> = FLAGS.into_iter().filter(|flag| own.attributes.get(flag) == Some("False")).collect();
    let (wrong, harmless): (Vec<&str>, Vec<&str>) = said.iter().partition(|flag| is_default(flag));
    let told = |flags: &[&str]| flags.iter().map(|flag| format!("{flag}=\"False\"")).collect::<Vec<_>>().join(" ");
    let owned = |flags: &[&str]| flags.iter().map(|flag| (*flag).to_owned()).collect();
    if !harmless.is_empty() {
        let text = format!("has {}, which every release up to 4.4.0 takes for true", told(&harmless));
        add(Harm::Misread, text, Remedy::TakeOutAttributes(owned(&harmless)));
    }
    if !wrong.is_empty() {
        let text = format!("has {}, which no release up to 4.4.0 can be told: it is true in this class", told(&wrong));
        add(Harm::Misread, text, Remedy::ByHand("accept it as true, or use a later release".into()));
    }
}
