//! The notes about a qube: the file `notes.txt` in its directory (`docs/spec/r4-adminapi.md`,
//! admin.vm.notes).

use crate::fs::replace::Access;
use crate::lifecycle::qube::directory::{self, QubeDirectory};
use crate::lifecycle::{Context, LifecycleError, conversion};
use crate::model::notes::{MAX_BYTES, sanitize_text};
use crate::model::{NotesError, Qubes, Vm, VmName};

/// The name of the file.
const NAME: &str = "notes.txt";

/// Returns the notes about a qube; empty if there are none.
///
/// # Errors
/// The qube does not exist or cannot have notes (dom0, a RemoteVM), or the file cannot be read.
pub fn notes(context: &Context, name: &VmName) -> Result<String, LifecycleError> {
    let qubes = context.read()?;
    read_notes(&directory::open(
        context,
        find_qube_with_notes(&qubes, name)?,
    ))
}

/// Replaces the notes about a qube by what `change` returns for the current ones. The store is
/// locked meanwhile, so no other command changes them, and whatever refuses a change of the
/// store refuses this one, too.
///
/// # Errors
/// As [`notes()`]; those of `change`; the new notes are too long; the file cannot be
/// written. The old notes stay.
pub fn change_notes(
    context: &Context,
    name: &VmName,
    change: impl FnOnce(&str) -> Result<String, LifecycleError>,
) -> Result<(), LifecycleError> {
    let qubes = context.read()?;
    find_qube_with_notes(&qubes, name)?;
    // Notes exist only in R4: a store of R3 is converted first, as by every other change.
    conversion::convert_if_needed(context, &qubes)?;
    directory::refuse_shared_directory(
        context,
        &directory::open(context, find_qube_with_notes(&qubes, name)?),
        &format!("change the notes of {name}"),
    )?;
    drop(qubes);
    let write = context.write()?;
    let vm = find_qube_with_notes(&write, name)?;
    let directory = directory::open(context, vm);
    let old = read_notes(&directory)?;
    let new = sanitize_text(&change(&old)?);
    if new == old {
        return Ok(());
    }
    if new.len() > MAX_BYTES {
        return Err(NotesError::TooLong {
            qube: name.to_string(),
            bytes: new.len(),
        }
        .into());
    }
    if new.is_empty() {
        return directory.remove_file(NAME).map_err(LifecycleError::cannot(
            "remove",
            &directory.display_path(NAME),
        ));
    }
    let access = Access::shared(context.system.qubes_group());
    let directory = directory::make(context, vm)?;
    directory
        .write(NAME, access, new.as_bytes())
        .map_err(LifecycleError::cannot(
            "write",
            &directory.display_path(NAME),
        ))
}

/// Reads the notes in a directory.
fn read_notes(directory: &QubeDirectory) -> Result<String, LifecycleError> {
    let bytes = directory.read(NAME).map_err(LifecycleError::cannot(
        "read",
        &directory.display_path(NAME),
    ))?;
    Ok(sanitize_text(&String::from_utf8_lossy(
        &bytes.unwrap_or_default(),
    )))
}

/// Returns a qube that can have notes.
fn find_qube_with_notes<'q>(qubes: &'q Qubes, name: &VmName) -> Result<&'q Vm, LifecycleError> {
    let vm = qubes
        .get(name.as_str())
        .ok_or_else(|| LifecycleError::NoSuchQube(name.to_string()))?;
    match vm.class.is_local_guest() {
        true => Ok(vm),
        false => Err(NotesError::NoDirectory {
            qube: name.to_string(),
        }
        .into()),
    }
}
