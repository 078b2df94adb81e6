//! Path resolution below a directory, one component at a time, so that the owner of each symbolic
//! link is checked before the link is followed.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path};
use std::thread;
use std::time::Duration;

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2, readlinkat};
use nix::unistd::geteuid;

use super::replace::retry_interrupted;

/// The symbolic links that are followed below a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkPolicy {
    /// None.
    Never,
    /// Those that root or the effective user owns. Nobody else can create such a link, so its
    /// target is intended, for example a qube's directory on another disk.
    Owned,
}

/// The number of immediate retries after EAGAIN, enough for a concurrent rename to finish.
const IMMEDIATE_RETRIES: u32 = 64;

/// The number of later retries, with pauses that double from 1 ms to 64 ms: enough for a program
/// that releases a lease when the kernel asks for it.
const DELAYED_RETRIES: u32 = 7;

/// The number of links that the kernel follows in one path.
const MAX_LINKS: usize = 40;

/// Opens `path` below `base` with `flags`. Absolute link targets are resolved from `root`, or from
/// `/` without one.
///
/// The policy also applies to the last component. `..` is refused in `path`, but a followed link
/// may contain it.
pub(super) fn open_below(
    base: &File,
    root: Option<&File>,
    path: &Path,
    links: LinkPolicy,
    flags: OFlag,
) -> io::Result<File> {
    refuse_parent_components(path)?;
    let strict = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
    match open(base, path, flags, strict) {
        Err(error) if error.raw_os_error() == Some(nix::libc::ELOOP) => match links {
            LinkPolicy::Never => Err(permission_denied(&format!(
                "{} goes through a symbolic link",
                path.display()
            ))),
            LinkPolicy::Owned => open_following_owned(base, root, path, flags),
        },
        opened => opened,
    }
}

/// Opens one path with `resolve`, retrying after a signal or a concurrent rename.
pub(super) fn open(
    base: &File,
    path: &Path,
    flags: OFlag,
    resolve: ResolveFlag,
) -> io::Result<File> {
    let how = OpenHow::new()
        .flags(flags | OFlag::O_CLOEXEC)
        .resolve(resolve);
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    retry_leased(|| retry_interrupted(|| Ok(File::from(openat2(base, path, how)?))))
}

/// Retries a non-blocking open (`O_NONBLOCK`) that fails with EAGAIN, for at most about an eighth
/// of a second. The reason is a rename during the resolution of `..`, or a lease that another
/// process holds on the file and that the kernel breaks only after
/// `/proc/sys/fs/lease-break-time` (45 s).
pub(crate) fn retry_leased<T>(mut open: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for attempt in 0..IMMEDIATE_RETRIES + DELAYED_RETRIES {
        match open() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            opened => return opened,
        }
        if let Some(doublings) = attempt.checked_sub(IMMEDIATE_RETRIES) {
            thread::sleep(Duration::from_millis(1 << doublings));
        }
    }
    let reason = "another process has a lease on it (fcntl F_SETLEASE) and does not give it up";
    Err(io::Error::new(io::ErrorKind::WouldBlock, reason))
}

fn open_following_owned(
    base: &File,
    root: Option<&File>,
    path: &Path,
    flags: OFlag,
) -> io::Result<File> {
    let mut parts: VecDeque<OsString> = path_components(path).collect();
    let mut place = base.try_clone()?;
    let mut followed = 0;
    while let Some(part) = parts.pop_front() {
        let last = parts.is_empty();
        let found = open_component(&place, root, &part)?;
        let metadata = retry_interrupted(|| found.metadata())?;
        if !metadata.file_type().is_symlink() {
            if last {
                // It is opened by name again, so it must not have become a link meanwhile.
                return open(
                    &place,
                    Path::new(&part),
                    flags,
                    ResolveFlag::RESOLVE_NO_SYMLINKS,
                );
            }
            place = found;
            continue;
        }
        let owner = metadata.uid();
        followed += 1;
        if owner != 0 && owner != geteuid().as_raw() {
            let link = part.to_string_lossy();
            return Err(permission_denied(&format!(
                "{link} is a symbolic link of user {owner}, not followed"
            )));
        }
        if followed > MAX_LINKS {
            return Err(io::Error::from_raw_os_error(nix::libc::ELOOP));
        }
        // Read through the descriptor, so that it is the link whose owner was checked.
        let target = readlinkat(&found, OsStr::new(""))?;
        let target = Path::new(&target);
        if target.is_absolute() {
            place = match root {
                Some(root) => root.try_clone()?,
                None => File::open("/")?,
            };
        }
        for part in path_components(target)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
        {
            parts.push_front(part);
        }
    }
    open(
        &place,
        Path::new("."),
        flags,
        ResolveFlag::RESOLVE_NO_SYMLINKS,
    )
}

/// Opens one path component with `O_PATH`, without following a link. `..` of the root is the root.
fn open_component(place: &File, root: Option<&File>, part: &OsStr) -> io::Result<File> {
    if part == ".."
        && let Some(root) = root
        && is_same(place, root)?
    {
        return root.try_clone();
    }
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW;
    open(
        place,
        Path::new(part),
        flags,
        ResolveFlag::RESOLVE_NO_MAGICLINKS,
    )
}

fn is_same(one: &File, other: &File) -> io::Result<bool> {
    let (one, other) = (
        retry_interrupted(|| one.metadata())?,
        retry_interrupted(|| other.metadata())?,
    );
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

fn path_components(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|part| match part {
        Component::Normal(_) | Component::ParentDir => Some(part.as_os_str().to_os_string()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

fn refuse_parent_components(path: &Path) -> io::Result<()> {
    let plain = |part: Component| matches!(part, Component::Normal(_) | Component::CurDir);
    match path.components().all(plain) {
        true => Ok(()),
        false => Err(permission_denied(&format!(
            "{} is not a path below a directory",
            path.display()
        ))),
    }
}

/// Refuses a symbolic link that belongs neither to root nor to the effective user, because nobody
/// else may decide where we write. A path that is missing or is not a link is accepted.
pub fn refuse_foreign_link(path: &Path) -> io::Result<()> {
    let metadata = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    let owner = metadata.uid();
    match metadata.is_symlink() && owner != 0 && owner != geteuid().as_raw() {
        true => Err(permission_denied(&format!(
            "{} is a symbolic link of user {owner}, not followed",
            path.display()
        ))),
        false => Ok(()),
    }
}

pub(super) fn permission_denied(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, reason.to_string())
}
