//! The directory beside a qube's images: its firewall rules, its notes and the note of its
//! creation.
//!
//! [`QubeDirectory`] is opened once, as `--root` resolves it, and all its files are read, written
//! and removed through it, never by path. [`owners`] finds other qubes that use the same directory.
//! [`removal`] deletes only files that Qubes makes, and only directories that are empty then.

pub(in crate::lifecycle) mod owners;
mod removal;

pub(in crate::lifecycle) use removal::{
    join_names, remove_own_directory, remove_own_files, remove_pool_directory,
};

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::fs::directory::{Directory, LinkPolicy, OpenMode};
use crate::fs::replace::Access;
use crate::fs::stale_files::target_name;
use crate::lifecycle::{Context, LifecycleError};
use crate::model::{Class, Vm, VmName};
use crate::system::System;

/// The files in a qube's directory that describe it.
pub(in crate::lifecycle) const QUBE_FILES: [&str; 2] = ["firewall.xml", "notes.txt"];

/// The directory above those of all qubes.
const BASE: &str = "/var/lib/qubes";

/// The directory of a qube's own files, whether it exists or not. Members of group qubes can write
/// in it and above it, so only links that root or we own are followed, to another disk for example.
#[derive(Debug)]
pub(in crate::lifecycle) struct QubeDirectory {
    qube: VmName,
    /// [`BASE`], or why it cannot be opened.
    base: io::Result<Directory>,
    /// The path below [`BASE`]: `appvms/NAME`.
    below: PathBuf,
    /// The directory itself, or why it cannot be opened.
    opened: io::Result<Directory>,
    /// The path, for messages and comparisons only.
    path: PathBuf,
}

/// Opens the directory of a qube's own files.
pub(in crate::lifecycle) fn open(context: &Context, vm: &Vm) -> QubeDirectory {
    QubeDirectory::open(&context.system, &vm.class, &vm.name)
}

/// Opens the directory of a qube's own files, and creates it if it does not exist.
///
/// # Errors
/// It cannot be created.
pub(in crate::lifecycle) fn make(
    context: &Context,
    vm: &Vm,
) -> Result<QubeDirectory, LifecycleError> {
    QubeDirectory::make(&context.system, &vm.class, &vm.name)
        .map_err(|error| LifecycleError::cannot("make directory", &open(context, vm))(error))
}

impl QubeDirectory {
    /// Opens the directory of a qube of this class and name. An error is kept and returned by the
    /// first operation that needs the directory. A directory that does not exist has no files.
    pub(in crate::lifecycle) fn open(
        system: &System,
        class: &Class,
        qube: &VmName,
    ) -> QubeDirectory {
        let below = Path::new(class.directory()).join(qube.as_str());
        let base = open_base(system);
        let opened = match &base {
            Ok(base) => base.subdirectory(&below),
            Err(error) => Err(copy_error(error)),
        };
        let path = system.path_below_root(BASE).join(&below);
        QubeDirectory {
            qube: qube.clone(),
            base,
            below,
            opened,
            path,
        }
    }

