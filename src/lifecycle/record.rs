//! The record of a start: `RUN/vm/NAME`, written before anything is touched, removed when
//! everything is settled.
//!
//! It is one JSON object: `start_id`, `domain`, `uri`, `user`, `phase`, for a disposable that is
//! being removed `volumes`. What it says is only ever compared: which start this
//! was, which domain of which hypervisor to ask about.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::LifecycleError;
use super::recover::{Orphan, is_volume_of_qube};
use crate::fs::{errno_text, stale_files};
use crate::hypervisor::uri::is_plain_uri;
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
    pub fn new(system: &System, domain: Uuid, uri: &str) -> Record {
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

    /// The user whose session's hypervisor has the domain, where that is not the one we would reach
    /// by this URI.
    pub fn foreign_session_user(&self, system: &System) -> Option<u32> {
        let of_session = self
            .uri
            .split('?')
            .next()
            .is_some_and(|uri| uri.ends_with("/session"));
        self.user
            .filter(|user| of_session && *user != system.user())
    }

    /// The record of a qube, if there is one.
    ///
    /// # Errors
    /// One that cannot be read or understood: nothing may be done to the qube's images then.
    pub fn load(system: &System, name: &VmName) -> Result<Option<Record>, LifecycleError> {
        let run = system.run_dir();
        let file = run.path().join(place(name));
        let unusable = |reason: String| LifecycleError::InvalidRecord {
            qube: name.clone(),
            file: file.clone(),
            reason,
        };
        let unread = |source: io::Error| match is_of_file(&source) {
            true => unusable(errno_text(&source)),
            false => LifecycleError::RecordUnreadable {
                qube: name.clone(),
                file: file.clone(),
                source,
            },
        };
        let Some(text) = run.read(&place(name)).map_err(unread)? else {
            return Ok(None);
        };
        let record: Record = serde_json::from_str(&text).map_err(|e| unusable(e.to_string()))?;
        record.check_allowed(system, name).map_err(unusable)?;
        Ok(Some(record))
    }

    /// Members of group qubes can write records, and root acts on them: so one may neither have us
    /// ask anybody but a hypervisor of this machine, nor name volumes of another qube.
    fn check_allowed(&self, system: &System, name: &VmName) -> Result<(), String> {
        let uri = &self.uri;
        if !is_plain_uri(uri) && system.configured_uri() != Some(uri) {
            return Err(format!(
                "it names the hypervisor '{}', which a record may not",
                uri.escape_debug()
            ));
        }
        match self
            .volumes
            .iter()
            .find(|volume| !is_volume_of_qube(&volume.vid, name))
        {
            Some(Orphan { pool, vid }) => {
                let (pool, vid) = (pool.escape_debug(), vid.escape_debug());
                Err(format!(
                    "it names volume {pool}:{vid}, which is not one of {name}"
                ))
            }
            None => Ok(()),
        }
    }

    /// Writes the record, over an older one of the same qube.
    pub fn store(&self, system: &System, name: &VmName) -> Result<(), LifecycleError> {
        let run = system.run_dir();
        let file = run.path().join(place(name));
        let failed = |source: io::Error| {
            let what = format!("cannot write the record of the start, {}", file.display());
            LifecycleError::Io { what, source }
        };
        let mut bytes = serde_json::to_vec(self).map_err(|e| failed(e.into()))?;
        bytes.push(b'\n');
        super::qube_lock::create_run_directories(system)?;
        let directory = run.open().map_err(failed)?;
        let access = run.access(system.qubes_group());
        directory
            .replace(&place(name), access, |f| f.write_all(&bytes))
            .map(drop)
            .map_err(failed)
    }
}

/// Removes the temporary files that writers of records left when they were killed.
pub fn clear_stale_files(system: &System) {
    let directory = system
        .run_dir()
        .open()
        .and_then(|run| run.subdirectory(Path::new(DIRECTORY)));
    if let Ok(directory) = directory {
        stale_files::clear_in(&directory, |target| VmName::from_store(target).is_ok());
    }
}

/// Takes the record away: the last step of the after-work.
pub fn remove(system: &System, name: &VmName) -> Result<(), LifecycleError> {
    let run = system.run_dir();
    match run
        .open()
        .and_then(|directory| directory.remove_file(&place(name)))
    {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            let file = run.path().join(place(name));
            let what = format!("cannot remove the record of the start, {}", file.display());
            Err(LifecycleError::Io { what, source })
        }
        _ => Ok(()),
    }
}

/// Whether a qube has a record, readable or not.
pub fn exists(system: &System, name: &VmName) -> bool {
    let found = system
        .run_dir()
        .open()
        .and_then(|directory| directory.look(&place(name)));
    // One that cannot be looked at may be there.
    found.map_or_else(
        |error| error.kind() != io::ErrorKind::NotFound,
        |found| found.is_some(),
    )
}

/// The names of all qubes that have a record.
pub fn names(system: &System) -> io::Result<Vec<VmName>> {
    let directory = system
        .run_dir()
        .open()
        .and_then(|run| run.subdirectory(Path::new(DIRECTORY)));
    let entries = match directory.and_then(|directory| directory.names()) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    // A `~` marks the temporary file of a record being written; no name of a qube has one.
    let is_record = |file: &&str| !file.contains('~');
    let name = |file: OsString| {
        file.to_str()
            .filter(is_record)
            .and_then(|f| VmName::from_store(f).ok())
    };
    let mut names: Vec<VmName> = entries.into_iter().filter_map(name).collect();
    names.sort();
    Ok(names)
}

/// Whether an error says what is wrong with the file: that it is no record, which only removing it
/// mends. Others come of the process, the user or the machine (no descriptor left, an error of the
/// disk, a lease), and the record may be good.
fn is_of_file(error: &io::Error) -> bool {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(code) => matches!(
            code,
            Errno::ELOOP | Errno::ENOTDIR | Errno::EISDIR | Errno::EXDEV
        ),
        None => error.kind() != io::ErrorKind::WouldBlock,
    }
}

/// Where records are, below RUN.
const DIRECTORY: &str = "vm";

fn place(name: &VmName) -> PathBuf {
    Path::new(DIRECTORY).join(name.as_str())
}
