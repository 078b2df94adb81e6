//! Everything in a store that upstream would refuse, read otherwise than it stands there, or lose (`spec/r4-xml.md` §2),
//! with what a repair would do about it. Looks at what is explicitly set; what merely follows from it is not told again.

mod between;
mod devices;
mod properties;
mod system;
mod volumes;

use std::fmt;

use super::facts::Facts;
use super::name::VmName;
use super::qubes::Qubes;

/// Where in the store something is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    Label(u32),
    /// The pool at this position among those that have a name.
    Pool(usize),
    Global(String),
    Qube {
        name: VmName,
        part: Part,
    },
}

/// What of a qube.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The domain element itself.
    Domain,
    Property(String),
    Tag(String),
    /// The assignment at this position of a device class.
    Device {
        class: String,
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
    TakeOut { what: String },
    /// Take these attributes out of the element that the finding is at.
    TakeOutAttributes(Vec<String>),
    /// Give the qube a new uuid.
    NewUuid,
    /// Give the qube a qid that nobody has.
    NewQid,
    /// Only a person can decide it: what to do.
    ByHand(String),
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub at: At,
    pub harm: Harm,
    /// One line for a person, without the qube's name.
    pub text: String,
    pub remedy: Remedy,
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remedy::Reset { property } => write!(f, "take {property} out, so that the default counts"),
            Remedy::Set { property, value } if value.is_empty() => write!(f, "set {property} to none"),
            Remedy::Set { property, value } => write!(f, "set {property} to '{value}'"),
            Remedy::TakeOut { what } => write!(f, "take {what} out"),
            Remedy::TakeOutAttributes(names) => write!(f, "take out {}", names.join(", ")),
            Remedy::NewUuid => f.write_str("give it a new uuid"),
            Remedy::NewQid => f.write_str("give it a free qid"),
            Remedy::ByHand(what) => write!(f, "by hand: {what}"),
        }
    }
}

impl At {
    /// The qube it is about.
    pub fn qube(&self) -> Option<&VmName> {
        match self {
            At::Qube { name, .. } => Some(name),
            _ => None,
        }
    }

    fn property(name: &VmName, property: &str) -> At {
        At::Qube { name: name.clone(), part: Part::Property(property.to_owned()) }
    }

    fn domain(name: &VmName) -> At {
        At::Qube { name: name.clone(), part: Part::Domain }
    }
}

impl Qubes {
    /// What is wrong with labels, pools, global properties and every qube: subject by subject, qube by qube. What the
    /// reader of the file diagnosed (`diagnoses`) is not among it.
    pub fn findings(&self, facts: &dyn Facts) -> Vec<Finding> {
        let mut found = Vec::new();
        self.check_labels(&mut found);
        self.check_pools(facts, &mut found);
        self.check_globals(facts, &mut found);
        for vm in self.iter() {
            self.check_properties(vm, facts, &mut found);
            self.check_network(vm, facts, &mut found);
            self.check_tags(vm, &mut found);
            self.check_devices(vm, facts, &mut found);
            self.check_volumes(vm, facts, &mut found);
        }
        self.check_numbers(&mut found);
        found
    }
}
