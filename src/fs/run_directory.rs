//! A directory of locks, records and caches in which others may also write.
//!
//! Nothing in it is opened by its path: no link is followed, and only regular files without a
//! second name are used. Permissions are changed only on what was just created.

use std::fs::{DirBuilder, File, Metadata};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Gid, geteuid};

use super::directory::{Directory, LinkPolicy, OpenMode};
use super::file_lock::{FileLock, FileLockError, LockMode};
use super::links::permission_denied;
use super::owned_paths::create_shared_directory;
use super::replace::Access;

/// The largest file that is read, in bytes: far longer than any record or cache.
const MAX_BYTES: u64 = 256 << 20;

/// A run directory: its path, and who may write in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDirectory {
    path: PathBuf,
    /// The directory at or above `path` that must be private to the effective user. `None` if
    /// members of a group share the directory.
    own: Option<PathBuf>,
    /// Whether members of the group may read a private directory.
    is_readable: bool,
}

impl RunDirectory {
    /// Describes a directory that members of a group share. Its parent must belong to root or to
    /// the owner of the store.
    pub fn shared(path: PathBuf) -> RunDirectory {
        RunDirectory {
            path,
            own: None,
            is_readable: false,
        }
    }

    /// Describes the directory `own/name`, private to the effective user. `own` is created if it is
    /// missing; otherwise it must belong to that user and be writable by nobody else.
    pub fn private(own: PathBuf, name: &Path) -> RunDirectory {
        let path = if name.as_os_str().is_empty() {
            own.clone()
        } else {
            own.join(name)
        };
        RunDirectory {
            path,
            own: Some(own),
            is_readable: false,
        }
    }

    /// Lets members of the group read a private directory.
    pub fn readable_by_group(self) -> RunDirectory {
        RunDirectory {
            is_readable: true,
            ..self
        }
    }

    /// Returns the path, for messages and other programs. Files in it must not be opened by it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the directory.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if it does not exist yet. An error if it should be private but
    /// others own it or may write in it.
    pub fn open(&self) -> io::Result<Directory> {
        let Some(own) = &self.own else {
            return Directory::open(&self.path, LinkPolicy::Never);
        };
        let directory = Directory::open(own, LinkPolicy::Never)?;
        refuse_foreign_writers(own, &directory.handle().metadata()?)?;
        directory.subdirectory(self.path_below_own())
    }

