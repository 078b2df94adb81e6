//! Planning of the volumes of a new qube.

use super::error::CreationError;
use crate::model::boolean::boolean_text;
use crate::model::class::Class;
use crate::model::class_volume::ClassVolume;
use crate::model::facts::Facts;
use crate::model::qubes::Qubes;
use crate::model::text_map::TextMap;
use crate::model::vm::{Vm, VolumeConfig};
use crate::model::volume::{self, Volume, VolumeError, volume_traits};

/// The pools for the volumes of a new qube.
#[derive(Debug, Clone, Copy, Default)]
pub struct PoolChoice<'a> {
    /// The pool for every volume that is neither a snapshot nor read-only.
    pub all: Option<&'a str>,
    /// Pairs of volume and pool, each for one volume.
    pub by_volume: &'a [(&'a str, &'a str)],
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
    let mut names: Vec<&str> = vm.class.volumes().iter().map(|v| v.name).collect();
    if let (Some(template), Class::AppVM) = (template, &vm.class) {
        names.extend(
            volume::names(template).filter(|n| vm.class.volumes().iter().all(|v| v.name != *n)),
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
    let class = vm.class.volume(name);
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
    resolved: &Volume,
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
    own.set("rw", boolean_text(volume.rw));
    if let Some(ephemeral) = volume.own_ephemeral {
        own.set("ephemeral", boolean_text(ephemeral));
    }
    Ok(own)
}
