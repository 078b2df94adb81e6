//! What a killed creation leaves. Before a creation makes its first image it writes down, in the
//! qube's directory, which volumes it is about to make, and takes that note away once the qube is
//! saved. So a note beside images of a name that the store does not have says that nobody can have
//! put data there; it is no guess by the look of the images.
//!
//! A creation killed between the two leaves the note of a qube that is there. It is taken away by
//! the next command that has to do with the qube's images ([`crate::lifecycle::reconcile`]); and a
//! note counts for nothing where the store, or a copy of it, knows the uuid of its qube.

use std::io;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::fs::replace::Access;
use crate::lifecycle::LifecycleError;
use crate::lifecycle::qube_directory::QubeDirectory;
use crate::lifecycle::recover::Orphan;

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
pub(in crate::lifecycle) struct Note<'a> {
    directory: &'a QubeDirectory,
}

impl Note<'_> {
    /// The note of the qube whose files are in `directory`, whether it is there or not.
    pub fn in_directory(directory: &QubeDirectory) -> Note<'_> {
        Note { directory }
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
        let failed = |source| self.failed("read", source);
        if !self.directory.has_file(NOTE).map_err(failed)? {
            return Ok(Vec::new());
        }
        let Some(bytes) = self.directory.read(NOTE).map_err(failed)? else {
            return Ok(Vec::new());
        };
        // What is no note says nothing: the images tell.
        let Ok(content) = serde_json::from_slice::<Content>(&bytes) else {
            return Ok(Vec::new());
        };
        Ok(if was_saved(content.uuid)? {
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
        // Whoever calls holds the qube's lock: nobody else writes one.
        self.directory
            .remove_unfinished(NOTE)
            .map_err(|source| self.failed("clear", source))?;
        let text = serde_json::to_vec(&Content { uuid, volumes });
        let text = text.map_err(|error| self.failed("write", error.into()))?;
        self.directory
            .write(NOTE, access, &text)
            .map_err(|source| self.failed("write", source))
    }

    /// Takes the note away, durably, if it is there.
    ///
    /// # Errors
    /// It stays.
    pub fn remove(&self) -> Result<(), LifecycleError> {
        self.directory
            .remove_file(NOTE)
            .map_err(|source| self.failed("remove", source))
    }

    fn failed(&self, verb: &str, source: io::Error) -> LifecycleError {
        LifecycleError::Io {
            what: format!("cannot {verb} {}", self.directory.shown(NOTE)),
            source,
        }
    }
}
