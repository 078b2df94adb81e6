//! Notes about a qube: the file `notes.txt` in its directory (`spec/r4-adminapi.md`, admin.vm.notes).

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::fs::replace::{Access, directory_of};
use crate::model::notes::{MAX_BYTES, displayable};
use crate::model::{NotesError, Qubes, Vm, VmName};

use super::{LifecycleError, Session};

/// The file's name.
const NAME: &str = "notes.txt";

impl Session {
    /// The notes about a qube; empty when there are none.
    ///
    /// # Errors
    /// There is no such qube, it has no notes (dom0, a RemoteVM), or the file cannot be read.
    pub fn notes(&self, name: &VmName) -> Result<String, LifecycleError> {
        let qubes = self.read()?;
        self.read_notes(with_notes(&qubes, name)?)
    }

    /// Changes the notes about a qube to what `change` makes of those there are. While it looks at them nobody else
    /// writes: the store's lock is held, and what refuses changes of the store refuses this one.
    ///
    /// # Errors
    /// As [`Session::notes`]; what `change` says; the new notes are too long; the file cannot be written. The old
    /// notes stay.
    pub fn change_notes(
        &self,
        name: &VmName,
        change: impl FnOnce(&str) -> Result<String, LifecycleError>,
    ) -> Result<(), LifecycleError> {
        let qubes = self.read()?;
        with_notes(&qubes, name)?;
        // Notes are R4's: a store of R3 becomes one of R4 first, as by every other change.
        self.convert_if_old(&qubes)?;
        drop(qubes);
        let write = self.write()?;
        let vm = with_notes(&write, name)?;
        let file = self.notes_file(vm);
        let old = self.read_notes(vm)?;
        let new = displayable(&change(&old)?);
        if new == old {
            return Ok(());
        }
        if new.len() > MAX_BYTES {
            return Err(NotesError::TooLong { qube: name.to_string(), bytes: new.len() }.into());
        }
        if new.is_empty() {
            let removed =
                self.open_directory(vm).and_then(|directory| match directory.remove_file(Path::new(NAME))? {
                    true => directory.sync(),
                    false => Ok(()),
                });
            return removed.map_err(failed(&file, "removing"));
        }
        super::qube_lock::make_shared_directory(directory_of(&file), &self.system)?;
        let access = Access::shared(self.system.qubes_group());
        let directory = self.open_directory(vm).map_err(failed(&file, "writing"))?;
        let written = directory.replace(Path::new(NAME), access, |f| f.write_all(new.as_bytes()));
        written.map(drop).map_err(failed(&file, "writing"))
    }

    fn read_notes(&self, vm: &Vm) -> Result<String, LifecycleError> {
        let bytes = self.read_own_file(vm, NAME).map_err(failed(&self.notes_file(vm), "reading"))?;
        Ok(displayable(&String::from_utf8_lossy(&bytes.unwrap_or_default())))
    }

    fn notes_file(&self, vm: &Vm) -> PathBuf {
        self.directory(vm).join(NAME)
    }
}

fn with_notes<'q>(qubes: &'q Qubes, name: &VmName) -> Result<&'q Vm, LifecycleError> {
    let vm = qubes.get(name.as_str()).ok_or_else(|| LifecycleError::NoSuchQube(name.to_string()))?;
    match vm.class.is_local_guest() {
        true => Ok(vm),
        false => Err(NotesError::NoPlace { qube: name.to_string() }.into()),
    }
}

fn failed(file: &Path, what: &str) -> impl FnOnce(io::Error) -> LifecycleError {
    let what = format!("{what} {}", file.display());
    |source| LifecycleError::Io { what, source }
}
