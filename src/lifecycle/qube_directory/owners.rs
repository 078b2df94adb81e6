//! Which qubes mean a directory: those of this store and of the system's own one. A directory is
//! what it is on disk, device and inode, by whatever links and stores it is reached; one that is
//! missing is its name.

use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{QubeDirectory, open_base, open_top};
use crate::format::{self, FormatError};
use crate::fs::beneath::Directory;
use crate::lifecycle::images::owners::is_readable;
use crate::lifecycle::{LifecycleError, Session};
use crate::model::image_claims::StoredDomain;
use crate::model::volume::class_directory;
use crate::model::{Class, VmName};
use crate::store::{StoreError, read_bytes};
use crate::system::System;

/// A qube that means a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lifecycle) struct DirectoryOwner {
    /// For messages: `work`, `work of FILE`.
    qube: String,
    /// Whether it calls the directory by the same name, so that a link of that name is its own.
    pub(super) has_its_name: bool,
}

impl fmt::Display for DirectoryOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.qube.fmt(f)
    }
}

/// Whose directories are.
pub(in crate::lifecycle) struct DirectoryOwners {
    claims: Vec<DirectoryClaim>,
    /// The name of a store that cannot be read, and why.
    untold: Option<String>,
    places: Places,
}

/// A directory that a domain of a store means.
#[derive(Debug)]
pub(in crate::lifecycle) struct DirectoryClaim {
    /// The qube, where the domain can be used.
    pub qube: Option<VmName>,
    /// The line of its domain, from 1; 0 in a store of R1 to R3.
    pub line: usize,
    label: String,
    place: Place,
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// Below the directory of all qubes: `appvms/NAME`.
    Usual(PathBuf),
    /// Anywhere, as R3 has it.
    Absolute(PathBuf),
}

/// What tells a directory from every other one.
pub(in crate::lifecycle) type DirectoryIdentity = (u64, u64);

impl Session {
    /// Looks for a qube, besides the one it was opened for, that means this directory: another one
    /// of this store or, where this store is not the system's own, one of that.
    ///
    /// # Errors
    /// The store cannot be read as a whole.
    pub(in crate::lifecycle) fn other_owner(
        &self,
        directory: &QubeDirectory,
    ) -> Result<Option<DirectoryOwner>, LifecycleError> {
        let mut owners = self.directories_of_other_store();
        // Another qube of this store means what is missing only by its name, which is this one's.
        if directory.identity().is_some() {
            let mut own = self.own_claims()?;
            own.retain(|claim| claim.qube.as_ref() != Some(&directory.qube));
            owners.claims.extend(own);
        }
        Ok(owners.owner(directory))
    }

    /// Whose directories are by the system's own store, where this store is another one.
    pub(in crate::lifecycle) fn directories_of_other_store(&self) -> DirectoryOwners {
        let (claims, untold) = match self.claims_of_system_store() {
            Ok(claims) => (claims, None),
            Err(reason) => (Vec::new(), Some(reason)),
        };
        DirectoryOwners {
            claims,
            untold,
            places: Places::of(&self.system),
        }
    }

    /// An error where another qube means this directory: whoever would write to its files would
    /// write to those of the other.
    ///
    /// # Errors
    /// Another one does, or nobody can tell.
    pub(in crate::lifecycle) fn refuse_shared_directory(
        &self,
        directory: &QubeDirectory,
        verb: &str,
    ) -> Result<(), LifecycleError> {
        match self.other_owner(directory)? {
            None => Ok(()),
            Some(owner) => Err(LifecycleError::DirectoryOwned {
                verb: verb.to_owned(),
                directory: directory.to_string(),
                owner: owner.to_string(),
            }),
        }
    }

    /// The directories that the domains of a store's text mean, each with what tells it from others
    /// where it exists.
    ///
    /// # Errors
    /// The bytes are not a whole store of R4.
    pub(in crate::lifecycle) fn directories_in(
        &self,
        bytes: &[u8],
    ) -> Result<Vec<(DirectoryClaim, Option<DirectoryIdentity>)>, FormatError> {
        let places = Places::of(&self.system);
        let claims = claims_in(bytes)?.into_iter();
        Ok(claims
            .map(|claim| (places.identity(&claim.place), claim))
            .map(|(found, claim)| (claim, found))
            .collect())
    }

    /// What this store means. One of R1 to R3 is converted before anything is done for its qubes.
    fn own_claims(&self) -> Result<Vec<DirectoryClaim>, LifecycleError> {
        let read = self.read()?;
        match claims_in(read.bytes()) {
            Err(FormatError::OldFormat) => Ok(Vec::new()),
            claims => Ok(claims.map_err(|source| StoreError::Format {
                path: self.system.store_file().into(),
                source,
            })?),
        }
    }

    /// What the system's own store means, where this store is another one; else the name of that
    /// store and why it cannot be told.
    fn claims_of_system_store(&self) -> Result<Vec<DirectoryClaim>, String> {
        let file = self.system.system_store();
        if file == self.system.store_file() || !is_readable(&file) {
            return Ok(Vec::new());
        }
        let untold =
            |error: &dyn fmt::Display| format!("{}, which cannot be read: {error}", file.display());
        let bytes = read_bytes(&file).map_err(|error| untold(&error))?;
        let mut claims = match claims_in(&bytes) {
            Err(FormatError::OldFormat) => {
                self.claims_in_old(&bytes).map_err(|error| untold(&error))?
            }
            claims => claims.map_err(|error| untold(&error))?,
        };
        for claim in &mut claims {
            claim.label.push_str(&format!(" of {}", file.display()));
            claim.qube = None;
        }
        Ok(claims)
    }

