//! Volumes of a qube: the defaults of its class, the configuration of the store, and the sources of
//! snapshots (`docs/spec/r4-storage.md` §1, §2). No function here accesses a disk.

use super::boolean::BooleanDialect;
use super::class::Class;
use super::class_volume::ClassVolume;
use super::facts::Facts;
use super::name::VmName;
use super::pool::Pool;
use super::pool_driver::VolumeIds;
use super::property::{PropertyError, read_int};
use super::qubes::Qubes;
use super::release::Release;
use super::rules::qubesd::VolumeTraits;
use super::text_map::TextMap;
use super::vm::{Vm, VolumeConfig};
use crate::model::property;

/// A volume of a qube with all values resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedVolume {
    /// `root`, `private`, `volatile`, `kernel`, or a custom name.
    pub name: String,
    /// The name of the pool.
    pub pool: String,
    /// The pool's driver: `file-reflink`, `lvm_thin`, …
    pub driver: String,
    /// The id, unique in the pool.
    pub vid: String,
    /// Whether the guest can write to it.
    pub rw: bool,
    /// Whether changes are kept when the qube stops.
    pub save_on_stop: bool,
    /// Whether it is a snapshot of `source`, created when the qube starts.
    pub snap_on_start: bool,
    /// The configured size in bytes; 0 if only the driver knows it (kernels).
    pub size: u64,
    /// The vid of the volume that a snapshot is made of, in the same pool.
    pub source: Option<String>,
    /// The number of revisions to keep; −1 means no snapshots at all.
    pub revisions_to_keep: i64,
    /// Whether it is encrypted with a key that is never stored.
    pub ephemeral: bool,
    /// The explicit value of `ephemeral`. `None` means that the pool decides.
    pub own_ephemeral: Option<bool>,
}

/// A volume whose pool and size are explicit, so that nothing else has to be resolved.
#[derive(Debug, Clone, Copy)]
pub struct ExplicitVolume<'a> {
    /// The name of its pool, which may not exist.
    pub pool: &'a str,
    /// The vid, if it is explicit.
    pub vid: Option<&'a str>,
    /// The configured size in bytes.
    pub size: u64,
}

impl VolumeConfig {
    /// Returns pool, vid and size if the configuration alone determines them.
    ///
    /// They equal what [`resolve`] resolves, except for the vid in a pool of kernels. `class`
    /// is the default of the qube's class for this volume. `None` means that the volume must be
    /// resolved.
    pub fn explicit_volume(&self, class: Option<&ClassVolume>) -> Option<ExplicitVolume<'_>> {
        let (mut pool, mut vid, mut keep) = (None, None, None);
        let (mut snap, mut size, mut source) = (None, None, None);
        for (name, text) in self.attributes.iter() {
            match name {
                "pool" => pool = Some(text),
                "vid" => vid = Some(text),
                "revisions_to_keep" => keep = Some(text),
                "snap_on_start" => snap = Some(text),
                "size" => size = Some(text),
                "source" => source = Some(text),
                "name" | "rw" | "save_on_stop" | "ephemeral" | "internal" => {}
                // An attribute that upstream's drivers do not know.
                _ => return None,
            }
        }
        if let Some(keep) = keep {
            plain_number(keep)?;
        }
        let size = match size {
            Some(size) => plain_number(size)?,
            None => class.map_or(0, |class| class.size),
        };
        let snaps = snap.map_or(class.is_some_and(|c| c.snap_on_start), is_true);
        let has_source = source.is_some_and(|source| !source.is_empty());
        let pool = pool.filter(|_| has_source || !snaps)?;
        Some(ExplicitVolume { pool, vid, size })
    }
}

