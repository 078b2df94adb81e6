//! Volumes of a qube: the defaults of its class, the configuration of the store, and the sources of
//! snapshots (`docs/spec/r4-storage.md` §1, §2). No function here accesses a disk.

mod attributes;
mod error;
mod resolved;

pub use attributes::{ATTRIBUTES, ExplicitVolume};
pub use error::VolumeError;
pub use resolved::{Volume, VolumeKind};

pub(super) use attributes::volume_traits;

use attributes::{is_true, number};

use super::class::Class;
use super::class_volume::ClassVolume;
use super::facts::Facts;
use super::name::VmName;
use super::pool::Pool;
use super::pool_driver::VolumeIds;
use super::property;
use super::qubes::Qubes;
use super::text_map::TextMap;
use super::vm::{Vm, VolumeConfig};

/// Returns the vid that a pool's driver assigns to a new volume. Kernels have none of their own:
/// their vid is the version.
///
/// # Errors
/// The driver is unknown.
pub fn default_vid(
    pool: &Pool,
    class: &Class,
    qube: &VmName,
    volume: &str,
) -> Result<String, VolumeError> {
    let option = |name: &str| pool.option(name).unwrap_or_default();
    match pool.volume_ids() {
        Some(VolumeIds::File) => Ok(format!("{}/{qube}/{volume}", class.directory())),
        Some(VolumeIds::Logical) => Ok(format!("{}/vm-{qube}-{volume}", option("volume_group"))),
        Some(VolumeIds::Dataset) => Ok(format!("{}/{qube}/{volume}", option("container"))),
        Some(VolumeIds::Kernel | VolumeIds::Wrapped) | None => Err(VolumeError::UnknownDriver {
            pool: pool.name().to_owned(),
            driver: pool.driver().to_owned(),
        }),
    }
}

/// Returns all volumes of a qube: those of its class in their order, then the custom ones.
///
/// # Errors
/// One of them cannot be resolved.
pub fn resolve_all(qubes: &Qubes, vm: &Vm, facts: &dyn Facts) -> Result<Vec<Volume>, VolumeError> {
    names(vm)
        .map(|name| resolve(qubes, vm, name, facts))
        .collect()
}

/// Resolves one volume of a qube.
///
/// # Errors
/// There is none of this name, its pool or source does not exist, or a number of the store is
/// invalid.
pub fn resolve(
    qubes: &Qubes,
    vm: &Vm,
    name: &str,
    facts: &dyn Facts,
) -> Result<Volume, VolumeError> {
    let class = vm.class.volume(name);
    match (class, vm.volume(name)) {
        (None, None) => Err(VolumeError::NoSuchVolume {
            vm: vm.name.to_string(),
            volume: name.to_owned(),
        }),
        (class, own) => {
            let none = TextMap::new();
            resolve_attributes(
                qubes,
                vm,
                name,
                class,
                own.map_or(&none, |v| &v.attributes),
                facts,
            )
        }
    }
}

/// Resolves a volume from its attributes `own` and the defaults of its class.
pub(super) fn resolve_attributes(
    qubes: &Qubes,
    vm: &Vm,
    name: &str,
    class: Option<&ClassVolume>,
    own: &TextMap,
    facts: &dyn Facts,
) -> Result<Volume, VolumeError> {
    let number = |attribute: &'static str| number(vm, name, own, attribute);
    let traits = volume_traits(name, class, own);
    let (rw, save, snap) = (traits.rw, traits.save_on_stop, traits.snap_on_start);
    let configured = number("size")?.and_then(|n| u64::try_from(n).ok());
    let mut size = configured.unwrap_or(class.map_or(0, |c| c.size));
    let mut source = own
        .get("source")
        .filter(|s| !s.is_empty())
        .map(str::to_owned);
    let mut pool = own.get("pool").map(str::to_owned);
    if snap && source.is_none() {
        let (_, origin) = origin_in_templates(qubes, vm, name, facts)?;
        (source, pool, size) = (Some(origin.vid), Some(origin.pool), origin.size);
    }
    let pool = find_pool(qubes, vm, name, pool, facts)?;
    let is_kernel = pool.has_kernels();
    let vid = match own.get("vid") {
        _ if is_kernel => property::kernel(qubes, vm, facts)?,
        Some(vid) => vid.to_owned(),
        None => default_vid(pool, &vm.class, &vm.name, name)?,
    };
    let keeps_changes = pool
        .driver_spec()
        .is_none_or(|driver| driver.keeps_changes_of_snapshots);
    let keeps_revisions = !is_kernel && (save || keeps_changes);
    let revisions = number("revisions_to_keep")?.unwrap_or_else(|| pool.revisions_to_keep());
    let own_ephemeral = own.get("ephemeral").map(is_true);
    let is_volatile = rw && !save && !snap && !is_kernel;
    Ok(Volume {
        owner: vm.name.to_string(),
        name: name.to_owned(),
        pool: pool.name().to_owned(),
        driver: pool.driver().to_owned(),
        vid,
        rw: rw && !is_kernel,
        save_on_stop: save,
        snap_on_start: snap,
        size,
        source: source.filter(|_| snap),
        revisions_to_keep: if keeps_revisions { revisions } else { 0 },
        ephemeral: is_volatile && own_ephemeral.unwrap_or_else(|| pool.ephemeral_volatile()),
        own_ephemeral,
    })
}

