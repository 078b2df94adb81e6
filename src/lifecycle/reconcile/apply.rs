//! The way of every change: open the store, decide, save, let go of the lock, apply the effects.
//!
//! An effect that changes something is a reconciliation: it reads the store again and brings the
//! outside to what it says, so two writers cannot leave it at the older value. What the user is
//! told is about the store as this change was saved.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::fs::replace::{parent_directory, sync_directory};
use crate::lifecycle::{Context, LifecycleError};
use crate::model::{Change, Draft, Effect, Facts, Qubes, VmName, property};

/// The systemd unit of every qube.
const UNIT: &str = "/usr/lib/systemd/system/qubes-vm@.service";
/// The directory where systemd looks for units to start at boot.
const WANTS: &str = "/etc/systemd/system/multi-user.target.wants";

/// A change that is in the store and has to be applied outside.
#[must_use = "what follows from a change has to be applied"]
pub struct SavedChange {
    /// The store as it was saved.
    qubes: Qubes,
    change: Change,
}

impl SavedChange {
    /// Describes a change that was saved in a store with these qubes.
    pub fn new(qubes: Qubes, change: Change) -> SavedChange {
        SavedChange { qubes, change }
    }

    /// Adds what follows from another decision that was saved with this one.
    pub fn merge(&mut self, other: Change) {
        self.change.merge(other);
    }
}

/// Opens the store, changes it as `decide` says, saves it and lets go of its lock. Returns what is
/// left to apply.
///
/// # Errors
/// The change is refused, or the store cannot be read or saved.
pub fn save_change(
    context: &Context,
    decide: impl FnOnce(&mut Draft) -> Result<Change, LifecycleError>,
) -> Result<SavedChange, LifecycleError> {
    let mut write = context.write()?;
    let change = decide(write.draft())?;
    write.save()?;
    Ok(SavedChange::new(write.into_qubes(), change))
}

/// Changes the store as `decide` says and applies the effects, for verbs that return no notes:
/// notes go to the notifier of the system.
///
/// # Errors
/// As [`save_change`] and [`apply_effects`].
pub(in crate::lifecycle) fn change_and_notify(
    context: &Context,
    decide: impl FnOnce(&mut Draft) -> Result<Change, LifecycleError>,
) -> Result<(), LifecycleError> {
    let saved = save_change(context, decide)?;
    for note in apply_effects(context, saved)? {
        context.system.notify(&note);
    }
    Ok(())
}

/// Applies the effects of a saved change in order. Returns notes for the user (about a change that
/// waits for the next start).
///
/// # Errors
/// The store cannot be read, or a file of dom0 cannot be changed.
pub fn apply_effects(context: &Context, saved: SavedChange) -> Result<Vec<String>, LifecycleError> {
    let (qubes, mut notes) = (&saved.qubes, Vec::new());
    for effect in saved.change.effects() {
        match effect {
            Effect::Autostart { vm } => reconcile_autostart(context, vm)?,
            Effect::Dom0Service { service, on } => switch_dom0_service(context, service, *on)?,
            Effect::ReattachNetwork { vm } => {
                notes.extend(next_start_note(context, qubes, vm, "its network"))
            }
            Effect::MaxmemHotplug { vm } => {
                notes.extend(next_start_note(context, qubes, vm, "maxmem"))
            }
            Effect::CompareMemory { vm } => notes.extend(maxmem_note(context, qubes, vm)),
            Effect::DebugNote { vm } => notes.extend(debug_note(context, qubes, vm)),
            Effect::QubesDbFeature { vm, feature } => {
                notes.extend(next_start_note(context, qubes, vm, feature))
            }
        }
    }
    Ok(notes)
}

/// Creates or removes the link that starts a qube at boot.
fn reconcile_autostart(context: &Context, name: &VmName) -> Result<(), LifecycleError> {
    let link = context
        .system
        .link_path_below_root(Path::new(WANTS).join(format!("qubes-vm@{name}.service")));
    let failed = |source: io::Error| {
        let what = format!(
            "autostart of {name} is saved, but root has to change its link {}",
            link.display()
        );
        LifecycleError::Io { what, source }
    };
    let qubes = context.read()?;
    let is_autostart = qubes
        .get(name.as_str())
        .is_some_and(|vm| property::is_on(&qubes, vm, "autostart", context.facts()));
    let is_linked = fs::symlink_metadata(&link).is_ok();
    let directory = parent_directory(&link);
    match (is_autostart, is_linked) {
        (true, false) => {
            fs::create_dir_all(directory).map_err(failed)?;
            symlink(UNIT, &link).map_err(failed)?;
        }
        (false, true) => fs::remove_file(&link).map_err(failed)?,
        _ => return Ok(()),
    }
    sync_directory(directory).map_err(failed)
}

/// Creates or removes the file that turns a service of dom0 on.
fn switch_dom0_service(context: &Context, service: &str, on: bool) -> Result<(), LifecycleError> {
    // Replace whatever has the name: it may be a link.
    let file = context
        .system
        .link_path_below_root(Path::new("/run/qubes-service").join(service));
    if Path::new(service).components().count() != 1 || service.contains("..") {
        let source = io::ErrorKind::InvalidFilename.into();
        let service = format_args!("'{}'", service.escape_debug());
        return Err(LifecycleError::cannot("switch service", &service)(source));
    }
    let done = match on {
        true if fs::symlink_metadata(&file).is_ok_and(|found| found.is_file()) => Ok(()),
        true => {
            let make = || fs::File::create_new(&file).map(drop);
            fs::create_dir_all(parent_directory(&file)).and_then(|()| match make() {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    fs::remove_file(&file).and_then(|()| make())
                }
                made => made,
            })
        }
        false => fs::remove_file(&file).or_else(|e| {
            if e.kind() == io::ErrorKind::NotFound {
                Ok(())
            } else {
                Err(e)
            }
        }),
    };
    done.map_err(LifecycleError::cannot("change", &file.display()))
}

/// Returns a note about a maxmem without effect: a domain always has room for its initial
/// memory.
fn maxmem_note(context: &Context, qubes: &Qubes, name: &VmName) -> Option<String> {
    let vm = qubes.get(name.as_str())?;
    let memory = property::memory(qubes, vm, context.facts()).ok()?;
    let maxmem = property::maxmem(qubes, vm, context.facts()).ok()?;
    (maxmem != 0 && maxmem < memory)
        .then(|| format!("maxmem {maxmem} of {name} has no effect: its memory is {memory} MiB"))
}

/// Returns a note that the qube starts with debugging aids, if it does.
fn debug_note(context: &Context, qubes: &Qubes, name: &VmName) -> Option<String> {
    let vm = qubes.get(name.as_str())?;
    property::is_on(qubes, vm, "debug", context.facts())
        .then(|| format!("debug of {name} is on: it starts with debugging aids"))
}

/// Returns a note that a change takes effect at the next start, if the qube is running.
fn next_start_note(context: &Context, qubes: &Qubes, name: &VmName, what: &str) -> Option<String> {
    if context.system.is_offline() {
        return None;
    }
    let is_running = context
        .facts()
        .power_state(qubes.get(name.as_str())?)
        .is_active();
    is_running.then(|| format!("{name} is running: {what} changes at its next start"))
}
