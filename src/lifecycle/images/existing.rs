//! What a creation does with images that lie where those of the new qube are to be.

use std::fs;
use std::io;
use std::path::PathBuf;

use uuid::Uuid;

use super::data_source::DataSource;
use super::leftovers::Note;
use crate::fs::replace::Access;
use crate::lifecycle::qube_directory::QubeDirectory;
use crate::lifecycle::recover::{Orphan, is_volume_of_qube};
use crate::lifecycle::{LifecycleError, Session};
use crate::model::{Qubes, Vm};
use crate::storage::aliases::find_image_with_data;
use crate::storage::pools::open_driver;
use crate::storage::{Driver, ImageOwners, StorageError, VmStorage, Volume, VolumeKind};
use crate::store::{StoreError, read_bytes};

/// What is to become of images that hold data and that no qube of the store means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExistingImages {
    /// Nothing: the creation is refused.
    #[default]
    Refuse,
    /// They are deleted.
    Discard,
    /// They become the new qube's, where its volumes are kept from start to start.
    Adopt,
}

/// A new qube that is to get its images.
#[derive(Clone, Copy)]
pub(in crate::lifecycle) struct PlannedImages<'a> {
    pub qubes: &'a Qubes,
    pub vm: &'a Vm,
    pub storage: &'a VmStorage,
    pub existing: ExistingImages,
    /// The names of the volumes whose images are taken over.
    pub adopted: &'a [String],
    /// Where the data of its root volume come from, if not from another volume.
    pub source: Option<DataSource<'a>>,
}

/// What was found before a creation.
pub(in crate::lifecycle) struct Prepared {
    /// Whose the images of all other qubes are.
    pub owners: ImageOwners,
    /// The directory of the new qube's own files, with the note that is to be taken away once the
    /// qube is saved; none of a class without files.
    pub directory: Option<QubeDirectory>,
}

impl Prepared {
    /// Takes the note away. The qube is there, so that it stays is no error: it counts for nothing.
    pub fn forget(&self) {
        let _counts_for_nothing = self
            .directory
            .iter()
            .try_for_each(|directory| Note::in_directory(directory).remove());
    }
}

impl Session {
    /// Refuses a new qube whose volumes would have an image that another volume means, or one with
    /// data that nobody gave up, or whose directory another qube means. Nothing is changed.
    ///
    /// # Errors
    /// It would, or nobody can tell.
    pub(in crate::lifecycle) fn check_images(
        &self,
        planned: PlannedImages<'_>,
    ) -> Result<ImageOwners, LifecycleError> {
        let PlannedImages {
            qubes,
            vm: planned,
            storage,
            existing,
            adopted,
            source,
        } = planned;
        let owners = self.image_owners()?;
        if let Some(source) = source {
            source.check(&planned.name, storage, &owners)?;
        }
        for (volume, _) in storage.volumes() {
            self.refuse_shared_image(qubes, &owners, volume, &format!("create {}", planned.name))?;
        }
        if planned.class.is_local_guest() {
            self.refuse_shared_directory(
                &self.qube_directory(planned),
                &format!("create {}", planned.name),
            )?;
        }
        let left = self.left_by_killed_creation(planned)?;
        let made = storage
            .volumes()
            .filter(|(volume, _)| !adopted.contains(&volume.name));
        let mut images = Vec::new();
        for (volume, driver) in made.filter(|_| existing != ExistingImages::Discard) {
            let is_left = |orphan: &Orphan| orphan.pool == volume.pool && orphan.vid == volume.vid;
            if !left.iter().any(is_left) {
                images.extend(driver.images(volume)?);
            }
        }
        match find_image_with_data(&images)? {
            None => Ok(owners),
            Some(image) => {
                let (qube, image) = (planned.name.clone(), image.to_string());
                Err(LifecycleError::ImageHoldsData { qube, image })
            }
        }
    }

