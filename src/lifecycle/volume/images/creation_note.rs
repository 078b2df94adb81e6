//! The note of a creation, by which a later one recognises what a killed one left. Before a
//! creation makes its first image, it writes into the qube's directory which volumes it is about to
//! make. It removes this note once the qube is saved. So a note beside images of a name that the
//! store does not have proves that nobody put data there.
//!
//! A creation that is killed between the save and the removal leaves the note of an existing qube.
//! The next command that works on the qube's images removes it ([`crate::lifecycle::reconcile`]). A
//! note is ignored if the store, or a copy of it, has the uuid of its qube.

use std::io;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::fs::replace::Access;
use crate::lifecycle::LifecycleError;
use crate::lifecycle::qube::directory::QubeDirectory;
use crate::lifecycle::reconcile::Orphan;

/// The file name of the note in the qube's directory.
pub const NOTE: &str = "creation.json";

/// The content of a note.
#[derive(Debug, Serialize, Deserialize)]
struct Content {
    /// The uuid of the qube.
    uuid: Uuid,
    /// The volumes that the creation makes.
    volumes: Vec<Orphan>,
}

/// The note of a creation that is in progress or was killed.
#[derive(Debug)]
pub(in crate::lifecycle) struct CreationNote<'a> {
    directory: &'a QubeDirectory,
}

impl CreationNote<'_> {
    /// Returns the note in `directory`, whether the file exists or not.
    pub fn in_directory(directory: &QubeDirectory) -> CreationNote<'_> {
        CreationNote { directory }
    }

    /// Returns the volumes that a killed creation was about to make. There are none if the note
    /// does not exist or `is_saved` knows the uuid of its qube.
    ///
    /// # Errors
    /// The note cannot be read, or `is_saved` fails.
    pub fn read(
        &self,
        is_saved: impl FnOnce(Uuid) -> Result<bool, LifecycleError>,
    ) -> Result<Vec<Orphan>, LifecycleError> {
        let failed = self.cannot("read");
        if !self.directory.has_file(NOTE).map_err(&failed)? {
            return Ok(Vec::new());
        }
        let Some(bytes) = self.directory.read(NOTE).map_err(failed)? else {
            return Ok(Vec::new());
        };
        // A file that is not a note is ignored: the images decide.
        let Ok(content) = serde_json::from_slice::<Content>(&bytes) else {
            return Ok(Vec::new());
        };
        Ok(if is_saved(content.uuid)? {
            Vec::new()
        } else {
            content.volumes
        })
    }

    /// Writes the note, durably.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(
        &self,
        uuid: Uuid,
        volumes: Vec<Orphan>,
        access: Access,
    ) -> Result<(), LifecycleError> {
        // The caller holds the qube's lock, so these are left by killed writers.
        self.directory
            .remove_stale_temp_files(NOTE)
            .map_err(self.cannot("clear"))?;
        let text = serde_json::to_vec(&Content { uuid, volumes });
        let text = text.map_err(|error| self.cannot("write")(error.into()))?;
        self.directory
            .write(NOTE, access, &text)
            .map_err(self.cannot("write"))
    }

    /// Removes the note, durably, if it exists.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self) -> Result<(), LifecycleError> {
        self.directory
            .remove_file(NOTE)
            .map_err(self.cannot("remove"))
    }

    fn cannot(&self, verb: &str) -> impl Fn(io::Error) -> LifecycleError + use<> {
        LifecycleError::cannot(verb, &self.directory.display_path(NOTE))
    }
}
