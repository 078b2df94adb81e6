//! Notes about a qube: the file `notes.txt` in its directory (`spec/r4-adminapi.md`, admin.vm.notes).

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::fs::beneath::Use;
use crate::fs::replace::{Access, directory_of};
use crate::model::notes::{MAX_BYTES, displayable};
use crate::model::{NotesError, Qubes, Vm, VmName};

use super::{LifecycleError, Session};
use crate::storage::pool_files;

impl Session {
    /// The notes about a qube; empty when there are none.
    ///
    /// # Errors
    /// There is no such qube, it has no notes (dom0, a RemoteVM), or the file cannot be read.
    pub fn notes(&self, name: &VmName) -> Result<String, LifecycleError> {
        let qubes = self.read()?;
        read(&self.notes_file(with_notes(&qubes, name)?))
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
        let old = read(&file)?;
        let new = displayable(&change(&old)?);
        if new == old {
            return Ok(());
        }
        if new.len() > MAX_BYTES {
            return Err(NotesError::TooLong { qube: name.to_string(), bytes: new.len() }.into());
        }
        if new.is_empty() {
            return remove(&file);
        }
        super::qube_lock::make_shared_directory(directory_of(&file), &self.system)?;
        let access = Access::shared(self.system.qubes_group());
        replace_bytes(&file, access, new.as_bytes()).map_err(failed(&file, "writing"))
    }

    fn notes_file(&self, vm: &Vm) -> PathBuf {
        self.directory(vm).join("notes.txt")
    }
}

fn with_notes<'q>(qubes: &'q Qubes, name: &VmName) -> Result<&'q Vm, LifecycleError> {
    let vm = qubes.get(name.as_str()).ok_or_else(|| LifecycleError::NoSuchQube(name.to_string()))?;
    match vm.class.is_local_guest() {
        true => Ok(vm),
        false => Err(NotesError::NoPlace { qube: name.to_string() }.into()),
    }
}

fn read(file: &Path) -> Result<String, LifecycleError> {
    match read_bytes(file) {
        Ok(bytes) => Ok(displayable(&String::from_utf8_lossy(&bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(failed(file, "reading")(error)),
    }
}

/// The bytes of a file in a qube's directory; not of one that somebody else's link leads to.
pub(super) fn read_bytes(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    pool_files::open(file, Use::Read)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Replaces a file in a qube's directory.
pub(super) fn replace_bytes(file: &Path, access: Access, bytes: &[u8]) -> io::Result<()> {
    let (directory, name) = pool_files::parent_of(file)?;
    directory.replace(Path::new(&name), access, |file| file.write_all(bytes)).map(drop)
}

fn remove(file: &Path) -> Result<(), LifecycleError> {
    let removed = || {
        let (directory, name) = pool_files::parent_of(file)?;
        if directory.remove_file(Path::new(&name))? { directory.sync() } else { Ok(()) }
    };
    match removed() {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(file, "removing")(error)),
        _ => Ok(()),
    }
}

fn failed(file: &Path, what: &str) -> impl FnOnce(io::Error) -> LifecycleError {
    let what = format!("{what} {}", file.display());
    |source| LifecycleError::Io { what, source }
}
