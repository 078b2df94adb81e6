//! Planning of new qubes (`docs/spec/r4-properties.md` §7, `docs/spec/r4-features.md` §9, §10) and
//! of a new system.

use smol_str::format_smolstr;
use uuid::Uuid;

use super::qubesd::{TAGGED_REFERENCES, find_reference_problem, reference_tag};
use crate::model::class::Class;
use crate::model::draft::Draft;
use crate::model::effect::Change;
use crate::model::facts::Facts;
use crate::model::label::Labels;
use crate::model::name::VmName;
use crate::model::pool::{Pool, Pools};
use crate::model::pool_driver::{FILE, FILE_REFLINK, LINUX_KERNEL};
use crate::model::property;
use crate::model::property::{Property, PropertyError, Scope, Value, dispvm_template_error};
use crate::model::qubes::Qubes;
use crate::model::release::Release;
use crate::model::tags;
use crate::model::tags::{CREATED_BY_PREFIX, is_valid_tag};
use crate::model::text_map::TextMap;
use crate::model::vm::{Qid, Vm, VolumeConfig};
use crate::model::volume::{
    self, ClassVolume, ResolvedVolume, VolumeError, class_volume, class_volumes, volume_traits,
};

/// Why a qube cannot be created. Texts are upstream's where they are recorded
/// (`tests/data/r4/cli/qvm-create.txt`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreationError {
    /// The name breaks a rule for names of new qubes.
    #[error("{0}")]
    Name(#[from] crate::model::name::NameError),
    /// The name has a dot, and the release of the store is older than 4.3.
    #[error("VM name '{0}' has a dot, which Qubes OS {1} does not allow (since 4.3)")]
    DottedName(String, Release),
    /// A qube of this name exists.
    #[error("Qube already exists: {0}")]
    Exists(String),
    /// No label has this name.
    #[error("Label does not exist: {0}")]
    NoSuchLabel(String),
    /// The label consists of digits only; it must be a name.
    #[error("Label must not be a digit: '{0}'; a new qube's label is given by name")]
    LabelIsNumber(String),
    /// The template, or the source of a clone, does not exist.
    #[error("No such domain: '{0}'")]
    NoSuchTemplate(String),
    /// The template of an AppVM is not a TemplateVM.
    #[error("wrong VM class: domains['{template}'] is of type {class} and not TemplateVM")]
    WrongTemplate {
        /// The name of the unsuitable template.
        template: String,
        /// The class of the unsuitable template.
        class: Class,
    },
    /// `template_for_dispvms` of the qube is off, so a disposable cannot be based on it.
    #[error("{}", dispvm_template_error(.0))]
    NotDispvmTemplate(VmName),
    /// The request names no template, and the default one is not set.
    #[error(
        "no template given for '{vm}', and the system has no {property}; name one with --template"
    )]
    NoDefaultTemplate {
        /// The name of the new qube.
        vm: String,
        /// The property with the default: `default_template`, or `default_dispvm` for a disposable.
        property: &'static str,
    },
    /// The request names a template for a class that has none.
    #[error("a {class} has no template; leave --template out")]
    UnexpectedTemplate {
        /// The class of the new qube.
        class: Class,
    },
    /// Qubes of this class cannot be created: it is AdminVM or unknown.
    #[error("qubes of class '{0}' cannot be created")]
    UnsupportedClass(Class),
    /// The class is RemoteVM, and the release of the store is older than 4.3.
    #[error("Qubes OS {0} does not know remote qubes (since 4.3)")]
    RemoteNotSupported(Release),
    /// The source of a clone is an AdminVM.
    #[error("{0} cannot be cloned")]
    NotClonable(VmName),
    /// The clone would be a RemoteVM, and the source is not one.
    #[error(
        "'{source_qube}' is of class {class} and cannot be cloned as a RemoteVM, \
         which has neither volumes nor a domain"
    )]
    IncompatibleCloneClass {
        /// The name of the source.
        source_qube: VmName,
        /// The class of the source.
        class: Class,
    },
    /// The clone cannot have a setting of the source, and the request does not ignore errors.
    #[error("{0}")]
    UnclonedSetting(#[from] super::cloning::UnclonedSetting),
    /// The request names a pool that does not exist.
    #[error("Unknown storage pool {0}")]
    NoSuchPool(String),
    /// The request names a pool for a snapshot, which is always in the pool of its source.
    #[error(
        "volume '{volume}' of '{vm}' is a snapshot of its template's; its pool cannot be chosen"
    )]
    SnapshotPool {
        /// The name of the new qube.
        vm: String,
        /// The name of the volume.
        volume: String,
    },
    /// The pool of a volume of the new qube cannot hold it.
    #[error(
        "volume '{volume}' of '{vm}' cannot be in pool '{pool}': {rule}; \
         choose another with --pool {volume}=POOL"
    )]
    UnsuitablePool {
        /// The name of the new qube.
        vm: String,
        /// The name of the volume.
        volume: String,
        /// The name of the pool.
        pool: String,
        /// The rule that the volume breaks: `a kernel pool has no writable volumes`.
        rule: &'static str,
    },
    /// Every qid that the release loads is in use.
    #[error("cannot create another qube: all {max} numbers of Qubes OS {release} are in use")]
    NoFreeQid {
        /// The release of the store, which limits the numbers.
        release: Release,
        /// The highest qid that a new qube can get.
        max: u16,
    },
    /// Each of 100 random numbers is already the dispid of a disposable.
    #[error("cannot create another disposable: no free number found in 100 tries; remove some")]
    NoFreeDispid,
    /// A volume cannot be resolved, or the request names a pool for a volume of an unknown name.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// A property that the new qube depends on cannot be read.
    #[error(transparent)]
    Property(#[from] PropertyError),
}

