//! Finds pools that can have an image in common: their directories are nested, by whatever path, or
//! they use one thin pool.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::StorageError;
use super::pools::directory;
use crate::model::Pool;
use crate::model::class::DIRECTORIES;
use crate::system::System;

/// The position of a directory: the device of its file system, and the path from the root of that.
#[derive(Debug, Clone, PartialEq, Eq)]
struct MountPosition {
    device: String,
    path: PathBuf,
}

/// Returns how `one` overlaps `other`, in words, after resolving links and bind mounts; `None` if
/// they do not overlap. A pool may lie in another one outside the directories of that one's images,
/// as upstream's users have it.
///
/// # Errors
/// A directory cannot be examined.
pub fn find_overlap(
    one: &Pool,
    other: &Pool,
    system: &System,
) -> Result<Option<String>, StorageError> {
    let name = other.name();
    if let Some(thin) = thin_pool(one).filter(|thin| thin_pool(other) == Some(*thin)) {
        let (group, pool) = thin;
        return Ok(Some(format!(
            "thin pool {group}/{pool} is already pool '{name}'"
        )));
    }
    let (Some(_), Some(_)) = (one.option("dir_path"), other.option("dir_path")) else {
        return Ok(None);
    };
    let mounts = Mounts::read()?;
    let directories = [directory(one, system)?, directory(other, system)?];
    let [at, there] = directories.clone().map(|path| mounts.positions(&path));
    let shown = directory(one, system)?.display().to_string();
    let images = [(one, &at), (other, &there)]
        .map(|(pool, own)| image_directories(pool, own, &mounts, system));
    let how = match (is_in(&at, &there), is_in(&there, &at)) {
        (false, false) => match have_nested_images(&images, &at, &there) {
            true => format!("images of {shown} lie where pool '{name}' has its own, or may have"),
            false => return Ok(None),
        },
        (true, true) => format!("{shown} is the directory of pool '{name}'"),
        (true, false) if is_beside_images(&at, &images[1]) => return Ok(None),
        (false, true) if is_beside_images(&there, &images[0]) => return Ok(None),
        (true, false) => format!("{shown} lies in the directory of pool '{name}'"),
        (false, true) => format!("{shown} contains the directory of pool '{name}'"),
    };
    Ok(Some(how))
}

/// Whether a directory with the positions `inner` is, or lies in, the one with the positions
/// `outer`.
fn is_in(inner: &[MountPosition], outer: &[MountPosition]) -> bool {
    outer
        .first()
        .is_some_and(|outer| inner.iter().any(|inner| inner.is_inside(outer)))
}

fn thin_pool(pool: &Pool) -> Option<(&str, &str)> {
    Some((pool.option("volume_group")?, pool.option("thin_pool")?))
}

/// Returns the positions of the directories in which the pool at `own` keeps images. Links may lead
/// anywhere.
fn image_directories(
    pool: &Pool,
    own: &[MountPosition],
    mounts: &Mounts,
    system: &System,
) -> Vec<Vec<MountPosition>> {
    if pool.has_kernels() {
        return vec![own.to_vec()];
    }
    let directory = Path::new("/").join(pool.option("dir_path").unwrap_or_default());
    let place = |name: &str| mounts.positions(&system.path_below_root(directory.join(name)));
    DIRECTORIES.map(place).to_vec()
}

/// Whether the two are equal or one contains the other.
fn are_nested(one: &[MountPosition], other: &[MountPosition]) -> bool {
    is_in(one, other) || is_in(other, one)
}

/// Whether a pool at `at` lies in another one outside the directories of that one's images.
fn is_beside_images(at: &[MountPosition], images: &[Vec<MountPosition>]) -> bool {
    !images.iter().any(|place| are_nested(at, place))
}

/// Whether images of one pool lie in the other's directory, or where the other's images lie.
fn have_nested_images(
    images: &[Vec<Vec<MountPosition>>; 2],
    at: &[MountPosition],
    there: &[MountPosition],
) -> bool {
    let [one, other] = images;
    one.iter()
        .any(|place| are_nested(place, there) || other.iter().any(|own| are_nested(place, own)))
        || other.iter().any(|place| are_nested(place, at))
}

impl MountPosition {
    fn is_inside(&self, outer: &MountPosition) -> bool {
        self.device == outer.device && self.path.starts_with(&outer.path)
    }
}

/// The mount points and what they show, in the order of mounting.
struct Mounts(Vec<(PathBuf, MountPosition)>);

