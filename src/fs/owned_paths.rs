//! Files by paths on which others may have put links.
//!
//! A path is resolved anew by each function, component by component: a symbolic link is followed
//! only if root or the effective user owns it, so nobody else can lead a command elsewhere,
//! whenever he exchanges what.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::directory::{Directory, LinkPolicy, OpenMode};
use super::replace::Access;

/// The directory from which absolute paths are resolved, and such a path below it.
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

/// The open directory in which `path` lies, and the name there.
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

/// Replaces a file, as [`Directory::replace`] does.
pub fn replace(
    path: &Path,
    access: Access,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<File> {
    let (directory, name) = open_parent(path)?;
    directory.replace(Path::new(&name), access, fill)
}

/// Unlinks a file, or a symbolic link itself; false where nothing was.
pub fn remove_file(path: &Path) -> io::Result<bool> {
    let (directory, name) = open_parent(path)?;
    directory.remove_file(Path::new(&name))
}

/// Makes a directory with this access; those that are missing above it are anybody's, as installers
/// make them. One that exists stays as it is.
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
