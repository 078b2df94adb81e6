//! Path resolution below a directory, one component at a time, so that each symbolic link can be
//! judged by its owner before it is followed.

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

/// Which symbolic links are followed below a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkPolicy {
    /// None.
    Never,
    /// Those that root or the effective user owns. Nobody else can make such a link, so it says
    /// where they want it to lead: a qube's directory on another disk, say.
    Owned,
}

/// How often what answers EAGAIN is repeated at once: a rename on the way is over by then.
const SWIFT_TRIES: u32 = 64;

/// How often it is repeated after that, each time after twice as long a pause as before: 1 ms to
/// 64 ms. A program that gives a lease back when it is asked has done so by then.
const SLOW_TRIES: u32 = 7;

/// As many links as the kernel follows in one path.
const MOST_LINKS: usize = 40;

/// Opens `path` below `base` with `flags`; absolute link targets begin at `root`, else at `/`.
///
/// The last component is never followed with [`LinkPolicy::Never`], and judged like any other with
/// [`LinkPolicy::Owned`]. `..` is refused in `path`; a followed link may contain it.
pub(super) fn open_below(
    base: &File,
    root: Option<&File>,
    path: &Path,
    links: LinkPolicy,
    flags: OFlag,
) -> io::Result<File> {
    refuse_dots(path)?;
    let strict = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
    match open(base, path, flags, strict) {
        Err(error) if error.raw_os_error() == Some(nix::libc::ELOOP) => match links {
            LinkPolicy::Never => Err(refused(&format!(
                "{} leads over a symbolic link",
                path.display()
            ))),
            LinkPolicy::Owned => walk(base, root, path, flags),
        },
        opened => opened,
    }
}

/// Opens one path with `resolve`; repeats what a signal, or a rename under way, interrupted.
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

/// Repeats an open without waiting (`O_NONBLOCK`) that answers EAGAIN: a rename was in the way of
/// `..`, or another process has a lease on the file, which the kernel takes away from it only after
/// `/proc/sys/fs/lease-break-time` (45 s). Waits for that no longer than about an eighth of a
/// second.
pub(crate) fn retry_leased<T>(mut open: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for tried in 0..SWIFT_TRIES + SLOW_TRIES {
        match open() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            opened => return opened,
        }
        if let Some(doublings) = tried.checked_sub(SWIFT_TRIES) {
            thread::sleep(Duration::from_millis(1 << doublings));
        }
    }
    let reason = "another process has a lease on it (fcntl F_SETLEASE) and does not give it up";
    Err(io::Error::new(io::ErrorKind::WouldBlock, reason))
}

fn walk(base: &File, root: Option<&File>, path: &Path, flags: OFlag) -> io::Result<File> {
    let mut parts: VecDeque<OsString> = parts_of(path).collect();
    let mut place = base.try_clone()?;
    let mut followed = 0;
    while let Some(part) = parts.pop_front() {
        let last = parts.is_empty();
        let found = step(&place, root, &part)?;
        let metadata = retry_interrupted(|| found.metadata())?;
        if !metadata.file_type().is_symlink() {
            if last {
                // Opened by name once more: what was made of it meanwhile must not be a link.
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
            return Err(refused(&format!(
                "{link} is a symbolic link of user {owner}, not followed"
            )));
        }
        if followed > MOST_LINKS {
            return Err(io::Error::from_raw_os_error(nix::libc::ELOOP));
        }
        // Of the descriptor, not of the name: the link that was judged is the one that is read.
        let target = readlinkat(&found, OsStr::new(""))?;
        let target = Path::new(&target);
        if target.is_absolute() {
            place = match root {
                Some(root) => root.try_clone()?,
                None => File::open("/")?,
            };
        }
        for part in parts_of(target).collect::<Vec<_>>().into_iter().rev() {
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

/// Looks at one name without following or opening it. `..` of the root is the root.
fn step(place: &File, root: Option<&File>, part: &OsStr) -> io::Result<File> {
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

fn parts_of(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|part| match part {
        Component::Normal(_) | Component::ParentDir => Some(part.as_os_str().to_os_string()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

fn refuse_dots(path: &Path) -> io::Result<()> {
    let plain = |part: Component| matches!(part, Component::Normal(_) | Component::CurDir);
    match path.components().all(plain) {
        true => Ok(()),
        false => Err(refused(&format!(
            "{} is not a path below a directory",
            path.display()
        ))),
    }
}

/// Refuses a symbolic link that is neither root's nor the effective user's: nobody else decides
/// where we write. What is no link, or missing, is right.
pub fn refuse_foreign_link(path: &Path) -> io::Result<()> {
    let metadata = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    let owner = metadata.uid();
    match metadata.is_symlink() && owner != 0 && owner != geteuid().as_raw() {
        true => Err(refused(&format!(
            "{} is a symbolic link of user {owner}, not followed",
            path.display()
        ))),
        false => Ok(()),
    }
}

pub(super) fn refused(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, reason.to_string())
}