    /// What a store of R1 to R3 means: where the files of its qubes are, and where they would be
    /// once it is converted.
    fn claims_in_old(&self, bytes: &[u8]) -> Result<Vec<DirectoryClaim>, FormatError> {
        let old = self.read_old(bytes)?;
        let mut claims = Vec::new();
        for files in &old.files {
            let class = old.qubes.class(files.name.as_str());
            let usual = class.map(|class| {
                Place::Usual(Path::new(class_directory(class)).join(files.name.as_str()))
            });
            let places = usual
                .into_iter()
                .chain([Place::Absolute(files.directory.clone().into())]);
            claims.extend(places.map(|place| DirectoryClaim {
                qube: Some(files.name.clone()),
                line: 0,
                label: files.name.to_string(),
                place,
            }));
        }
        Ok(claims)
    }
}

impl DirectoryOwners {
    /// A qube that means this directory. Of a store that cannot be read every qube may mean each
    /// that exists.
    pub(in crate::lifecycle) fn owner(&self, directory: &QubeDirectory) -> Option<DirectoryOwner> {
        let own = directory.identity();
        if let Some(store) = self.untold.as_ref().filter(|_| own.is_some()) {
            return Some(DirectoryOwner {
                qube: format!("a qube of {store}"),
                has_its_name: true,
            });
        }
        let usual = Place::Usual(directory.below.clone());
        let named = self.claims.iter().find(|claim| claim.place == usual);
        let is_meant =
            |claim: &&DirectoryClaim| own.is_some() && self.places.identity(&claim.place) == own;
        let found = named.or_else(|| self.claims.iter().find(is_meant))?;
        Some(DirectoryOwner {
            qube: found.label.clone(),
            has_its_name: named.is_some(),
        })
    }
}

impl DirectoryClaim {
    /// The directory for messages.
    pub(in crate::lifecycle) fn shown(&self, system: &System) -> String {
        let path = match &self.place {
            Place::Usual(below) => system.below_root(super::BASE).join(below),
            Place::Absolute(path) => system.below_root(path),
        };
        path.display().to_string()
    }

    /// Whether another claim means the directory by the same name.
    pub(in crate::lifecycle) fn names_the_same(&self, other: &DirectoryClaim) -> bool {
        self.place == other.place
    }

    /// The qube for messages.
    pub(in crate::lifecycle) fn label(&self) -> &str {
        &self.label
    }
}

impl QubeDirectory {
    /// Whether it is the directory that was found.
    pub(in crate::lifecycle) fn is(&self, found: &Metadata) -> bool {
        self.identity() == Some((found.dev(), found.ino()))
    }

    /// What tells it from every other one; `None` where it is missing or cannot be opened.
    fn identity(&self) -> Option<DirectoryIdentity> {
        self.opened.as_ref().ok().and_then(identity)
    }
}

/// Where the directories of a system's qubes are.
struct Places {
    top: Option<Directory>,
    base: Option<Directory>,
}

impl Places {
    fn of(system: &System) -> Places {
        Places {
            top: open_top(system).ok(),
            base: open_base(system).ok(),
        }
    }

    /// What nobody can open here no command works in either: it is no other directory's.
    fn identity(&self, place: &Place) -> Option<DirectoryIdentity> {
        let opened = match place {
            Place::Usual(below) => self.base.as_ref()?.subdirectory(below),
            Place::Absolute(path) => self
                .top
                .as_ref()?
                .subdirectory(path.strip_prefix("/").unwrap_or(path)),
        };
        opened.ok().as_ref().and_then(identity)
    }
}

fn identity(directory: &Directory) -> Option<DirectoryIdentity> {
    directory
        .handle()
        .metadata()
        .ok()
        .map(|found| (found.dev(), found.ino()))
}

fn claims_in(bytes: &[u8]) -> Result<Vec<DirectoryClaim>, FormatError> {
    Ok(format::list_all_domains(bytes)?
        .iter()
        .flat_map(claims_of)
        .collect())
}

/// Also a domain that cannot be used may have had a directory. What its class does not tell counts
/// in every way.
fn claims_of(domain: &StoredDomain) -> Vec<DirectoryClaim> {
    let above: &[&str] = match &domain.class {
        _ if !domain.is_domain => &[],
        Class::Unknown(_) => &["appvms", "vm-templates"],
        class if class.is_local_guest() => &[class_directory(class)],
        _ => &[],
    };
    let label = |name: &str| match &domain.qube {
        Some(name) => name.to_string(),
        None => format!(
            "{} (of the domain at line {})",
            name.escape_debug(),
            domain.line
        ),
    };
    let names = domain.names.iter().filter(|name| !name.contains('/'));
    let claims = names.flat_map(|name| {
        above.iter().map(move |above| DirectoryClaim {
            qube: domain.qube.clone(),
            line: domain.line,
            label: label(name),
            place: Place::Usual(Path::new(above).join(name)),
        })
    });
    claims.collect()
}
