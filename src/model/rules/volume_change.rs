//! Changes of volume options: how many revisions are kept, whether the volume is writable, and
//! whether it is ephemeral (`docs/spec/r4-storage.md` §1, §3).

use super::pool_change::{PoolError, boolean, revisions};
use crate::model::boolean::boolean_text;
use crate::model::class::Class;
use crate::model::draft::Draft;
use crate::model::effect::Change;
use crate::model::facts::Facts;
use crate::model::name::VmName;
use crate::model::pool_driver::DriverSpec;
use crate::model::power::PowerState;
use crate::model::qubes::Qubes;
use crate::model::text_map::TextMap;
use crate::model::vm::Vm;
use crate::model::volume;
use crate::model::volume::{Volume, VolumeError};

/// An option of a volume that the user may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VolumeOption {
    /// Whether the guest can write to the volume.
    Rw,
    /// How many revisions are kept; −1 means no snapshots at all.
    RevisionsToKeep,
    /// Whether the volume is encrypted with a key that is never stored.
    Ephemeral,
}

/// Why a volume option cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VolumeChangeError {
    /// No volume has an option of this name.
    #[error("Invalid property: {0}")]
    NoSuchOption(String),
    /// Upstream's text for a value that is not a number or is less than -1.
    #[error("Invalid value for revisions_to_keep")]
    InvalidRevisions,
    /// A rule forbids the change.
    #[error("{vm}:{volume}: {rule}")]
    Refused {
        /// The name of the qube.
        vm: VmName,
        /// The name of the volume.
        volume: String,
        /// The rule that the change breaks.
        rule: VolumeRule,
    },
    /// The volume cannot be resolved.
    #[error(transparent)]
    Volume(#[from] VolumeError),
}

/// A rule for the options of volumes, as a change breaks it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VolumeRule {
    /// The value is invalid for this volume and its pool, or for the release of the store.
    #[error(transparent)]
    Value(#[from] PoolError),
    /// Volumes of this kind do not have the option.
    #[error("{option} cannot be set: {reason}")]
    NotSettable {
        /// The name of the option.
        option: &'static str,
        /// Why the volume cannot have the option.
        reason: &'static str,
    },
    /// The change is possible only while the qube is halted.
    #[error("{option} can be changed only while {vm} is halted, and it is {state}")]
    NotHalted {
        /// The name of the qube.
        vm: VmName,
        /// The option, with a restriction to some values if there is one.
        option: &'static str,
        /// The power state of the qube.
        state: PowerState,
    },
    /// A disposable that is based on the qube is not halted, and its snapshots depend on the
    /// change.
    #[error(
        "revisions_to_keep can be set to or from -1 (no snapshots) only while no disposable of \
         {vm} runs, and {disposable} does"
    )]
    DisposableRuns {
        /// The name of the qube.
        vm: VmName,
        /// The name of the first such disposable.
        disposable: VmName,
    },
}

impl VolumeOption {
    /// Returns the option of this name.
    ///
    /// # Errors
    /// There is no such option.
    pub fn parse(name: &str) -> Result<VolumeOption, VolumeChangeError> {
        match name {
            "rw" => Ok(VolumeOption::Rw),
            "revisions_to_keep" => Ok(VolumeOption::RevisionsToKeep),
            "ephemeral" => Ok(VolumeOption::Ephemeral),
            other => Err(VolumeChangeError::NoSuchOption(other.to_owned())),
        }
    }

    /// Returns the name of the attribute in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            VolumeOption::Rw => "rw",
            VolumeOption::RevisionsToKeep => "revisions_to_keep",
            VolumeOption::Ephemeral => "ephemeral",
        }
    }

    /// Every option.
    pub const ALL: [VolumeOption; 3] = [
        VolumeOption::Rw,
        VolumeOption::RevisionsToKeep,
        VolumeOption::Ephemeral,
    ];
}

