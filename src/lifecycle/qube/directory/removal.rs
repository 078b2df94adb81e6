//! Removes a qube's directory.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::fs::stale_files::target_name;
use crate::lifecycle::qube::directory::owners::DirectoryOwner;
use crate::lifecycle::qube::directory::{QUBE_FILES, QubeDirectory};
use crate::lifecycle::volume::images::creation_note::CreationNote;
use crate::lifecycle::{Context, LifecycleError};
use crate::storage::{
    DirectoryRemoval, StorageError, list_names, pool_files, remove_directory, remove_real_directory,
};

/// The most file names that a warning lists.
const MAX_NAMED: usize = 5;

/// Removes the files that describe a removed qube. If another qube uses the directory they
/// stay, with a warning.
///
/// # Errors
/// A file cannot be removed.
pub(in crate::lifecycle) fn remove_own_files(
    context: &Context,
    directory: &QubeDirectory,
    other: Option<&DirectoryOwner>,
) -> Result<(), LifecycleError> {
    if let Some(owner) = other {
        if let Some(files) = directory
            .describing_files()
            .map_err(directory.cannot("look at"))?
        {
            let qube = &directory.qube;
            context.system.notify(&format!(
                "{qube}: {directory} is the directory of {owner}, too: {files} stay there"
            ));
        }
        return Ok(());
    }
    // The note is removed even if a file stays.
    let removed = directory.remove_files();
    CreationNote::in_directory(directory).remove()?;
    Ok(removed?)
}

/// Removes a qube's directory, or the link in its place, unless another qube uses it. Returns
/// what keeps the directory there, if anything else does.
///
/// # Errors
/// The directory is empty, or a link, and cannot be removed.
pub(in crate::lifecycle) fn remove_own_directory(
    directory: &QubeDirectory,
    other: Option<&DirectoryOwner>,
) -> Result<Option<String>, LifecycleError> {
    let cannot = directory.cannot("remove");
    let is_link = directory.is_link().map_err(&cannot)?;
    if other.is_some_and(|owner| owner.has_same_name || !is_link) {
        return Ok(None);
    }
    if !is_link {
        return Ok(match directory.remove_if_empty()? {
            true => None,
            false => Some(kept_text(
                &directory.to_string(),
                &directory.names().map_err(&cannot)?,
            )),
        });
    }
    let target = if other.is_none() {
        directory.target()
    } else {
        None
    };
    directory.unlink().map_err(&cannot)?;
    Ok(target
        .map_or(Ok(DirectoryRemoval::Gone), |target| {
            remove_real_directory(&target)
        })
        .and_then(reason_kept)?)
}

/// Removes a directory of a pool in which volumes of the qube were. Returns what keeps it
/// there, if anything does.
///
/// # Errors
/// The directory is empty, or a link, and cannot be removed.
pub(in crate::lifecycle) fn remove_pool_directory(
    context: &Context,
    directory: &Path,
) -> Result<Option<String>, StorageError> {
    reason_kept(remove_directory(directory, context.system.root())?)
}

impl QubeDirectory {
    /// Removes the files that describe a qube, with temporary files that killed writers of them
    /// left.
    ///
    /// # Errors
    /// The first file that cannot be removed, or the directory cannot be read.
    pub(in crate::lifecycle) fn remove_files(&self) -> Result<(), StorageError> {
        let known = |name: &str| QUBE_FILES.contains(&target_name(name).unwrap_or(name));
        let cannot = || StorageError::io(format!("cannot remove files in {self}"));
        let Some(opened) = self.opened().map_err(cannot())? else {
            return Ok(());
        };
        let mut outcome = Ok(());
        for name in opened.names().map_err(cannot())? {
            let Some(name) = name.to_str().filter(|name| known(name)) else {
                continue;
            };
            if let Err(error) = opened.remove_file(Path::new(name))
                && outcome.is_ok()
            {
                outcome = Err(StorageError::io(format!(
                    "cannot remove {}",
                    self.display_path(name)
                ))(error));
            }
        }
        outcome
    }

    /// Removes the directory itself if it is empty. Returns whether it does not exist now. A link
    /// in its place stays.
    ///
    /// # Errors
    /// It is empty and cannot be removed.
    pub(in crate::lifecycle) fn remove_if_empty(&self) -> Result<bool, StorageError> {
        let cannot = || StorageError::io(format!("cannot remove {self}"));
        let Some(base) = self.base().map_err(cannot())? else {
            return Ok(true);
        };
        let removed = base.remove_directory(&self.below);
        match removed.and_then(|was_there| {
            if was_there {
                self.sync_parent()
            } else {
                Ok(())
            }
        }) {
            Ok(()) => Ok(true),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(cannot()(error)),
        }
    }

    /// Returns the names of the existing files that describe a qube, for a message.
    fn describing_files(&self) -> io::Result<Option<String>> {
        let names = self.names()?;
        let found: Vec<&str> = QUBE_FILES
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
            .symlink_metadata(&self.below)?
            .is_some_and(|found| found.is_symlink()))
    }

    /// Returns the directory to which the link in its place leads. A link that is not ours, or
    /// leads nowhere, has nothing of the qube behind it.
    fn target(&self) -> Option<PathBuf> {
        let opened = self.opened().ok().flatten()?;
        pool_files::real_path(opened).ok()
    }

    fn unlink(&self) -> io::Result<()> {
        let Some(base) = self.base()? else {
            return Ok(());
        };
        if base.remove_file(&self.below)? {
            self.sync_parent()
        } else {
            Ok(())
        }
    }

    fn sync_parent(&self) -> io::Result<()> {
        let above = self.below.parent().unwrap_or(Path::new(""));
        self.base()?
            .map_or(Ok(()), |base| base.subdirectory(above)?.sync())
    }

    fn cannot(&self, verb: &str) -> impl Fn(io::Error) -> LifecycleError + use<> {
        LifecycleError::cannot(verb, self)
    }
}

fn reason_kept(removal: DirectoryRemoval) -> Result<Option<String>, StorageError> {
    let DirectoryRemoval::NotEmpty(kept) = removal else {
        return Ok(None);
    };
    let names: Vec<OsString> = list_names(&kept)?.into_iter().map(OsString::from).collect();
    Ok(Some(kept_text(&kept.display().to_string(), &names)))
}

fn kept_text(directory: &str, names: &[OsString]) -> String {
    format!(
        "{directory} stays: it contains {}, which Qubes did not create or another volume uses",
        join_names(names)
    )
}

/// Joins file names for a message: sorted, escaped, and not too many.
pub(in crate::lifecycle) fn join_names(names: &[OsString]) -> String {
    let mut names: Vec<String> = names
        .iter()
        .map(|name| name.to_string_lossy().escape_debug().to_string())
        .collect();
    names.sort();
    let more = match names.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    names.truncate(MAX_NAMED);
    format!("{}{more}", names.join(", "))
}
