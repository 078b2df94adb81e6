//! What a killed creation leaves. Before a creation makes its first image it writes down, in the
//! qube's directory, which volumes it is about to make, and takes that note away once the qube is
//! saved. So a note beside images of a name that the store does not have says that nobody can have
//! put data there; it is no guess by the look of the images.
//!
//! A creation killed between the two leaves the note of a qube that is there. It is taken away by
//! the next command that has to do with the qube's images ([`crate::lifecycle::settle`]); and a
//! note counts for nothing where the store, or a copy of it, knows the uuid of its qube.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::fs::replace::{Access, directory_of, replace, sync_directory};
use crate::fs::stale_files::target_of;
use crate::lifecycle::LifecycleError;
use crate::lifecycle::recover::Orphan;
use crate::storage::names_in;

/// The note's name in the qube's directory.
pub const NOTE: &str = "creation.json";

/// The volumes that a creation makes.
#[derive(Debug, Serialize, Deserialize)]
struct Content {
    /// The qube's.
    uuid: Uuid,
    volumes: Vec<Orphan>,
}

/// The note of a creation that is under way or was killed.
#[derive(Debug)]
pub struct Note {
    file: PathBuf,
}

impl Note {
    /// The note of the qube whose files are in `directory`, whether it is there or not.
    pub fn in_directory(directory: &Path) -> Note {
        Note { file: directory.join(NOTE) }
    }

    /// The volumes that a killed creation was about to make; none where there is no such note, or
    /// `was_saved` knows the uuid of its qube.
    ///
    /// # Errors
    /// It cannot be read, or `was_saved` cannot tell.
    pub fn read(
        &self,
        was_saved: impl FnOnce(Uuid) -> Result<bool, LifecycleError>,
    ) -> Result<Vec<Orphan>, LifecycleError> {
        let is_file = fs::symlink_metadata(&self.file).is_ok_and(|found| found.is_file());
        if !is_file {
            return Ok(Vec::new());
        }
        let bytes = fs::read(&self.file).map_err(|source| self.failed("read", source))?;
        // What is no note says nothing: the images tell.
        let Ok(content) = serde_json::from_slice::<Content>(&bytes) else { return Ok(Vec::new()) };
        Ok(if was_saved(content.uuid)? { Vec::new() } else { content.volumes })
    }

    /// Writes the note, durably.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, uuid: Uuid, volumes: Vec<Orphan>, access: Access) -> Result<(), LifecycleError> {
        self.remove_unfinished()?;
        let text = serde_json::to_vec(&Content { uuid, volumes });
        let text = text.map_err(|error| self.failed("write", error.into()))?;
        let written = replace(&self.file, access, |file| file.write_all(&text));
        written.map(drop).map_err(|source| self.failed("write", source))
    }

    /// Takes the note away, durably, if it is there.
    ///
    /// # Errors
    /// It stays.
    pub fn remove(&self) -> Result<(), LifecycleError> {
        match fs::remove_file(&self.file) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(());
            }
            Err(source) => return Err(self.failed("remove", source)),
        }
        sync_directory(directory_of(&self.file)).map_err(|source| self.failed("remove", source))
    }

    /// Removes what killed writers of the note left. Whoever calls holds the qube's lock.
    fn remove_unfinished(&self) -> Result<(), LifecycleError> {
        for name in names_in(directory_of(&self.file))? {
            if target_of(&name) == Some(NOTE) {
                let file = self.file.with_file_name(&name);
                fs::remove_file(&file).map_err(|source| self.failed("clear", source))?;
            }
        }
        Ok(())
    }

    fn failed(&self, verb: &str, source: io::Error) -> LifecycleError {
        LifecycleError::Io { what: format!("cannot {verb} {}", self.file.display()), source }
    }
}