/// The pools for the volumes of a new qube.
#[derive(Debug, Clone, Copy, Default)]
pub struct PoolChoice<'a> {
    /// The pool for every volume that is neither a snapshot nor read-only.
    pub all: Option<&'a str>,
    /// Pairs of volume and pool, each for one volume.
    pub by_volume: &'a [(&'a str, &'a str)],
}

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
/// The caller creates the volumes ([`volume::resolve_all`] of the result) and then adds the qube
/// ([`add`]). `random(n)` returns a number below n.
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
    let template = find_template(qubes, new, facts)?;
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

/// Sets `default_kernel` to the newest installed kernel if none was ever chosen.
///
/// Installers of R3 choose none, because the kernel packages of R3 did. Upstream cannot save a
/// store in which a qube depends on a `default_kernel` that is not set, so without this nothing
/// could be created there.
pub fn choose_default_kernel(draft: &mut Draft, facts: &dyn Facts) -> Change {
    let qubes = &mut draft.qubes;
    if property::global_value_by_name(qubes, "default_kernel", facts).is_ok()
        || qubes.globals.contains("default_kernel")
    {
        return Change::STORE_ONLY;
    }
    let directory = format!(
        "{}/vm-kernels",
        facts.host().base_dir().trim_end_matches('/')
    );
    if let Some(newest) = facts.host().newest_kernel(&directory) {
        qubes.globals.set("default_kernel", &newest);
    }
    Change::STORE_ONLY
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

/// Finds the template of a new qube.
fn find_template<'q>(
    qubes: &'q Qubes,
    new: &NewQube<'_>,
    facts: &dyn Facts,
) -> Result<Option<&'q Vm>, CreationError> {
    // Upstream treats an empty name as no name.
    let (property, requested) = match (
        &new.class,
        new.template.filter(|template| !template.is_empty()),
    ) {
        (Class::AppVM, template) => ("default_template", template),
        (Class::DispVM, template) => ("default_dispvm", template),
        (Class::AdminVM | Class::Unknown(_), _) => {
            return Err(CreationError::UnsupportedClass(new.class.clone()));
        }
        (Class::RemoteVM, _) if facts.host().release() < Release::R4_3 => {
            return Err(CreationError::RemoteNotSupported(facts.host().release()));
        }
        (_, None) => return Ok(None),
        (_, Some(_)) => {
            return Err(CreationError::UnexpectedTemplate {
                class: new.class.clone(),
            });
        }
    };
    let name = match requested {
        Some(name) => name.to_owned(),
        None => match property::global_value_by_name(qubes, property, facts) {
            Ok(Value::Qube(Some(name))) => name.to_string(),
            Ok(_) | Err(PropertyError::Unset { .. }) => {
                return Err(CreationError::NoDefaultTemplate {
                    vm: new.name.to_owned(),
                    property,
                });
            }
            Err(e) => return Err(e.into()),
        },
    };
    let template = qubes
        .get(&name)
        .ok_or(CreationError::NoSuchTemplate(name))?;
    check_template(qubes, &new.class, template, facts).map(|()| Some(template))
}

