//! Existing images in the place of a new qube's, and what its creation does with them.

use std::fs;
use std::io;
use std::path::PathBuf;

use uuid::Uuid;

use crate::fs::replace::Access;
use crate::lifecycle::qube::directory::{self, QubeDirectory};
use crate::lifecycle::reconcile::{Orphan, is_volume_of_qube};
use crate::lifecycle::volume::images;
use crate::lifecycle::volume::images::creation_note::CreationNote;
use crate::lifecycle::volume::images::data_source::DataSource;
use crate::lifecycle::{Context, LifecycleError};
use crate::model::{Qubes, Vm};
use crate::storage::aliases::find_image_with_data;
use crate::storage::pools::open_driver;
use crate::storage::{Driver, ImageOwners, StorageError, VmStorage, Volume, VolumeKind};
use crate::store::{StoreError, read_bytes};

/// What a creation does with existing images that hold data and belong to no qube of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExistingImages {
    /// The creation is refused.
    #[default]
    Refuse,
    /// The images are deleted.
    Discard,
    /// The images become those of the new qube's saved volumes.
    Adopt,
}

/// A new qube whose images are to be created.
#[derive(Clone, Copy)]
pub(in crate::lifecycle) struct PlannedImages<'a> {
    /// The store; it may have the new qube already.
    pub qubes: &'a Qubes,
    /// The planned qube.
    pub vm: &'a Vm,
    /// Its volumes.
    pub storage: &'a VmStorage,
    /// What to do with existing images.
    pub existing: ExistingImages,
    /// The names of the volumes whose existing images are adopted.
    pub adopted: &'a [String],
    /// The file with the data of its root volume, if they do not come from another volume.
    pub source: Option<DataSource<'a>>,
}

/// The result of preparing the place of a new qube.
pub(in crate::lifecycle) struct PreparedImages {
    /// The owners of all existing images.
    pub owners: ImageOwners,
    /// The directory of the new qube, with the note that is removed once the qube is saved; `None`
    /// if its class has no directory.
    pub directory: Option<QubeDirectory>,
}

impl PreparedImages {
    /// Removes the note. A failure is ignored: the qube is saved, so the note has no effect.
    pub fn remove_note(&self) {
        let _counts_for_nothing = self
            .directory
            .iter()
            .try_for_each(|directory| CreationNote::in_directory(directory).remove());
    }

    /// Removes the volumes of a failed creation, except the `adopted` ones, and the directory if it
    /// is empty then. The note stays while one of these volumes does, unless `drops_note`. Failures
    /// are ignored: the next creation of the name clears or reports what stays.
    pub fn roll_back(&self, storage: VmStorage, adopted: &[String], drops_note: bool) {
        let removed = storage.without_volumes(adopted).remove(&self.owners);
        if removed.is_ok() || drops_note {
            self.remove_note();
        }
        let _not_empty = self.directory.as_ref().map(QubeDirectory::remove_if_empty);
    }
}

