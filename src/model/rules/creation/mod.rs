//! Planning of new qubes (`docs/spec/r4-properties.md` §7, `docs/spec/r4-features.md` §9, §10).

mod error;
mod numbers;
mod template;
mod volumes;

use smol_str::format_smolstr;
use uuid::Uuid;

use super::qubesd::{TAGGED_REFERENCES, find_reference_problem, reference_tag};
use crate::model::class::Class;
use crate::model::draft::Draft;
use crate::model::effect::Change;
use crate::model::facts::Facts;
use crate::model::name::VmName;
use crate::model::property;
use crate::model::property::{Property, Scope};
use crate::model::qubes::Qubes;
use crate::model::release::Release;
use crate::model::tags;
use crate::model::tags::{CREATED_BY_PREFIX, is_valid_tag};
use crate::model::text_map::TextMap;
use crate::model::vm::Vm;

pub use error::{CreationError, UnclonedSetting};
pub use numbers::find_free_dispid;
pub(in crate::model) use numbers::find_free_qid;
pub use template::check_template;
use template::find_template;
pub use volumes::PoolChoice;
pub(in crate::model) use volumes::plan_volumes;

/// A request for a new qube.
pub struct NewQube<'a> {
    /// The class of the qube.
    pub class: Class,
    /// The name, still unchecked.
    pub name: &'a str,
    /// The name of the label.
    pub label: &'a str,
    /// The template. `None` means the system's default_template, for a disposable its
    /// default_dispvm.
    pub template: Option<&'a str>,
    /// The pools for the volumes.
    pub pools: PoolChoice<'a>,
    /// A new UUID, by which the hypervisor will know the qube.
    pub uuid: Uuid,
    /// The qube that requests the creation; dom0 for the tools.
    pub created_by: &'a str,
    /// Whether the qube is removed when it stops (DispVM only).
    pub auto_cleanup: bool,
}

/// Plans a new qube: number, properties, features, tags and volumes. Changes nothing.
///
/// The caller creates the volumes ([`crate::model::volume::resolve_all`] of the result) and then
/// adds the qube ([`add`]). `random(n)` returns a number below n.
///
/// # Errors
/// The request breaks a rule, or no number is free.
pub fn plan(
    qubes: &Qubes,
    new: &NewQube<'_>,
    facts: &dyn Facts,
    random: &mut dyn FnMut(u16) -> u16,
) -> Result<Vm, CreationError> {
    let (mut vm, template) = plan_identity(qubes, new, facts, random)?;
    apply_defaults(qubes, &mut vm, new, facts)?;
    plan_volumes(qubes, &mut vm, template, new.pools, facts)?;
    vm.properties = sort_properties(&vm.class, &vm.properties);
    Ok(vm)
}

/// Adds a planned qube, whose volumes exist.
///
/// # Errors
/// Its name was taken meanwhile.
pub fn add(draft: &mut Draft, planned: Vm) -> Result<Change, CreationError> {
    match draft.qubes.add(planned) {
        Ok(()) => Ok(Change::STORE_ONLY),
        Err(refused) => Err(CreationError::Exists(refused.name.to_string())),
    }
}

/// Plans name, number, label and template of a new qube, and the settings that a disposable
/// takes from its template.
pub(in crate::model) fn plan_identity<'q>(
    qubes: &'q Qubes,
    new: &NewQube<'_>,
    facts: &dyn Facts,
    random: &mut dyn FnMut(u16) -> u16,
) -> Result<(Vm, Option<&'q Vm>), CreationError> {
    let name = VmName::new(new.name)?;
    if qubes.contains(new.name) {
        return Err(CreationError::Exists(new.name.to_owned()));
    }
    let release = facts.host().release();
    if release < Release::R4_3 && new.name.contains('.') {
        return Err(CreationError::DottedName(new.name.to_owned(), release));
    }
    if new.label.bytes().all(|byte| byte.is_ascii_digit()) && !new.label.is_empty() {
        return Err(CreationError::LabelIsNumber(new.label.to_owned()));
    }
    let label = qubes
        .labels
        .get(new.label)
        .ok_or_else(|| CreationError::NoSuchLabel(new.label.to_owned()))?;
    let template = find_template(qubes, new.name, &new.class, new.template, facts)?;
    let mut vm = Vm::new(name, new.class.clone());
    vm.properties.set("label", &label.name);
    vm.properties
        .set("qid", &find_free_qid(qubes, release)?.number().to_string());
    vm.properties.set("uuid", &new.uuid.to_string());
    if let Some(template) = template {
        vm.properties.set("template", template.name.as_str());
    }
    if new.class == Class::DispVM {
        vm.properties
            .set("dispid", &find_free_dispid(qubes, random)?.to_string());
        if new.auto_cleanup {
            vm.properties.set("auto_cleanup", "True");
        }
    }
    if let Some(template) = template.filter(|_| new.class == Class::DispVM) {
        inherit_as_disposable(&mut vm, template);
    }
    Ok((vm, template))
}