/// Why a volume of a qube cannot be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VolumeError {
    /// Neither the class nor the store gives the qube a volume of this name.
    #[error("qube '{vm}' has no volume '{volume}'")]
    NoSuchVolume {
        /// The name of the qube.
        vm: String,
        /// The name of the volume.
        volume: String,
    },
    /// The pool of the volume, explicit or default, does not exist.
    #[error("volume '{volume}' of qube '{vm}' is in pool '{pool}', which does not exist")]
    NoSuchPool {
        /// The name of the qube.
        vm: String,
        /// The name of the volume.
        volume: String,
        /// The name of the missing pool.
        pool: String,
    },
    /// A custom volume has no explicit pool.
    #[error(
        "volume '{volume}' of qube '{vm}' has no pool, and only root, private, \
         volatile and kernel have a default one"
    )]
    NoDefaultPool {
        /// The name of the qube.
        vm: String,
        /// The name of the custom volume.
        volume: String,
    },
    /// A snapshot has no explicit source, and no template has a volume to take it from.
    #[error(
        "volume '{volume}' of qube '{vm}' is a snapshot, and no template has a \
         volume of this name"
    )]
    NoSource {
        /// The name of the qube.
        vm: String,
        /// The name of the snapshot, which its source would have, too.
        volume: String,
    },
    /// An attribute of the volume's configuration must be a number and is not.
    #[error("{attribute}='{text}' of volume '{volume}' of qube '{vm}' is not a number")]
    InvalidNumber {
        /// The name of the qube.
        vm: String,
        /// The name of the volume.
        volume: String,
        /// The attribute: `size` or `revisions_to_keep`.
        attribute: &'static str,
        /// The text in the store.
        text: String,
    },
    /// A volume has no vid, and only known drivers can assign one.
    #[error("new volumes in pool '{pool}' are not supported: driver '{driver}' is not known")]
    UnknownDriver {
        /// The name of the pool.
        pool: String,
        /// The unknown driver of the pool.
        driver: String,
    },
    /// The default pool, the template or the kernel of the qube cannot be read.
    #[error(transparent)]
    Property(#[from] PropertyError),
}

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
pub fn resolve_all(
    qubes: &Qubes,
    vm: &Vm,
    facts: &dyn Facts,
) -> Result<Vec<ResolvedVolume>, VolumeError> {
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
) -> Result<ResolvedVolume, VolumeError> {
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
) -> Result<ResolvedVolume, VolumeError> {
    let on = |attribute: &str, default: Option<bool>| {
        own.get(attribute).map_or(default == Some(true), is_true)
    };
    let number = |attribute: &'static str| number(vm, name, own, attribute);
    let (rw, save) = (
        on("rw", class.map(|c| c.rw)),
        on("save_on_stop", class.map(|c| c.save_on_stop)),
    );
    let snap = on("snap_on_start", class.map(|c| c.snap_on_start));
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
    Ok(ResolvedVolume {
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
) -> Result<(&'a Vm, ResolvedVolume), VolumeError> {
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
) -> Result<(&'a Vm, ResolvedVolume), VolumeError> {
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

impl ResolvedVolume {
    /// Returns the configuration as it is written for a release, which may not support ephemeral
    /// volumes.
    pub fn config_for(&self, release: Release) -> VolumeConfig {
        let mut config = self.config();
        if !release.has_ephemeral_volumes() {
            config.attributes.remove("ephemeral");
        } else if self.own_ephemeral == Some(false) && release.can_read_false_flags() {
            config.attributes.set("ephemeral", "False");
        }
        config
    }

    /// Returns the configuration as it is written, in upstream's order.
    ///
    /// A false boolean is left out: every tagged release reads the text `False` as true, and a
    /// missing attribute as the class's default (`docs/spec/r4-xml.md` §1.8).
    pub fn config(&self) -> VolumeConfig {
        let mut attributes = TextMap::new();
        attributes.set("name", &self.name);
        attributes.set("pool", &self.pool);
        attributes.set("vid", &self.vid);
        attributes.set("revisions_to_keep", &self.revisions_to_keep.to_string());
        let flags = [
            ("rw", self.rw),
            ("save_on_stop", self.save_on_stop),
            ("snap_on_start", self.snap_on_start),
            ("ephemeral", self.own_ephemeral == Some(true)),
        ];
        for (flag, _) in flags.into_iter().filter(|(_, on)| *on) {
            attributes.set(flag, "True");
        }
        if self.size != 0 {
            attributes.set("size", &self.size.to_string());
        }
        if let Some(source) = &self.source {
            attributes.set("source", source);
        }
        VolumeConfig { attributes }
    }
}

impl Pool {
    /// Returns whether volatile volumes are ephemeral by default: encrypted with a key that is
    /// never stored.
    pub fn ephemeral_volatile(&self) -> bool {
        self.option("ephemeral_volatile")
            .is_some_and(|text| BooleanDialect::PoolFlag.is_true(text))
    }
}

/// Returns the properties that decide whether a pool can hold the volume, from its attributes and
/// the defaults of its class.
pub(super) fn volume_traits<'a>(
    name: &'a str,
    class: Option<&ClassVolume>,
    own: &TextMap,
) -> VolumeTraits<'a> {
    let on = |attribute: &str, default: Option<bool>| {
        own.get(attribute).map_or(default == Some(true), is_true)
    };
    let has_source = own.get("source").is_some_and(|source| !source.is_empty());
    VolumeTraits {
        name,
        rw: on("rw", class.map(|c| c.rw)),
        save_on_stop: on("save_on_stop", class.map(|c| c.save_on_stop)),
        snap_on_start: on("snap_on_start", class.map(|c| c.snap_on_start)),
        has_source,
        revisions_to_keep: own
            .get("revisions_to_keep")
            .and_then(|text| read_int(text)?.as_int()),
    }
}

/// Iterates over the names of a qube's volumes: those of its class, then the custom ones.
pub fn names(vm: &Vm) -> impl Iterator<Item = &str> {
    let class = vm.class.volumes().iter().map(|v| v.name);
    let further = vm.volumes.iter().map(|v| v.name());
    class.chain(further.filter(|name| vm.class.volumes().iter().all(|v| v.name != *name)))
}

/// Returns whether a flag is true.
fn is_true(text: &str) -> bool {
    BooleanDialect::VolumeFlag.is_true(text)
}

/// Parses a number of up to 18 digits, which cannot overflow.
fn plain_number(text: &str) -> Option<u64> {
    let add = |number, byte: u8| match byte {
        b'0'..=b'9' => Some(10 * number + u64::from(byte - b'0')),
        _ => None,
    };
    if (1..=18).contains(&text.len()) {
        text.bytes().try_fold(0, add)
    } else {
        None
    }
}

fn number(
    vm: &Vm,
    volume: &str,
    own: &TextMap,
    attribute: &'static str,
) -> Result<Option<i64>, VolumeError> {
    let Some(text) = own.get(attribute) else {
        return Ok(None);
    };
    let bad = || VolumeError::InvalidNumber {
        vm: vm.name.to_string(),
        volume: volume.to_owned(),
        attribute,
        text: text.to_owned(),
    };
    // As qubesd reads it, but a number beyond 64 bits becomes the nearest one.
    read_int(text)
        .and_then(|number| number.as_int())
        .map(Some)
        .ok_or_else(bad)
}
