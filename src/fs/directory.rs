//! An open directory, and access to the files below it.
//!
//! In directories where other users can write (RUN, pools, a root given with `--root`), a path is
//! not opened by its text. Names below a [`Directory`] are resolved with `openat2`, which follows
//! only the symbolic links that [`LinkPolicy`] allows, and an opened file is checked through its
//! descriptor before it is used.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{AtFlags, OFlag, ResolveFlag, openat, renameat};
use nix::sys::stat::{Mode, SFlag, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, geteuid, linkat, symlinkat, unlinkat};

pub use super::links::LinkPolicy;
use super::links::{open, open_below, permission_denied};
use super::replace::{Access, RANDOM_LENGTH, TEMPORARY_SUFFIX, retry_interrupted};

/// An open directory. The paths that its methods take are relative and contain no `..`.
#[derive(Debug)]
pub struct Directory {
    handle: File,
    /// The directory from which absolute link targets are resolved; `/` if `None`.
    root: Option<File>,
    links: LinkPolicy,
    /// The path it was opened by, used in messages only.
    path: PathBuf,
}

/// The access for which a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// Reading only.
    Read,
    /// Writing only.
    Write,
    /// Reading and writing.
    ReadWrite,
}

impl Directory {
    /// Opens a directory, following symbolic links. Only its owner may be able to change `path`.
    pub fn open(path: &Path, links: LinkPolicy) -> io::Result<Directory> {
        let handle = File::open(path)?;
        Directory::from_handle(handle, None, links, path)
    }

    /// Opens `path` as a process in a chroot at `root` would: neither a link nor `..` leaves
    /// `root`.
    pub fn open_in_root(root: &Path, path: &Path, links: LinkPolicy) -> io::Result<Directory> {
        let root_handle = File::open(root)?;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let handle = open(&root_handle, path, flags, ResolveFlag::RESOLVE_IN_ROOT)?;
        let shown = root.join(path.strip_prefix("/").unwrap_or(path));
        Directory::from_handle(handle, Some(root_handle), links, &shown)
    }

    fn from_handle(
        handle: File,
        root: Option<File>,
        links: LinkPolicy,
        path: &Path,
    ) -> io::Result<Directory> {
        match retry_interrupted(|| handle.metadata())?.is_dir() {
            true => Ok(Directory {
                handle,
                root,
                links,
                path: path.to_path_buf(),
            }),
            false => Err(nix::Error::ENOTDIR.into()),
        }
    }

