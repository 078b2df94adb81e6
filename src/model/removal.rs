//! Who uses a qube, and whether it may go (`docs/spec/r4-properties.md` §8).

use std::fmt;

use super::class::Class;
use super::facts::Facts;
use super::power::PowerState;
use super::property::{Effect, ValueType, class_properties, global_properties};
use super::qubes::Qubes;
use super::vm::{Vm, VolumeConfig};
use super::volume::{ResolvedVolume, VolumeError, volume_names};

/// One use of a qube. Prints as upstream's tool does: `netvm for work`, `global property clockvm`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum QubeUse {
    Global {
        property: &'static str,
    },
    Qube {
        vm: String,
        property: &'static str,
    },
    Device {
        frontend: String,
        class: String,
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
    #[error("no such domain: '{0}'")]
    NoSuchQube(String),
    #[error("Domain 'dom0' cannot be removed.")]
    Dom0,
    #[error("Domain '{0}' was installed by the package manager; remove its package instead")]
    InstalledByRpm(String),
    #[error("Domain is not powered off: '{0}'")]
    NotHalted(String),
    #[error(
        "two domains of the store are called '{0}', and share their images; qubes-db repair tells them apart"
    )]
    DuplicateName(String),
    #[error(
        "volume '{volume}' of '{vm}' is the one of '{other}', too; qubes-db repair gives it one of its own"
    )]
    SharedVolume {
        vm: String,
        volume: String,
        other: String,
    },
    #[error("Domain is in use: '{vm}'")]
    InUse { vm: String, uses: Vec<QubeUse> },
}

/// A volume that goes with its qube.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemovableVolume {
    Resolved(Box<ResolvedVolume>),
    /// Only where it lies is known.
    Location {
        pool: String,
        vid: String,
    },
    /// A kernel, of which nothing is the qube's.
    Kernel,
}

impl Qubes {
    /// Every use of a qube that keeps it from being removed, in the order in which they are
    /// printed: global properties that are worth it, explicit properties of other qubes, devices it
    /// provides.
    pub fn find_qube_uses(&self, name: &str, facts: &dyn Facts) -> Vec<QubeUse> {
        let refers = |kind: ValueType| matches!(kind, ValueType::Qube { .. });
        let mut uses: Vec<QubeUse> = global_properties()
            .filter(|p| refers(p.value_type))
            .filter(|p| {
                self.global_value(p, facts)
                    .is_ok_and(|v| v.as_qube().is_some_and(|q| *q == name))
            })
            .map(|p| QubeUse::Global { property: p.name })
            .collect();
        for vm in self.iter().filter(|vm| vm.name != name) {
            let explicit = class_properties(&vm.class)
                .filter(|p| refers(p.value_type) && vm.properties.get(p.name) == Some(name))
                .filter(|p| !self.is_preloads_own(vm, p.name));
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

    /// Whether a property of a disposable that was started in advance goes with its template
    /// anyway.
    fn is_preloads_own(&self, vm: &Vm, property: &str) -> bool {
        let is_template = vm.properties.get(property) == vm.properties.get("template");
        matches!(
            property,
            "template" | "default_dispvm" | "management_dispvm"
        ) && is_template
            && self.is_preloaded(vm)
    }

    /// Decides whether a qube may be removed; changes nothing.
    ///
    /// # Errors
    /// It may not, with the reason.
    pub fn plan_removal(&self, name: &str, facts: &dyn Facts) -> Result<&Vm, RemovalError> {
        let vm = self
            .get(name)
            .ok_or_else(|| RemovalError::NoSuchQube(name.to_owned()))?;
        if vm.class == Class::AdminVM {
            return Err(RemovalError::Dom0);
        }
        if self.duplicate_names.iter().any(|double| *double == name) {
            return Err(RemovalError::DuplicateName(name.to_owned()));
        }
        self.refuse_shared_volumes(vm)?;
        let uses = self.find_qube_uses(name, facts);
        if !uses.is_empty() {
            return Err(RemovalError::InUse {
                vm: name.to_owned(),
                uses,
            });
        }
        if self.is_on(vm, "installed_by_rpm", facts) {
            return Err(RemovalError::InstalledByRpm(name.to_owned()));
        }
        if vm.class.is_local_guest() && facts.power_state(vm) != PowerState::Halted {
            return Err(RemovalError::NotHalted(name.to_owned()));
        }
        Ok(vm)
    }

    /// No images go that are those of another qube, too.
    fn refuse_shared_volumes(&self, vm: &Vm) -> Result<(), RemovalError> {
        let place = |volume: &VolumeConfig| -> Option<(String, String)> {
            let pool = self
                .pools
                .get(volume.attributes.get("pool")?)
                .filter(|p| p.driver() != "linux-kernel")?;
            let vid = volume.attributes.get("vid").filter(|vid| !vid.is_empty())?;
            Some((pool.name().to_owned(), vid.to_owned()))
        };
        let own: Vec<_> = vm
            .volumes
            .iter()
            .filter_map(|v| Some((v.name(), place(v)?)))
            .collect();
        for other in self.iter().filter(|other| other.name != vm.name) {
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

    /// Every volume of a qube that is to go, as far as each can be told: of one that cannot, but of
    /// which pool and vid stand in the store, those are enough. What is left nobody can find.
    pub fn volumes_to_remove(
        &self,
        vm: &Vm,
        facts: &dyn Facts,
    ) -> Vec<Result<RemovableVolume, VolumeError>> {
        let one = |name: &str| {
            self.volume(vm, name, facts)
                .map(|volume| RemovableVolume::Resolved(Box::new(volume)))
                .or_else(|error| {
                    let own = vm.volume(name).map(|v| &v.attributes);
                    let pool = own
                        .and_then(|own| own.get("pool"))
                        .and_then(|pool| self.pools.get(pool));
                    let vid = own
                        .and_then(|own| own.get("vid"))
                        .filter(|vid| !vid.is_empty());
                    match pool.zip(vid) {
                        Some((pool, _)) if pool.driver() == "linux-kernel" => {
                            Ok(RemovableVolume::Kernel)
                        }
                        Some((pool, vid)) => Ok(RemovableVolume::Location {
                            pool: pool.name().to_owned(),
                            vid: vid.to_owned(),
                        }),
                        None => Err(error),
                    }
                })
        };
        volume_names(vm).map(one).collect()
    }

    /// Takes a qube out of the database, if it may go, with every explicit global property that
    /// still names it.
    ///
    /// # Errors
    /// Nothing was changed: it may not go.
    pub fn remove_if_unused(
        &mut self,
        name: &str,
        facts: &dyn Facts,
    ) -> Result<(Vm, Vec<Effect>), RemovalError> {
        let starts_at_boot = self.is_on(self.plan_removal(name, facts)?, "autostart", facts);
        let vm = self
            .remove(name)
            .ok_or_else(|| RemovalError::NoSuchQube(name.to_owned()))?;
        for property in
            global_properties().filter(|p| matches!(p.value_type, ValueType::Qube { .. }))
        {
            if self.globals.get(property.name) == Some(name) {
                self.globals.remove(property.name);
            }
        }
        let effect = Effect::Autostart {
            vm: vm.name.clone(),
            on: false,
        };
        Ok((vm, starts_at_boot.then_some(effect).into_iter().collect()))
    }
}
