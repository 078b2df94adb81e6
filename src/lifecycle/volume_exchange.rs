//! The moment in which a volume gets its new data ([`super::volume_data`]): whether it has them
//! already, and what is told where the exchange fails, or cannot be made durable.

use std::cell::Cell;
use std::fs::File;
use std::io;

use super::qube_lock::QubeLock;
use super::volume_data::{NewData, not_imported};
use super::volumes::was_done;
use super::{LifecycleError, Session};
use crate::model::VmName;
use crate::storage::{Driver, StorageError, Volume, is_same_data};

/// What is known of an import whose data are complete, before they take the place of the old ones.
pub(super) struct Ready {
    pub lock: QubeLock,
    /// Whether the volume has them already: to import them again would only push what was before
    /// them out of the revisions.
    pub is_there: bool,
    /// Bytes, as they are saved.
    pub size: u64,
}

/// Whether a volume has the data of `image` already. One that cannot be read has not, and of one
/// that keeps no revisions nobody asks: an import takes away what is kept of its old image.
pub(super) fn has_data(volume: &Volume, driver: &dyn Driver, image: &File) -> bool {
    if volume.revisions_to_keep <= 0 {
        return false;
    }
    let same = driver.open_committed(volume).map(|committed| is_same_data(&committed.file, image));
    same.is_ok_and(|same| same.unwrap_or(false))
}

pub(super) fn failed_to_look(source: io::Error) -> LifecycleError {
    LifecycleError::Io { what: "looking at the image to import".to_string(), source }
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
            // Perhaps an import put them there whose name for them no power loss was to survive.
            (_, Some(Ready { lock, is_there: true, .. })) => {
                driver.make_durable(volume).map(|()| lock).map_err(Into::into)
            }
            (Ok(()), Some(Ready { lock, size, .. })) => {
                match driver.size(volume)? {
                    now if now == size => {}
                    rounded_up => self.save_size(name, volume, rounded_up)?,
                }
                Ok(lock)
            }
            (Ok(()), None) => Err(not_imported(volume, "the driver did not ask for the data")),
            (Err(error), Some(_)) if error.was_done() => Err(was_done(volume, "has the new data", error)),
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
    /// becomes a revision.
    pub(super) fn clear_locked(&self, volume: &Volume, driver: &dyn Driver) -> Result<(), LifecycleError> {
        let size = driver.size(volume)?;
        let is_there = Cell::new(false);
        let cleared = driver.import_written(&Volume { size, ..volume.clone() }, &mut |to| {
            NewData::Nothing.write_into(to, Some(size), &volume.name, &crate::storage::Unwatched)?;
            is_there.set(NewData::Nothing.may_be_there(to) && has_data(volume, driver, to));
            if is_there.get() { Err(io::Error::other("the volume is empty")) } else { Ok(()) }
        });
        match cleared {
            Err(error) if error.was_done() => Err(was_done(volume, "is empty", error)),
            Err(_) if is_there.get() => Ok(driver.make_durable(volume)?),
            cleared => Ok(cleared?),
        }
    }
}
