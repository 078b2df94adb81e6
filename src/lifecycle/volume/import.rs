//! Replaces the data of an existing volume: imports, clones and clears it.
//!
//! The new data are copied beside the volume's image without a lock of the qube, which can be
//! listed and even started meanwhile. Only when they are complete and durable is the qube locked,
//! and the volume gets them unless the qube was started. Until then the volume keeps its data,
//! whatever happens.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use crate::fs::comparison::file_length;
use crate::fs::file_lock::{FileLock, FileLockError, LockMode};
use crate::lifecycle::qube::{self, QubeLock};
use crate::lifecycle::reconcile::{self, QubeState};
use crate::lifecycle::volume::{
    self, ImportLength, PreparedImport, VolumeContent, images, not_imported, refused,
};
use crate::lifecycle::{Context, LifecycleError, conversion};
use crate::model::VmName;
use crate::storage::{Progress, ProgressGuard, Volume, VolumeKind};

/// Replaces the data of a halted qube's volume with those of `file`, atomically.
///
/// # Errors
/// The qube runs, another import into it is in progress, the data are empty or larger than the
/// volume may be, or they cannot be read or written. The volume keeps its data then.
pub fn import(
    context: &Context,
    name: &VmName,
    volume: &str,
    file: &File,
    length: ImportLength,
    progress: &dyn Progress,
) -> Result<(), LifecycleError> {
    replace_data(
        context,
        name,
        volume,
        VolumeContent::File { file, length },
        progress,
    )
    .map(drop)
}

/// Replaces the data of a volume with the last committed data of another one.
///
/// # Errors
/// As [`import()`]; or the source is not a saved volume.
pub fn clone(
    context: &Context,
    source: (&VmName, &str),
    target: (&VmName, &str),
    progress: &dyn Progress,
) -> Result<(), LifecycleError> {
    if source == target {
        let (volume, reason) = (
            format!("{}:{}", target.0, target.1),
            "it is the one to clone from".to_string(),
        );
        return Err(LifecycleError::VolumeRefused { volume, reason });
    }
    // Checked before the source is locked, and again when the data are complete.
    require_volume_halted(context, target.0)?;
    let data = {
        let lock = qube::lock(context, source.0)?;
        let qubes = context.read()?;
        if reconcile::reconcile_qube_in(context, &qubes, &lock)? == QubeState::Gone {
            return Err(LifecycleError::NoSuchQube(source.0.to_string()));
        }
        let vm = qube::find(&qubes, source.0)?;
        volume::with_volume(context, &qubes, vm, source.1, |volume, driver| {
            Ok(driver.open_committed_data(volume)?)
        })?
    };
    replace_data(
        context,
        target.0,
        target.1,
        VolumeContent::Clone(Some(data)),
        progress,
    )
    .map(drop)
}

/// Empties a volume without changing its size.
///
/// # Errors
/// As [`import()`].
pub fn clear(context: &Context, name: &VmName, volume: &str) -> Result<(), LifecycleError> {
    let clear = || {
        replace_data(
            context,
            name,
            volume,
            VolumeContent::Empty,
            &crate::storage::NoProgress,
        )
        .map(drop)
    };
    volume::save_or_free_space(context, name, clear, |full| {
        let (_lock, qubes) = reconcile::lock_halted(context, name)?;
        let vm = qube::find(&qubes, name)?;
        let kept = volume::with_volume(context, &qubes, vm, volume, |volume, _| {
            Ok(volume.revisions_to_keep)
        })?;
        // The current data become a revision, for which the oldest one would be removed anyway.
        let keep = Some(kept.saturating_sub(1));
        volume::free_volume_space(context, &qubes, vm, volume, keep, full).map(drop)
    })
}

fn require_volume_halted(context: &Context, name: &VmName) -> Result<(), LifecycleError> {
    let qubes = context.read()?;
    qube::find(&qubes, name)?;
    conversion::convert_if_needed(context, &qubes)?;
    drop(qubes);
    reconcile::lock_halted(context, name).map(drop)
}

