//! Everything in a store that upstream would refuse, read otherwise than it stands there, or lose
//! (`docs/spec/r4-xml.md` §2), with what a repair would do about it. Looks at what is explicitly
//! set; what merely follows from it is not told again.

mod cross_qube;
mod devices;
mod fast_check;
mod finding_kind;
mod netvm_loops;
mod paths;
mod pools;
mod properties;
mod remedies;
mod system;
mod volumes;

pub use cross_qube::UniqueNumbers;
pub use finding_kind::FindingKind;

use std::fmt;

use super::facts::Facts;
use super::name::VmName;
use super::qubes::Qubes;
use super::vm::Vm;
pub use netvm_loops::NetvmLoops;
use volumes::Vids;

/// Where in the store something is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// The pool at this position among those that have a name.
    Pool(usize),
    Global(String),
    Qube {
        name: VmName,
        part: QubePart,
    },
}

/// What of a qube.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QubePart {
    /// The domain element itself.
    Domain,
    Property(String),
    Tag(String),
    Feature(String),
    /// The assignment at this position of the device class at that one.
    Device {
        class: usize,
        position: usize,
    },
    Volume(String),
}

/// What upstream makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// It refuses the whole file: qubesd does not start.
    Refused,
    /// It loads the file, and means something else by it or loses it.
    Misread,
}

/// What a repair would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// Take the explicit value out, so that the default counts.
    Reset { property: String },
    /// Write this value.
    Set { property: String, value: String },
    /// Take out the element that the finding is at.
    Remove { what: String },
    /// Take these attributes out of the element that the finding is at.
    RemoveAttributes(Vec<String>),
    /// Give the element that the finding is at this attribute.
    SetAttribute { name: &'static str, value: String },
    /// Give the qube a new uuid.
    NewUuid,
    /// Give the qube a qid that nobody has.
    NewQid,
    /// Give the qube this name, which nobody has.
    NewName(String),
    /// Take what can be read of a file that is damaged as a text; in words what that means here.
    Salvage(String),
    /// Only a person can decide it: what to do.
    Manual(String),
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub at: Location,
    pub kind: FindingKind,
    pub harm: Harm,
    /// One line for a person, without the qube's name.
    pub text: String,
    pub remedy: Remedy,
}

impl Remedy {
    /// Whether a repair can do it by itself.
    pub fn is_automatic(&self) -> bool {
        !matches!(self, Remedy::Manual(_))
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
    /// Whether the qube it is about cannot be relied on: upstream refuses the store for it, or
    /// takes it for another.
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
    /// The qube it is about.
    pub fn qube(&self) -> Option<&VmName> {
        match self {
            Location::Qube { name, .. } => Some(name),
            _ => None,
        }
    }

    fn property(name: &VmName, property: &str) -> Location {
        Location::Qube {
            name: name.clone(),
            part: QubePart::Property(property.to_owned()),
        }
    }

    fn domain(name: &VmName) -> Location {
        Location::Qube {
            name: name.clone(),
            part: QubePart::Domain,
        }
    }
}

impl Qubes {
    /// What is wrong with pools, global properties and every qube: subject by subject, qube by
    /// qube. What the reader of the file diagnosed (`diagnoses`) is not among it.
    pub fn findings(&self, facts: &dyn Facts) -> Vec<Finding> {
        let mut found = self.system_findings(facts);
        let (vids, mut loops) = (Vids::new(self), NetvmLoops::default());
        for vm in self.iter() {
            self.check_qube(vm, Some(&vids), facts, &mut loops, &mut found);
        }
        self.check_numbers(&mut found);
        found
    }

    /// What is wrong with pools and global properties.
    pub fn system_findings(&self, facts: &dyn Facts) -> Vec<Finding> {
        let mut found = Vec::new();
        self.check_pools(facts, &mut found);
        self.check_pool_paths(&mut found);
        self.check_globals(facts, &mut found);
        found
    }

    /// What is wrong with one qube and what it refers to; that another has its number or its images
    /// is not among it. `ways` is for one look at many: it remembers their netvms.
    pub fn qube_findings<'q>(
        &'q self,
        vm: &Vm,
        facts: &'q dyn Facts,
        loops: &mut NetvmLoops<'q>,
    ) -> Vec<Finding> {
        let mut found = Vec::new();
        self.check_qube(vm, None, facts, loops, &mut found);
        found
    }

    /// What upstream refuses the store for in one qube: what of [`Qubes::qube_findings`] is
    /// [`Harm::Refused`].
    pub fn qube_refusals<'q>(
        &'q self,
        vm: &Vm,
        facts: &'q dyn Facts,
        loops: &mut NetvmLoops<'q>,
    ) -> Vec<Finding> {
        if self.is_clearly_valid(vm, facts, loops) {
            return Vec::new();
        }
        let mut found = self.qube_findings(vm, facts, loops);
        found.retain(|finding| finding.harm == Harm::Refused);
        found
    }

    /// What makes a qube unreliable by itself: its diagnoses, and what upstream refuses the store
    /// for.
    pub fn qube_problems<'q>(
        &'q self,
        vm: &Vm,
        facts: &'q dyn Facts,
        loops: &mut NetvmLoops<'q>,
    ) -> Vec<String> {
        let mut texts: Vec<String> = vm.diagnoses.iter().map(|d| d.text.clone()).collect();
        // What of a domain cannot be read at all has no values that could be wrong; and what R4
        // wants of a qube, one of R1 to R3 gets when it is converted.
        if (vm.diagnoses.is_empty() || !vm.properties.is_empty())
            && !self.needs_conversion
            && !self.is_clearly_valid(vm, facts, loops)
        {
            let own = self.qube_findings(vm, facts, loops);
            texts.extend(own.into_iter().filter(Finding::is_breaking).map(|f| f.text));
        }
        texts
    }

    fn check_qube<'q>(
        &'q self,
        vm: &Vm,
        vids: Option<&Vids>,
        facts: &'q dyn Facts,
        loops: &mut NetvmLoops<'q>,
        found: &mut Vec<Finding>,
    ) {
        self.check_properties(vm, facts, found);
        self.check_network(vm, facts, loops, found);
        self.check_tags(vm, found);
        self.check_features(vm, facts, found);
        self.check_devices(vm, facts, found);
        self.check_volumes(vm, vids, facts, found);
        self.check_volume_paths(vm, found);
    }
}
