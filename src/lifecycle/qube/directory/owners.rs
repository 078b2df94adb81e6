//! Finds the qubes, of this store and of the system's, that use a directory. Directories are
//! compared by device and inode, however links and stores reach them. One that does not exist is
//! compared by its name.

use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::format::{self, FormatError};
use crate::fs::directory::Directory;
use crate::fs::is_readable;
use crate::lifecycle::conversion::old_store::read_old_store;
use crate::lifecycle::qube::directory::{QubeDirectory, open_base, open_top};
use crate::lifecycle::{Context, LifecycleError};
use crate::model::class::DIRECTORIES;
use crate::model::image_claims::StoredDomain;
use crate::model::{Class, VmName};
use crate::store::{StoreError, read_bytes};
use crate::system::System;

/// A qube that uses a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lifecycle) struct DirectoryOwner {
    /// The qube for messages: `work`, `work of FILE`.
    qube: String,
    /// Whether the qube uses the directory by the same name, so that a link of that name is its
    /// own.
    pub(super) has_same_name: bool,
}

impl fmt::Display for DirectoryOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.qube.fmt(f)
    }
}

/// The qubes that use directories.
pub(in crate::lifecycle) struct DirectoryOwners {
    claims: Vec<DirectoryClaim>,
    /// A store that cannot be read, with the reason.
    unreadable_store: Option<String>,
    resolver: DirectoryResolver,
}

/// A directory that a domain of a store uses.
#[derive(Debug)]
pub(in crate::lifecycle) struct DirectoryClaim {
    /// The qube, if the domain can be loaded.
    pub qube: Option<VmName>,
    /// The line of the domain, from 1; 0 in a store of R1 to R3.
    pub line: usize,
    label: String,
    place: DirectoryLocation,
}

/// The location of a qube's directory.
#[derive(Debug, PartialEq, Eq)]
enum DirectoryLocation {
    /// Below the directory of all qubes: `appvms/NAME`.
    Standard(PathBuf),
    /// Anywhere, as in R3.
    Absolute(PathBuf),
}

/// Device and inode of a directory.
pub(in crate::lifecycle) type DirectoryIdentity = (u64, u64);

/// Returns another qube that uses this directory: one of this store or, if that is another one,
/// of the system's store.
///
/// # Errors
/// The store cannot be read as a whole.
pub(in crate::lifecycle) fn other_owner(
    context: &Context,
    directory: &QubeDirectory,
) -> Result<Option<DirectoryOwner>, LifecycleError> {
    let mut owners = system_store_directories(context);
    // Qubes of this store use a directory that does not exist only by its name, which is this
    // one's.
    if directory.identity().is_some() {
        let mut own = own_claims(context)?;
        own.retain(|claim| claim.qube.as_ref() != Some(&directory.qube));
        owners.claims.extend(own);
    }
    Ok(owners.owner(directory))
}

/// Returns the users of directories by the system's store, if that is not this store.
pub(in crate::lifecycle) fn system_store_directories(context: &Context) -> DirectoryOwners {
    let (claims, unreadable_store) = match system_store_claims(context) {
        Ok(claims) => (claims, None),
        Err(reason) => (Vec::new(), Some(reason)),
    };
    DirectoryOwners {
        claims,
        unreadable_store,
        resolver: DirectoryResolver::new(&context.system),
    }
}

/// Checks that no other qube uses this directory, whose files would be changed with this one's.
///
/// # Errors
/// [`LifecycleError::DirectoryOwned`]; or the store cannot be read.
pub(in crate::lifecycle) fn refuse_shared_directory(
    context: &Context,
    directory: &QubeDirectory,
    verb: &str,
) -> Result<(), LifecycleError> {
    match other_owner(context, directory)? {
        None => Ok(()),
        Some(owner) => Err(LifecycleError::DirectoryOwned {
            verb: verb.to_owned(),
            directory: directory.to_string(),
            owner: owner.to_string(),
        }),
    }
}

/// Returns the directories that the domains of a store use, each with its identity if it
/// exists.
///
/// # Errors
/// The bytes are not a valid store of R4.
pub(in crate::lifecycle) fn directories_in(
    context: &Context,
    bytes: &[u8],
) -> Result<Vec<(DirectoryClaim, Option<DirectoryIdentity>)>, FormatError> {
    let resolver = DirectoryResolver::new(&context.system);
    let claims = claims_in(bytes)?.into_iter();
    Ok(claims
        .map(|claim| (resolver.identity(&claim.place), claim))
        .map(|(found, claim)| (claim, found))
        .collect())
}

/// Returns the directories that this store uses. A store of R1 to R3 has none: it is converted
/// before anything is done for its qubes.
fn own_claims(context: &Context) -> Result<Vec<DirectoryClaim>, LifecycleError> {
    let read = context.read()?;
    match claims_in(read.bytes()) {
        Err(FormatError::OldFormat) => Ok(Vec::new()),
        claims => Ok(claims.map_err(StoreError::format(context.system.store_file()))?),
    }
}

