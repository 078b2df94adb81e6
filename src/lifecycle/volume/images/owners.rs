//! Looks up the owners of images in the store.

use crate::format::{self, Bytes, FormatError};
use crate::fs::is_readable;
use crate::lifecycle::{Context, LifecycleError, conversion};
use crate::model::image_claims::{ImageRole, collect_image_claims};
use crate::model::{Qubes, Vm, VmName, volume};
use crate::storage::pools::open_driver;
use crate::storage::{Driver, ImageOwners, StorageError, VmStorage, Volume, VolumeKind};
use crate::store::{Read, StoreError, read_bytes};

/// Returns the owners of all images on disk, by the store as it is now. If this is not the
/// system's store, the system's is added: two stores may use the same pool.
///
/// # Errors
/// The store cannot be read as a whole.
pub(in crate::lifecycle) fn find_owners(context: &Context) -> Result<ImageOwners, LifecycleError> {
    let read = context.read()?;
    find_owners_in(context, &read)
}

/// Returns the owners of all images except those of `qube`.
///
/// # Errors
/// The store cannot be read as a whole.
pub(in crate::lifecycle) fn find_owners_except(
    context: &Context,
    qube: &VmName,
) -> Result<ImageOwners, LifecycleError> {
    Ok(find_owners(context)?.without_qube(qube))
}

/// Returns the owners as [`find_owners`] does, by a store that was read before.
///
/// # Errors
/// The store cannot be read as a whole.
pub(in crate::lifecycle) fn find_owners_in(
    context: &Context,
    read: &Read,
) -> Result<ImageOwners, LifecycleError> {
    let file = context.system.store_file();
    let failed = StoreError::format(file);
    let mut owners = find_owners_in_text(context, read, read.bytes()).map_err(failed)?;
    if let Some(others) = system_store_owners(context) {
        owners.merge(others);
    }
    Ok(owners)
}

/// Returns the owners by the text of a store.
///
/// # Errors
/// The text is not a valid store.
pub(in crate::lifecycle) fn find_owners_in_text(
    context: &Context,
    qubes: &Qubes,
    bytes: &Bytes,
) -> Result<ImageOwners, FormatError> {
    let domains = format::list_all_domains(bytes)?;
    Ok(ImageOwners::from_claims(
        &collect_image_claims(qubes, &domains, context.facts()),
        &context.system,
    ))
}

/// Returns the owners by the system's store; `None` if that is this store.
fn system_store_owners(context: &Context) -> Option<ImageOwners> {
    let file = context.system.system_store();
    // A user who may not read the system's store cannot write to its images either.
    if file == context.system.store_file() || !is_readable(&file) {
        return None;
    }
    let unknown = |reason: String| {
        ImageOwners::unknown(format!(
            "the volumes of {} are unknown: {reason}",
            file.display()
        ))
    };
    let bytes = match read_bytes(&file) {
        Ok(bytes) => bytes,
        Err(error) => return Some(unknown(error.to_string())),
    };
    let found =
        format::read(bytes.clone()).and_then(|qubes| find_owners_in_text(context, &qubes, &bytes));
    let owners = match found {
        Ok(owners) => owners,
        Err(FormatError::OldFormat) => match old_store_owners(context, &bytes) {
            Ok(owners) => owners,
            Err(error) => unknown(error.to_string()),
        },
        Err(error) => unknown(error.to_string()),
    };
    Some(owners.mark_foreign(&file))
}

/// Returns the owners by a store of R1 to R3: its images are those of the store that a
/// conversion would make.
///
/// # Errors
/// The store cannot be converted.
fn old_store_owners(context: &Context, bytes: &Bytes) -> Result<ImageOwners, LifecycleError> {
    let (qubes, _) = conversion::plan(context, bytes)?;
    let store = context.system.system_store();
    let failed = StoreError::format(&store);
    let written = Bytes::from(format::write_new(&qubes).map_err(failed)?);
    let mut owners = find_owners_in_text(context, &qubes, &written).map_err(failed)?;
    // A domain that cannot be taken over may be a qube with images.
    owners.unresolved.extend(
        qubes
            .diagnoses
            .iter()
            .map(|diagnosis| diagnosis.text.clone()),
    );
    Ok(owners)
}

