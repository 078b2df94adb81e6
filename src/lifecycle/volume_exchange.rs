//! The moment in which a volume gets its new data ([`super::volume_data`]): what is told where the
//! exchange fails, or cannot be made durable.

use std::io;

use super::qube_lock::QubeLock;
use super::volume_data::{NewData, not_imported};
use super::volumes::was_done;
use super::{LifecycleError, Session};
use crate::model::VmName;
use crate::storage::{Driver, StorageError, Volume, has_only_holes};

/// What is known of an import whose data are complete, before they take the place of the old ones.
pub(super) struct Ready {
    pub lock: QubeLock,
    /// Bytes, as they are saved.
    pub size: u64,
}

pub(super) fn failed_to_look(source: io::Error) -> LifecycleError {
    LifecycleError::Io {
        what: "looking at the image to import".to_string(),
        source,
    }
}

impl Session {
    /// Says what came of an import: what the driver says, once everything was `ready` for it.
    pub(super) fn end_import(
        &self,
        name: &VmName,
        (volume, driver): (&Volume, &dyn Driver),
        done: Result<(), StorageError>,
        ready: Option<Ready>,
    ) -> Result<QubeLock, LifecycleError> {
        match (done, ready) {
            (Ok(()), Some(Ready { lock, size })) => {
                match driver.size(volume)? {
                    now if now == size => {}
                    rounded_up => self.save_size(name, volume, rounded_up)?,
                }
                Ok(lock)
            }
            (Ok(()), None) => Err(not_imported(volume, "the driver did not ask for the data")),
            (Err(error), Some(_)) if error.has_taken_effect() => {
                Err(was_done(volume, "has the new data", error))
            }
            (Err(error), ready) => {
                if ready.is_some() {
                    self.take_size_back(name, volume);
                }
                Err(LifecycleError::NotImported {
                    volume: volume.full_name(),
                    reason: error.to_string(),
                    source: Some(Box::new(error)),
                })
            }
        }
    }

    /// Empties a volume whose qube is locked and halted; it stays as large as it is. What it had
    /// becomes a revision. One that is empty stays as it is: emptied again after a kill, it would
    /// push that revision out.
    pub(super) fn clear_locked(
        &self,
        volume: &Volume,
        driver: &dyn Driver,
    ) -> Result<(), LifecycleError> {
        if driver
            .open_committed_data(volume)
            .is_ok_and(|committed| has_only_holes(&committed.file).unwrap_or(false))
        {
            return Ok(());
        }
        let size = driver.size(volume)?;
        let cleared = driver.import_with(
            &Volume {
                size,
                ..volume.clone()
            },
            &mut |to| {
                NewData::Nothing.write_into(
                    to,
                    Some(size),
                    &volume.name,
                    &crate::storage::Unwatched,
                )
            },
        );
        match cleared {
            Err(error) if error.has_taken_effect() => Err(was_done(volume, "is empty", error)),
            cleared => Ok(cleared?),
        }
    }
}