    /// Opens the directory and creates it, and the directories `parts` in it, if missing. A shared
    /// one and its parts get mode 2770 and `group`; a private one gets 0700, or 2750 and `group` if
    /// the group may read it.
    pub fn create(&self, parts: &[&str], group: Option<Gid>) -> io::Result<Directory> {
        let (mode, group) = self.directory_access(group);
        let directory = match self.open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.create_base(mode, group)?
            }
            opened => opened?,
        };
        for part in parts {
            directory.create_directory(Path::new(part), mode, Access { mode, group })?;
        }
        Ok(directory)
    }

    fn create_base(&self, mode: u32, group: Option<Gid>) -> io::Result<Directory> {
        let Some(own) = &self.own else {
            create_shared_directory(&self.path, group)?;
            return self.open();
        };
        let is_new = match DirBuilder::new().mode(0o700).create(own) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            made => made.map(|()| true)?,
        };
        let mut directory = Directory::open(own, LinkPolicy::Never)?;
        refuse_foreign_writers(own, &directory.handle().metadata()?)?;
        if is_new {
            Access { mode, group }.apply(directory.handle())?;
        }
        for part in self.path_below_own() {
            let part = Path::new(part);
            directory.create_directory(part, mode, Access { mode, group })?;
            directory = directory.subdirectory(part)?;
        }
        Ok(directory)
    }

    /// Returns the mode and group of directories.
    fn directory_access(&self, group: Option<Gid>) -> (u32, Option<Gid>) {
        match self.own {
            Some(_) if self.is_readable => (0o2750, group),
            Some(_) => (0o700, None),
            None => (0o2770, group),
        }
    }

    fn path_below_own(&self) -> &Path {
        let own = self.own.as_deref().unwrap_or(Path::new(""));
        self.path.strip_prefix(own).unwrap_or(&self.path)
    }

    /// Reads a whole file. Returns `None` if it does not exist.
    ///
    /// # Errors
    /// It is not a regular file with exactly one name, is too large, or cannot be read.
    pub fn read(&self, name: &Path) -> io::Result<Option<String>> {
        let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let file = match self
            .open()
            .and_then(|directory| directory.open_file(name, OpenMode::Read))
        {
            Err(error) if missing(&error) => return Ok(None),
            opened => opened?,
        };
        let metadata = file.metadata()?;
        if metadata.nlink() > 1 {
            return Err(permission_denied(&format!(
                "{} has a second name (hard link)",
                name.display()
            )));
        }
        if metadata.len() > MAX_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut text = String::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
        file.take(MAX_BYTES).read_to_string(&mut text)?;
        Ok(Some(text))
    }

    /// Writes a file atomically but without syncing, for hints that may be lost. A file or link of
    /// that name is replaced, not followed. The directories must exist.
    pub fn write_unsynced(&self, name: &Path, group: Option<Gid>, text: &str) -> io::Result<File> {
        let write = |file: &mut File| file.write_all(text.as_bytes());
        self.open()?
            .replace_unsynced(name, self.access(group), write)
    }

    /// Takes the lock of the file `lock/NAME`, waiting at most `wait`. Creates the file and its
    /// directory if missing.
    ///
    /// # Errors
    /// [`FileLockError::Held`] names the holder.
    pub fn lock(
        &self,
        name: &str,
        exclusivity: LockMode,
        wait: Duration,
        group: Option<Gid>,
    ) -> Result<FileLock, FileLockError> {
        self.lock_with_notice(name, exclusivity, wait, group, &|_| ())
    }

    /// Takes the lock as [`RunDirectory::lock`] does, and calls `notify` once with the holder if
    /// the wait takes long.
    pub fn lock_with_notice(
        &self,
        name: &str,
        exclusivity: LockMode,
        wait: Duration,
        group: Option<Gid>,
        notify: &dyn Fn(&str),
    ) -> Result<FileLock, FileLockError> {
        let place = Path::new("lock").join(name);
        let failed = |source: io::Error| FileLockError::Io {
            file: self.path.join(&place),
            source,
        };
        let directory = self.create(&["lock"], group).map_err(failed)?;
        let file = directory
            .open_or_create(&place, self.access(group))
            .map_err(failed)?;
        FileLock::acquire_with_notice(file, exclusivity, wait, notify).map_err(
            |error| match error {
                FileLockError::Io { source, .. } => failed(source),
                held => held,
            },
        )
    }

    /// Returns the access of files in the directory.
    pub fn access(&self, group: Option<Gid>) -> Access {
        match self.own {
            Some(_) if self.is_readable => Access { mode: 0o640, group },
            Some(_) => Access {
                mode: 0o600,
                group: None,
            },
            None => Access::shared(group),
        }
    }
}

impl From<PathBuf> for RunDirectory {
    fn from(path: PathBuf) -> RunDirectory {
        RunDirectory::shared(path)
    }
}

impl From<&Path> for RunDirectory {
    fn from(path: &Path) -> RunDirectory {
        RunDirectory::shared(path.to_path_buf())
    }
}

impl From<&PathBuf> for RunDirectory {
    fn from(path: &PathBuf) -> RunDirectory {
        RunDirectory::shared(path.clone())
    }
}

impl From<&RunDirectory> for RunDirectory {
    fn from(run: &RunDirectory) -> RunDirectory {
        run.clone()
    }
}

/// Returns whether `directory` is private to the effective user and no component of its path can be
/// replaced by anybody but root and that user.
pub fn is_safe_for_user(directory: &Path) -> bool {
    let us = geteuid().as_raw();
    let is_safe = |above: &Path| {
        let Ok(metadata) = std::fs::symlink_metadata(above) else {
            return false;
        };
        let is_sticky = metadata.mode() & 0o1000 != 0;
        let is_closed = metadata.mode() & 0o022 == 0 || is_sticky && metadata.uid() == 0;
        metadata.is_dir() && [0, us].contains(&metadata.uid()) && is_closed
    };
    is_private_to_user(directory) && directory.is_absolute() && directory.ancestors().all(is_safe)
}