/// Sets the tags and features that every new qube gets.
pub(in crate::model) fn apply_defaults(
    qubes: &Qubes,
    vm: &mut Vm,
    new: &NewQube<'_>,
    facts: &dyn Facts,
) -> Result<(), CreationError> {
    let creator = qubes.get(new.created_by);
    if vm.class.is_local_guest() {
        let checks = property::global_value_by_name(qubes, "check_updates_vm", facts)?;
        if checks.as_bool() == Some(false) {
            vm.features.set("check-updates", "");
        }
        let guivm = creator.and_then(|c| qubes.name(c.features.get("set-created-guivm")?));
        if let Some(guivm) = guivm.filter(|name| find_reference_problem("guivm", name).is_none()) {
            vm.properties.set("guivm", guivm.as_str());
        }
        update_reference_tags(qubes, vm, facts)?;
    }
    let mut tags = vec![format_smolstr!("{CREATED_BY_PREFIX}{}", new.created_by)];
    if new.auto_cleanup {
        tags.push(format!("disp-{CREATED_BY_PREFIX}{}", new.created_by).into());
    }
    tags.extend(
        creator
            .into_iter()
            .flat_map(|creator| tags::for_created_qubes(qubes, creator)),
    );
    // A creator's name may have a dot, which tags cannot have.
    for tag in tags.into_iter().filter(|tag| is_valid_tag(tag)) {
        if !vm.has_tag(&tag) {
            vm.tags.push(tag);
        }
    }
    Ok(())
}

/// Updates the tags that name the qube's guivm, audiovm and relayvm.
pub(in crate::model) fn update_reference_tags(
    qubes: &Qubes,
    vm: &mut Vm,
    facts: &dyn Facts,
) -> Result<(), CreationError> {
    for (property, prefix) in TAGGED_REFERENCES {
        if Property::find(Scope::Class(&vm.class), property).is_none() {
            continue;
        }
        let target = property::value_by_name(qubes, vm, property, facts)?;
        vm.tags.retain(|t| !t.starts_with(prefix));
        vm.tags.extend(
            target
                .as_qube()
                .and_then(|name| reference_tag(prefix, name)),
        );
    }
    Ok(())
}

/// Copies the template's explicit properties, features and tags to a disposable
/// (`docs/spec/r4-features.md` §9).
fn inherit_as_disposable(vm: &mut Vm, template: &Vm) {
    for (name, text) in template.properties.iter() {
        let property = Property::find(Scope::Class(&Class::DispVM), name);
        if property.is_some_and(|p| p.cloned && p.name != "template")
            && !vm.properties.contains(name)
        {
            vm.properties.set(name, text);
        }
    }
    for (name, text) in template
        .features
        .iter()
        .filter(|(name, _)| !name.starts_with("preload-dispvm"))
    {
        vm.features.set(name, text);
    }
    vm.tags = template.tags.clone();
}

/// Sorts explicit properties as they are written: by stage, then by name (`docs/spec/r4-xml.md`
/// §1.3).
pub fn sort_properties(class: &Class, properties: &TextMap) -> TextMap {
    let stage = |name: &str| Property::find(Scope::Class(class), name).map_or(2, |p| p.stage);
    let mut sorted: Vec<(&str, &str)> = properties.iter().collect();
    sorted.sort_by_key(|(name, _)| (stage(name), *name));
    sorted.into_iter().collect()
}
