//! The classes of qubes.

use std::fmt;

/// The class of a qube. An unknown class is kept under its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Class {
    /// dom0, the administrative domain. It has no volumes.
    AdminVM,
    /// A template: AppVMs based on it start with a snapshot of its root volume.
    TemplateVM,
    /// A qube based on a TemplateVM: its root volume is a snapshot, its private volume its own.
    AppVM,
    /// A qube without a template: its root and private volumes are its own.
    StandaloneVM,
    /// A disposable: its root and private volumes are snapshots, lost when it stops.
    DispVM,
    /// A qube on another machine, without a domain or volumes here (since 4.3).
    RemoteVM,
    /// A class that R4 does not have, under its name in the store.
    Unknown(Box<str>),
}

impl Class {
    /// Every class that exists in R4 (`docs/spec/r4-xml.md` §1.4), sorted by name.
    pub const ALL: [Class; 6] = [
        Class::AdminVM,
        Class::AppVM,
        Class::DispVM,
        Class::RemoteVM,
        Class::StandaloneVM,
        Class::TemplateVM,
    ];

    /// Returns the class of this name, [`Class::Unknown`] if there is none.
    pub fn from_store(text: &str) -> Class {
        Class::ALL
            .iter()
            .find(|c| c.as_str() == text)
            .cloned()
            .unwrap_or_else(|| Class::Unknown(text.into()))
    }

    /// Returns the position of the class in [`Class::ALL`].
    pub fn position(&self) -> Option<usize> {
        match self {
            Class::AdminVM => Some(0),
            Class::AppVM => Some(1),
            Class::DispVM => Some(2),
            Class::RemoteVM => Some(3),
            Class::StandaloneVM => Some(4),
            Class::TemplateVM => Some(5),
            Class::Unknown(_) => None,
        }
    }

    /// Returns the name of the class as the store has it.
    pub fn as_str(&self) -> &str {
        match self {
            Class::AdminVM => "AdminVM",
            Class::TemplateVM => "TemplateVM",
            Class::AppVM => "AppVM",
            Class::StandaloneVM => "StandaloneVM",
            Class::DispVM => "DispVM",
            Class::RemoteVM => "RemoteVM",
            Class::Unknown(name) => name,
        }
    }

    /// Returns whether qubes of this class run on this machine with volumes of their own
    /// (upstream's `QubesVM`).
    pub fn is_local_guest(&self) -> bool {
        matches!(
            self,
            Class::TemplateVM | Class::AppVM | Class::StandaloneVM | Class::DispVM
        )
    }

    /// Returns whether qubes of this class are based on another qube.
    pub fn has_template(&self) -> bool {
        matches!(self, Class::AppVM | Class::DispVM)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
