//! The record of a start: `RUN/vm/NAME`, written before anything is touched, removed when everything is settled.
//!
//! It is one JSON object: `start_id`, `domain`, `uri`, `user`, `phase`, for a disposable that is
//! being removed `volumes`. What it says is only ever compared: which start this
//! was, which domain of which hypervisor to ask about.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::LifecycleError;
use super::recover::Orphan;
use crate::fs::errno_text;
use crate::fs::replace::{Access, replace};
use crate::model::VmName;
use crate::system::System;

/// How far a start came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Storage is being made ready and the domain created.
    Starting,
    /// The domain was resumed.
    Running,
    /// It stopped and was a disposable: it leaves the store and the disk.
    Removing,
}

/// One start of one qube.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Made anew for each start; a monitor acts only for its own.
    pub start_id: Uuid,
    /// The uuid under which the hypervisor knows the domain.
    pub domain: Uuid,
    /// The hypervisor to ask.
    pub uri: String,
    /// Who started it: a session's hypervisor (`qemu:///session`) is another one for each user.
    #[serde(default)]
    pub user: Option<u32>,
    pub phase: Phase,
    /// What goes from the disk while it is being removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Orphan>,
}

impl Record {
    /// A record for a start that begins now.
    pub fn of_new_start(system: &System, domain: Uuid, uri: &str) -> Record {
        let user = Some(system.user());
        Record {
            start_id: Uuid::new_v4(),
            domain,
            uri: uri.to_string(),
            user,
            phase: Phase::Starting,
            volumes: Vec::new(),
        }
    }

    /// The user whose session's hypervisor has the domain, where that is not the one we would reach by this URI.
    pub fn session_of_another(&self, system: &System) -> Option<u32> {
        let of_session = self.uri.split('?').next().is_some_and(|uri| uri.ends_with("/session"));
        self.user.filter(|user| of_session && *user != system.user())
    }

    /// The record of a qube, if there is one.
    ///
    /// # Errors
    /// One that cannot be read or understood: nothing may be done to the qube's images then.
    pub fn load(system: &System, name: &VmName) -> Result<Option<Record>, LifecycleError> {
        let file = path(system, name);
        let unusable = |reason: String| LifecycleError::Record { qube: name.clone(), file: file.clone(), reason };
        match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| unusable(e.to_string())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(unusable(errno_text(&e))),
        }
    }

    /// Writes the record, over an older one of the same qube.
    pub fn store(&self, system: &System, name: &VmName) -> Result<(), LifecycleError> {
        let file = path(system, name);
        let failed = |source: io::Error| {
            let what = format!("cannot write the record of the start, {}", file.display());
            LifecycleError::Io { what, source }
        };
        let mut bytes = serde_json::to_vec(self).map_err(|e| failed(e.into()))?;
        bytes.push(b'\n');
        super::qube_lock::make_run_directories(system)?;
        replace(&file, Access::shared(system.qubes_group()), |f| f.write_all(&bytes)).map(drop).map_err(failed)
    }
}

/// Takes the record away: the last step of the after-work.
pub fn remove(system: &System, name: &VmName) -> Result<(), LifecycleError> {
    let file = path(system, name);
    match fs::remove_file(&file) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            let what = format!("cannot remove the record of the start, {}", file.display());
            Err(LifecycleError::Io { what, source: e })
        }
        _ => Ok(()),
    }
}

/// Whether a qube has a record, readable or not.
pub fn exists(system: &System, name: &VmName) -> bool {
    path(system, name).exists()
}

/// The names of all qubes that have a record.
pub fn all(system: &System) -> io::Result<Vec<VmName>> {
    let entries = match fs::read_dir(system.run_dir().join("vm")) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut names = Vec::new();
    for entry in entries {
        let file = entry?.file_name();
        // A `~` marks the temporary file of a record being written; no name of a qube has one.
        let name = file.to_str().filter(|f| !f.contains('~')).and_then(|f| VmName::from_store(f).ok());
        names.extend(name);
    }
    names.sort();
    Ok(names)
}

fn path(system: &System, name: &VmName) -> PathBuf {
    system.run_dir().join("vm").join(name.as_str())
}
