//! The end of an import ([`crate::lifecycle::volume::import`]): the volume gets its new data, or
//! the failure is reported.

use crate::fs::comparison::has_only_holes;
use crate::lifecycle::qube::QubeLock;
use crate::lifecycle::volume::{self, VolumeContent, not_durable, not_imported};
use crate::lifecycle::{Context, LifecycleError};
use crate::model::VmName;
use crate::storage::{Driver, StorageError, Volume};

/// The state of an import whose data are complete but not yet the volume's.
pub(in crate::lifecycle) struct PreparedImport {
    /// The lock of the halted qube.
    pub lock: QubeLock,
    /// The size in bytes that was saved in the store.
    pub size: u64,
}

/// Completes an import after the driver returned `done`. `prepared` is set once the data were
/// complete. Returns the qube's lock.
///
/// # Errors
/// The driver's error, or the size cannot be saved.
pub(in crate::lifecycle) fn finish_import(
    context: &Context,
    name: &VmName,
    (volume, driver): (&Volume, &dyn Driver),
    done: Result<(), StorageError>,
    prepared: Option<PreparedImport>,
) -> Result<QubeLock, LifecycleError> {
    match (done, prepared) {
        (Ok(()), Some(PreparedImport { lock, size })) => {
            match driver.size(volume)? {
                now if now == size => {}
                rounded_up => volume::save_size(context, name, volume, rounded_up)?,
            }
            Ok(lock)
        }
        (Ok(()), None) => Err(not_imported(volume, "the driver did not ask for the data")),
        (Err(error), Some(_)) if error.has_taken_effect() => {
            Err(not_durable(volume, "has the new data", error))
        }
        (Err(error), prepared) => {
            if prepared.is_some() {
                volume::restore_saved_size(context, name, volume);
            }
            Err(LifecycleError::NotImported {
                volume: volume.full_name(),
                reason: error.to_string(),
                source: Some(Box::new(error)),
            })
        }
    }
}

/// Empties a volume whose qube is locked and halted, without changing its size. The previous
/// data become a revision. A volume that is already empty is left alone: emptied again after a
/// kill, it would push that revision out.
pub(in crate::lifecycle) fn clear_locked(
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
    let result = driver.import_with(
        &Volume {
            size,
            ..volume.clone()
        },
        &mut |to| {
            VolumeContent::Empty.write_into(
                to,
                Some(size),
                &volume.name,
                &crate::storage::NoProgress,
            )
        },
    );
    match result {
        Err(error) if error.has_taken_effect() => Err(not_durable(volume, "is empty", error)),
        result => Ok(result?),
    }
}
