//! Driver `example`: opens, and refuses everything that touches a volume.

use std::path::PathBuf;

use super::pools::{PoolOpening, directory};
use super::{
    Attachment, CommittedData, Image, ImageOwners, ImageWriter, PoolSpace, StorageError, Volume,
    VolumeData, VolumeLife, VolumeRevisions,
};

/// A pool of driver `example`.
#[derive(Debug)]
pub struct Example {
    name: String,
}

impl Example {
    /// Opens a pool of the store.
    pub(super) fn open(opening: &PoolOpening<'_>) -> Result<Example, StorageError> {
        directory(opening.pool, opening.system)?;
        Ok(Example {
            name: opening.pool.name().to_owned(),
        })
    }

    /// Refuses an operation on a volume.
    fn refuse<T>(&self, volume: &Volume) -> Result<T, StorageError> {
        Err(volume.refusal(format_args!(
            "pool {} is an example and keeps no volumes; move the volume to another pool",
            self.name
        )))
    }
}

impl PoolSpace for Example {
    fn setup(&self) -> Result<(), StorageError> {
        Ok(())
    }

    fn capacity(&self) -> Result<Option<(u64, u64)>, StorageError> {
        Ok(None)
    }

    fn volume_ids(&self) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }
}

impl VolumeLife for Example {
    fn create(&self, volume: &Volume) -> Result<(), StorageError> {
        self.refuse(volume)
    }

    fn remove_unowned(&self, v: &Volume, _: &ImageOwners) -> Result<Vec<String>, StorageError> {
        self.refuse(v)
    }

    fn images(&self, volume: &Volume) -> Result<Vec<Image>, StorageError> {
        self.refuse(volume)
    }

    fn verify(&self, volume: &Volume) -> Result<(), StorageError> {
        self.refuse(volume)
    }

    fn start(&self, volume: &Volume) -> Result<(), StorageError> {
        self.refuse(volume)
    }

    fn stop(&self, volume: &Volume) -> Result<(), StorageError> {
        self.refuse(volume)
    }

    fn discard(&self, volume: &Volume) -> Result<(), StorageError> {
        self.refuse(volume)
    }

    fn attachment(&self, volume: &Volume) -> Result<Attachment, StorageError> {
        self.refuse(volume)
    }
}

impl VolumeData for Example {
    fn size(&self, volume: &Volume) -> Result<u64, StorageError> {
        self.refuse(volume)
    }

    fn usage(&self, volume: &Volume) -> Result<u64, StorageError> {
        self.refuse(volume)
    }

    fn resize(&self, volume: &Volume, _bytes: u64) -> Result<(), StorageError> {
        self.refuse(volume)
    }

    fn export(&self, volume: &Volume) -> Result<PathBuf, StorageError> {
        self.refuse(volume)
    }

    fn open_committed_data(&self, volume: &Volume) -> Result<CommittedData, StorageError> {
        self.refuse(volume)
    }

    fn import_with(&self, volume: &Volume, _fill: ImageWriter<'_>) -> Result<(), StorageError> {
        self.refuse(volume)
    }
}

impl VolumeRevisions for Example {
    fn revert(&self, volume: &Volume, _revision: Option<&str>) -> Result<(), StorageError> {
        self.refuse(volume)
    }

    fn revision_size(&self, volume: &Volume, _revision: Option<&str>) -> Result<u64, StorageError> {
        self.refuse(volume)
    }
}