    /// Makes the place of a new qube ready, once its images were checked: clears what a killed
    /// creation has left and writes down what this one is about to make.
    ///
    /// # Errors
    /// As [`Session::check_images`]; or the directory cannot be written to.
    pub(in crate::lifecycle) fn prepare_images(
        &self,
        planned: PlannedImages<'_>,
    ) -> Result<Prepared, LifecycleError> {
        let owners = self.check_images(planned)?;
        let PlannedImages {
            qubes,
            vm: planned,
            storage,
            adopted,
            ..
        } = planned;
        if !planned.class.is_local_guest() {
            return Ok(Prepared {
                owners,
                directory: None,
            });
        }
        for orphan in self.left_by_killed_creation(planned)? {
            let is_adopted = |(volume, _): (&Volume, &dyn Driver)| {
                volume.pool == orphan.pool
                    && volume.vid == orphan.vid
                    && adopted.contains(&volume.name)
            };
            let pool = qubes
                .pools
                .get(&orphan.pool)
                .filter(|pool| pool.driver() != "linux-kernel");
            if let Some(pool) = pool.filter(|_| !storage.volumes().any(is_adopted)) {
                let driver = open_driver(&self.system, pool)?;
                let volume = Volume::orphan(&orphan.pool, &orphan.vid);
                self.remove_unowned(&*driver, &volume, &owners)?;
            }
        }
        let directory = self.make_qube_directory(planned)?;
        let made = storage.volumes().filter(|(volume, _)| {
            !volume.vid.is_empty() && !adopted.contains(&volume.name) && !is_kernel(qubes, volume)
        });
        let made = made.map(|(volume, _)| Orphan {
            pool: volume.pool.clone(),
            vid: volume.vid.clone(),
        });
        let access = Access::shared(self.system.qubes_group());
        let note = Note::in_directory(&directory);
        if let Err(error) = note.write(planned.uuid().unwrap_or_default(), made.collect(), access) {
            let _not_empty = directory.remove_if_empty();
            return Err(error);
        }
        Ok(Prepared {
            owners,
            directory: Some(directory),
        })
    }

    /// Members of group qubes can write the note, and root deletes what it names: so it counts only
    /// for volumes of this very qube.
    fn left_by_killed_creation(&self, planned: &Vm) -> Result<Vec<Orphan>, LifecycleError> {
        let directory = self.qube_directory(planned);
        let mut left = Note::in_directory(&directory).read(|uuid| self.was_saved(uuid))?;
        left.retain(|orphan| is_volume_of_qube(&orphan.vid, &planned.name));
        Ok(left)
    }

    /// Whether the store or a copy of it has this uuid.
    fn was_saved(&self, uuid: Uuid) -> Result<bool, LifecycleError> {
        let text = uuid.to_string();
        let mut files = vec![self.system.store_file().to_path_buf()];
        let backup = self.system.backup_dir();
        match fs::read_dir(&backup) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(LifecycleError::Io {
                    what: backup.display().to_string(),
                    source,
                });
            }
            Ok(entries) => files.extend(entries.filter_map(|entry| Some(entry.ok()?.path()))),
        }
        let has_it = |file: &PathBuf| -> Result<bool, LifecycleError> {
            // Whatever else lies there is no copy.
            if !fs::metadata(file).is_ok_and(|found| found.is_file()) {
                return Ok(false);
            }
            match read_bytes(file) {
                Err(StoreError::TooLarge { .. }) if file.starts_with(&backup) => Ok(false),
                bytes => Ok(memchr::memmem::find(&bytes?, text.as_bytes()).is_some()),
            }
        };
        files
            .iter()
            .map(has_it)
            .try_fold(false, |found, has| Ok(found || has?))
    }

    /// The names of the volumes of a new qube whose images are to be taken over.
    ///
    /// # Errors
    /// Nobody can look.
    pub(in crate::lifecycle) fn names_to_adopt(
        &self,
        storage: &VmStorage,
        existing: ExistingImages,
    ) -> Result<Vec<String>, StorageError> {
        match existing {
            ExistingImages::Refuse | ExistingImages::Discard => Ok(Vec::new()),
            ExistingImages::Adopt => Ok(self
                .adoptable(storage)?
                .into_iter()
                .map(|(name, _)| name)
                .collect()),
        }
    }

    /// The kept volumes of a new qube whose images are there already, with their sizes in bytes.
    ///
    /// # Errors
    /// Nobody can look.
    pub(in crate::lifecycle) fn adoptable(
        &self,
        storage: &VmStorage,
    ) -> Result<Vec<(String, u64)>, StorageError> {
        let mut found = Vec::new();
        for (volume, driver) in storage
            .volumes()
            .filter(|(volume, _)| volume.kind == VolumeKind::Origin)
        {
            if driver.is_dirty(volume)? || driver.verify(volume).is_ok() {
                found.push((volume.name.clone(), driver.size(volume)?));
            }
        }
        Ok(found)
    }
}

fn is_kernel(qubes: &Qubes, volume: &Volume) -> bool {
    qubes
        .pools
        .get(&volume.pool)
        .is_some_and(|pool| pool.driver() == "linux-kernel")
}