/// Checks whether a qube of `class` can be based on `template`. Needs no qube yet, so
/// candidates can be filtered with it.
///
/// # Errors
/// It cannot, with the rule. No template fits a class without templates.
pub fn check_template(
    qubes: &Qubes,
    class: &Class,
    template: &Vm,
    facts: &dyn Facts,
) -> Result<(), CreationError> {
    match class {
        Class::AppVM if template.class != Class::TemplateVM => {
            let (template, class) = (template.name.to_string(), template.class.clone());
            Err(CreationError::WrongTemplate { template, class })
        }
        Class::DispVM if !property::is_template_for_dispvms(qubes, template, facts) => {
            Err(CreationError::NotDispvmTemplate(template.name.clone()))
        }
        Class::AppVM | Class::DispVM => Ok(()),
        _ => Err(CreationError::UnexpectedTemplate {
            class: class.clone(),
        }),
    }
}

/// Returns the smallest free qid from 1.
pub(in crate::model) fn find_free_qid(
    qubes: &Qubes,
    release: Release,
) -> Result<Qid, CreationError> {
    let max = release.highest_qid().min(Qid::MAX - 1);
    let mut is_taken = vec![false; usize::from(Qid::MAX) + 1];
    for qid in qubes.iter().filter_map(Vm::qid) {
        is_taken[usize::from(qid.number())] = true;
    }
    (1..=max)
        .find(|n| !is_taken[usize::from(*n)])
        .and_then(Qid::new)
        .ok_or(CreationError::NoFreeQid { release, max })
}