/// Replaces the data of a volume. Returns the qube's lock, so that the caller can go on with
/// the qube unchanged.
pub(in crate::lifecycle) fn replace_data(
    context: &Context,
    name: &VmName,
    volume: &str,
    mut data: VolumeContent<'_>,
    progress: &dyn Progress,
) -> Result<QubeLock, LifecycleError> {
    require_volume_halted(context, name)?;
    let _import_lock = lock_for_import(context, name)?;
    let qubes = context.read()?;
    let vm = qube::find(&qubes, name)?;
    images::require_own_image(context, &qubes, vm, volume, "replace the data of")?;
    volume::with_volume(context, &qubes, vm, volume, |volume, driver| {
        if volume.kind() != VolumeKind::Origin {
            return Err(refused(
                volume,
                "it is not kept from start to start, so there is nothing to put data into",
            ));
        }
        let size = data.check(volume, driver)?;
        let wanted = Volume {
            size: size.unwrap_or(volume.size),
            ..volume.clone()
        };
        let prepared = RefCell::new(None);
        let base = data.take_base();
        let mut fill = |to: &File| {
            if let Err(error) = data.write_into(to, size, &volume.name, progress) {
                // Report an error in the data themselves without the name of the file they are
                // written to.
                if error.raw_os_error().is_none() {
                    prepared.replace(Some(Err(not_imported(volume, &error.to_string()))));
                }
                return Err(error);
            }
            let ready = prepare_commit(context, name, volume, to);
            let is_ready = ready.is_ok();
            prepared.replace(Some(ready));
            if is_ready {
                Ok(())
            } else {
                Err(io::Error::other("the volume keeps its data"))
            }
        };
        let done = match base {
            // The base may be the only image of another volume, whose start waits until it is
            // closed: it is copied and closed before waiting for the lock.
            Some(base) => {
                let guard = ProgressGuard::start(progress, &volume.name, Some(base.size));
                driver.import_modified(&wanted, base, &mut fill, &|at| guard.update(at))
            }
            None => driver.import_with(&wanted, &mut fill),
        };
        let ready = match prepared.into_inner() {
            Some(ready) => Some(ready?),
            None => None,
        };
        volume::finish_import(context, name, (volume, driver), done, ready)
    })
}

/// Locks the qube, checks that neither it nor the volume changed since `initial`, and saves the
/// size of the complete image.
///
/// # Errors
/// The qube was started or removed, the volume's options were changed, or the size cannot be saved.
fn prepare_commit(
    context: &Context,
    name: &VmName,
    initial: &Volume,
    image: &File,
) -> Result<PreparedImport, LifecycleError> {
    let lock = qube::lock(context, name)?;
    let qubes = context.read()?;
    match reconcile::reconcile_qube_in(context, &qubes, &lock)? {
        QubeState::Halted => {}
        QubeState::Active(_) => {
            return Err(not_imported(initial, "the qube was started meanwhile"));
        }
        QubeState::Gone => return Err(not_imported(initial, "the qube was removed meanwhile")),
    }
    // A start removes this file if it takes it for the leftover of an import that crashed.
    if image
        .metadata()
        .is_ok_and(|image| image.is_file() && image.nlink() == 0)
    {
        return Err(not_imported(
            initial,
            "the qube was started or removed meanwhile",
        ));
    }
    volume::with_volume(
        context,
        &qubes,
        qube::find(&qubes, name)?,
        &initial.name,
        |now, _| {
            // Whether a value is explicit changes nothing for the driver.
            let own_ephemeral = initial.own_ephemeral;
            let now = Volume {
                own_ephemeral,
                ..now.clone()
            };
            match now == *initial {
                true => Ok(()),
                false => Err(not_imported(
                    initial,
                    "the volume's options were changed meanwhile",
                )),
            }
        },
    )?;
    // Saved before the data are exchanged, so that a failed save changes nothing.
    let size =
        file_length(image).map_err(LifecycleError::cannot("look at", &"the image to import"))?;
    volume::save_size(context, name, initial, size)?;
    Ok(PreparedImport { lock, size })
}

/// Takes the lock of imports into this qube. Two at once would each remove the other's
/// unfinished image as a leftover.
fn lock_for_import(context: &Context, name: &VmName) -> Result<FileLock, LifecycleError> {
    let (run, group) = (context.system.run_dir(), context.system.qubes_group());
    let lock = run.lock(
        &format!("import-{name}"),
        LockMode::Exclusive,
        Duration::ZERO,
        group,
    );
    lock.map_err(|error| match error {
        FileLockError::Held { holder } => LifecycleError::Locked {
            qube: name.clone(),
            reason: format!("another import into it is in progress ({holder})"),
        },
        FileLockError::Io { file, source } => {
            LifecycleError::cannot("lock", &file.display())(source)
        }
    })
}
