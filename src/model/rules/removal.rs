//! Uses of a qube and the decision whether it may be removed (`docs/spec/r4-properties.md` §8).

use std::fmt;

use crate::model::class::Class;
use crate::model::draft::Draft;
use crate::model::effect::{Change, Effect};
use crate::model::facts::Facts;
use crate::model::power::PowerState;
use crate::model::property;
use crate::model::property::{ValueType, class_properties, global_properties};
use crate::model::qubes::Qubes;
use crate::model::vm::{Vm, VolumeConfig};
use crate::model::volume::{self, Volume, VolumeError};

/// One use of a qube. Displayed as upstream's tool does: `netvm for work`, `global property
/// clockvm`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum QubeUse {
    /// The value of a global property.
    Global {
        /// The name of the global property.
        property: &'static str,
    },
    /// An explicit property of another qube.
    Qube {
        /// The name of the other qube.
        vm: String,
        /// The name of the property.
        property: &'static str,
    },
    /// A device that the qube provides to another.
    Device {
        /// The name of the qube that the device is assigned to.
        frontend: String,
        /// The device class: `pci`, `block`, `usb`, ….
        class: String,
        /// The port of the device, `*` for any.
        port: String,
    },
}

impl fmt::Display for QubeUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QubeUse::Global { property } => write!(f, "global property {property}"),
            QubeUse::Qube { vm, property } => write!(f, "{property} for {vm}"),
            QubeUse::Device {
                frontend,
                class,
                port,
            } => write!(f, "backend of {class} device {port} for {frontend}"),
        }
    }
}

/// Why a qube cannot be removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemovalError {
    /// The store has no qube of this name.
    #[error("no such domain: '{0}'")]
    NoSuchQube(String),
    /// The qube is dom0.
    #[error("Domain 'dom0' cannot be removed.")]
    Dom0,
    /// The property `installed_by_rpm` of the qube is on.
    #[error("Domain '{0}' was installed by the package manager; remove its package instead")]
    InstalledByRpm(String),
    /// The qube is not halted, or its power state is unknown.
    #[error("Domain is not powered off: '{0}'")]
    NotHalted(String),
    /// A second domain of the store has the name of the qube.
    #[error("cannot remove '{0}': two domains of the store have this name and share their images")]
    DuplicateName(String),
    /// Another qube has a volume with the same pool and vid.
    #[error("cannot remove '{vm}': its volume '{volume}' is also a volume of '{other}'")]
    SharedVolume {
        /// The name of the qube to remove.
        vm: String,
        /// The volume of that qube.
        volume: String,
        /// The name of the other qube.
        other: String,
    },
    /// Properties or devices of other qubes, or global properties, refer to the qube.
    #[error("Domain is in use: '{vm}'")]
    InUse {
        /// The name of the qube to remove.
        vm: String,
        /// The uses of the qube, at least one.
        uses: Vec<QubeUse>,
    },
}

/// A volume that is removed with its qube.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemovableVolume {
    /// Everything about the volume is known.
    Resolved(Box<Volume>),
    /// Only its pool and vid are known.
    Location {
        /// The name of the pool, which exists.
        pool: String,
        /// The id of the volume, unique in the pool.
        vid: String,
    },
    /// A kernel, which belongs to dom0 and stays.
    Kernel,
}

/// Lists the uses of a qube that prevent its removal, sorted as they are printed: global
/// properties with this value, explicit properties of other qubes, and devices that it
/// provides.
pub fn find_uses(qubes: &Qubes, name: &str, facts: &dyn Facts) -> Vec<QubeUse> {
    let is_reference = |kind: ValueType| matches!(kind, ValueType::Qube { .. });
    let mut uses: Vec<QubeUse> = global_properties()
        .filter(|p| is_reference(p.value_type))
        .filter(|p| {
            property::global_value(qubes, p, facts)
                .is_ok_and(|v| v.as_qube().is_some_and(|q| *q == name))
        })
        .map(|p| QubeUse::Global { property: p.name })
        .collect();
    for vm in qubes.iter().filter(|vm| vm.name != name) {
        let explicit = class_properties(&vm.class)
            .filter(|p| is_reference(p.value_type) && vm.properties.get(p.name) == Some(name))
            .filter(|p| !is_own_template_of_preload(qubes, vm, p.name));
        uses.extend(explicit.map(|p| QubeUse::Qube {
            vm: vm.name.to_string(),
            property: p.name,
        }));
        for class in &vm.devices {
            let provided = class
                .assignments
                .iter()
                .filter(|a| a.backend() == Some(name));
            uses.extend(provided.map(|a| QubeUse::Device {
                frontend: vm.name.to_string(),
                class: class.class.to_string(),
                port: a.port().to_owned(),
            }));
        }
    }
    uses.sort_by_key(QubeUse::to_string);
    uses
}

/// Returns whether a property of a preloaded disposable refers to the disposable's own
/// template. The disposable is removed with the template, so this use does not count.
fn is_own_template_of_preload(qubes: &Qubes, vm: &Vm, property: &str) -> bool {
    let is_template = vm.properties.get(property) == vm.properties.get("template");
    matches!(
        property,
        "template" | "default_dispvm" | "management_dispvm"
    ) && is_template
        && property::is_preloaded(qubes, vm)
}

