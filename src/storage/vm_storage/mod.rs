//! The volumes of one qube together: each operation applies to all of them, or to none.

mod attachments;
mod open;

use std::path::PathBuf;
use std::sync::Arc;

use super::{
    CommittedData, Driver, ImageOwners, Progress, ProgressGuard, StorageError, Volume, VolumeKind,
    run_images,
};

/// The volumes of a qube with their drivers. Callers hold the operation lock of the qube.
pub struct VmStorage {
    qube: String,
    volumes: Vec<(Volume, Arc<dyn Driver>)>,
    /// The suffix of the names of encrypted mappings.
    suffix: String,
}

/// The volumes that a start has made, for rolling it back.
#[must_use = "if the domain does not start, roll its volumes back"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedVolumes {
    /// The indices of the volumes that started from their committed data; the others continue with
    /// what a crash has left.
    fresh: Vec<usize>,
}

impl VmStorage {
    /// Returns the volumes in the order in which the domain gets them.
    pub fn volumes(&self) -> impl Iterator<Item = (&Volume, &dyn Driver)> {
        self.volumes
            .iter()
            .map(|(volume, driver)| (volume, &**driver))
    }

    /// Returns the volume `name` with its driver.
    pub fn volume(&self, name: &str) -> Result<(&Volume, &dyn Driver), StorageError> {
        let known = || {
            self.volumes
                .iter()
                .map(|(v, _)| v.name.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        };
        let missing = || {
            let (qube, name) = (&self.qube, name.escape_debug());
            StorageError::Refused(format!(
                "{qube}: it has no volume '{name}'; it has {}",
                known()
            ))
        };
        self.volumes()
            .find(|(v, _)| v.name == name)
            .ok_or_else(missing)
    }

    /// Creates all volumes in place of whatever a crash has left under their names. If one fails,
    /// all are removed again.
    pub fn create(&self) -> Result<(), StorageError> {
        self.create_each(|volume, driver| driver.create(volume))
    }

    /// Creates all volumes, and fills those for which `data` has an entry of the same name. If one
    /// fails, all are removed again. Each copy is reported to `progress`.
    pub fn create_from(
        &self,
        data: &[CommittedData],
        progress: &dyn Progress,
    ) -> Result<(), StorageError> {
        self.create_each(
            |volume, driver| match data.iter().find(|d| d.name == volume.name) {
                Some(data) if volume.kind() == VolumeKind::Origin => {
                    let guard = ProgressGuard::start(progress, &volume.name, Some(data.size));
                    // Remove what a crash has left first. Creating an empty image instead would add
                    // a revision.
                    driver.remove(volume)?;
                    driver.import_committed_data(volume, data, &|at| guard.update(at))
                }
                _ => driver.create(volume),
            },
        )
    }

    /// Opens the committed data of every persistent volume.
    pub fn open_committed_data(&self) -> Result<Vec<CommittedData>, StorageError> {
        let kept = self
            .volumes()
            .filter(|(volume, _)| volume.kind() == VolumeKind::Origin);
        kept.map(|(volume, driver)| driver.open_committed_data(volume))
            .collect()
    }

    /// Checks that everything a start needs exists.
    pub fn verify(&self) -> Result<(), StorageError> {
        self.volumes()
            .try_for_each(|(volume, driver)| driver.verify(volume))
    }

    /// Refuses a start that would put images beside foreign ones, which may still be needed.
    ///
    /// # Errors
    /// There are such images, or they cannot be examined.
    pub fn refuse_foreign_images(&self) -> Result<(), StorageError> {
        self.volumes().try_for_each(|(volume, driver)| {
            run_images::refuse_foreign(volume, &driver.foreign_images(volume)?)
        })
    }

    /// Describes the foreign images beside non-persistent volumes, except those that belong to
    /// other volumes. Some may belong to a running qube.
    ///
    /// # Errors
    /// The images or their owners cannot be determined.
    pub fn foreign_images<E: From<StorageError>>(
        &self,
        owners: impl FnOnce() -> Result<ImageOwners, E>,
    ) -> Result<Vec<String>, E> {
        let mut foreign = Vec::new();
        for (volume, driver) in self.volumes() {
            let images = driver.foreign_images(volume)?;
            foreign.extend(images.into_iter().map(|foreign| (volume, foreign)));
        }
        // Most qubes have none, and finding owners reads the metadata of all images.
        if foreign.is_empty() {
            return Ok(Vec::new());
        }
        let owners = owners()?;
        let mut stay = Vec::new();
        for (volume, foreign) in foreign {
            if !owners.has_other_owner(std::slice::from_ref(&foreign.image), volume)? {
                stay.push(run_images::describe_foreign(volume, &foreign));
            }
        }
        Ok(stay)
    }

    /// Makes the images that the domain gets. If one fails, all are rolled back.
    pub fn start(&self) -> Result<StartedVolumes, StorageError> {
        let mut started = StartedVolumes { fresh: Vec::new() };
        for (at, (volume, driver)) in self.volumes().enumerate() {
            // A mapping that a crash has left keeps its image open.
            let begun = self
                .close_mapping(volume, driver)
                .and_then(|()| driver.is_dirty(volume))
                .and_then(|dirty| {
                    driver.start(volume)?;
                    Ok(dirty)
                });
            let done = begun.and_then(|dirty| {
                if !dirty {
                    started.fresh.push(at);
                }
                self.encrypt(volume, driver)
            });
            if let Err(error) = done {
                return Err(join_errors(error, self.roll_back(&started)));
            }
        }
        Ok(started)
    }

    /// Undoes a start whose domain has not run. Nothing is committed and no revision is made.
    /// Volumes that were dirty before stay dirty.
    pub fn roll_back(&self, started: &StartedVolumes) -> Result<(), StorageError> {
        let fresh = started.fresh.iter().filter_map(|at| self.volumes.get(*at));
        for_each(fresh.map(|(volume, driver)| {
            self.close_mapping(volume, &**driver)
                .and_then(|()| driver.discard(volume))
        }))
    }

    /// Commits or discards the changes of every volume, also after a crash. An error of one volume
    /// does not affect the others.
    pub fn stop(&self) -> Result<(), StorageError> {
        for_each(self.volumes().map(|(volume, driver)| {
            self.close_mapping(volume, driver)
                .and_then(|()| driver.stop(volume))
        }))
    }

    /// Removes every volume with its revisions, except the images that belong to `owners`. Returns
    /// messages about those that stay. An error of one volume does not affect the others.
    pub fn remove(&self, owners: &ImageOwners) -> Result<Vec<String>, StorageError> {
        let mut kept = Vec::new();
        for_each(self.volumes().map(|(volume, driver)| {
            self.close_mapping(volume, driver)?;
            kept.extend(driver.remove_unowned(volume, owners)?);
            Ok(())
        }))?;
        Ok(kept)
    }

    /// Removes the volumes with these names from the collection, not from the disk.
    #[must_use]
    pub fn without_volumes(mut self, names: &[String]) -> VmStorage {
        self.volumes
            .retain(|(volume, _)| !names.contains(&volume.name));
        self
    }

    /// Returns the volumes for which `is_selected` is true.
    #[must_use]
    pub fn select(&self, is_selected: impl Fn(&Volume) -> bool) -> VmStorage {
        let volumes = self
            .volumes
            .iter()
            .filter(|(volume, _)| is_selected(volume))
            .cloned()
            .collect();
        VmStorage {
            qube: self.qube.clone(),
            volumes,
            suffix: self.suffix.clone(),
        }
    }

    /// Creates all volumes except those in `adopted`, whose existing images are used. If one fails,
    /// the created ones are removed again.
    pub fn adopt_or_create(&self, adopted: &[String]) -> Result<(), StorageError> {
        let is_adopted = |volume: &Volume| adopted.contains(&volume.name);
        for (volume, driver) in self.volumes().filter(|(volume, _)| is_adopted(volume)) {
            // Data that a crash has left uncommitted are committed like those of any qube.
            if driver.image_file(volume)?.is_some() && !driver.is_dirty(volume)? {
                driver.adopt(volume)?;
            }
        }
        self.select(|volume| !is_adopted(volume)).create()
    }

    /// Removes images that only speed up the next start, or that no start would use, from every
    /// volume of a halted qube. Volumes that share an image with another volume are left alone.
    pub fn remove_spare_images(&self, owners: &ImageOwners) -> Result<(), StorageError> {
        for_each(self.volumes().map(|(volume, driver)| {
            if owners.has_other_owner(&driver.images(volume)?, volume)? {
                return Ok(());
            }
            self.close_mapping(volume, driver)?;
            driver.remove_spare_images(volume)
        }))
    }

    /// Returns the directories of the volumes that belong to this qube alone.
    pub fn directories(&self) -> Vec<PathBuf> {
        let mut directories: Vec<_> = self
            .volumes()
            .filter_map(|(volume, driver)| driver.qube_directory(volume))
            .collect();
        directories.sort();
        directories.dedup();
        directories
    }

    /// Whether a volume has data that are not committed: the qube runs, or was not stopped cleanly.
    pub fn is_dirty(&self) -> Result<bool, StorageError> {
        for (volume, driver) in self.volumes() {
            if driver.is_dirty(volume)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a run has left images of non-persistent volumes. If the qube is halted, a crash has
    /// left them.
    pub fn has_stale_run(&self) -> Result<bool, StorageError> {
        for (volume, driver) in self.volumes() {
            if volume.kind() != VolumeKind::Origin && driver.has_run_images(volume)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn create_each(
        &self,
        make: impl Fn(&Volume, &dyn Driver) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        for (at, (volume, driver)) in self.volumes().enumerate() {
            if let Err(error) = make(volume, driver) {
                let made = self.volumes().take(at + 1);
                return Err(join_errors(
                    error,
                    for_each(made.map(|(volume, driver)| driver.remove(volume))),
                ));
            }
        }
        Ok(())
    }
}

/// Evaluates all results and joins their errors.
fn for_each(results: impl Iterator<Item = Result<(), StorageError>>) -> Result<(), StorageError> {
    let mut outcome = Ok(());
    for result in results {
        outcome = match outcome {
            Ok(()) => result,
            Err(first) => Err(join_errors(first, result)),
        };
    }
    outcome
}

fn join_errors(first: StorageError, then: Result<(), StorageError>) -> StorageError {
    match then {
        Ok(()) => first,
        Err(second) => StorageError::Both {
            first: Box::new(first),
            second: Box::new(second),
        },
    }
}
