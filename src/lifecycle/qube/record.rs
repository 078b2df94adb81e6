//! The record of a start, `RUN/vm/NAME`: written before a start changes anything, and removed when
//! its stop is finished.
//!
//! It is one JSON object with the fields `start_id`, `domain`, `uri`, `user` and `phase`, and
//! `volumes` for a qube that is being removed. Members of group qubes can write it, so its
//! fields only ever identify things: which start this was, and which domain of which hypervisor to
//! ask about.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::fs::{errno_text, stale_files};
use crate::lifecycle::reconcile::{Orphan, is_volume_of_qube};
use crate::lifecycle::{LifecycleError, qube};
use crate::model::VmName;
use crate::system::{System, is_plain_uri};

/// Why the record of a start says nothing about its qube.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The record has invalid content, or is not a file.
    #[error(
        "cannot use {file}, the record of the start of {qube}: {reason}; \
         if {qube} is known to be off, remove that file"
    )]
    Invalid {
        /// The qube of the record.
        qube: VmName,
        /// Path of the record.
        file: PathBuf,
        /// Why the record is invalid.
        reason: String,
    },
    /// The record may be valid, but cannot be read now.
    #[error(
        "cannot read {file}, the record of the start of {qube}: {}; \
         until it can be read {qube} is left alone",
        crate::fs::errno_text(source)
    )]
    Unreadable {
        /// The qube of the record.
        qube: VmName,
        /// Path of the record.
        file: PathBuf,
        /// The error of reading it.
        source: std::io::Error,
    },
    /// The hypervisor that the record names cannot be asked.
    #[error(
        "{qube} was started at {uri} and that hypervisor cannot be asked whether it still runs: \
         {reason}; its images are left alone"
    )]
    StateUnknown {
        /// The qube of the record.
        qube: VmName,
        /// URI of the hypervisor that the record names.
        uri: String,
        /// Why the hypervisor cannot be asked.
        reason: String,
    },
}

/// The progress of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The storage is being started and the domain created.
    Starting,
    /// The domain was resumed.
    Running,
    /// The qube is being removed from the store and the disk.
    Removing,
}

/// The record of one start of one qube.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Random for each start; a monitor acts only on the record of its own start.
    pub start_id: Uuid,
    /// The uuid of the domain.
    pub domain: Uuid,
    /// The URI of the hypervisor that runs the domain.
    pub uri: String,
    /// The uid of the user who started it: the hypervisor of a session (`qemu:///session`) is a
    /// different one for each user.
    #[serde(default)]
    pub user: Option<u32>,
    /// The progress of the start.
    pub phase: Phase,
    /// The volumes to delete, while the qube is being removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Orphan>,
}

impl Record {
    /// Creates the record of a start that begins now.
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

    /// Returns the user whose session's hypervisor has the domain, if that is not the hypervisor
    /// that this process reaches by the URI.
    pub fn foreign_session_user(&self, system: &System) -> Option<u32> {
        let is_session = self
            .uri
            .split('?')
            .next()
            .is_some_and(|uri| uri.ends_with("/session"));
        self.user
            .filter(|user| is_session && *user != system.user())
    }

    /// Returns the error that the hypervisor which the record names cannot be asked.
    pub(in crate::lifecycle) fn state_unknown(
        &self,
        qube: &VmName,
        reason: impl ToString,
    ) -> LifecycleError {
        RecordError::StateUnknown {
            qube: qube.clone(),
            uri: self.uri.clone(),
            reason: reason.to_string(),
        }
        .into()
    }

    /// Loads the record of a qube, if there is one.
    ///
    /// # Errors
    /// The record cannot be read or is invalid: the qube's images must not be touched then.
    pub fn load(system: &System, name: &VmName) -> Result<Option<Record>, LifecycleError> {
        let run = system.run_dir();
        let file = run.path().join(record_path(name));
        let unusable = |reason: String| RecordError::Invalid {
            qube: name.clone(),
            file: file.clone(),
            reason,
        };
        let unread = |source: io::Error| match is_invalid_file(&source) {
            true => unusable(errno_text(&source)),
            false => RecordError::Unreadable {
                qube: name.clone(),
                file: file.clone(),
                source,
            },
        };
        let Some(text) = run.read(&record_path(name)).map_err(unread)? else {
            return Ok(None);
        };
        let record: Record = serde_json::from_str(&text).map_err(|e| unusable(e.to_string()))?;
        record.check_allowed(system, name).map_err(unusable)?;
        Ok(Some(record))
    }