/// Returns the volume that holds the initial data of a qube's volume, and the qube it belongs
/// to: the volume itself or, for a snapshot, the first volume of its name along the templates
/// that is not a snapshot.
///
/// # Errors
/// As [`resolve`]; also if no template has such a volume.
pub fn find_origin<'a>(
    qubes: &'a Qubes,
    vm: &'a Vm,
    name: &str,
    facts: &dyn Facts,
) -> Result<(&'a Vm, Volume), VolumeError> {
    let own = resolve(qubes, vm, name, facts)?;
    if own.source.is_none() {
        Ok((vm, own))
    } else {
        origin_in_templates(qubes, vm, name, facts)
    }
}

/// Returns the first volume of this name along the templates that is not a snapshot.
fn origin_in_templates<'a>(
    qubes: &'a Qubes,
    vm: &'a Vm,
    name: &str,
    facts: &dyn Facts,
) -> Result<(&'a Vm, Volume), VolumeError> {
    property::template(qubes, vm)?;
    for template in property::template_chain(qubes, vm).skip(1) {
        let volume = resolve(qubes, template, name, facts)?;
        if volume.source.is_none() {
            return Ok((template, volume));
        }
    }
    Err(VolumeError::NoSource {
        vm: vm.name.to_string(),
        volume: name.to_owned(),
    })
}

fn find_pool<'q>(
    qubes: &'q Qubes,
    vm: &Vm,
    volume: &str,
    named: Option<String>,
    facts: &dyn Facts,
) -> Result<&'q Pool, VolumeError> {
    let name = match named {
        Some(name) => name,
        None if matches!(volume, "root" | "private" | "volatile" | "kernel") => {
            property::global_value_by_name(qubes, &format!("default_pool_{volume}"), facts)?
                .to_string()
        }
        None => {
            return Err(VolumeError::NoDefaultPool {
                vm: vm.name.to_string(),
                volume: volume.to_owned(),
            });
        }
    };
    qubes
        .pools
        .get(&name)
        .ok_or_else(|| VolumeError::NoSuchPool {
            vm: vm.name.to_string(),
            volume: volume.to_owned(),
            pool: name,
        })
}

/// Updates the sources of the qube's snapshots to its current template.
pub(super) fn update_snapshot_sources(qubes: &mut Qubes, name: &str, facts: &dyn Facts) {
    let Some(vm) = qubes.get(name) else { return };
    let none = TextMap::new();
    let new_configs: Vec<(&str, Option<VolumeConfig>)> = vm
        .class
        .volumes()
        .iter()
        .filter(|class| class.snap_on_start && vm.volume(class.name).is_some())
        .map(|class| {
            let resolved = resolve_attributes(qubes, vm, class.name, Some(class), &none, facts);
            (
                class.name,
                resolved.ok().map(|v| v.config_for(facts.host().release())),
            )
        })
        .collect();
    let Some(vm) = qubes.edit(name) else { return };
    for (volume, config) in new_configs {
        for own in vm.volumes.iter_mut().filter(|v| v.name() == volume) {
            // If the new template's volume cannot be resolved, the missing attributes let every
            // reader look for it.
            *own = config.clone().unwrap_or_else(|| VolumeConfig {
                attributes: TextMap::from_iter([("name", volume)]),
            });
        }
    }
}

/// Iterates over the names of a qube's volumes: those of its class, then the custom ones.
pub fn names(vm: &Vm) -> impl Iterator<Item = &str> {
    let class = vm.class.volumes().iter().map(|v| v.name);
    let further = vm.volumes.iter().map(|v| v.name());
    class.chain(further.filter(|name| vm.class.volumes().iter().all(|v| v.name != *name)))
}