/// Sets an option of one volume of a qube.
///
/// # Errors
/// The qube has no such volume, or the value breaks a rule; nothing was changed.
pub fn set_option(
    draft: &mut Draft,
    vm: &Vm,
    volume: &str,
    option: VolumeOption,
    text: &str,
    facts: &dyn Facts,
) -> Result<Change, VolumeChangeError> {
    let qubes = &mut draft.qubes;
    let resolved = volume::resolve(qubes, vm, volume, facts)?;
    let proposed = OptionChange {
        qubes,
        vm,
        volume: &resolved,
        option,
        facts,
    };
    let stored = proposed.decide(text)?;
    set_attribute(
        qubes,
        &vm.name,
        &resolved,
        option.as_str(),
        stored.as_deref(),
        facts,
    );
    Ok(Change::STORE_ONLY)
}

/// Stores the size of a volume in bytes.
///
/// # Errors
/// The qube has no such volume.
pub fn set_size(
    draft: &mut Draft,
    vm: &Vm,
    volume: &str,
    bytes: u64,
    facts: &dyn Facts,
) -> Result<Change, VolumeChangeError> {
    let qubes = &mut draft.qubes;
    let resolved = volume::resolve(qubes, vm, volume, facts)?;
    let text = bytes.to_string();
    set_attribute(qubes, &vm.name, &resolved, "size", Some(&text), facts);
    Ok(Change::STORE_ONLY)
}

/// Changes one attribute of a volume's configuration. A volume without a configuration gets a
/// complete one first.
fn set_attribute(
    qubes: &mut Qubes,
    vm: &VmName,
    volume: &Volume,
    attribute: &str,
    text: Option<&str>,
    facts: &dyn Facts,
) {
    let in_full = volume.config_for(facts.host().release());
    let Some(vm) = qubes.edit(vm.as_str()) else {
        return;
    };
    if vm.volume(&volume.name).is_none() {
        vm.volumes.push(in_full);
    }
    for own in vm
        .volumes
        .iter_mut()
        .filter(|own| own.name() == volume.name)
    {
        match text {
            Some(text) => {
                let is_new = !own.attributes.contains(attribute);
                own.attributes.set(attribute, text);
                if is_new {
                    own.attributes = sort_attributes(&own.attributes);
                }
            }
            None => drop(own.attributes.remove(attribute)),
        }
    }
}

/// Sorts attributes in upstream's order (`docs/spec/r4-xml.md` §1.8), unknown ones last.
fn sort_attributes(attributes: &TextMap) -> TextMap {
    let mut sorted: Vec<(&str, &str)> = attributes.iter().collect();
    let order = volume::ATTRIBUTES;
    sorted.sort_by_key(|(name, _)| {
        let place = order.iter().position(|known| known == name);
        place.unwrap_or(order.len())
    });
    sorted.into_iter().collect()
}

/// A requested change of one volume option.
struct OptionChange<'a> {
    qubes: &'a Qubes,
    vm: &'a Vm,
    volume: &'a Volume,
    option: VolumeOption,
    facts: &'a dyn Facts,
}

