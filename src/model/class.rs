//! The classes of qubes: one row for each with what is known of it.

use std::fmt;

use super::class_volume::{self, ClassVolume};
use super::release::Release;

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
    /// A qube without a template, as a StandaloneVM: the contributor's example.
    ExampleVM,
    /// A qube on another machine, without a domain or volumes here (since 4.3).
    RemoteVM,
    /// A class that R4 does not have, under its name in the store.
    Unknown(Box<str>),
}

/// One row of the table: all that is known of a class.
#[derive(Debug)]
pub struct ClassSpec {
    /// The class.
    pub class: Class,
    /// The name in the store and on the command line.
    pub name: &'static str,
    /// The first release that knows it.
    pub since: Release,
    /// Whether its qubes run on this machine with volumes of their own (upstream's `QubesVM`).
    pub is_local_guest: bool,
    /// Whether its qubes have the system's `default_netvm` unless they have their own netvm.
    pub has_default_netvm: bool,
    /// What its qubes are based on; `None` for a class without templates.
    pub template: Option<TemplateSpec>,
    /// The volumes that each of its qubes has, in the order of upstream's files and of the guest's
    /// disks (`docs/spec/r4-storage.md` §1).
    pub volumes: &'static [ClassVolume],
    /// The directory below `/var/lib/qubes` for the files of its qubes, one of [`DIRECTORIES`].
    pub directory: &'static str,
    /// The first part of the names of icons (`docs/spec/r4-properties.md` §3).
    pub icon: &'static str,
    /// The letter in column FLAGS of qvm-ls.
    pub letter: char,
}

/// What qubes of a class can be based on.
#[derive(Debug)]
pub struct TemplateSpec {
    /// The classes of the templates.
    pub classes: &'static [Class],
    /// The global property that names the template of a new qube.
    pub default: &'static str,
}

/// The directories below `/var/lib/qubes`, and in pools of files, that hold the files of qubes.
pub const DIRECTORIES: [&str; 2] = [APPVMS, VM_TEMPLATES];
const APPVMS: &str = "appvms";
const VM_TEMPLATES: &str = "vm-templates";

/// Every class that exists in R4 (`docs/spec/r4-xml.md` §1.4), sorted by name.
pub static CLASSES: [ClassSpec; 7] = [
    ClassSpec {
        class: Class::AdminVM,
        name: "AdminVM",
        since: Release::R4_0,
        is_local_guest: false,
        has_default_netvm: false,
        template: None,
        volumes: &[],
        directory: APPVMS,
        icon: "adminvm",
        letter: '0',
    },
    ClassSpec {
        class: Class::AppVM,
        name: "AppVM",
        since: Release::R4_0,
        is_local_guest: true,
        has_default_netvm: true,
        template: Some(TemplateSpec {
            classes: &[Class::TemplateVM],
            default: "default_template",
        }),
        volumes: &class_volume::BASED,
        directory: APPVMS,
        icon: "appvm",
        letter: 'a',
    },
    ClassSpec {
        class: Class::DispVM,
        name: "DispVM",
        since: Release::R4_0,
        is_local_guest: true,
        has_default_netvm: true,
        template: Some(TemplateSpec {
            classes: &[Class::AppVM, Class::StandaloneVM],
            default: "default_dispvm",
        }),
        volumes: &class_volume::DISPOSABLE,
        directory: APPVMS,
        icon: "dispvm",
        letter: 'd',
    },
    ClassSpec {
        class: Class::ExampleVM,
        name: "ExampleVM",
        since: Release::R4_3,
        is_local_guest: true,
        has_default_netvm: true,
        template: None,
        volumes: &class_volume::OWN,
        directory: APPVMS,
        icon: "examplevm",
        letter: 'e',
    },
    ClassSpec {
        class: Class::RemoteVM,
        name: "RemoteVM",
        since: Release::R4_3,
        is_local_guest: false,
        has_default_netvm: false,
        template: None,
        volumes: &[],
        directory: APPVMS,
        icon: "remotevm",
        letter: '-',
    },
    ClassSpec {
        class: Class::StandaloneVM,
        name: "StandaloneVM",
        since: Release::R4_0,
        is_local_guest: true,
        has_default_netvm: true,
        template: None,
        volumes: &class_volume::OWN,
        directory: APPVMS,
        icon: "standalonevm",
        letter: 's',
    },
    ClassSpec {
        class: Class::TemplateVM,
        name: "TemplateVM",
        since: Release::R4_0,
        is_local_guest: true,
        has_default_netvm: false,
        template: None,
        volumes: &class_volume::OWN,
        directory: VM_TEMPLATES,
        icon: "templatevm",
        letter: 't',
    },
];