    /// Opens the directory, and creates it for members of group qubes if it does not exist. Missing
    /// directories above it are created as installers do, for all users to read.
    pub(in crate::lifecycle) fn make(
        system: &System,
        class: &Class,
        qube: &VmName,
    ) -> io::Result<QubeDirectory> {
        let below = Path::new(class.directory()).join(qube.as_str());
        let base = make_base(system)?;
        let above = Access {
            mode: 0o755,
            group: None,
        };
        base.create_directory(Path::new(class.directory()), above.mode, above)?;
        let is_link = base
            .symlink_metadata(&below)?
            .is_some_and(|found| found.is_symlink());
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
    /// It cannot be examined.
    pub(in crate::lifecycle) fn exists(&self) -> io::Result<bool> {
        self.opened().map(|opened| opened.is_some())
    }

    /// Returns the path of a file in it, for messages.
    pub(in crate::lifecycle) fn display_path(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    /// Whether `path` is the text of its path, as a pool may have it.
    pub(in crate::lifecycle) fn has_path(&self, path: &Path) -> bool {
        self.path == path
    }

    /// Returns the names of everything in it, in no particular order.
    pub(in crate::lifecycle) fn names(&self) -> io::Result<Vec<OsString>> {
        self.opened()?.map_or(Ok(Vec::new()), Directory::names)
    }

    /// Opens a regular file for reading; `None` if it does not exist.
    pub(in crate::lifecycle) fn open_file(&self, name: &str) -> io::Result<Option<File>> {
        let Some(opened) = self.opened()? else {
            return Ok(None);
        };
        match opened.open_file(Path::new(name), OpenMode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            file => file.map(Some),
        }
    }

    /// Reads a regular file; `None` if it does not exist. Refuses a file larger than any of Qubes'
    /// own, since anyone in group qubes can make one at no cost.
    pub(in crate::lifecycle) fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        const MAX_BYTES: u64 = crate::firewall::MAX_BYTES;
        let Some(file) = self.open_file(name)? else {
            return Ok(None);
        };
        if file.metadata()?.len() > MAX_BYTES {
            return Err(io::Error::other(format!(
                "it is longer than {} MiB",
                MAX_BYTES >> 20
            )));
        }
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Whether a regular file of this name exists. A symbolic link does not count.
    pub(in crate::lifecycle) fn has_file(&self, name: &str) -> io::Result<bool> {
        let Some(opened) = self.opened()? else {
            return Ok(false);
        };
        Ok(opened
            .symlink_metadata(Path::new(name))?
            .is_some_and(|found| found.is_file()))
    }

    /// Replaces a file, or whatever has its name, durably.
    pub(in crate::lifecycle) fn write(
        &self,
        name: &str,
        access: Access,
        content: &[u8],
    ) -> io::Result<()> {
        let opened = self.opened()?.ok_or(io::ErrorKind::NotFound)?;
        opened
            .replace(Path::new(name), access, |file| file.write_all(content))
            .map(drop)
    }

    /// Removes a file, or a link itself, durably, if it exists.
    pub(in crate::lifecycle) fn remove_file(&self, name: &str) -> io::Result<()> {
        let Some(opened) = self.opened()? else {
            return Ok(());
        };
        if opened.remove_file(Path::new(name))? {
            opened.sync()
        } else {
            Ok(())
        }
    }

    /// Removes temporary files that killed writers of a file left. The caller holds the qube's
    /// lock.
    pub(in crate::lifecycle) fn remove_stale_temp_files(&self, file: &str) -> io::Result<()> {
        let Some(opened) = self.opened()? else {
            return Ok(());
        };
        for name in opened.names()? {
            if name.to_str().and_then(target_name) == Some(file) {
                opened.remove_file(Path::new(&name))?;
            }
        }
        Ok(())
    }

    /// Returns the open directory; `None` if it does not exist.
    fn opened(&self) -> io::Result<Option<&Directory>> {
        match &self.opened {
            Ok(opened) => Ok(Some(opened)),
            Err(error) if is_missing(error) => Ok(None),
            Err(error) => Err(copy_error(error)),
        }
    }

    /// Returns the open [`BASE`]; `None` if it does not exist.
    fn base(&self) -> io::Result<Option<&Directory>> {
        match &self.base {
            Ok(base) => Ok(Some(base)),
            Err(error) if is_missing(error) => Ok(None),
            Err(error) => Err(copy_error(error)),
        }
    }
}

impl fmt::Display for QubeDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

/// Opens a regular file of the system by its absolute path, for reading; `None` if it does not
/// exist. Links are resolved below the system's root and followed as in a qube's directory.
pub(in crate::lifecycle) fn open_system_file(
    system: &System,
    path: &Path,
) -> io::Result<Option<File>> {
    let below = path.strip_prefix("/").unwrap_or(path);
    match open_top(system)?.open_file(below, OpenMode::Read) {
        Err(error) if is_missing(&error) => Ok(None),
        file => file.map(Some),
    }
}

/// Opens [`BASE`].
fn open_base(system: &System) -> io::Result<Directory> {
    match system.root() {
        Some(root) => Directory::open_in_root(root, Path::new(BASE), LinkPolicy::Owned),
        None => Directory::open(Path::new(BASE), LinkPolicy::Owned),
    }
}

/// Opens the system's `/`.
fn open_top(system: &System) -> io::Result<Directory> {
    match system.root() {
        Some(root) => Directory::open_in_root(root, Path::new("/"), LinkPolicy::Owned),
        None => Directory::open(Path::new("/"), LinkPolicy::Owned),
    }
}

/// Opens [`BASE`], and creates it if it does not exist.
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

/// Whether the error says that a file does not exist.
fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Copies an error, since [`io::Error`] is not `Clone`.
fn copy_error(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
pub(in crate::lifecycle) use owners::{
    directories_in, other_owner, refuse_shared_directory, system_store_directories,
};
