//! Paths of another system, resolved as they would be in a chroot.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;

/// The number of links that the kernel follows in one path.
const MAX_LINKS: usize = 40;

/// Resolves `path` in the system whose `/` is the directory `root`: absolute links are resolved
/// from `root`, and `..` does not leave it. Components that do not exist yet are appended as they
/// are. Links in `root` itself are not resolved.
///
/// The result contains no links, but it is only as recent as the call: if others may write below
/// `root`, open it without following links.
///
/// # Errors
/// [`Errno::ELOOP`] if the path has more links than the kernel would follow.
pub fn resolve(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let mut resolved = root.to_path_buf();
    // The number of components of `resolved` below `root`.
    let mut depth = 0_usize;
    let mut remaining: Vec<OsString> = reversed_components(path);
    let mut links = 0;
    while let Some(name) = remaining.pop() {
        if name == ".." {
            if depth > 0 {
                resolved.pop();
                depth -= 1;
            }
            continue;
        }
        resolved.push(&name);
        depth += 1;
        // A component that is missing or unreadable is kept; opening the path reports why.
        let Ok(target) = std::fs::read_link(&resolved) else {
            continue;
        };
        links += 1;
        if links > MAX_LINKS {
            return Err(Errno::ELOOP.into());
        }
        resolved.pop();
        depth -= 1;
        if target.is_absolute() {
            resolved = root.to_path_buf();
            depth = 0;
        }
        remaining.extend(reversed_components(&target));
    }
    Ok(resolved)
}

/// Resolves `path` as [`resolve`] does, except for its last component: for callers that read,
/// create or remove that link itself.
///
/// # Errors
/// [`Errno::ELOOP`] if the path has more links than the kernel would follow.
pub fn resolve_parent(root: &Path, path: &Path) -> io::Result<PathBuf> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok(resolve(root, parent)?.join(name)),
        _ => resolve(root, path),
    }
}

/// Returns the components of a path, last first, without `/` and `.`.
fn reversed_components(path: &Path) -> Vec<OsString> {
    let name = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_os_string()),
        Component::ParentDir => Some(OsStr::new("..").to_os_string()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    };
    path.components().rev().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_path_leads_out_of_the_root() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        fs::create_dir_all(root.join("data/qubes")).unwrap();
        fs::create_dir_all(root.join("var/lib")).unwrap();
        symlink("/data/qubes", root.join("var/lib/qubes")).unwrap();
        symlink("../../../../../data", root.join("var/up")).unwrap();
        symlink("/missing/x", root.join("dangling")).unwrap();
        symlink("dangling", root.join("chain")).unwrap();
        symlink("/", root.join("top")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let resolved = |path: &str| {
            resolve(&root, path.as_ref()).map(|p| p.strip_prefix(&root).unwrap().to_owned())
        };
        for (path, expected) in [
            ("/var/lib/qubes/qubes.xml", "data/qubes/qubes.xml"),
            ("/../../etc/passwd", "etc/passwd"),
            ("/var/up/qubes", "data/qubes"),
            ("/var/lib/qubes/../x", "data/x"),
            ("/dangling/y", "missing/x/y"),
            ("/chain", "missing/x"),
            ("/top/top/../../x", "x"),
            ("relative/./x", "relative/x"),
            ("/not/there/../../../../y", "y"),
        ] {
            assert_eq!(resolved(path).unwrap(), Path::new(expected), "{path}");
        }
        assert_eq!(
            resolved("/loop/x").unwrap_err().raw_os_error(),
            Some(Errno::ELOOP as i32)
        );
        let link = resolve_parent(&root, "/var/lib/qubes".as_ref()).unwrap();
        assert_eq!(link, root.join("var/lib/qubes"));
    }
}
