//! The names of a volume's files in a pool that is a directory: of driver `file-reflink`
//! (`docs/spec/r4-storage.md` §5) and of driver `file` (§6), as a pool may change its driver.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;

use super::pool_files::list_names;
use super::{Revision, StorageError};
use crate::fs::replace::parent_directory;

/// The suffixes of the files that only driver `file` makes, longest first.
const COW_TAILS: [&str; 4] = ["-revert-cow.img", "-cow.img.old", "-revert.img", "-cow.img"];

/// The paths of a volume's files: `DIR/VID` and a suffix.
#[derive(Debug, Clone)]
pub struct VolumeFiles {
    base: PathBuf,
    stem: String,
}

/// The file of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionFile {
    /// The number, which is the id of the revision.
    pub number: u64,
    /// The time without the final `Z`.
    pub time: String,
    /// The path of the file.
    pub path: PathBuf,
}

impl From<&RevisionFile> for Revision {
    fn from(file: &RevisionFile) -> Revision {
        Revision {
            id: file.number.to_string(),
            time: file.time.clone(),
        }
    }
}

impl VolumeFiles {
    /// Returns the files whose paths begin with `base`, and whose names with `stem`.
    pub fn new(base: PathBuf, stem: &str) -> VolumeFiles {
        VolumeFiles {
            base,
            stem: stem.to_string(),
        }
    }

    /// The image: the committed one, or the only one of driver `file`, which is written in place.
    /// For a snapshot of driver `file-reflink`, a second name of its source's.
    pub fn image(&self) -> PathBuf {
        self.with_suffix(".img")
    }

    /// A copy of the image that `file-reflink` makes in advance for the next start.
    pub fn precache(&self) -> PathBuf {
        self.with_suffix("-precache.img")
    }

    /// The image that the running qube writes to with `file-reflink`.
    pub fn dirty(&self) -> PathBuf {
        self.with_suffix("-dirty.img")
    }

    /// The image of an incomplete import.
    pub fn import(&self) -> PathBuf {
        self.with_suffix("-import.img")
    }

    /// The COW file: for an origin, the previous content of the blocks that this run has written;
    /// for a snapshot, the blocks that it has written.
    pub fn cow(&self) -> PathBuf {
        self.with_suffix("-cow.img")
    }

    /// The COW file of the previous run: the only revision of driver `file`.
    pub fn old_cow(&self) -> PathBuf {
        self.with_suffix("-cow.img.old")
    }

    /// The image that a revert of driver `file` makes, before it becomes the volume's.
    pub fn revert_image(&self) -> PathBuf {
        self.with_suffix("-revert.img")
    }

    /// The COW file that undoes a revert, before it becomes the revision.
    pub fn revert_cow(&self) -> PathBuf {
        self.with_suffix("-revert-cow.img")
    }

    /// Returns the path with this suffix.
    pub fn with_suffix(&self, tail: &str) -> PathBuf {
        let mut name = OsString::from(&self.base);
        name.push(tail);
        name.into()
    }

    /// The directory of the files.
    pub fn directory(&self) -> &Path {
        parent_directory(&self.base)
    }

    /// The part of the files' names that names the volume.
    pub fn stem(&self) -> &str {
        &self.stem
    }

    /// Returns all files of the volume, of either driver, including temporary ones.
    pub fn all(&self) -> Result<Vec<PathBuf>, StorageError> {
        self.select(|tail| is_tail(without_random(tail)))
    }

    /// Returns the temporary files that a crash has left of either driver's files.
    pub fn temporary(&self) -> Result<Vec<PathBuf>, StorageError> {
        self.select(|tail| tail.contains('~') && is_tail(without_random(tail)))
    }

    /// Returns the files of driver `file-reflink`, including revisions and temporary files.
    pub fn reflink_all(&self) -> Result<Vec<PathBuf>, StorageError> {
        self.select(|tail| is_reflink_tail(without_random(tail)))
    }

