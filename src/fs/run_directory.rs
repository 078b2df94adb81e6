//! A directory of locks, records and notes in which others may write, too.
//!
//! Nothing in it is opened by its path: no link is followed, and only regular files with one name
//! are used. Nothing in it is changed that was not just made.

use std::fs::{DirBuilder, File, Metadata};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Gid, geteuid};

use super::directory::{Directory, LinkPolicy, OpenMode};
use super::file_lock::{FileLock, FileLockError, LockMode};
use super::links::refused;
use super::replace::{Access, create_shared_directory};

/// The longest file that is read whole: far longer than any record or note.
const LONGEST: u64 = 256 << 20;

/// Where the directory is, and who may write in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDirectory {
    path: PathBuf,
    /// The directory above it that must belong to the effective user alone; none where members of a
    /// group share it.
    own: Option<PathBuf>,
    /// Members of the group may read what is in a private one.
    is_readable: bool,
}

impl RunDirectory {
    /// One that members of a group share. Its parent belongs to root, or to whom the store belongs.
    pub fn shared(path: PathBuf) -> RunDirectory {
        RunDirectory {
            path,
            own: None,
            is_readable: false,
        }
    }

    /// `own/name`, for the effective user alone: `own` is made when it is missing, and otherwise
    /// must belong to that user and be writable by nobody else.
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

    /// Lets the group read what is in a private one.
    pub fn readable_by_group(self) -> RunDirectory {
        RunDirectory {
            is_readable: true,
            ..self
        }
    }

    /// Where it is: for messages and for other programs, not for opening what is below.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the directory.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when it was not made yet. That it should be private and is not.
    pub fn open(&self) -> io::Result<Directory> {
        let Some(own) = &self.own else {
            return Directory::open(&self.path, LinkPolicy::Never);
        };
        let directory = Directory::open(own, LinkPolicy::Never)?;
        refuse_others(own, &directory.handle().metadata()?)?;
        directory.subdirectory(self.below_own())
    }

    /// Opens the directory, which is made when it is missing, with the directories `parts` in it.
    /// A shared one, and its parts, are 2770 and of `group`; a private one is 0700, or 2750 and of
    /// `group` for readers.
    pub fn create(&self, parts: &[&str], group: Option<Gid>) -> io::Result<Directory> {
        let (mode, group) = self.for_directories(group);
        let directory = match self.open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make_itself(mode, group)?
            }
            opened => opened?,
        };
        for part in parts {
            directory.create_directory(Path::new(part), mode, Access { mode, group })?;
        }
        Ok(directory)
    }

    fn make_itself(&self, mode: u32, group: Option<Gid>) -> io::Result<Directory> {
        let Some(own) = &self.own else {
            create_shared_directory(&self.path, group)?;
            return self.open();
        };
        let is_new = match DirBuilder::new().mode(0o700).create(own) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            made => made.map(|()| true)?,
        };
        let mut directory = Directory::open(own, LinkPolicy::Never)?;
        refuse_others(own, &directory.handle().metadata()?)?;
        if is_new {
            Access { mode, group }.apply(directory.handle())?;
        }
        for part in self.below_own() {
            let part = Path::new(part);
            directory.create_directory(part, mode, Access { mode, group })?;
            directory = directory.subdirectory(part)?;
        }
        Ok(directory)
    }

    /// Mode and group of directories.
    fn for_directories(&self, group: Option<Gid>) -> (u32, Option<Gid>) {
        match self.own {
            Some(_) if self.is_readable => (0o2750, group),
            Some(_) => (0o700, None),
            None => (0o2770, group),
        }
    }

    fn below_own(&self) -> &Path {
        let own = self.own.as_deref().unwrap_or(Path::new(""));
        self.path.strip_prefix(own).unwrap_or(&self.path)
    }

    /// Reads a whole file; `None` where there is none.
    ///
    /// # Errors
    /// What is there is not a regular file with one name, or cannot be read.
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
            return Err(refused(&format!(
                "{} has a second name (hard link)",
                name.display()
            )));
        }
        if metadata.len() > LONGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut text = String::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
        file.take(LONGEST).read_to_string(&mut text)?;
        Ok(Some(text))
    }

    /// Writes a note that others may read and nobody depends on: whatever has the name, and is not
    /// a directory, is replaced and not followed. The directories must exist.
    pub fn write_unsynced(&self, name: &Path, group: Option<Gid>, text: &str) -> io::Result<File> {
        let write = |file: &mut File| file.write_all(text.as_bytes());
        self.open()?
            .replace_unsynced(name, self.access(group), write)
    }

    /// Takes the lock of the file `lock/NAME`, waiting at most `wait`. Made when it is missing,
    /// with its directory.
    ///
    /// # Errors
    /// [`FileLockError::Held`] names who holds it.
    pub fn lock(
        &self,
        name: &str,
        exclusivity: LockMode,
        wait: Duration,
        group: Option<Gid>,
    ) -> Result<FileLock, FileLockError> {
        self.lock_with_notice(name, exclusivity, wait, group, &|_| ())
    }

    /// As [`RunDirectory::lock`]; `tell` is called with the holder, once, when the wait takes long.
    pub fn lock_with_notice(
        &self,
        name: &str,
        exclusivity: LockMode,
        wait: Duration,
        group: Option<Gid>,
        tell: &dyn Fn(&str),
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
        FileLock::acquire_with_notice(file, exclusivity, wait, tell).map_err(|error| match error {
            FileLockError::Io { source, .. } => failed(source),
            held => held,
        })
    }

    /// The access of files in it.
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

/// Whether nobody but root and the effective user can exchange anything on the way to `directory`,
/// which is the effective user's.
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

/// Whether a directory belongs to the effective user, and nobody else may write in it.
pub fn is_private_to_user(directory: &Path) -> bool {
    let metadata = std::fs::metadata(directory);
    metadata.is_ok_and(|metadata| metadata.is_dir() && refuse_others(directory, &metadata).is_ok())
}

fn refuse_others(directory: &Path, metadata: &Metadata) -> io::Result<()> {
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    let shown = directory.display();
    if owner != geteuid().as_raw() {
        let reason =
            format!("{shown} belongs to user {owner}: set XDG_RUNTIME_DIR to a directory of yours");
        return Err(refused(&reason));
    }
    if mode & 0o022 != 0 {
        let reason = format!(
            "others may write in {shown} (mode {mode:o}): remove it, or set XDG_RUNTIME_DIR"
        );
        return Err(refused(&reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_private_directory_is_for_its_user_alone() {
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
    fn a_note_replaces_a_link_and_what_is_not_a_plain_file_is_not_read() {
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