/// Refuses a new qube whose volumes would have another volume's image or one that holds data,
/// or whose directory is another qube's. Changes nothing.
///
/// # Errors
/// The qube is refused, or the owners of the images are unknown.
pub(in crate::lifecycle) fn check(
    context: &Context,
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
    let owners = images::find_owners(context)?;
    if let Some(source) = source {
        source.check(&planned.name, storage, &owners)?;
    }
    for (volume, _) in storage.volumes() {
        images::refuse_shared_image(
            context,
            qubes,
            &owners,
            volume,
            &format!("create {}", planned.name),
        )?;
    }
    if planned.class.is_local_guest() {
        directory::refuse_shared_directory(
            context,
            &directory::open(context, planned),
            &format!("create {}", planned.name),
        )?;
    }
    let left = leftover_volumes(context, planned)?;
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

/// Prepares the place of a new qube: checks its images, removes those that a killed creation
/// left, and writes the note of this creation.
///
/// # Errors
/// As [`check`]; or the directory cannot be written to.
pub(in crate::lifecycle) fn prepare(
    context: &Context,
    planned: PlannedImages<'_>,
) -> Result<PreparedImages, LifecycleError> {
    let owners = check(context, planned)?;
    let PlannedImages {
        qubes,
        vm: planned,
        storage,
        adopted,
        ..
    } = planned;
    if !planned.class.is_local_guest() {
        return Ok(PreparedImages {
            owners,
            directory: None,
        });
    }
    for orphan in leftover_volumes(context, planned)? {
        let is_adopted = |(volume, _): (&Volume, &dyn Driver)| {
            volume.pool == orphan.pool && volume.vid == orphan.vid && adopted.contains(&volume.name)
        };
        let pool = qubes
            .pools
            .get(&orphan.pool)
            .filter(|pool| !pool.has_kernels());
        if let Some(pool) = pool.filter(|_| !storage.volumes().any(is_adopted)) {
            let driver = open_driver(&context.system, pool)?;
            let volume = Volume::orphan(&orphan.pool, &orphan.vid);
            images::remove_unowned(context, &*driver, &volume, &owners)?;
        }
    }
    let directory = directory::make(context, planned)?;
    let made = storage.volumes().filter(|(volume, _)| {
        !volume.vid.is_empty() && !adopted.contains(&volume.name) && !is_kernel(qubes, volume)
    });
    let made = made.map(|(volume, _)| Orphan {
        pool: volume.pool.clone(),
        vid: volume.vid.clone(),
    });
    let access = Access::shared(context.system.qubes_group());
    let note = CreationNote::in_directory(&directory);
    if let Err(error) = note.write(planned.uuid().unwrap_or_default(), made.collect(), access) {
        let _not_empty = directory.remove_if_empty();
        return Err(error);
    }
    Ok(PreparedImages {
        owners,
        directory: Some(directory),
    })
}

/// Returns the volumes that a killed creation of this name left. Members of group qubes can
/// write the note and root deletes what it names, so only volumes filed under this name count.
fn leftover_volumes(context: &Context, planned: &Vm) -> Result<Vec<Orphan>, LifecycleError> {
    let directory = directory::open(context, planned);
    let mut left =
        CreationNote::in_directory(&directory).read(|uuid| is_saved_uuid(context, uuid))?;
    left.retain(|orphan| is_volume_of_qube(&orphan.vid, &planned.name));
    Ok(left)
}

/// Whether the store or a copy of it has this uuid.
fn is_saved_uuid(context: &Context, uuid: Uuid) -> Result<bool, LifecycleError> {
    let text = uuid.to_string();
    let mut files = vec![context.system.store_file().to_path_buf()];
    let backup = context.system.backup_dir();
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
        // Anything but a file is not a copy of the store.
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

/// Returns the names of the new qube's volumes whose images are to be adopted.
///
/// # Errors
/// A pool cannot be used.
pub(in crate::lifecycle) fn adoptable_names(
    storage: &VmStorage,
    existing: ExistingImages,
) -> Result<Vec<String>, StorageError> {
    match existing {
        ExistingImages::Refuse | ExistingImages::Discard => Ok(Vec::new()),
        ExistingImages::Adopt => Ok(adoptable_volumes(storage)?
            .into_iter()
            .map(|(name, _)| name)
            .collect()),
    }
}

/// Returns the new qube's saved volumes whose images exist already, with their sizes in bytes.
///
/// # Errors
/// A pool cannot be used.
pub(in crate::lifecycle) fn adoptable_volumes(
    storage: &VmStorage,
) -> Result<Vec<(String, u64)>, StorageError> {
    let mut found = Vec::new();
    for (volume, driver) in storage
        .volumes()
        .filter(|(volume, _)| volume.kind() == VolumeKind::Origin)
    {
        if driver.is_dirty(volume)? || driver.verify(volume).is_ok() {
            found.push((volume.name.clone(), driver.size(volume)?));
        }
    }
    Ok(found)
}

fn is_kernel(qubes: &Qubes, volume: &Volume) -> bool {
    qubes
        .pools
        .get(&volume.pool)
        .is_some_and(|pool| pool.has_kernels())
}
