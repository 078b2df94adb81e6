//! Where the files of a system are: below its root, or in directories of the user's own.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use uuid::Uuid;

use super::SystemError;
use crate::fs::chroot;
use crate::fs::replace::parent_directory;
use crate::fs::run_directory::{self, RunDirectory};

/// Where root keeps locks and records of other people's stores. Not below /run/qubes, where members
/// of group qubes may make directories.
const ROOTS_STORES: &str = "/run/qubes-stores";

pub(super) fn path_from(variable: &str) -> Option<PathBuf> {
    env::var_os(variable)
        .filter(|v| !v.is_empty())
        .map(PathBuf::from)
}

pub(super) fn below(
    root: Option<&Path>,
    path: &Path,
    resolve: impl Fn(&Path, &Path) -> io::Result<PathBuf>,
) -> PathBuf {
    let Some(root) = root else {
        return path.to_path_buf();
    };
    // A loop of links leads nowhere in the root. On the machine the same links may lead somewhere,
    // so they are not handed on.
    let nowhere = |_loop| {
        root.join("too many symbolic links")
            .join(path.strip_prefix("/").unwrap_or(path))
    };
    resolve(root, path).unwrap_or_else(nowhere)
}

pub(super) fn resolved_below(root: Option<&Path>, path: &str) -> Result<PathBuf, SystemError> {
    let Some(root) = root else {
        return Ok(PathBuf::from(path));
    };
    let failed = |source| SystemError::Root {
        path: root.join(path.trim_start_matches('/')),
        source,
    };
    chroot::resolve(root, path.as_ref()).map_err(failed)
}

/// The store that the command line or the environment names. One below the root is a file of that
/// system: its links are resolved there.
pub(super) fn given_store(root: Option<&Path>, given: PathBuf) -> Result<PathBuf, SystemError> {
    let Some(root) = root else {
        return Ok(resolved(given));
    };
    let absolute = std::path::absolute(&given).unwrap_or_else(|_| given.clone());
    let in_root = absolute
        .ancestors()
        .find(|above| fs::canonicalize(above).is_ok_and(|real| real == root));
    let Some(below) =
        in_root.and_then(|above| absolute.strip_prefix(above).ok().map(Path::to_path_buf))
    else {
        // Its directory may be a link into the root.
        let directory = fs::canonicalize(parent_directory(&given)).ok();
        return match directory.zip(given.file_name()) {
            Some((directory, name)) if directory.starts_with(root) => {
                let below = directory
                    .strip_prefix(root)
                    .unwrap_or(&directory)
                    .join(name);
                chroot::resolve(root, &below).map_err(|source| SystemError::Root {
                    path: given.clone(),
                    source,
                })
            }
            _ => Ok(resolved(given)),
        };
    };
    chroot::resolve(root, &below).map_err(|source| SystemError::Root {
        path: given.clone(),
        source,
    })
}

/// The file a path means: links followed as far as they lead somewhere, the last part may be
/// missing yet.
pub(super) fn resolved(path: PathBuf) -> PathBuf {
    if let Ok(real) = fs::canonicalize(&path) {
        return real;
    }
    match (fs::canonicalize(parent_directory(&path)), path.file_name()) {
        (Ok(real), Some(name)) => real.join(name),
        _ => path,
    }
}

/// A directory called `name` that belongs to the effective user alone: in that user's runtime
/// directory, else in one that is made. `$XDG_RUNTIME_DIR` may be another user's (`su`, `sudo -E`)
/// or no directory at all: then it is not used.
pub(super) fn private_directory(name: &str) -> RunDirectory {
    let uid = geteuid();
    let usual = || Some(PathBuf::from(format!("/run/user/{uid}")));
    let is_ours = |directory: &PathBuf| {
        directory.is_absolute() && run_directory::is_private_to_user(directory)
    };
    let runtime = path_from("XDG_RUNTIME_DIR")
        .filter(is_ours)
        .or_else(|| usual().filter(is_ours));
    match runtime {
        Some(runtime) => RunDirectory::private(runtime, &Path::new("qubes").join(name)),
        None if uid.is_root() => RunDirectory::private(ROOTS_STORES.into(), name.as_ref()),
        None => {
            let temporary = Some(env::temp_dir()).filter(|directory| directory.is_absolute());
            let temporary = temporary.unwrap_or_else(|| PathBuf::from("/tmp"));
            RunDirectory::private(temporary.join(format!("qubes-{uid}")), name.as_ref())
        }
    }
}

/// The machine's, root directory or not: what is remembered is how this machine behaves.
pub(super) fn cache_directory() -> PathBuf {
    if geteuid().is_root() {
        return PathBuf::from("/var/cache/qubes");
    }
    let home = || path_from("HOME").map(|h| h.join(".cache"));
    path_from("XDG_CACHE_HOME")
        .or_else(home)
        .unwrap_or_else(env::temp_dir)
        .join("qubes")
}

/// 32 hexadecimal digits that stand for a path.
pub(super) fn fingerprint(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    Uuid::new_v5(&Uuid::NAMESPACE_URL, path.as_os_str().as_bytes())
        .simple()
        .to_string()
}
