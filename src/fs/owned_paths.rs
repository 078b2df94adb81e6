//! Access to files by paths in which other users may have placed links.
//!
//! Each function resolves the path component by component and follows a symbolic link only if root
//! or the effective user owns it. So no other user can redirect a command, whenever they exchange a
//! component.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::Gid;

use super::directory::{Directory, LinkPolicy, OpenMode};
use super::replace::Access;

/// Opens `/` and returns it with `path` relative to it.
pub fn split_root(path: &Path, links: LinkPolicy) -> io::Result<(Directory, PathBuf)> {
    let path = std::path::absolute(path)?;
    let below = path.strip_prefix("/").unwrap_or(&path).to_path_buf();
    Ok((Directory::open(Path::new("/"), links)?, below))
}

/// Opens a regular file.
pub fn open(path: &Path, used: OpenMode) -> io::Result<File> {
    let (slash, below) = split_root(path, LinkPolicy::Owned)?;
    slash.open_file(&below, used)
}

/// Opens a directory.
pub fn open_directory(path: &Path) -> io::Result<Directory> {
    let (slash, below) = split_root(path, LinkPolicy::Owned)?;
    slash.subdirectory(&below)
}

/// Opens the parent directory of `path` and returns it with the last component.
pub fn open_parent(path: &Path) -> io::Result<(Directory, OsString)> {
    let name = path
        .file_name()
        .ok_or(io::ErrorKind::InvalidInput)?
        .to_os_string();
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    Ok((open_directory(parent)?, name))
}

/// Replaces a file as [`Directory::replace`] does.
pub fn replace(
    path: &Path,
    access: Access,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<File> {
    let (directory, name) = open_parent(path)?;
    directory.replace(Path::new(&name), access, fill)
}

/// Unlinks a file or a symbolic link. Returns false if nothing existed.
pub fn remove_file(path: &Path) -> io::Result<bool> {
    let (directory, name) = open_parent(path)?;
    directory.remove_file(Path::new(&name))
}

/// Creates a directory with this access. Missing parents are created with mode 0755, as installers
/// create them. An existing directory is left unchanged.
pub fn create_directory(path: &Path, access: Access) -> io::Result<()> {
    let (slash, below) = split_root(path, LinkPolicy::Owned)?;
    match slash.subdirectory(&below) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        there => return there.map(drop),
    }
    let mut above: Vec<&Path> = below.ancestors().skip(1).collect();
    above.retain(|part| !part.as_os_str().is_empty());
    for part in above.into_iter().rev() {
        slash.create_directory(
            part,
            0o755,
            Access {
                mode: 0o755,
                group: None,
            },
        )?;
    }
    slash
        .create_directory(&below, access.mode, access)
        .map(drop)
}

/// Creates a directory for members of group qubes, with mode 2770. Missing parents are created with
/// mode 0755, as installers create them; an existing directory is left unchanged. Symbolic links of
/// other users are refused.
pub fn create_shared_directory(path: &Path, group: Option<Gid>) -> io::Result<()> {
    create_directory(
        path,
        Access {
            mode: 0o2770,
            group,
        },
    )
}
