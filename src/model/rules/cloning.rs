//! Planning of clones (`docs/spec/r4-tools.md`, qvm-clone): a clone is a new qube with the label,
//! template, explicit properties, tags, features and device assignments of its source.

use uuid::Uuid;

use super::creation::{CreationError, NewQube, PoolChoice, UnclonedSetting, sort_properties};
use super::qubesd::find_feature_problem;
use crate::model::class::Class;
use crate::model::effect::{Change, Effect};
use crate::model::facts::{Facts, HostFacts};
use crate::model::features::RESERVED_FEATURES;
use crate::model::power::PowerState;
use crate::model::property;
use crate::model::property::{Property, Scope, class_properties};
use crate::model::qubes::Qubes;
use crate::model::release::Release;
use crate::model::rules::creation;
use crate::model::tags::{CREATED_BY_PREFIX, is_valid_tag};
use crate::model::vm::Vm;

/// Properties that are not copied: the clone has them from its creation, or they do not apply to it
/// (the package manager knows only the source).
const NOT_COPIED: [&str; 3] = ["installed_by_rpm", "label", "template"];

const MEMINFO_WRITER: &str = "service.meminfo-writer";

/// The only feature of its family that the user sets.
const PRELOAD_MAX: &str = "preload-dispvm-max";

/// A request for a clone.
pub struct NewClone<'a> {
    /// The name of the source.
    pub source: &'a str,
    /// The name of the clone, still unchecked.
    pub name: &'a str,
    /// `None` means the source's.
    pub class: Option<&'a Class>,
    /// `None` means the source's.
    pub label: Option<&'a str>,
    /// The pools for the volumes.
    pub pools: PoolChoice<'a>,
    /// Volumes that are created empty instead of copied.
    pub empty: &'a [&'a str],
    /// A new UUID, by which the hypervisor will know the clone.
    pub uuid: Uuid,
    /// The qube that requests the clone; dom0 for the tools.
    pub created_by: &'a str,
    /// Whether settings that the clone cannot have are left out. Otherwise the first one is an
    /// error.
    pub ignore_errors: bool,
}

/// A planned clone, to be added to the store.
#[derive(Debug)]
pub struct PlannedClone {
    /// The clone.
    pub vm: Vm,
    /// What follows once it is saved.
    pub change: Change,
    /// Settings that were left out.
    pub left_out: Vec<UnclonedSetting>,
}

/// Plans a clone. Changes nothing.
///
/// The caller creates the volumes, copies the source's data into them
/// ([`crate::model::volume::find_origin`] names the source volumes) and then adds the qube
/// ([`creation::add`]). `random(n)` returns a number below n.
///
/// # Errors
/// There is no such source, the request breaks a rule, or a setting cannot be cloned and that
/// is not ignored.
pub fn plan(
    qubes: &Qubes,
    request: &NewClone<'_>,
    facts: &dyn Facts,
    random: &mut dyn FnMut(u16) -> u16,
) -> Result<PlannedClone, CreationError> {
    let source = find_source(qubes, request)?;
    let class = request.class.unwrap_or(&source.class);
    let label = property::label(qubes, source)?;
    let template = source.properties.get("template");
    let new = NewQube {
        class: class.clone(),
        name: request.name,
        label: request.label.unwrap_or(&label.name),
        template: template.filter(|_| class.has_template()),
        pools: request.pools,
        uuid: request.uuid,
        created_by: request.created_by,
        auto_cleanup: false,
    };
    let facts = &NewQubeFacts::new(request.name, facts);
    let (mut vm, template) = creation::plan_identity(qubes, &new, facts, random)?;
    let mut left_out = clone_tags(&mut vm, source);
    creation::apply_defaults(qubes, &mut vm, &new, facts)?;
    left_out.extend(clone_properties(qubes, &mut vm, source, facts));
    let is_error = |left: &&UnclonedSetting| !matches!(left, UnclonedSetting::UnknownProperty(_));
    if let Some(first) = left_out.iter().find(is_error)
        && !request.ignore_errors
    {
        return Err(first.clone().into());
    }
    let release = facts.host().release();
    clone_features(&mut vm, source, release);
    creation::update_reference_tags(qubes, &mut vm, facts)?;
    if vm.class.is_local_guest() {
        let classes = source.devices.iter();
        vm.devices = classes.map(|class| class.for_release(release)).collect();
    }
    creation::plan_volumes(qubes, &mut vm, template, request.pools, facts)?;
    vm.properties = sort_properties(&vm.class, &vm.properties);
    let starts_at_boot = vm.properties.get("autostart") == Some("True");
    let autostart = starts_at_boot.then(|| Effect::Autostart {
        vm: vm.name.clone(),
    });
    Ok(PlannedClone {
        vm,
        change: autostart.into_iter().collect(),
        left_out,
    })
}