impl Class {
    /// Iterates over every class that exists in R4, sorted by name.
    pub fn all() -> impl ExactSizeIterator<Item = &'static Class> + Clone {
        CLASSES.iter().map(|row| &row.class)
    }

    /// Returns the names of all classes, sorted.
    pub fn names() -> [&'static str; CLASSES.len()] {
        CLASSES.each_ref().map(|row| row.name)
    }

    /// Returns the class of this name, [`Class::Unknown`] if there is none.
    pub fn from_store(text: &str) -> Class {
        match CLASSES.iter().find(|row| row.name == text) {
            Some(row) => row.class.clone(),
            None => Class::Unknown(text.into()),
        }
    }

    /// Returns the position of the class in [`CLASSES`], `None` if it is unknown.
    pub fn position(&self) -> Option<usize> {
        Class::all().position(|class| class == self)
    }

    /// Returns the row of the class, `None` if it is unknown.
    pub fn spec(&self) -> Option<&'static ClassSpec> {
        CLASSES.iter().find(|row| row.class == *self)
    }

    /// Returns the name of the class as the store has it.
    pub fn as_str(&self) -> &str {
        match self {
            Class::Unknown(name) => name,
            known => known.spec().map_or("", |row| row.name),
        }
    }

    /// Returns whether qubes of this class run on this machine with volumes of their own
    /// (upstream's `QubesVM`).
    pub fn is_local_guest(&self) -> bool {
        self.spec().is_some_and(|row| row.is_local_guest)
    }

    /// Returns whether qubes of this class have the system's `default_netvm` unless they have their
    /// own netvm.
    pub fn has_default_netvm(&self) -> bool {
        self.spec().is_some_and(|row| row.has_default_netvm)
    }

    /// Returns what qubes of this class are based on, if on anything.
    pub fn template(&self) -> Option<&'static TemplateSpec> {
        self.spec()?.template.as_ref()
    }

    /// Returns whether qubes of this class are based on another qube.
    pub fn has_template(&self) -> bool {
        self.template().is_some()
    }

    /// Returns whether qubes of this class can be based on one of class `template`.
    pub fn can_have_template(&self, template: &Class) -> bool {
        self.template()
            .is_some_and(|spec| spec.classes.contains(template))
    }

    /// Returns the volumes that each qube of this class has.
    pub fn volumes(&self) -> &'static [ClassVolume] {
        self.spec().map_or(&[], |row| row.volumes)
    }

    /// Returns the defaults of this class for the volume of this name.
    pub fn volume(&self, name: &str) -> Option<&'static ClassVolume> {
        self.volumes().iter().find(|volume| volume.name == name)
    }

    /// Returns the first part of the names of its icons.
    pub fn icon(&self) -> &'static str {
        self.spec().map_or("appvm", |row| row.icon)
    }

    /// Returns the directory below `/var/lib/qubes` for the files of qubes of this class.
    pub fn directory(&self) -> &'static str {
        self.spec().map_or(APPVMS, |row| row.directory)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_their_directories_known() {
        assert!(CLASSES.is_sorted_by(|a, b| a.name < b.name));
        for row in &CLASSES {
            assert_eq!(Class::from_store(row.name), row.class);
            assert_eq!(row.class.as_str(), row.name);
            assert!(DIRECTORIES.contains(&row.directory), "{}", row.name);
            assert_eq!(row.is_local_guest, !row.volumes.is_empty(), "{}", row.name);
        }
    }
}
