//! Findings: everything in a store that upstream would refuse, misread or lose
//! (`docs/spec/r4-xml.md` §2), each with the remedy that a repair applies. Only explicit values
//! are checked; errors of values that depend on them are not reported again.

mod cross_qube;
mod devices;
mod finding_kind;
mod netvm_loops;
mod paths;
mod pools;
mod problem;
mod properties;
mod remedies;
mod system;
mod vids;
mod volume_attributes;
mod volumes;

pub use cross_qube::UniqueNumbers;
pub use finding_kind::FindingKind;
pub use remedies::apply_remedies;

use std::fmt;

use super::facts::Facts;
use super::name::VmName;
use super::qubes::Qubes;
use super::vm::Vm;
pub use netvm_loops::NetvmLoops;
use problem::Problem;
use vids::Vids;

/// The place of a finding in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// The pool at this position among the pools with a name.
    Pool(usize),
    /// The global property of this name.
    Global(String),
    /// A part of a qube.
    Qube {
        /// The qube's name.
        name: VmName,
        /// The part.
        part: QubePart,
    },
}

/// A part of a qube's domain element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QubePart {
    /// The domain element itself.
    Domain,
    /// The property of this name.
    Property(String),
    /// This tag.
    Tag(String),
    /// The feature of this name.
    Feature(String),
    /// A device assignment.
    Device {
        /// The position of the device class in the domain.
        class: usize,
        /// The position of the assignment in its class.
        position: usize,
    },
    /// The volume of this name.
    Volume(String),
}

/// What upstream does with an invalid part of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// Refuses the whole file: qubesd does not start.
    Refused,
    /// Loads the file, but understands the part differently or loses it.
    Misread,
}

impl Harm {
    fn of_refusal(is_refused: bool) -> Harm {
        match is_refused {
            true => Harm::Refused,
            false => Harm::Misread,
        }
    }
}

/// What a repair does about a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// Remove the explicit value, so that the default is in effect.
    Reset {
        /// The name of the property.
        property: String,
    },
    /// Write this value.
    Set {
        /// The name of the property.
        property: String,
        /// The text to store; empty for no qube.
        value: String,
    },
    /// Remove the element of the finding; `what` names it.
    Remove {
        /// The element in words for messages: `property NAME`, `the tag`.
        what: String,
    },
    /// Remove these attributes from the element of the finding.
    RemoveAttributes(Vec<String>),
    /// Set this attribute of the element of the finding.
    SetAttribute {
        /// The name of the attribute: `id` of a label, `class` of a domain, `pool` of a volume.
        name: &'static str,
        /// The new text of the attribute.
        value: String,
    },
    /// Give the qube a new UUID.
    NewUuid,
    /// Give the qube an unused qid.
    NewQid,
    /// Give the qube this name, which is unused.
    NewName(String),
    /// Keep what can be read of a file that is damaged as XML; the text says what that means here.
    Salvage(String),
    /// Nothing, because only a person can decide; the text says what to do.
    Manual(String),
}

/// One invalid part of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its place in the store.
    pub at: Location,
    /// What is wrong.
    pub kind: FindingKind,
    /// What upstream does with it.
    pub harm: Harm,
    /// A description in one line, without the qube's name.
    pub text: String,
    /// What a repair does about it.
    pub remedy: Remedy,
}

impl Remedy {
    /// Returns whether a repair can apply it without a person.
    pub fn is_automatic(&self) -> bool {
        !matches!(self, Remedy::Manual(_))
    }

    /// Returns the remedy to remove the explicit value of a property.
    fn reset(property: &str) -> Remedy {
        let property = property.to_owned();
        Remedy::Reset { property }
    }

    /// Returns the remedy to store this value of a property.
    fn set(property: &str, value: impl Into<String>) -> Remedy {
        let (property, value) = (property.to_owned(), value.into());
        Remedy::Set { property, value }
    }

    /// Returns the remedy to remove the element that `what` names.
    fn remove(what: impl Into<String>) -> Remedy {
        Remedy::Remove { what: what.into() }
    }

    /// Returns the remedy to remove these attributes.
    fn remove_attributes<'a>(names: impl IntoIterator<Item = &'a str>) -> Remedy {
        Remedy::RemoveAttributes(names.into_iter().map(str::to_owned).collect())
    }

    /// Returns the words for a person who has to decide.
    fn manual(text: impl Into<String>) -> Remedy {
        Remedy::Manual(text.into())
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remedy::Reset { property } => {
                write!(f, "take {property} out, so that the default counts")
            }
            Remedy::Set { property, value } if value.is_empty() => {
                write!(f, "set {property} to none")
            }
            Remedy::Set { property, value } => write!(f, "set {property} to '{value}'"),
            Remedy::Remove { what } => write!(f, "take {what} out"),
            Remedy::RemoveAttributes(names) => write!(f, "take out {}", names.join(", ")),
            Remedy::SetAttribute { name, value } => write!(f, "make it {name}=\"{value}\""),
            Remedy::NewUuid => f.write_str("give it a new uuid"),
            Remedy::NewQid => f.write_str("give it a free qid"),
            Remedy::NewName(name) => write!(f, "call it '{name}'"),
            Remedy::Salvage(what) => f.write_str(what),
            Remedy::Manual(what) => write!(f, "by hand: {what}"),
        }
    }
}

