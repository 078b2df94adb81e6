//! Resolves the paths of a system: below its root, or in the user's own directories.

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

/// The RUN of root for stores other than the system's. It is not below /run/qubes, where members of
/// group qubes may create directories.
const ROOT_RUN_BASE: &str = "/run/qubes-stores";

/// Returns the path in an environment variable, unless it is unset or empty.
pub(super) fn path_from_variable(variable: &str) -> Option<PathBuf> {
    env::var_os(variable)
        .filter(|v| !v.is_empty())
        .map(PathBuf::from)
}

/// Returns where `path` of the system is below `root`, resolved by `resolve`; `path` itself without
/// a root.
pub(super) fn resolve_path(
    root: Option<&Path>,
    path: &Path,
    resolve: impl Fn(&Path, &Path) -> io::Result<PathBuf>,
) -> PathBuf {
    let Some(root) = root else {
        return path.to_path_buf();
    };
    // A loop of links has no target. The path is not returned unresolved, because the same links
    // may have a target outside the root.
    let missing_path = |_loop| {
        root.join("too many symbolic links")
            .join(path.strip_prefix("/").unwrap_or(path))
    };
    resolve(root, path).unwrap_or_else(missing_path)
}

/// Returns where a built-in path is below `root`, with all links resolved within the root.
pub(super) fn resolve_below(root: Option<&Path>, path: &str) -> Result<PathBuf, SystemError> {
    let Some(root) = root else {
        return Ok(PathBuf::from(path));
    };
    let failed = |source| SystemError::Root {
        path: root.join(path.trim_start_matches('/')),
        source,
    };
    chroot::resolve(root, path.as_ref()).map_err(failed)
}

/// Resolves the store that the command line or the environment names. If it is below the root, its
/// links are resolved within the root.
pub(super) fn resolve_store(root: Option<&Path>, given: PathBuf) -> Result<PathBuf, SystemError> {
    let Some(root) = root else {
        return Ok(resolve(given));
    };
    let absolute = std::path::absolute(&given).unwrap_or_else(|_| given.clone());
    let in_root = absolute
        .ancestors()
        .find(|above| fs::canonicalize(above).is_ok_and(|real| real == root));
    let Some(below) =
        in_root.and_then(|above| absolute.strip_prefix(above).ok().map(Path::to_path_buf))
    else {
        // The directory of the store may be a link into the root.
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
            _ => Ok(resolve(given)),
        };
    };
    chroot::resolve(root, &below).map_err(|source| SystemError::Root {
        path: given.clone(),
        source,
    })
}

/// Resolves the links of a path. The last component need not exist; a path that cannot be resolved
/// is returned as it is.
pub(super) fn resolve(path: PathBuf) -> PathBuf {
    if let Ok(real) = fs::canonicalize(&path) {
        return real;
    }
    match (fs::canonicalize(parent_directory(&path)), path.file_name()) {
        (Ok(real), Some(name)) => real.join(name),
        _ => path,
    }
}

/// Returns a directory `name` that only the effective user can use: in that user's runtime
/// directory, else in one that is created. `$XDG_RUNTIME_DIR` is ignored if it belongs to another
/// user (`su`, `sudo -E`) or is not a directory.
pub(super) fn private_directory(name: &str) -> RunDirectory {
    let uid = geteuid();
    let default = || Some(PathBuf::from(format!("/run/user/{uid}")));
    let is_private = |directory: &PathBuf| {
        directory.is_absolute() && run_directory::is_private_to_user(directory)
    };
    let runtime = path_from_variable("XDG_RUNTIME_DIR")
        .filter(is_private)
        .or_else(|| default().filter(is_private));
    match runtime {
        Some(runtime) => RunDirectory::private(runtime, &Path::new("qubes").join(name)),
        None if uid.is_root() => RunDirectory::private(ROOT_RUN_BASE.into(), name.as_ref()),
        None => {
            let temporary = Some(env::temp_dir()).filter(|directory| directory.is_absolute());
            let temporary = temporary.unwrap_or_else(|| PathBuf::from("/tmp"));
            RunDirectory::private(temporary.join(format!("qubes-{uid}")), name.as_ref())
        }
    }
}

/// Returns the directory of the cache. It does not depend on `--root`, because it caches how this
/// machine behaves.
pub(super) fn cache_directory() -> PathBuf {
    if geteuid().is_root() {
        return PathBuf::from("/var/cache/qubes");
    }
    let home = || path_from_variable("HOME").map(|h| h.join(".cache"));
    path_from_variable("XDG_CACHE_HOME")
        .or_else(home)
        .unwrap_or_else(env::temp_dir)
        .join("qubes")
}

/// Returns 32 hexadecimal digits that identify a path.
pub(super) fn fingerprint(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    Uuid::new_v5(&Uuid::NAMESPACE_URL, path.as_os_str().as_bytes())
        .simple()
        .to_string()
}