/// Finds the qube to clone, and checks that the class of the clone can follow it.
fn find_source<'q>(qubes: &'q Qubes, request: &NewClone<'_>) -> Result<&'q Vm, CreationError> {
    let source = qubes
        .get(request.source)
        .ok_or_else(|| CreationError::NoSuchTemplate(request.source.to_owned()))?;
    if source.class == Class::AdminVM {
        return Err(CreationError::NotClonable(source.name.clone()));
    }
    if request.class == Some(&Class::RemoteVM) && source.class != Class::RemoteVM {
        return Err(CreationError::IncompatibleCloneClass {
            source_qube: source.name.clone(),
            class: source.class.clone(),
        });
    }
    Ok(source)
}

/// Copies the explicit properties that the clone's class has and that are valid for it. Returns
/// the others.
fn clone_properties(
    qubes: &Qubes,
    vm: &mut Vm,
    source: &Vm,
    facts: &dyn Facts,
) -> Vec<UnclonedSetting> {
    let mut left_out = Vec::new();
    let known = class_properties(&source.class)
        .filter(|p| p.cloned && !p.computed && !NOT_COPIED.contains(&p.name))
        .filter(|p| Property::find(Scope::Class(&vm.class), p.name).is_some());
    for (property, text) in known.filter_map(|p| Some((p.name, p.explicit_value(source)?))) {
        match property::validate(qubes, vm, property, text, facts) {
            Ok(stored) => vm.properties.set(property, &stored),
            Err(reason) => left_out.push(UnclonedSetting::Property { property, reason }),
        }
    }
    let is_unknown = |name: &&str| Property::find(Scope::Class(&source.class), name).is_none();
    let unknown = source
        .properties
        .names()
        .filter(|name| *name != "name" && !Property::is_legacy_name(name))
        .filter(is_unknown);
    left_out.extend(unknown.map(|name| UnclonedSetting::UnknownProperty(name.to_owned())));
    left_out
}

/// Copies the source's tags except those that name its creator. Returns the invalid ones, which
/// upstream does not load.
fn clone_tags(vm: &mut Vm, source: &Vm) -> Vec<UnclonedSetting> {
    let (good, bad): (Vec<_>, Vec<_>) = source
        .tags
        .iter()
        .filter(|tag| !tag.starts_with(CREATED_BY_PREFIX))
        .partition(|tag| is_valid_tag(tag));
    for tag in good
        .into_iter()
        .filter(|tag| !vm.has_tag(tag))
        .cloned()
        .collect::<Vec<_>>()
    {
        vm.tags.push(tag);
    }
    bad.into_iter()
        .map(|tag| UnclonedSetting::Tag(tag.to_string()))
        .collect()
}

/// Copies the source's features, except those that the system manages and the one that became a
/// property.
fn clone_features(vm: &mut Vm, source: &Vm, release: Release) {
    if vm.properties.get("provides_network") == Some("True") {
        vm.features.set("servicevm", "1");
    }
    for (name, value) in source.features.iter() {
        let is_managed = RESERVED_FEATURES.contains(&name)
            || name.starts_with("preload-dispvm") && name != PRELOAD_MAX;
        let is_valid = find_feature_problem(vm, name, value, release).is_none();
        if !is_managed && name != MEMINFO_WRITER && is_valid {
            vm.features.set(name, value);
        }
    }
}

/// Facts before a new qube exists: it does not run, so the hypervisor is not asked about it.
pub struct NewQubeFacts<'a> {
    name: &'a str,
    facts: &'a dyn Facts,
}

impl<'a> NewQubeFacts<'a> {
    /// Creates the facts for a new qube of this name.
    pub fn new(name: &'a str, facts: &'a dyn Facts) -> NewQubeFacts<'a> {
        NewQubeFacts { name, facts }
    }
}

impl Facts for NewQubeFacts<'_> {
    fn power_state(&self, vm: &Vm) -> PowerState {
        if vm.name == self.name {
            PowerState::Halted
        } else {
            self.facts.power_state(vm)
        }
    }

    fn domain_id(&self, vm: &Vm) -> i64 {
        if vm.name == self.name {
            -1
        } else {
            self.facts.domain_id(vm)
        }
    }

    fn host(&self) -> &dyn HostFacts {
        self.facts.host()
    }
}