impl Finding {
    /// Returns whether the qube of the finding cannot be used reliably: upstream refuses the store
    /// for it, or confuses the qube with another.
    pub fn is_breaking(&self) -> bool {
        let kinds = [
            FindingKind::MissingProperty,
            FindingKind::NetvmLoop,
            FindingKind::UuidTwice,
            FindingKind::VolumeShared,
        ];
        self.harm == Harm::Refused || kinds.contains(&self.kind)
    }
}

impl Location {
    /// Returns the qube of the place, if it is in one.
    pub fn qube(&self) -> Option<&VmName> {
        match self {
            Location::Qube { name, .. } => Some(name),
            _ => None,
        }
    }

    fn part(name: &VmName, part: QubePart) -> Location {
        let name = name.clone();
        Location::Qube { name, part }
    }

    fn property(name: &VmName, property: &str) -> Location {
        Location::part(name, QubePart::Property(property.to_owned()))
    }
}

/// Checks pools, global properties and every qube, in this order. Diagnoses of the file's
/// reader (`diagnoses`) are not included.
pub fn findings(qubes: &Qubes, facts: &dyn Facts) -> Vec<Finding> {
    let mut found = system_findings(qubes, facts);
    let (vids, mut loops) = (Vids::new(qubes), NetvmLoops::default());
    for vm in qubes.iter() {
        check_qube(qubes, vm, Some(&vids), facts, &mut loops, &mut found);
    }
    cross_qube::check_numbers(qubes, &mut found);
    found
}

/// Checks pools and global properties.
pub fn system_findings(qubes: &Qubes, facts: &dyn Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    pools::check_pools(qubes, facts, &mut found);
    paths::check_pool_paths(qubes, &mut found);
    system::check_globals(qubes, facts, &mut found);
    found
}

/// Checks one qube and its references. Numbers and images shared with another qube are not
/// included. `loops` caches netvm chains while many qubes are checked.
pub fn qube_findings<'q>(
    qubes: &'q Qubes,
    vm: &Vm,
    facts: &'q dyn Facts,
    loops: &mut NetvmLoops<'q>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    check_qube(qubes, vm, None, facts, loops, &mut found);
    found
}

/// Returns the findings of one qube for which upstream refuses the store: those of
/// [`qube_findings`] with [`Harm::Refused`].
pub fn qube_refusals<'q>(
    qubes: &'q Qubes,
    vm: &Vm,
    facts: &'q dyn Facts,
    loops: &mut NetvmLoops<'q>,
) -> Vec<Finding> {
    let mut found = qube_findings(qubes, vm, facts, loops);
    found.retain(|finding| finding.harm == Harm::Refused);
    found
}

/// Describes what makes a qube unreliable by itself: its diagnoses and the findings that are
/// breaking ([`Finding::is_breaking`]).
pub fn qube_problems<'q>(
    qubes: &'q Qubes,
    vm: &Vm,
    facts: &'q dyn Facts,
    loops: &mut NetvmLoops<'q>,
) -> Vec<String> {
    let mut texts: Vec<String> = vm.diagnoses.iter().map(|d| d.text.clone()).collect();
    // An unreadable domain has no values to check, and a store of R1 to R3 gets the values that
    // R4 requires when it is converted.
    if (vm.diagnoses.is_empty() || !vm.properties.is_empty()) && !qubes.needs_conversion {
        let own = qube_findings(qubes, vm, facts, loops);
        texts.extend(own.into_iter().filter(Finding::is_breaking).map(|f| f.text));
    }
    texts
}

fn check_qube<'q>(
    qubes: &'q Qubes,
    vm: &Vm,
    vids: Option<&Vids>,
    facts: &'q dyn Facts,
    loops: &mut NetvmLoops<'q>,
    found: &mut Vec<Finding>,
) {
    properties::check_properties(qubes, vm, facts, found);
    cross_qube::check_network(qubes, vm, facts, loops, found);
    properties::check_tags(vm, found);
    properties::check_features(vm, facts, found);
    devices::check_devices(qubes, vm, facts, found);
    volumes::check_volumes(qubes, vm, vids, facts, found);
    paths::check_volume_paths(qubes, vm, found);
}
