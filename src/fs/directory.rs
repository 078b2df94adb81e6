//! A directory that is held open, and the files below it.
//!
//! Where others can write (RUN, pools, a root below `--root`), a path is not opened by its text:
//! a name below a [`Directory`] is resolved with `openat2`, follows no link but those that
//! [`LinkPolicy`] allows, and what is opened is looked at through its descriptor before it is used.

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
use super::links::{open, open_below, refused};
use super::replace::{Access, RANDOM_LETTERS, TEMPORARY, retry_interrupted};

/// A directory that is held open. Paths given to its methods are relative, without `..`.
#[derive(Debug)]
pub struct Directory {
    handle: File,
    /// Where absolute targets of links begin, if not at `/`.
    root: Option<File>,
    links: LinkPolicy,
    /// For messages.
    path: PathBuf,
}

/// What an opened file is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    Read,
    Write,
    /// Reading and writing.
    ReadWrite,
}

impl Directory {
    /// Opens a directory by a path that nobody but its owner can change; links are followed.
    pub fn open(path: &Path, links: LinkPolicy) -> io::Result<Directory> {
        let handle = File::open(path)?;
        Directory::held(handle, None, links, path)
    }

    /// Opens `path` as a process in a chroot at `root` would: neither a link nor `..` leads out.
    pub fn open_in_root(root: &Path, path: &Path, links: LinkPolicy) -> io::Result<Directory> {
        let root_handle = File::open(root)?;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let handle = open(&root_handle, path, flags, ResolveFlag::RESOLVE_IN_ROOT)?;
        let shown = root.join(path.strip_prefix("/").unwrap_or(path));
        Directory::held(handle, Some(root_handle), links, &shown)
    }

