//! How a qube's directory goes.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::owners::DirectoryOwner;
use super::{FILES, QubeDirectory};
use crate::fs::stale_files::target_of;
use crate::lifecycle::images::leftovers::Note;
use crate::lifecycle::{LifecycleError, Session};
use crate::storage::{
    DirectoryRemoval, StorageError, list_names, pool_files, remove_directory, remove_real_directory,
};

/// How many names of files a warning has room for.
const NAMED: usize = 5;

impl Session {
    /// Removes the files that describe a qube that is gone. Where another qube means the directory
    /// they stay, which is told.
    ///
    /// # Errors
    /// One cannot be removed.
    pub(in crate::lifecycle) fn remove_own_files(
        &self,
        directory: &QubeDirectory,
        other: Option<&DirectoryOwner>,
    ) -> Result<(), LifecycleError> {
        if let Some(owner) = other {
            if let Some(files) = directory
                .described_by()
                .map_err(directory.failed("look at"))?
            {
                let qube = &directory.qube;
                self.system.tell(&format!(
                    "{qube}: {directory} is the directory of {owner}, too: {files} stay there"
                ));
            }
            return Ok(());
        }
        // The note goes, too, where a file stays.
        let removed = directory.remove_files();
        Note::in_directory(directory).remove()?;
        Ok(removed?)
    }

    /// Removes a qube's directory, or the link that stands for it. What another qube means stays.
    /// Returns in words what keeps the directory there, if anything else does.
    ///
    /// # Errors
    /// It is empty, or a link, and cannot be removed.
    pub(in crate::lifecycle) fn remove_own_directory(
        &self,
        directory: &QubeDirectory,
        other: Option<&DirectoryOwner>,
    ) -> Result<Option<String>, LifecycleError> {
        let failed = || directory.failed("remove");
        let is_link = directory.is_link().map_err(failed())?;
        if other.is_some_and(|owner| owner.has_its_name || !is_link) {
            return Ok(None);
        }
        if !is_link {
            return Ok(match directory.remove_if_empty()? {
                true => None,
                false => Some(kept_by(
                    &directory.to_string(),
                    &directory.names().map_err(failed())?,
                )),
            });
        }
        let target = if other.is_none() {
            directory.target()
        } else {
            None
        };
        directory.unlink().map_err(failed())?;
        Ok(target
            .map_or(Ok(DirectoryRemoval::Gone), |target| {
                remove_real_directory(&target)
            })
            .and_then(told)?)
    }

    /// Removes a directory of a pool in which volumes of a qube lay. Returns in words what keeps it
    /// there, if anything does.
    ///
    /// # Errors
    /// It is empty, or a link, and cannot be removed.
    pub(in crate::lifecycle) fn remove_pool_directory(
        &self,
        directory: &Path,
    ) -> Result<Option<String>, StorageError> {
        told(remove_directory(directory, self.system.root())?)
    }
}

impl QubeDirectory {
    /// Removes the files that describe a qube, with what killed writers of them left.
    ///
    /// # Errors
    /// The first one that cannot be removed, or that the directory cannot be read.
    pub(in crate::lifecycle) fn remove_files(&self) -> Result<(), StorageError> {
        let known = |name: &str| FILES.contains(&target_of(name).unwrap_or(name));
        let failed = || StorageError::io(format!("cannot remove files in {self}"));
        let Some(opened) = self.opened().map_err(failed())? else {
            return Ok(());
        };
        let mut outcome = Ok(());
        for name in opened.names().map_err(failed())? {
            let Some(name) = name.to_str().filter(|name| known(name)) else {
                continue;
            };
            if let Err(error) = opened.remove_file(Path::new(name))
                && outcome.is_ok()
            {
                outcome = Err(StorageError::io(format!(
                    "cannot remove {}",
                    self.shown(name)
                ))(error));
            }
        }
        outcome
    }

    /// Removes the directory itself if it is empty; says whether nothing is there now. A link that
    /// stands for it stays.
    ///
    /// # Errors
    /// It is empty and cannot be removed.
    pub(in crate::lifecycle) fn remove_if_empty(&self) -> Result<bool, StorageError> {
        let failed = || StorageError::io(format!("cannot remove {self}"));
        let Some(base) = self.base().map_err(failed())? else {
            return Ok(true);
        };
        let removed = base.remove_directory(&self.below);
        match removed.and_then(|was_there| if was_there { self.sync_above() } else { Ok(()) }) {
            Ok(()) => Ok(true),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(failed()(error)),
        }
    }

    /// The files that describe a qube and are there, in words.
    fn described_by(&self) -> io::Result<Option<String>> {
        let names = self.names()?;
        let found: Vec<&str> = FILES
            .into_iter()
            .filter(|file| names.iter().any(|name| name.to_str() == Some(*file)))
            .collect();
        Ok((!found.is_empty()).then(|| found.join(" and ")))
    }

    fn is_link(&self) -> io::Result<bool> {
        let Some(base) = self.base()? else {
            return Ok(false);
        };
        Ok(base
            .look(&self.below)?
            .is_some_and(|found| found.is_symlink()))
    }

    /// Where the link that stands for it leads. A link of somebody else, or one to nowhere, has
    /// nothing behind it that is the qube's.
    fn target(&self) -> Option<PathBuf> {
        let opened = self.opened().ok().flatten()?;
        pool_files::real_path(opened).ok()
    }

    fn unlink(&self) -> io::Result<()> {
        let Some(base) = self.base()? else {
            return Ok(());
        };
        if base.remove_file(&self.below)? {
            self.sync_above()
        } else {
            Ok(())
        }
    }

    fn sync_above(&self) -> io::Result<()> {
        let above = self.below.parent().unwrap_or(Path::new(""));
        self.base()?
            .map_or(Ok(()), |base| base.subdirectory(above)?.sync())
    }

    fn failed(&self, verb: &str) -> impl FnOnce(io::Error) -> LifecycleError + use<> {
        let what = format!("cannot {verb} {self}");
        |source| LifecycleError::Io { what, source }
    }
}

fn told(removal: DirectoryRemoval) -> Result<Option<String>, StorageError> {
    let DirectoryRemoval::NotEmpty(kept) = removal else {
        return Ok(None);
    };
    let names: Vec<OsString> = list_names(&kept)?.into_iter().map(OsString::from).collect();
    Ok(Some(kept_by(&kept.display().to_string(), &names)))
}

fn kept_by(directory: &str, names: &[OsString]) -> String {
    format!(
        "{directory} stays, with {}, which Qubes did not make, or another volume means",
        listed(names)
    )
}

/// Names of files, sorted, as a message has room for them.
pub(in crate::lifecycle) fn listed(names: &[OsString]) -> String {
    let mut names: Vec<String> = names
        .iter()
        .map(|name| name.to_string_lossy().escape_debug().to_string())
        .collect();
    names.sort();
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    names.truncate(NAMED);
    format!("{}{more}", names.join(", "))
}