/// Checks whether a qube may be removed and returns it. Changes nothing.
///
/// # Errors
/// The qube may not be removed, with the reason.
pub fn plan<'q>(qubes: &'q Qubes, name: &str, facts: &dyn Facts) -> Result<&'q Vm, RemovalError> {
    let vm = qubes
        .get(name)
        .ok_or_else(|| RemovalError::NoSuchQube(name.to_owned()))?;
    if vm.class == Class::AdminVM {
        return Err(RemovalError::Dom0);
    }
    if qubes.duplicate_names.iter().any(|double| *double == name) {
        return Err(RemovalError::DuplicateName(name.to_owned()));
    }
    refuse_shared_volumes(qubes, vm)?;
    let uses = find_uses(qubes, name, facts);
    if !uses.is_empty() {
        return Err(RemovalError::InUse {
            vm: name.to_owned(),
            uses,
        });
    }
    if property::is_on(qubes, vm, "installed_by_rpm", facts) {
        return Err(RemovalError::InstalledByRpm(name.to_owned()));
    }
    if vm.class.is_local_guest() && facts.power_state(vm) != PowerState::Halted {
        return Err(RemovalError::NotHalted(name.to_owned()));
    }
    Ok(vm)
}

/// Refuses to remove images that another qube uses, too.
fn refuse_shared_volumes(qubes: &Qubes, vm: &Vm) -> Result<(), RemovalError> {
    let place = |volume: &VolumeConfig| -> Option<(String, String)> {
        let pool = qubes
            .pools
            .get(volume.attributes.get("pool")?)
            .filter(|p| !p.has_kernels())?;
        let vid = volume.attributes.get("vid").filter(|vid| !vid.is_empty())?;
        Some((pool.name().to_owned(), vid.to_owned()))
    };
    let own: Vec<_> = vm
        .volumes
        .iter()
        .filter_map(|v| Some((v.name(), place(v)?)))
        .collect();
    for other in qubes.iter().filter(|other| other.name != vm.name) {
        for theirs in other.volumes.iter().filter_map(place) {
            if let Some((volume, _)) = own.iter().find(|(_, place)| *place == theirs) {
                let (vm, other) = (vm.name.to_string(), other.name.to_string());
                return Err(RemovalError::SharedVolume {
                    vm,
                    volume: (*volume).to_owned(),
                    other,
                });
            }
        }
    }
    Ok(())
}

/// Lists the volumes to remove with a qube, each resolved as far as possible.
///
/// For a volume that cannot be resolved, pool and vid of the store suffice. A volume without
/// them is an error: nobody can find its image.
pub fn volumes_to_remove(
    qubes: &Qubes,
    vm: &Vm,
    facts: &dyn Facts,
) -> Vec<Result<RemovableVolume, VolumeError>> {
    let resolve = |name: &str| {
        volume::resolve(qubes, vm, name, facts)
            .map(|volume| RemovableVolume::Resolved(Box::new(volume)))
            .or_else(|error| {
                let own = vm.volume(name).map(|v| &v.attributes);
                let pool = own
                    .and_then(|own| own.get("pool"))
                    .and_then(|pool| qubes.pools.get(pool));
                let vid = own
                    .and_then(|own| own.get("vid"))
                    .filter(|vid| !vid.is_empty());
                match pool.zip(vid) {
                    Some((pool, _)) if pool.has_kernels() => Ok(RemovableVolume::Kernel),
                    Some((pool, vid)) => Ok(RemovableVolume::Location {
                        pool: pool.name().to_owned(),
                        vid: vid.to_owned(),
                    }),
                    None => Err(error),
                }
            })
    };
    volume::names(vm).map(resolve).collect()
}

/// Removes a qube, if it may be removed, together with every explicit global property that
/// refers to it.
///
/// # Errors
/// Nothing was changed: the qube may not be removed.
pub fn remove_if_unused(
    draft: &mut Draft,
    name: &str,
    facts: &dyn Facts,
) -> Result<(Vm, Change), RemovalError> {
    let qubes = &mut draft.qubes;
    let starts_at_boot = property::is_on(qubes, plan(qubes, name, facts)?, "autostart", facts);
    let vm = qubes
        .remove(name)
        .ok_or_else(|| RemovalError::NoSuchQube(name.to_owned()))?;
    for property in global_properties().filter(|p| matches!(p.value_type, ValueType::Qube { .. })) {
        if qubes.globals.get(property.name) == Some(name) {
            qubes.globals.remove(property.name);
        }
    }
    let autostart = starts_at_boot.then(|| Effect::Autostart {
        vm: vm.name.clone(),
    });
    Ok((vm, autostart.into_iter().collect()))
}

/// Takes a qube from the package that installed it, so that it may be removed.
pub fn release_from_package(draft: &mut Draft, name: &str) -> Change {
    if let Some(vm) = draft.qubes.edit(name) {
        vm.properties.remove("installed_by_rpm");
    }
    Change::STORE_ONLY
}

/// Unsets the default template and netvm where they are this qube, so that it may be removed.
pub fn unset_defaults(draft: &mut Draft, name: &str) -> Change {
    let globals = &mut draft.qubes.globals;
    for property in ["default_template", "default_netvm"] {
        if globals.get(property) == Some(name) {
            globals.remove(property);
        }
    }
    Change::STORE_ONLY
}