    /// Returns the temporary files that a crash has left of the files of driver `file-reflink`.
    pub fn reflink_temporary(&self) -> Result<Vec<PathBuf>, StorageError> {
        self.select(|tail| tail.contains('~') && is_reflink_tail(without_random(tail)))
    }

    /// Returns the revisions of driver `file-reflink`, oldest first. Names of another form, such as
    /// those of R4.0, are ignored.
    pub fn revisions(&self) -> Result<Vec<RevisionFile>, StorageError> {
        let parse = |name: String| {
            let tail = name.strip_prefix(&self.stem)?.strip_prefix(".img.")?;
            let (number, time) = revision_tail(tail)?;
            Some(RevisionFile {
                number: number.parse().ok()?,
                time: time.to_string(),
                path: self.directory().join(&name),
            })
        };
        let names = list_names(self.directory())?;
        let mut revisions: Vec<RevisionFile> = names.into_iter().filter_map(parse).collect();
        revisions.sort_by_key(|revision| revision.number);
        Ok(revisions)
    }

    /// Returns the name for the next revision, of a state last written at `time`.
    pub fn next_revision(&self, time: SystemTime) -> Result<PathBuf, StorageError> {
        let revisions = self.revisions()?;
        let number = revisions
            .last()
            .map_or(1, |last| last.number.saturating_add(1));
        let time = Timestamp::try_from(time)
            .unwrap_or(Timestamp::UNIX_EPOCH)
            .strftime("%Y-%m-%dT%H:%M:%SZ");
        Ok(self.with_suffix(&format!(".img.{number}@{time}")))
    }

