//! Freeing space on a full disk, for a save that will free more: spare images that no qube needs
//! are deleted first.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use crate::lifecycle::volume::{self, images};
use crate::lifecycle::{Context, LifecycleError, qube};
use crate::model::{Vm, VmName};
use crate::storage::{Image, VmStorage, VolumeKind};
use crate::store::Read;

/// Runs `save`. If the disk is full, calls `release` with the error, then deletes the spare
/// images of every other qube, and tries again after each.
///
/// # Errors
/// Those of `save` and `release`.
pub(in crate::lifecycle) fn save_or_free_space<T>(
    context: &Context,
    locked: &VmName,
    save: impl Fn() -> Result<T, LifecycleError>,
    release: impl FnOnce(&LifecycleError) -> Result<(), LifecycleError>,
) -> Result<T, LifecycleError> {
    match save() {
        Err(error) if error.is_disk_full() => release(&error)?,
        saved => return saved,
    }
    match save() {
        Err(error) if error.is_disk_full() => remove_spare_images(context, locked)?,
        saved => return saved,
    }
    save()
}

/// Removes the images that only speed up the next start, of every qube but `locked`. A qube
/// whose lock is held keeps them.
fn remove_spare_images(context: &Context, locked: &VmName) -> Result<(), LifecycleError> {
    let qubes = context.read()?;
    let owners = images::find_owners_in(context, &qubes)?;
    for vm in qubes
        .iter()
        .filter(|vm| vm.class.is_local_guest() && vm.name != *locked)
    {
        let Ok(_lock) = qube::lock_within(context, &vm.name, Duration::ZERO) else {
            continue;
        };
        let Ok(storage) = VmStorage::for_qube(&context.system, &qubes, vm, context.facts()) else {
            continue;
        };
        for (volume, driver) in storage
            .volumes()
            .filter(|(volume, _)| volume.kind() == VolumeKind::Origin)
        {
            let are_shared = driver
                .images(volume)
                .and_then(|images| owners.has_other_owner(&images, volume));
            if let Ok(false) = are_shared {
                // The next save shows whether it was enough.
                let _ignored = driver.remove_spare_images(volume);
            }
        }
    }
    Ok(())
}

/// Removes what the next start of a qube would copy again, and the revisions of one volume
/// beyond `keep`. Does nothing if another qube shares an image of the volume, or if the volume
/// is on another disk than the one that is `full`. The caller holds the qube's lock. Returns
/// the number of removed revisions.
///
/// # Errors
/// The volume's images cannot be inspected or removed.
pub(in crate::lifecycle) fn free_volume_space(
    context: &Context,
    qubes: &Read,
    vm: &Vm,
    volume: &str,
    keep: Option<i64>,
    full: &LifecycleError,
) -> Result<usize, LifecycleError> {
    let owners = images::find_owners_in(context, qubes)?;
    volume::with_volume(context, qubes, vm, volume, |volume, driver| {
        let images = driver.images(volume)?;
        let frees_nothing = full.is_store_error() && !is_on_store_disk(context, &images);
        if frees_nothing || owners.has_other_owner(&images, volume)? {
            return Ok(0);
        }
        let before = driver.revisions(volume)?.len();
        if let Some(keep) = keep {
            driver.prune_revisions(volume, usize::try_from(keep).unwrap_or(0))?;
        }
        // Volumes of other kinds have no spare images.
        if volume.kind() == VolumeKind::Origin {
            driver.remove_spare_images(volume)?;
        }
        Ok(before.saturating_sub(driver.revisions(volume)?.len()))
    })
}

/// Returns whether deleting these images frees space on the disk of the store. Subvolumes of a
/// btrfs count as separate disks.
pub(in crate::lifecycle) fn is_on_store_disk(context: &Context, images: &[Image]) -> bool {
    let store = fs::metadata(context.system.store_file()).map(|store| store.dev());
    images.iter().any(|image| match image {
        Image::File(path) => fs::symlink_metadata(path).is_ok_and(|image| {
            image.blocks() > 0 && store.as_ref().is_ok_and(|store| *store == image.dev())
        }),
        Image::Logical { .. } => false,
    })
}
