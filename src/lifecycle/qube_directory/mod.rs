//! What lies beside a qube's images: its firewall, its notes, the note of its creation.
//!
//! [`QubeDirectory`] is opened once, as the system below `--root` resolves it, and every such file
//! is read, written and removed through it; it gives away no path to do so by. [`owners`] tells
//! which other qube means the same directory. [`removal`] is how it goes: only files that Qubes
//! makes are deleted, and only directories that are empty then.

pub(super) mod owners;
mod removal;

pub(super) use removal::listed;

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::fs::beneath::{Directory, Links, Use};
use crate::fs::replace::Access;
use crate::fs::stale_files::target_of;
use crate::model::volume::class_directory;
use crate::model::{Class, Vm, VmName};
use crate::system::System;

use super::{LifecycleError, Session};

/// The files beside the images that describe a qube.
pub(super) const FILES: [&str; 2] = ["firewall.xml", "notes.txt"];

/// Where the directories of qubes are.
const BASE: &str = "/var/lib/qubes";

/// The directory of a qube's own files, whether it exists or not. Members of group qubes write in
/// it and above it: only links of root or of ours lead elsewhere, to another disk say.
#[derive(Debug)]
pub(in crate::lifecycle) struct QubeDirectory {
    qube: VmName,
    /// [`BASE`], where that can be opened.
    base: io::Result<Directory>,
    /// `appvms/NAME`.
    below: PathBuf,
    /// Itself, where it can be opened.
    opened: io::Result<Directory>,
    /// For messages and comparisons only.
    path: PathBuf,
}

impl Session {
    /// Opens the directory of a qube's own files.
    pub(super) fn qube_directory(&self, vm: &Vm) -> QubeDirectory {
        QubeDirectory::open(&self.system, &vm.class, &vm.name)
    }

    /// As [`Session::qube_directory`], made where it is missing.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn make_qube_directory(&self, vm: &Vm) -> Result<QubeDirectory, LifecycleError> {
        QubeDirectory::make(&self.system, &vm.class, &vm.name).map_err(|source| {
            let directory = self.qube_directory(vm);
            LifecycleError::Io {
                what: format!("cannot make directory {directory}"),
                source,
            }
        })
    }
}

impl QubeDirectory {
    /// Opens the directory of a qube of this class and name. Where it cannot be opened, whoever
    /// wants something of it hears why; one that is missing has no files.
    pub(super) fn open(system: &System, class: &Class, qube: &VmName) -> QubeDirectory {
        let below = Path::new(class_directory(class)).join(qube.as_str());
        let base = open_base(system);
        let opened = match &base {
            Ok(base) => base.subdirectory(&below),
            Err(error) => Err(same(error)),
        };
        let path = system.below_root(BASE).join(&below);
        QubeDirectory {
            qube: qube.clone(),
            base,
            below,
            opened,
            path,
        }
    }

    /// As [`QubeDirectory::open`], made for members of group qubes where it is missing. Those that
    /// are missing above it are anybody's, as installers make them.
    pub(super) fn make(system: &System, class: &Class, qube: &VmName) -> io::Result<QubeDirectory> {
        let below = Path::new(class_directory(class)).join(qube.as_str());
        let base = make_base(system)?;
        let above = Access {
            mode: 0o755,
            group: None,
        };
        base.create_directory(Path::new(class_directory(class)), above.mode, above)?;
        let is_link = base.look(&below)?.is_some_and(|found| found.is_symlink());
        base.create_directory(&below, 0o2770, Access::shared(system.qubes_group()))
            .map_err(
                |error| match is_link && error.kind() == io::ErrorKind::NotFound {
                    true => io::Error::other("it is a symbolic link that leads nowhere"),
                    false => error,
                },
            )?;
        let made = QubeDirectory::open(system, class, qube);
        made.opened()?;
        Ok(made)
    }

    /// Whether the directory exists.
    ///
    /// # Errors
    /// Nobody can tell.
    pub(super) fn exists(&self) -> io::Result<bool> {
        self.opened().map(|opened| opened.is_some())
    }