impl Mounts {
    fn read() -> Result<Mounts, StorageError> {
        const TABLE: &str = "/proc/self/mountinfo";
        let table = match fs::read_to_string(TABLE) {
            // Without /proc, as in an installer's chroot, only the paths are known.
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            table => table.map_err(StorageError::io(format!("cannot read {TABLE}")))?,
        };
        // In a chroot, the table has no mount for the root itself.
        let root = MountPosition {
            device: String::new(),
            path: "/".into(),
        };
        let mounts = table.lines().filter_map(parse);
        Ok(Mounts(
            [(PathBuf::from("/"), root)]
                .into_iter()
                .chain(mounts)
                .collect(),
        ))
    }

    /// Returns the positions of a directory, which need not exist: on its own file system, then on
    /// the file systems around it. A pool that contains it may be on any of them.
    fn positions(&self, directory: &Path) -> Vec<MountPosition> {
        let real = real_path(directory);
        let mut found = Vec::new();
        let mut at = real.as_path();
        while let Some((point, root)) = self.find_mount(at) {
            let inside = real.strip_prefix(point).unwrap_or(Path::new(""));
            // Below a mount point, the outer file system has only an empty directory.
            let path = if found.is_empty() {
                root.path.join(inside)
            } else {
                mount_point_path(root, point, at)
            };
            found.push(MountPosition {
                device: root.device.clone(),
                path,
            });
            let Some(above) = point.parent() else { break };
            at = above;
        }
        found
    }

    /// Returns the mount that `path` is on: the innermost one, and the last of several at the same
    /// point.
    fn find_mount(&self, path: &Path) -> Option<(&Path, &MountPosition)> {
        let around = self.0.iter().filter(|(point, _)| path.starts_with(point));
        let innermost = around.max_by_key(|(point, _)| point.components().count())?;
        let last = self.0.iter().rfind(|(point, _)| *point == innermost.0)?;
        Some((&last.0, &last.1))
    }
}

/// Returns the path of a mount point on the outer file system.
fn mount_point_path(root: &MountPosition, point: &Path, at: &Path) -> PathBuf {
    root.path
        .join(at.strip_prefix(point).unwrap_or(Path::new("")))
}

/// Parses a line `ID PARENT MAJOR:MINOR ROOT POINT …`, with octal escapes.
fn parse(line: &str) -> Option<(PathBuf, MountPosition)> {
    let mut fields = line.split(' ').skip(2);
    let device = fields.next()?.to_owned();
    let path = PathBuf::from(unescaped(fields.next()?));
    Some((
        PathBuf::from(unescaped(fields.next()?)),
        MountPosition { device, path },
    ))
}

fn unescaped(text: &str) -> String {
    let plain = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    plain
        .iter()
        .fold(text.to_owned(), |text, (escaped, plain)| {
            text.replace(escaped, plain)
        })
}

/// Resolves the links in a path as far as it exists.
fn real_path(path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    for above in path.ancestors() {
        if let Ok(real) = fs::canonicalize(above) {
            return missing
                .iter()
                .rev()
                .fold(real, |real, name| real.join(name));
        }
        missing.extend(above.file_name());
    }
    path.to_path_buf()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_line_has_device_root_and_mount_point() {
        let line = r"36 35 98:0 /mnt1 /mnt\0402 rw,noatime master:1 - ext3 /dev/root rw";
        let (point, position) = parse(line).unwrap();
        assert_eq!(point, Path::new("/mnt 2"));
        assert_eq!(
            position,
            MountPosition {
                device: "98:0".into(),
                path: "/mnt1".into()
            }
        );
        assert!(parse("36 35").is_none());
    }

    #[test]
    fn a_bind_mount_has_the_position_of_its_source() {
        let mount = |point: &str, device: &str, path: &str| {
            (
                PathBuf::from(point),
                MountPosition {
                    device: device.into(),
                    path: path.into(),
                },
            )
        };
        let mounts = Mounts(vec![
            mount("/", "8:1", "/"),
            mount("/zz/bind", "8:1", "/zz/pool/inner"),
        ]);
        let at = |path: &str| mounts.positions(Path::new(path));
        assert!(at("/zz/bind/x")[0].is_inside(&at("/zz/pool")[0]));
        assert!(!at("/zz/other")[0].is_inside(&at("/zz/pool")[0]));
    }

    #[test]
    fn directories_of_a_mounted_disk_are_inside_those_around_its_mount_point() {
        let mount = |point: &str, device: &str| {
            (
                PathBuf::from(point),
                MountPosition {
                    device: device.into(),
                    path: "/".into(),
                },
            )
        };
        let mounts = Mounts(vec![mount("/", "8:1"), mount("/zz/disk", "8:2")]);
        let at = |path: &str| mounts.positions(Path::new(path));
        assert!(!is_in(&at("/zz/disk/a"), &at("/zz/disk/b")));
        assert!(!is_in(&at("/zz/disk"), &at("/zz/disk/b")));
        assert!(is_in(&at("/zz/disk/a"), &at("/zz")));
        assert!(!is_in(&at("/zz"), &at("/zz/disk/a")));
    }
}