    fn held(
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

    /// Opens the directory at `path`; the empty path and `.` are this one.
    pub fn subdirectory(&self, path: &Path) -> io::Result<Directory> {
        let handle = self.resolve(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
        let root = self.root.as_ref().map(File::try_clone).transpose()?;
        Directory::held(handle, root, self.links, &self.path.join(path))
    }

    /// The path it was opened by, for messages only.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open directory.
    pub fn handle(&self) -> &File {
        &self.handle
    }

    /// Opens the regular file at `path`. A FIFO, device or socket is refused without waiting for
    /// it or touching it.
    pub fn open_file(&self, path: &Path, used: OpenMode) -> io::Result<File> {
        let flags = match used {
            OpenMode::Read => OFlag::O_RDONLY,
            OpenMode::Write => OFlag::O_WRONLY,
            OpenMode::ReadWrite => OFlag::O_RDWR,
        };
        // Opening a socket, or a FIFO without reader, for writing answers ENXIO.
        let file = self
            .resolve(path, flags | OFlag::O_NONBLOCK)
            .map_err(
                |error| match error.raw_os_error() == Some(nix::libc::ENXIO) {
                    true => refused(&format!("{} is not a regular file", path.display())),
                    false => error,
                },
            )?;
        match retry_interrupted(|| file.metadata())?.is_file() {
            true => Ok(file),
            false => Err(refused(&format!(
                "{} is not a regular file",
                path.display()
            ))),
        }
    }

    /// As [`Directory::open_file`], for a file that only we have: no second name, and owned by the
    /// effective user or root.
    pub fn open_owned_file(&self, path: &Path, used: OpenMode) -> io::Result<File> {
        let file = self.open_file(path, used)?;
        let metadata = retry_interrupted(|| file.metadata())?;
        refuse_foreign(path, &metadata)?;
        Ok(file)
    }

    /// Creates the file at `path`, which must not exist, with this access; opened for both uses.
    pub fn create_file(&self, path: &Path, access: Access) -> io::Result<File> {
        let (parent, name) = self.parent(path)?;
        let flags =
            OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let made = retried(|| openat(&parent, name, flags, Mode::S_IRUSR | Mode::S_IWUSR))?;
        let file = File::from(made);
        access.apply(&file)?;
        Ok(file)
    }

    /// Opens the file at `path` for both uses, or creates it with `access`. One that is there
    /// keeps its mode and group and must be regular with one name; whose it is, is not asked.
    pub fn open_or_create(&self, path: &Path, access: Access) -> io::Result<File> {
        loop {
            match self.open_file(path, OpenMode::ReadWrite) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Ok(file) => {
                    let metadata = retry_interrupted(|| file.metadata())?;
                    // Without a name it was removed since it was opened.
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

    /// Creates the directory at `path`, whose parent exists; returns whether it is new. One that is
    /// there stays as it is; anything else there is an error.
    pub fn create_directory(&self, path: &Path, mode: u32, access: Access) -> io::Result<bool> {
        let (parent, name) = self.parent(path)?;
        match retried(|| mkdirat(&parent, name, Mode::S_IRWXU)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return self.subdirectory(path).map(|_| false);
            }
            Err(error) => return Err(error),
        }
        let resolve = ResolveFlag::RESOLVE_NO_SYMLINKS;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let made = open(&parent, Path::new(name), flags, resolve)?;
        // Somebody who may write here can have exchanged it for a directory of his own.
        if retry_interrupted(|| made.metadata())?.uid() != geteuid().as_raw() {
            return Err(refused(&format!(
                "{} belongs to another user",
                path.display()
            )));
        }
        Access { mode, ..access }.apply(&made)?;
        Ok(true)
    }

    /// Looks at what is at `path` without following it; `None` where nothing is.
    pub fn look(&self, path: &Path) -> io::Result<Option<Metadata>> {
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

    /// The names in this directory, in no order.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        // A descriptor of its own: reading moves a directory's position.
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

    /// Unlinks a file, or a symbolic link itself; false where nothing was.
    pub fn remove_file(&self, path: &Path) -> io::Result<bool> {
        self.unlink(path, UnlinkatFlags::NoRemoveDir)
    }

    /// Removes an empty directory; false where nothing was. A link is not a directory.
    pub fn remove_directory(&self, path: &Path) -> io::Result<bool> {
        self.unlink(path, UnlinkatFlags::RemoveDir)
    }

    fn unlink(&self, path: &Path, flags: UnlinkatFlags) -> io::Result<bool> {
        let gone = self
            .parent(path)
            .and_then(|(parent, name)| retried(|| unlinkat(&parent, name, flags)));
        match gone {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            // Where nothing can be written the kernel says so before it looks whether it is there.
            Err(error)
                if error.kind() == io::ErrorKind::ReadOnlyFilesystem
                    && self.look(path)?.is_none() =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Renames within this directory; a file that has the new name is replaced.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let ((old, from), (new, to)) = (self.parent(from)?, self.parent(to)?);
        retried(|| renameat(&old, from, &new, to))
    }

    /// Gives the file at `from` a second name; a link as `from` is not followed.
    pub fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let ((old, from), (new, to)) = (self.parent(from)?, self.parent(to)?);
        retried(|| linkat(&old, from, &new, to, AtFlags::empty()))
    }

    /// Makes a symbolic link at `path` to `target`, in the place of whatever file had the name.
    pub fn replace_link(&self, path: &Path, target: &Path) -> io::Result<()> {
        self.remove_file(path)?;
        let (parent, name) = self.parent(path)?;
        retried(|| symlinkat(target, &parent, name))
    }

    /// Replaces the file at `path` by what `fill` writes: complete and durable, or as it was.
    /// Whatever had the name is unlinked by the rename, not followed.
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

    /// As [`Directory::replace`] without waiting for the disk, for what a reboot forgets anyway.
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
        let random = std::iter::repeat_with(fastrand::alphanumeric).take(RANDOM_LETTERS);
        name.push(format!("~{}{TEMPORARY}", random.collect::<String>()));
        let temporary = path.with_file_name(name);
        let mut file = self.create_file(&temporary, access)?;
        match fill(&mut file).and_then(|()| self.rename(&temporary, path)) {
            Ok(()) => Ok(file),
            Err(error) => {
                // The first error is the one to tell; a stale file is cleared by the next writer.
                let _stays = self.remove_file(&temporary);
                Err(error)
            }
        }
    }

    /// Makes renames, links and unlinks in this directory survive a power loss.
    pub fn sync(&self) -> io::Result<()> {
        retry_interrupted(|| self.handle.sync_all())
    }

    /// Whether `path` still means the open `file`.
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

    /// The open directory in which the last component of `path` lies, and that component.
    fn parent<'a>(&self, path: &'a Path) -> io::Result<(File, &'a OsStr)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let directory = path.parent().unwrap_or(Path::new(""));
        let parent = self.resolve(directory, OFlag::O_PATH | OFlag::O_DIRECTORY)?;
        Ok((parent, name))
    }
}

/// Refuses a file that has another name, by which somebody else may mean it.
fn refuse_second_name(path: &Path, metadata: &Metadata) -> io::Result<()> {
    match metadata.nlink() {
        1 => Ok(()),
        _ => Err(refused(&format!(
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
        false => Err(refused(&format!(
            "{} belongs to user {owner}",
            path.display()
        ))),
    }
}

fn retried<T>(mut call: impl FnMut() -> nix::Result<T>) -> io::Result<T> {
    retry_interrupted(|| call().map_err(io::Error::from))
}

#[cfg(test)]
mod tests;