    /// A file in it as messages name it.
    pub(super) fn shown(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    /// Whether this is the text of its path: what a pool that lies there calls it.
    pub(super) fn is_called(&self, path: &Path) -> bool {
        self.path == path
    }

    /// The names of everything in it, in no order.
    pub(super) fn names(&self) -> io::Result<Vec<OsString>> {
        self.opened()?.map_or(Ok(Vec::new()), Directory::names)
    }

    /// Opens a regular file for reading; `None` where there is none.
    pub(super) fn open_file(&self, name: &str) -> io::Result<Option<File>> {
        let Some(opened) = self.opened()? else {
            return Ok(None);
        };
        match opened.open_file(Path::new(name), Use::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            file => file.map(Some),
        }
    }

    /// The content of a regular file; `None` where there is none. One that is longer than any of
    /// Qubes' own, which costs whoever puts it there nothing, is refused.
    pub(super) fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        const LONGEST: u64 = crate::firewall::MAX_BYTES;
        let Some(file) = self.open_file(name)? else {
            return Ok(None);
        };
        if file.metadata()?.len() > LONGEST {
            return Err(io::Error::other(format!(
                "it is longer than {} MiB",
                LONGEST >> 20
            )));
        }
        let mut bytes = Vec::new();
        file.take(LONGEST).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Whether a regular file is there by this very name, not by a link.
    pub(super) fn has_file(&self, name: &str) -> io::Result<bool> {
        let Some(opened) = self.opened()? else {
            return Ok(false);
        };
        Ok(opened
            .look(Path::new(name))?
            .is_some_and(|found| found.is_file()))
    }

    /// Puts a file with this content in the place of whatever has the name, durably.
    pub(super) fn write(&self, name: &str, access: Access, content: &[u8]) -> io::Result<()> {
        let opened = self.opened()?.ok_or(io::ErrorKind::NotFound)?;
        opened
            .replace(Path::new(name), access, |file| file.write_all(content))
            .map(drop)
    }

    /// Removes a file, or a link itself, durably, if it is there.
    pub(super) fn remove_file(&self, name: &str) -> io::Result<()> {
        let Some(opened) = self.opened()? else {
            return Ok(());
        };
        if opened.remove_file(Path::new(name))? {
            opened.sync()
        } else {
            Ok(())
        }
    }

    /// Removes what killed writers of a file left. Whoever calls holds the qube's lock.
    pub(super) fn remove_unfinished(&self, file: &str) -> io::Result<()> {
        let Some(opened) = self.opened()? else {
            return Ok(());
        };
        for name in opened.names()? {
            if name.to_str().and_then(target_of) == Some(file) {
                opened.remove_file(Path::new(&name))?;
            }
        }
        Ok(())
    }

    /// The open directory; `None` where there is none.
    fn opened(&self) -> io::Result<Option<&Directory>> {
        match &self.opened {
            Ok(opened) => Ok(Some(opened)),
            Err(error) if is_missing(error) => Ok(None),
            Err(error) => Err(same(error)),
        }
    }

    /// The open directory above the directories of all qubes; `None` where there is none.
    fn base(&self) -> io::Result<Option<&Directory>> {
        match &self.base {
            Ok(base) => Ok(Some(base)),
            Err(error) if is_missing(error) => Ok(None),
            Err(error) => Err(same(error)),
        }
    }
}

impl fmt::Display for QubeDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

/// Opens a regular file of the system by its absolute path, for reading; `None` where there is
/// none. Links are those of the system's root, and followed as in a qube's directory.
pub(super) fn open_in_system(system: &System, path: &Path) -> io::Result<Option<File>> {
    let below = path.strip_prefix("/").unwrap_or(path);
    match open_top(system)?.open_file(below, Use::Read) {
        Err(error) if is_missing(&error) => Ok(None),
        file => file.map(Some),
    }
}

fn open_base(system: &System) -> io::Result<Directory> {
    match system.root() {
        Some(root) => Directory::open_in_root(root, Path::new(BASE), Links::Owned),
        None => Directory::open(Path::new(BASE), Links::Owned),
    }
}

/// The system's `/`.
fn open_top(system: &System) -> io::Result<Directory> {
    match system.root() {
        Some(root) => Directory::open_in_root(root, Path::new("/"), Links::Owned),
        None => Directory::open(Path::new("/"), Links::Owned),
    }
}

fn make_base(system: &System) -> io::Result<Directory> {
    match open_base(system) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    let top = open_top(system)?;
    let above = Access {
        mode: 0o755,
        group: None,
    };
    let mut path = PathBuf::new();
    for part in Path::new(BASE).strip_prefix("/").unwrap_or(Path::new(BASE)) {
        path.push(part);
        top.create_directory(&path, above.mode, above)?;
    }
    open_base(system)
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// The same error once more.
fn same(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