    /// Opens the directory at `path`. The empty path and `.` mean this directory.
    pub fn subdirectory(&self, path: &Path) -> io::Result<Directory> {
        let handle = self.resolve(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
        let root = self.root.as_ref().map(File::try_clone).transpose()?;
        Directory::from_handle(handle, root, self.links, &self.path.join(path))
    }

    /// Returns the path by which it was opened, for messages only.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the open file of the directory.
    pub fn handle(&self) -> &File {
        &self.handle
    }

    /// Opens the regular file at `path`.
    ///
    /// # Errors
    /// Anything else (a FIFO, a device, a socket) is refused without blocking on it.
    pub fn open_file(&self, path: &Path, used: OpenMode) -> io::Result<File> {
        let flags = match used {
            OpenMode::Read => OFlag::O_RDONLY,
            OpenMode::Write => OFlag::O_WRONLY,
            OpenMode::ReadWrite => OFlag::O_RDWR,
        };
        // Opening a socket, or a FIFO without a reader, for writing fails with ENXIO.
        let file = self
            .resolve(path, flags | OFlag::O_NONBLOCK)
            .map_err(
                |error| match error.raw_os_error() == Some(nix::libc::ENXIO) {
                    true => permission_denied(&format!("{} is not a regular file", path.display())),
                    false => error,
                },
            )?;
        match retry_interrupted(|| file.metadata())?.is_file() {
            true => Ok(file),
            false => Err(permission_denied(&format!(
                "{} is not a regular file",
                path.display()
            ))),
        }
    }

    /// Opens the regular file at `path` if it has no second name (hard link) and belongs to the
    /// effective user or root.
    pub fn open_owned_file(&self, path: &Path, used: OpenMode) -> io::Result<File> {
        let file = self.open_file(path, used)?;
        let metadata = retry_interrupted(|| file.metadata())?;
        refuse_foreign(path, &metadata)?;
        Ok(file)
    }

    /// Creates the file at `path`, which must not exist, and opens it for reading and writing.
    pub fn create_file(&self, path: &Path, access: Access) -> io::Result<File> {
        let (parent, name) = self.parent(path)?;
        let flags =
            OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let made = retry_errno(|| openat(&parent, name, flags, Mode::S_IRUSR | Mode::S_IWUSR))?;
        let file = File::from(made);
        access.apply(&file)?;
        Ok(file)
    }

    /// Opens the file at `path` for reading and writing, or creates it with `access`. An existing
    /// file keeps its mode and group and may belong to anybody, but it must be a regular file
    /// without a second name.
    pub fn open_or_create(&self, path: &Path, access: Access) -> io::Result<File> {
        loop {
            match self.open_file(path, OpenMode::ReadWrite) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Ok(file) => {
                    let metadata = retry_interrupted(|| file.metadata())?;
                    // The file was removed after it was opened.
                    if metadata.nlink() == 0 {
                        continue;
                    }
                    refuse_second_name(path, &metadata)?;
                    return Ok(file);
                }
                Err(error) => return Err(error),
            }
            match self.create_file(path, access) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made,
            }
        }
    }

    /// Creates the directory at `path`, whose parent must exist, and returns whether it is new. An
    /// existing directory is left unchanged; anything else at `path` is an error.
    pub fn create_directory(&self, path: &Path, mode: u32, access: Access) -> io::Result<bool> {
        let (parent, name) = self.parent(path)?;
        match retry_errno(|| mkdirat(&parent, name, Mode::S_IRWXU)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return self.subdirectory(path).map(|_| false);
            }
            Err(error) => return Err(error),
        }
        let resolve = ResolveFlag::RESOLVE_NO_SYMLINKS;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let made = open(&parent, Path::new(name), flags, resolve)?;
        // Another user who may write here can have replaced it with a directory of their own.
        if retry_interrupted(|| made.metadata())?.uid() != geteuid().as_raw() {
            return Err(permission_denied(&format!(
                "{} belongs to another user",
                path.display()
            )));
        }
        Access { mode, ..access }.apply(&made)?;
        Ok(true)
    }

    /// Returns the metadata of what is at `path`, without following a link; `None` if nothing
    /// exists there.
    pub fn symlink_metadata(&self, path: &Path) -> io::Result<Option<Metadata>> {
        let (parent, name) = match self.parent(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            found => found?,
        };
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW;
        match open(&parent, Path::new(name), flags, ResolveFlag::empty()) {
            Ok(found) => retry_interrupted(|| found.metadata()).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the names in this directory, in no particular order.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        // Reading moves the position of a descriptor, so a separate one is used.
        let own = open(
            &self.handle,
            Path::new("."),
            OFlag::O_RDONLY,
            ResolveFlag::empty(),
        )?;
        let mut listing = nix::dir::Dir::from_fd(own.into())?;
        let mut names = Vec::new();
        for entry in listing.iter() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).to_os_string());
            }
        }
        Ok(names)
    }

    /// Unlinks a file or a symbolic link. Returns false if nothing existed.
    pub fn remove_file(&self, path: &Path) -> io::Result<bool> {
        self.unlink(path, UnlinkatFlags::NoRemoveDir)
    }

    /// Removes an empty directory; a link to one is an error. Returns false if nothing existed.
    pub fn remove_directory(&self, path: &Path) -> io::Result<bool> {
        self.unlink(path, UnlinkatFlags::RemoveDir)
    }

    fn unlink(&self, path: &Path, flags: UnlinkatFlags) -> io::Result<bool> {
        let gone = self
            .parent(path)
            .and_then(|(parent, name)| retry_errno(|| unlinkat(&parent, name, flags)));
        match gone {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            // On a read-only file system the kernel reports that before it looks the name up.
            Err(error)
                if error.kind() == io::ErrorKind::ReadOnlyFilesystem
                    && self.symlink_metadata(path)?.is_none() =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Renames a file below this directory, replacing a file that has the new name.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let ((old, from), (new, to)) = (self.parent(from)?, self.parent(to)?);
        retry_errno(|| renameat(&old, from, &new, to))
    }

    /// Creates a hard link at `to` to the file at `from`. If `from` is a symbolic link, it is not
    /// followed.
    pub fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let ((old, from), (new, to)) = (self.parent(from)?, self.parent(to)?);
        retry_errno(|| linkat(&old, from, &new, to, AtFlags::empty()))
    }

    /// Creates a symbolic link at `path` to `target`, replacing a file of that name.
    pub fn replace_link(&self, path: &Path, target: &Path) -> io::Result<()> {
        self.remove_file(path)?;
        let (parent, name) = self.parent(path)?;
        retry_errno(|| symlinkat(target, &parent, name))
    }

    /// Replaces the file at `path` with what `fill` writes, atomically and durably. A link at
    /// `path` is replaced, not followed.
    pub fn replace(
        &self,
        path: &Path,
        access: Access,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<File> {
        let file = self.replace_unsynced(path, access, |file| {
            fill(file)?;
            retry_interrupted(|| file.sync_all())
        })?;
        self.subdirectory(path.parent().unwrap_or(Path::new("")))?
            .sync()?;
        Ok(file)
    }

    /// Replaces the file at `path` as [`Directory::replace`] does, but without syncing, for files
    /// that do not have to survive a reboot.
    pub fn replace_unsynced(
        &self,
        path: &Path,
        access: Access,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<File> {
        let mut name = path
            .file_name()
            .ok_or(io::ErrorKind::InvalidInput)?
            .to_os_string();
        let random = std::iter::repeat_with(fastrand::alphanumeric).take(RANDOM_LENGTH);
        name.push(format!("~{}{TEMPORARY_SUFFIX}", random.collect::<String>()));
        let temporary = path.with_file_name(name);
        let mut file = self.create_file(&temporary, access)?;
        match fill(&mut file).and_then(|()| self.rename(&temporary, path)) {
            Ok(()) => Ok(file),
            Err(error) => {
                // The first error is reported; the next writer removes a stale temporary file.
                let _stays = self.remove_file(&temporary);
                Err(error)
            }
        }
    }

    /// Makes earlier renames, links and unlinks in this directory durable.
    pub fn sync(&self) -> io::Result<()> {
        retry_interrupted(|| self.handle.sync_all())
    }

    /// Returns whether `path` still refers to the open `file`.
    pub fn is_still_at(&self, file: &File, path: &Path) -> io::Result<bool> {
        let (parent, name) = self.parent(path)?;
        let ours = retry_interrupted(|| file.metadata())?;
        match fstatat(&parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(there) => {
                let is_regular =
                    SFlag::from_bits_truncate(there.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG;
                Ok(is_regular && (there.st_dev, there.st_ino) == (ours.dev(), ours.ino()))
            }
            Err(nix::Error::ENOENT) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    fn resolve(&self, path: &Path, flags: OFlag) -> io::Result<File> {
        open_below(&self.handle, self.root.as_ref(), path, self.links, flags)
    }

    /// Opens the parent directory of `path` and returns it with the last component.
    fn parent<'a>(&self, path: &'a Path) -> io::Result<(File, &'a OsStr)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let directory = path.parent().unwrap_or(Path::new(""));
        let parent = self.resolve(directory, OFlag::O_PATH | OFlag::O_DIRECTORY)?;
        Ok((parent, name))
    }
}

/// Refuses a file that has a second name, under which somebody else may use it.
fn refuse_second_name(path: &Path, metadata: &Metadata) -> io::Result<()> {
    match metadata.nlink() {
        1 => Ok(()),
        _ => Err(permission_denied(&format!(
            "{} has a second name (hard link)",
            path.display()
        ))),
    }
}

fn refuse_foreign(path: &Path, metadata: &Metadata) -> io::Result<()> {
    refuse_second_name(path, metadata)?;
    let owner = metadata.uid();
    match owner == 0 || owner == geteuid().as_raw() {
        true => Ok(()),
        false => Err(permission_denied(&format!(
            "{} belongs to user {owner}",
            path.display()
        ))),
    }
}

fn retry_errno<T>(mut call: impl FnMut() -> nix::Result<T>) -> io::Result<T> {
    retry_interrupted(|| call().map_err(io::Error::from))
}

#[cfg(test)]
mod tests;