    /// Checks that a record names only a hypervisor of this machine and only volumes of its own
    /// qube. Members of group qubes can write records, and root acts on them.
    fn check_allowed(&self, system: &System, name: &VmName) -> Result<(), String> {
        let uri = &self.uri;
        if !is_plain_uri(uri) && system.configured_uri() != Some(uri) {
            return Err(format!(
                "it names the hypervisor '{}', which a record must not",
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
                    "it names volume {pool}:{vid}, which does not belong to {name}"
                ))
            }
            None => Ok(()),
        }
    }

    /// Writes the record, and replaces an older one of the same qube.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, system: &System, name: &VmName) -> Result<(), LifecycleError> {
        let run = system.run_dir();
        let file = run.path().join(record_path(name));
        let failed = LifecycleError::cannot(
            "write",
            &format_args!("the record of the start, {}", file.display()),
        );
        let mut bytes = serde_json::to_vec(self).map_err(|e| failed(e.into()))?;
        bytes.push(b'\n');
        qube::create_run_directories(system)?;
        let directory = run.open().map_err(&failed)?;
        let access = run.access(system.qubes_group());
        directory
            .replace(&record_path(name), access, |f| f.write_all(&bytes))
            .map(drop)
            .map_err(failed)
    }
}

/// Removes the temporary files of records that killed writers left.
pub fn clear_stale_files(system: &System) {
    let directory = system
        .run_dir()
        .open()
        .and_then(|run| run.subdirectory(Path::new(DIRECTORY)));
    if let Ok(directory) = directory {
        stale_files::clear_in(&directory, |target| VmName::from_store(target).is_ok());
    }
}

/// Removes the record of a qube: the last step of finishing a stop.
///
/// # Errors
/// The file exists and cannot be removed.
pub fn remove(system: &System, name: &VmName) -> Result<(), LifecycleError> {
    let run = system.run_dir();
    match run
        .open()
        .and_then(|directory| directory.remove_file(&record_path(name)))
    {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            let file = run.path().join(record_path(name));
            let record = format_args!("the record of the start, {}", file.display());
            Err(LifecycleError::cannot("remove", &record)(source))
        }
        _ => Ok(()),
    }
}

/// Returns whether a qube has a record, readable or not.
pub fn exists(system: &System, name: &VmName) -> bool {
    let found = system
        .run_dir()
        .open()
        .and_then(|directory| directory.symlink_metadata(&record_path(name)));
    // If the file cannot be checked, assume that it exists.
    found.map_or_else(
        |error| error.kind() != io::ErrorKind::NotFound,
        |found| found.is_some(),
    )
}

/// Returns the names of all qubes that have a record, sorted.
///
/// # Errors
/// The directory exists and cannot be read.
pub fn names(system: &System) -> io::Result<Vec<VmName>> {
    let directory = system
        .run_dir()
        .open()
        .and_then(|run| run.subdirectory(Path::new(DIRECTORY)));
    let entries = match directory.and_then(|directory| directory.names()) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    // A `~` marks the temporary file of a record being written; names of qubes have none.
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

/// Returns whether an error says that the file itself is not a record, which only removing it
/// mends. Other errors come from the process, the user or the machine (no descriptor left, a disk
/// error, a lease), and the record may be valid.
fn is_invalid_file(error: &io::Error) -> bool {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(code) => matches!(
            code,
            Errno::ELOOP | Errno::ENOTDIR | Errno::EISDIR | Errno::EXDEV
        ),
        None => error.kind() != io::ErrorKind::WouldBlock,
    }
}

/// The directory of the records, below RUN.
const DIRECTORY: &str = "vm";

/// Returns the path of the record of a qube, below RUN.
fn record_path(name: &VmName) -> PathBuf {
    Path::new(DIRECTORY).join(name.as_str())
}