    /// Returns the files in the directory that the volume's name precedes a selected suffix of.
    fn select(&self, is_selected: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, StorageError> {
        let names = list_names(self.directory())?;
        let own = names.iter().filter(|name| {
            let tail = name.strip_prefix(&self.stem);
            tail.is_some_and(&is_selected)
        });
        Ok(own.map(|name| self.directory().join(name)).collect())
    }
}

/// Returns a name without what is added to it while the file is written: `~` and random letters.
fn without_random(name: &str) -> &str {
    name.split_once('~').map_or(name, |(name, _)| name)
}

/// Whether the file `name` belongs to the volume `stem`, with either driver.
pub fn is_volume_file(name: &str, stem: &str) -> bool {
    let tail = without_random(name).strip_prefix(stem);
    tail.is_some_and(is_tail)
}

/// Returns the name of the volume that a file of driver `file-reflink` belongs to.
pub fn reflink_volume_name(name: &str) -> Option<&str> {
    let name = without_random(name);
    let ends = |tail: &str| name.strip_suffix(tail);
    let plain = ends("-dirty.img")
        .or_else(|| ends("-precache.img"))
        .or_else(|| ends("-import.img"));
    let stem = plain.or_else(|| ends(".img")).or_else(|| {
        let (stem, tail) = name.rsplit_once(".img")?;
        is_reflink_tail(&format!(".img{tail}")).then_some(stem)
    });
    stem.filter(|stem| !stem.is_empty())
}

/// Returns the name of the volume that a file of either driver belongs to.
pub fn volume_name(name: &str) -> Option<&str> {
    let own = without_random(name);
    let stem = COW_TAILS.iter().find_map(|tail| own.strip_suffix(tail));
    stem.filter(|stem| !stem.is_empty())
        .or_else(|| reflink_volume_name(name))
}

/// Whether this is the suffix of a volume's file.
fn is_tail(tail: &str) -> bool {
    COW_TAILS.contains(&tail) || is_reflink_tail(tail)
}

/// Whether this is the suffix of a volume's file of driver `file-reflink`.
fn is_reflink_tail(tail: &str) -> bool {
    let numbered = || {
        tail.strip_prefix(".img.")
            .is_some_and(|t| revision_tail(t).is_some())
    };
    // R4.0 wrote revisions without a number.
    let old = || {
        let time = tail.strip_prefix(".img@").and_then(|t| t.strip_suffix('Z'));
        time.is_some_and(is_time)
    };
    matches!(
        tail,
        ".img" | "-precache.img" | "-dirty.img" | "-import.img"
    ) || numbered()
        || old()
}

/// Splits `N@TIMEZ` into its two parts.
fn revision_tail(tail: &str) -> Option<(&str, &str)> {
    let (number, time) = tail.strip_suffix('Z')?.split_once('@')?;
    let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    (is_number && is_time(time)).then_some((number, time))
}

/// Whether the text has the form `YYYY-MM-DDTHH:MM:SS`.
fn is_time(text: &str) -> bool {
    let fits = |(byte, shape): (u8, &u8)| match shape {
        b'd' => byte.is_ascii_digit(),
        other => byte == *other,
    };
    text.len() == 19 && text.bytes().zip(b"dddd-dd-ddTdd:dd:dd").all(fits)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Creates files in a new directory, and returns those of the volume `root` in it.
    fn files_among(names: &[&str]) -> (tempfile::TempDir, VolumeFiles) {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let files = VolumeFiles::new(dir.path().join("root"), "root");
        (dir, files)
    }

    fn names(paths: Vec<PathBuf>) -> Vec<String> {
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        paths.iter().map(name).collect()
    }

    #[test]
    fn files_of_driver_file_are_distinguished_from_others() {
        let own = [
            "root-cow.img",
            "root-cow.img.old",
            "root-cow.img~x1.new",
            "root-import.img",
            "root.img",
            "root.img~y",
        ];
        let others = [
            "root2.img",
            "root-2-cow.img",
            "root.img.bak",
            "firewall.xml",
            "rootx~",
        ];
        let (_dir, files) = files_among(&[&own[..], &others[..]].concat());
        assert_eq!(names(files.all().unwrap()), own);
        assert_eq!(names(files.temporary().unwrap()), [own[2], own[5]]);
        own.iter()
            .for_each(|name| assert_eq!(volume_name(name), Some("root"), "{name}"));
        assert_eq!(volume_name("firewall.xml"), None);
    }

    #[test]
    fn files_of_driver_file_reflink_are_distinguished_from_others() {
        let own = [
            "root-dirty.img",
            "root-import.img~abc",
            "root-precache.img",
            "root.img",
            "root.img.12@2024-02-29T23:59:59Z",
            "root.img.13@2024-02-29T23:59:59Z~x1",
            "root.img.1@2024-02-29T23:59:58Z",
            "root.img@2019-01-01T00:00:00Z",
        ];
        let others = [
            "root2.img",
            "root-2.img",
            "root.img.bak",
            "root.img.x@2024-02-29T23:59:59Z",
            "root2.img~a",
            "firewall.xml",
        ];
        let (_dir, files) = files_among(&[&own[..], &others[..]].concat());
        assert_eq!(names(files.reflink_all().unwrap()), own);
        assert_eq!(names(files.reflink_temporary().unwrap()), [own[1], own[5]]);
        let revisions: Vec<Revision> = files
            .revisions()
            .unwrap()
            .iter()
            .map(Revision::from)
            .collect();
        assert_eq!(
            revisions[0],
            Revision {
                id: "1".into(),
                time: "2024-02-29T23:59:58".into()
            }
        );
        assert_eq!(revisions[1].id, "12");
        assert_eq!(revisions.len(), 2);
        let next = files.next_revision(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(
            next.file_name().unwrap(),
            "root.img.13@1970-01-01T00:00:00Z"
        );
        for name in own {
            assert_eq!(reflink_volume_name(name), Some("root"), "{name}");
        }
        assert_eq!(reflink_volume_name("firewall.xml"), None);
        assert_eq!(reflink_volume_name("root.img.bak"), None);
    }
}