/// Checks that a volume's own image is not another volume's, also by a hard link: a write to
/// one would change both.
///
/// # Errors
/// [`LifecycleError::ImageOwned`]; or the owners cannot be determined.
pub(in crate::lifecycle) fn refuse_shared_image(
    context: &Context,
    qubes: &Qubes,
    owners: &ImageOwners,
    volume: &Volume,
    verb: &str,
) -> Result<(), LifecycleError> {
    let Some(pool) = qubes.pools.get(&volume.pool) else {
        return Ok(());
    };
    if pool.has_kernels() || volume.vid.is_empty() {
        return Ok(());
    }
    let sharers = owners.find_sharers(pool, &volume.vid, &context.system)?;
    // A snapshot reads its source's images and changes none of them.
    let sharer = sharers
        .into_iter()
        .find(|owner| owner.role == ImageRole::Own && !owner.is_volume(volume));
    let sharer = match volume.kind() {
        // Only files have hard links. Asking LVM again would find nothing new.
        VolumeKind::Origin if sharer.is_none() && pool.option("dir_path").is_some() => {
            owners.find_alias_owner(&open_driver(&context.system, pool)?.images(volume)?, volume)?
        }
        _ => sharer,
    };
    match sharer {
        None => Ok(()),
        Some(owner) => Err(LifecycleError::ImageOwned {
            verb: verb.to_owned(),
            volume: volume.full_name(),
            owner: owner.volume.clone(),
        }),
    }
}

/// Checks that the own image of a qube's volume is not another volume's.
///
/// # Errors
/// [`LifecycleError::ImageOwned`]; or the owners cannot be determined.
pub(in crate::lifecycle) fn require_own_image(
    context: &Context,
    read: &Read,
    vm: &Vm,
    volume: &str,
    verb: &str,
) -> Result<(), LifecycleError> {
    let resolved =
        volume::resolve(read, vm, volume, context.facts()).map_err(StorageError::from)?;
    let resolved = resolved.require_supported()?;
    let owners = find_owners_in(context, read)?;
    let verb = format!("{verb} {}", resolved.full_name());
    refuse_shared_image(context, read, &owners, &resolved, &verb)
}

/// Checks that a start does not write to an image that certainly is another volume's, too.
/// Otherwise both guests would use it, or the commit of one would remove the data of the other.
///
/// # Errors
/// [`LifecycleError::ImageOwned`].
pub(in crate::lifecycle) fn require_own_images(
    context: &Context,
    read: &Read,
    vm: &Vm,
    storage: &VmStorage,
) -> Result<(), LifecycleError> {
    // Damage elsewhere in the store does not prevent a start.
    let Ok(owners) = find_owners_in(context, read) else {
        return Ok(());
    };
    let owners = owners.retain_certain();
    // Volumes that are not saved count, too: a start creates their images anew.
    for (volume, _) in storage.volumes() {
        refuse_shared_image(
            context,
            read,
            &owners,
            volume,
            &format!("start {}", vm.name),
        )?;
    }
    Ok(())
}

/// Leaves out, with a warning, the volumes of a halted qube whose own image is another
/// volume's, too: what a start left of them may be data of the other one.
///
/// # Errors
/// The store cannot be read, or the owners cannot be determined.
pub(in crate::lifecycle) fn without_shared_images(
    context: &Context,
    read: &Read,
    storage: VmStorage,
) -> Result<VmStorage, LifecycleError> {
    let owners = find_owners_in(context, read)?;
    let mut shared = Vec::new();
    for (volume, _) in storage.volumes() {
        match refuse_shared_image(
            context,
            read,
            &owners,
            volume,
            &format!("clean up {}", volume.full_name()),
        ) {
            Err(error @ LifecycleError::ImageOwned { .. }) => {
                context.system.notify_error(&error);
                shared.push(volume.name.clone());
            }
            checked => checked?,
        }
    }
    Ok(storage.without_volumes(&shared))
}

/// Removes the images of a qube, except those that belong to `owners`. Warns about these.
///
/// # Errors
/// An image cannot be removed.
pub(in crate::lifecycle) fn remove(
    context: &Context,
    storage: &VmStorage,
    owners: &ImageOwners,
) -> Result<(), LifecycleError> {
    for kept in storage.remove(owners)? {
        context.system.notify(&kept);
    }
    Ok(())
}

/// Removes the volumes of a qube beside which images lie that no start of it made, with these
/// images. A user who removes a qube gives up all images under its names, except those of
/// `owners`.
///
/// # Errors
/// An image cannot be removed.
pub(in crate::lifecycle) fn remove_foreign(
    context: &Context,
    storage: &VmStorage,
    owners: &ImageOwners,
) -> Result<(), StorageError> {
    for (volume, driver) in storage.volumes() {
        if !driver.foreign_images(volume)?.is_empty() {
            remove_unowned(
                context,
                driver,
                &Volume::orphan(&volume.pool, &volume.vid),
                owners,
            )?;
        }
    }
    Ok(())
}

/// Removes a volume of which only pool and id are known, except images that belong to `owners`.
/// Warns about these.
///
/// # Errors
/// An image cannot be removed.
pub(in crate::lifecycle) fn remove_unowned(
    context: &Context,
    driver: &dyn Driver,
    volume: &Volume,
    owners: &ImageOwners,
) -> Result<(), StorageError> {
    for kept in driver.remove_unowned(volume, owners)? {
        context.system.notify(&kept);
    }
    Ok(())
}