/// Returns the directories that the system's store uses, if that is not this store.
///
/// # Errors
/// The name of that store and why it cannot be read.
fn system_store_claims(context: &Context) -> Result<Vec<DirectoryClaim>, String> {
    let file = context.system.system_store();
    if file == context.system.store_file() || !is_readable(&file) {
        return Ok(Vec::new());
    }
    let unreadable =
        |error: &dyn fmt::Display| format!("{}, which cannot be read: {error}", file.display());
    let bytes = read_bytes(&file).map_err(|error| unreadable(&error))?;
    let mut claims = match claims_in(&bytes) {
        Err(FormatError::OldFormat) => {
            claims_in_old(context, &bytes).map_err(|error| unreadable(&error))?
        }
        claims => claims.map_err(|error| unreadable(&error))?,
    };
    for claim in &mut claims {
        claim.label.push_str(&format!(" of {}", file.display()));
        claim.qube = None;
    }
    Ok(claims)
}

/// Returns the directories that a store of R1 to R3 uses: those of its qubes, and those that
/// they would have after a conversion.
///
/// # Errors
/// The bytes are not such a store.
fn claims_in_old(context: &Context, bytes: &[u8]) -> Result<Vec<DirectoryClaim>, FormatError> {
    let old = read_old_store(context, bytes)?;
    let mut claims = Vec::new();
    for files in &old.files {
        let class = old.qubes.class(files.name.as_str());
        let standard = class.map(|class| {
            DirectoryLocation::Standard(Path::new(class.directory()).join(files.name.as_str()))
        });
        let places = standard
            .into_iter()
            .chain([DirectoryLocation::Absolute(files.directory.clone().into())]);
        claims.extend(places.map(|place| DirectoryClaim {
            qube: Some(files.name.clone()),
            line: 0,
            label: files.name.to_string(),
            place,
        }));
    }
    Ok(claims)
}

impl DirectoryOwners {
    /// Returns a qube that uses this directory. If a store cannot be read, its qubes may use every
    /// directory that exists.
    pub(in crate::lifecycle) fn owner(&self, directory: &QubeDirectory) -> Option<DirectoryOwner> {
        let own = directory.identity();
        if let Some(store) = self.unreadable_store.as_ref().filter(|_| own.is_some()) {
            return Some(DirectoryOwner {
                qube: format!("a qube of {store}"),
                has_same_name: true,
            });
        }
        let standard = DirectoryLocation::Standard(directory.below.clone());
        let named = self.claims.iter().find(|claim| claim.place == standard);
        let is_meant =
            |claim: &&DirectoryClaim| own.is_some() && self.resolver.identity(&claim.place) == own;
        let found = named.or_else(|| self.claims.iter().find(is_meant))?;
        Some(DirectoryOwner {
            qube: found.label.clone(),
            has_same_name: named.is_some(),
        })
    }
}

impl DirectoryClaim {
    /// Returns the directory for messages.
    pub(in crate::lifecycle) fn display_path(&self, system: &System) -> String {
        let path = match &self.place {
            DirectoryLocation::Standard(below) => system.path_below_root(super::BASE).join(below),
            DirectoryLocation::Absolute(path) => system.path_below_root(path),
        };
        path.display().to_string()
    }

    /// Whether another claim uses the directory by the same name.
    pub(in crate::lifecycle) fn has_same_location(&self, other: &DirectoryClaim) -> bool {
        self.place == other.place
    }

    /// Returns the qube for messages.
    pub(in crate::lifecycle) fn label(&self) -> &str {
        &self.label
    }
}

impl QubeDirectory {
    /// Whether `found` describes this directory.
    pub(in crate::lifecycle) fn is_same_directory(&self, found: &Metadata) -> bool {
        self.identity() == Some((found.dev(), found.ino()))
    }

    /// Returns the directory's identity; `None` if it does not exist or cannot be opened.
    fn identity(&self) -> Option<DirectoryIdentity> {
        self.opened.as_ref().ok().and_then(identity)
    }
}

/// Opens the directories of a system's qubes.
struct DirectoryResolver {
    top: Option<Directory>,
    base: Option<Directory>,
}

impl DirectoryResolver {
    fn new(system: &System) -> DirectoryResolver {
        DirectoryResolver {
            top: open_top(system).ok(),
            base: open_base(system).ok(),
        }
    }

    /// A directory that cannot be opened here cannot be used by any command: it has no identity.
    fn identity(&self, place: &DirectoryLocation) -> Option<DirectoryIdentity> {
        let opened = match place {
            DirectoryLocation::Standard(below) => self.base.as_ref()?.subdirectory(below),
            DirectoryLocation::Absolute(path) => self
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

/// Returns the directories that a domain may use, also if it cannot be loaded. If its class is
/// unknown, it may use those of every class.
fn claims_of(domain: &StoredDomain) -> Vec<DirectoryClaim> {
    let above: &[&str] = match &domain.class {
        _ if !domain.is_domain => &[],
        Class::Unknown(_) => &DIRECTORIES,
        class if class.is_local_guest() => &[class.directory()],
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
            place: DirectoryLocation::Standard(Path::new(above).join(name)),
        })
    });
    claims.collect()
}