/// Returns whether a directory belongs to the effective user and nobody else may write in it.
pub fn is_private_to_user(directory: &Path) -> bool {
    let metadata = std::fs::metadata(directory);
    metadata.is_ok_and(|metadata| {
        metadata.is_dir() && refuse_foreign_writers(directory, &metadata).is_ok()
    })
}

fn refuse_foreign_writers(directory: &Path, metadata: &Metadata) -> io::Result<()> {
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    let shown = directory.display();
    if owner != geteuid().as_raw() {
        let reason =
            format!("{shown} belongs to user {owner}: set XDG_RUNTIME_DIR to a directory of yours");
        return Err(permission_denied(&reason));
    }
    if mode & 0o022 != 0 {
        let reason = format!(
            "others may write in {shown} (mode {mode:o}): remove it, or set XDG_RUNTIME_DIR"
        );
        return Err(permission_denied(&reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_private_directory_is_usable_by_its_user_only() {
        let place = tempfile::tempdir().unwrap();
        let own = place.path().join("own");
        let run = RunDirectory::private(own.clone(), Path::new("qubes/0123"));
        assert_eq!(run.open().unwrap_err().kind(), io::ErrorKind::NotFound);
        run.create(&["lock"], None).unwrap();
        for path in [
            own.clone(),
            own.join("qubes"),
            own.join("qubes/0123"),
            own.join("qubes/0123/lock"),
        ] {
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
                0o700,
                "{}",
                path.display()
            );
        }
        fs::set_permissions(&own, fs::Permissions::from_mode(0o770)).unwrap();
        for refused in [
            run.open().map(drop),
            run.create(&[], None).map(drop),
            run.read(Path::new("x")).map(drop),
        ] {
            assert!(
                refused
                    .unwrap_err()
                    .to_string()
                    .contains("others may write")
            );
        }
        fs::set_permissions(&own, fs::Permissions::from_mode(0o700)).unwrap();
        fs::remove_dir_all(own.join("qubes")).unwrap();
        symlink("/", own.join("qubes")).unwrap();
        assert!(run.create(&["lock"], None).is_err());
        if geteuid().is_root() {
            std::os::unix::fs::chown(&own, Some(4242), None).unwrap();
            assert!(
                run.open()
                    .unwrap_err()
                    .to_string()
                    .contains("belongs to user 4242")
            );
        }
    }

    #[test]
    fn a_written_file_replaces_a_link_and_only_regular_files_are_read() {
        let place = tempfile::tempdir().unwrap();
        let (run, victim) = (
            RunDirectory::from(place.path().join("run")),
            place.path().join("victim"),
        );
        fs::write(&victim, "victim").unwrap();
        run.create(&["lock"], None).unwrap();
        let note = Path::new("lock/note");
        let at = run.path().join(note);
        symlink(&victim, &at).unwrap();
        assert!(run.read(note).is_err());
        run.write_unsynced(note, None, "ours").unwrap();
        assert_eq!(run.read(note).unwrap().as_deref(), Some("ours"));
        fs::remove_file(&at).unwrap();
        fs::hard_link(&victim, &at).unwrap();
        assert!(run.read(note).is_err());
        assert!(
            run.lock("note", LockMode::Exclusive, Duration::ZERO, None)
                .is_err()
        );
        fs::remove_file(&at).unwrap();
        assert_eq!(run.read(note).unwrap(), None);
        nix::unistd::mkfifo(&at, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(run.read(note).is_err());
        let error = run
            .lock("note", LockMode::Exclusive, Duration::ZERO, None)
            .unwrap_err();
        assert!(
            error.to_string().contains("is not a regular file"),
            "{error}"
        );
        assert_eq!(fs::read(&victim).unwrap(), b"victim");
    }
}