impl OptionChange<'_> {
    /// Checks the value and returns the text to store; `None` removes the attribute.
    fn decide(&self, text: &str) -> Result<Option<String>, VolumeChangeError> {
        if DriverSpec::has_kernels(&self.volume.driver) {
            return Err(self.not_settable("kernels are read-only and have no revisions"));
        }
        match self.option {
            VolumeOption::Rw => self.rw(text),
            VolumeOption::RevisionsToKeep => self.revisions(text),
            VolumeOption::Ephemeral => self.ephemeral(text),
        }
    }

    fn rw(&self, text: &str) -> Result<Option<String>, VolumeChangeError> {
        let rw = self.boolean(text)?;
        if rw != self.volume.rw {
            self.refuse_unless_halted("rw")?;
        }
        // Releases up to 4.4.0 read `False` as true, but they read a missing attribute as the
        // class's default, which may be true as well. So a false value is stored.
        Ok(Some(boolean_text(rw).to_owned()))
    }

    fn revisions(&self, text: &str) -> Result<Option<String>, VolumeChangeError> {
        let number: i64 = text
            .trim()
            .parse()
            .map_err(|_| VolumeChangeError::InvalidRevisions)?;
        if number < -1 {
            return Err(VolumeChangeError::InvalidRevisions);
        }
        let most = DriverSpec::find(&self.volume.driver)
            .and_then(|d| d.max_revisions)
            .unwrap_or(i64::MAX);
        revisions(text, most, self.facts.host().release())
            .map_err(|error| self.refused(error.into()))?;
        let is_origin = self.volume.save_on_stop && !self.volume.snap_on_start;
        if is_origin && (number == -1) != (self.volume.revisions_to_keep == -1) {
            self.refuse_unless_halted("revisions_to_keep to or from -1 (no snapshots)")?;
            self.refuse_running_disposables()?;
        }
        Ok(Some(number.to_string()))
    }

    fn ephemeral(&self, text: &str) -> Result<Option<String>, VolumeChangeError> {
        let ephemeral = self.boolean(text)?;
        let release = self.facts.host().release();
        if !release.has_ephemeral_volumes() {
            let option = "ephemeral";
            return Err(self.refused(PoolError::TooNew { option, release }.into()));
        }
        let is_volatile = self.volume.rw && !self.volume.save_on_stop && !self.volume.snap_on_start;
        if ephemeral && !is_volatile {
            return Err(self.not_settable("only a writable volatile volume can be ephemeral"));
        }
        if ephemeral != self.volume.ephemeral {
            self.refuse_unless_halted("ephemeral")?;
        }
        let pools = self
            .qubes
            .pools
            .get(&self.volume.pool)
            .is_some_and(crate::model::Pool::ephemeral_volatile);
        Ok(match ephemeral {
            true => Some("True".to_owned()),
            // Releases up to 4.3 read a stored `False` as true, so for them it is stored only where
            // the pool says true anyway.
            false => (is_volatile && (pools || release.can_read_false_flags()))
                .then(|| "False".to_owned()),
        })
    }

    fn boolean(&self, text: &str) -> Result<bool, VolumeChangeError> {
        boolean(self.option.as_str(), text).map_err(|error| self.refused(error.into()))
    }

    fn refused(&self, rule: VolumeRule) -> VolumeChangeError {
        VolumeChangeError::Refused {
            vm: self.vm.name.clone(),
            volume: self.volume.name.clone(),
            rule,
        }
    }

    fn not_settable(&self, reason: &'static str) -> VolumeChangeError {
        let option = self.option.as_str();
        self.refused(VolumeRule::NotSettable { option, reason })
    }

    fn refuse_unless_halted(&self, option: &'static str) -> Result<(), VolumeChangeError> {
        let vm = self.vm.name.clone();
        match self.facts.power_state(self.vm) {
            PowerState::Halted => Ok(()),
            state => Err(self.refused(VolumeRule::NotHalted { vm, option, state })),
        }
    }

    fn refuse_running_disposables(&self) -> Result<(), VolumeChangeError> {
        let is_based_on_qube =
            |vm: &&Vm| vm.properties.get("template") == Some(self.vm.name.as_str());
        let disposables = self
            .qubes
            .names_with_classes()
            .filter(|(_, class)| **class == Class::DispVM);
        let mut running = disposables
            .filter_map(|(name, _)| self.qubes.get(name.as_str()))
            .filter(is_based_on_qube)
            .filter(|vm| self.facts.power_state(vm) != PowerState::Halted);
        match running.next() {
            None => Ok(()),
            Some(disposable) => Err(self.refused(VolumeRule::DisposableRuns {
                vm: self.vm.name.clone(),
                disposable: disposable.name.clone(),
            })),
        }
    }
}