/// Returns a random number that no disposable has (`docs/spec/r4-properties.md` §6).
///
/// # Errors
/// None was found in 100 tries.
pub fn find_free_dispid(
    qubes: &Qubes,
    random: &mut dyn FnMut(u16) -> u16,
) -> Result<u16, CreationError> {
    let disposables = qubes
        .names_with_classes()
        .filter(|(_, class)| **class == Class::DispVM);
    let taken: Vec<u16> = disposables
        .filter_map(|(name, _)| {
            qubes
                .get(name.as_str())?
                .properties
                .get("dispid")?
                .trim()
                .parse()
                .ok()
        })
        .collect();
    (0..100)
        .map(|_| random(10_000))
        .find(|id| !taken.contains(id))
        .ok_or(CreationError::NoFreeDispid)
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

/// Plans the volumes of a new qube and adds their configurations to `vm`.
pub(in crate::model) fn plan_volumes(
    qubes: &Qubes,
    vm: &mut Vm,
    template: Option<&Vm>,
    pools: PoolChoice<'_>,
    facts: &dyn Facts,
) -> Result<(), CreationError> {
    let chosen = pools
        .by_volume
        .iter()
        .map(|(_, pool)| *pool)
        .chain(pools.all);
    if let Some(unknown) = chosen
        .into_iter()
        .find(|pool| qubes.pools.get(pool).is_none())
    {
        return Err(CreationError::NoSuchPool(unknown.to_owned()));
    }
    let mut names: Vec<&str> = class_volumes(&vm.class).iter().map(|v| v.name).collect();
    if let (Some(template), Class::AppVM) = (template, &vm.class) {
        names.extend(
            volume::names(template)
                .filter(|n| class_volumes(&vm.class).iter().all(|v| v.name != *n)),
        );
    }
    if let Some((unknown, _)) = pools
        .by_volume
        .iter()
        .find(|(volume, _)| !names.contains(volume))
    {
        let (vm, volume) = (vm.name.to_string(), (*unknown).to_owned());
        return Err(VolumeError::NoSuchVolume { vm, volume }.into());
    }
    for name in names {
        let config = plan_volume(qubes, vm, name, template, pools, facts)?;
        vm.volumes.push(config);
    }
    Ok(())
}

/// Plans one volume of a new qube and returns its configuration.
fn plan_volume(
    qubes: &Qubes,
    vm: &Vm,
    name: &str,
    template: Option<&Vm>,
    pools: PoolChoice<'_>,
    facts: &dyn Facts,
) -> Result<VolumeConfig, CreationError> {
    let class = class_volume(&vm.class, name);
    let mut own = match (class, template) {
        (None, Some(template)) => {
            let mut attributes = template
                .volume(name)
                .map(|v| v.attributes.clone())
                .unwrap_or_default();
            attributes.remove("vid");
            attributes
        }
        (Some(_), Some(template)) if vm.class == Class::DispVM => {
            disposable_attributes(qubes, template, name, facts)?
        }
        _ => TextMap::new(),
    };
    let is_snapshot = class.is_some_and(|c| c.snap_on_start);
    if let Some((_, pool)) = pools.by_volume.iter().find(|(volume, _)| *volume == name) {
        if is_snapshot {
            let (vm, volume) = (vm.name.to_string(), name.to_owned());
            return Err(CreationError::SnapshotPool { vm, volume });
        }
        own.set("pool", pool);
    } else if let Some(pool) = pools
        .all
        .filter(|_| !is_snapshot && class.is_none_or(|c| c.rw))
    {
        own.set("pool", pool);
    }
    let resolved = volume::resolve_attributes(qubes, vm, name, class, &own, facts)?;
    check_volume_pool(qubes, vm, class, &own, &resolved)?;
    Ok(resolved.config_for(facts.host().release()))
}

/// Refuses a pool that cannot hold the volume.
fn check_volume_pool(
    qubes: &Qubes,
    vm: &Vm,
    class: Option<&ClassVolume>,
    own: &TextMap,
    resolved: &ResolvedVolume,
) -> Result<(), CreationError> {
    let Some(pool) = qubes.pools.get(&resolved.pool) else {
        return Ok(());
    };
    match volume_traits(&resolved.name, class, own).find_problem(pool) {
        None => Ok(()),
        Some(problem) => Err(CreationError::UnsuitablePool {
            vm: vm.name.to_string(),
            volume: resolved.name.clone(),
            pool: pool.name().to_owned(),
            rule: problem.rule,
        }),
    }
}

/// Returns the attributes that a disposable's volume takes from its template's: pool, rw and
/// ephemeral.
fn disposable_attributes(
    qubes: &Qubes,
    template: &Vm,
    name: &str,
    facts: &dyn Facts,
) -> Result<TextMap, CreationError> {
    let volume = volume::resolve(qubes, template, name, facts)?;
    let mut own = TextMap::new();
    own.set("pool", &volume.pool);
    own.set("rw", if volume.rw { "True" } else { "False" });
    if let Some(ephemeral) = volume.own_ephemeral {
        own.set("ephemeral", if ephemeral { "True" } else { "False" });
    }
    Ok(own)
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

/// Plans a new system, as `qubes-create` creates it (`docs/spec/r4-xml.md` §5): labels, a pool of
/// files, the kernel pool and dom0.
///
/// If files cannot share blocks, the pool has driver `file`, as upstream's, provided that mapped
/// devices are available. Otherwise it has driver `file-reflink` with `setup_check="no"`, which
/// copies and which every release of upstream can use, too.
pub fn plan_new_system(facts: &dyn Facts) -> Qubes {
    let base = facts.host().base_dir().trim_end_matches('/');
    let shares_blocks = facts.host().can_reflink(base);
    let driver = if !shares_blocks && facts.host().can_map_devices() {
        FILE
    } else {
        FILE_REFLINK
    };
    let mut files = TextMap::from_iter([
        ("name", "varlibqubes"),
        ("dir_path", base),
        ("driver", driver),
    ]);
    files.set("revisions_to_keep", "1");
    if !shares_blocks && driver == FILE_REFLINK {
        files.set("setup_check", "no");
    }
    let kernels_dir = format!("{base}/vm-kernels");
    let kernels = TextMap::from_iter([
        ("name", LINUX_KERNEL),
        ("dir_path", &*kernels_dir),
        ("driver", LINUX_KERNEL),
    ]);
    let pools = Pools(vec![
        Pool { attributes: files },
        Pool {
            attributes: kernels,
        },
    ]);
    let globals = TextMap::from_iter([("default_pool_kernel", LINUX_KERNEL)]);
    let mut qubes = Qubes::new(Labels::built_in(), pools, globals);
    let mut dom0 = Vm::new(VmName::dom0(), Class::AdminVM);
    dom0.properties.set("label", "black");
    // The collection is empty, so the name cannot be taken.
    let _ = qubes.add(dom0);
    qubes
}
