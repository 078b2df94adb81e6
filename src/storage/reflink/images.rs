//! The files of a volume and their names (`docs/spec/r4-storage.md` §5).

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;

use crate::fs::replace::parent_directory;
use crate::storage::dm_file::is_cow;
use crate::storage::volume_files::{PoolLocation, list_names, resolve};
use crate::storage::{Revision, StorageError};

/// The paths of a volume's files: `DIR/VID` and a suffix.
#[derive(Debug, Clone)]
pub struct ImageFiles {
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

impl ImageFiles {
    #[cfg(test)]
    /// Returns the files of the volume `vid` in the pool at `directory`. A vid that leads out of
    /// the pool is refused.
    pub fn new(directory: &Path, vid: &str) -> Result<ImageFiles, StorageError> {
        let (base, stem) = crate::storage::volume_files::base_path(directory, vid)?;
        Ok(ImageFiles { base, stem })
    }

    /// Returns the files of the volume `vid` of a pool.
    pub fn for_volume(location: &PoolLocation, vid: &str) -> Result<ImageFiles, StorageError> {
        let (base, stem) = resolve(location, vid)?;
        Ok(ImageFiles { base, stem })
    }

    /// The committed image. For a snapshot, a second name of its source's.
    pub fn clean(&self) -> PathBuf {
        self.with_suffix(".img")
    }

    /// A copy of the clean image that is made in advance for the next start.
    pub fn precache(&self) -> PathBuf {
        self.with_suffix("-precache.img")
    }

    /// The image that the running qube writes to.
    pub fn dirty(&self) -> PathBuf {
        self.with_suffix("-dirty.img")
    }

    /// The image of an incomplete import.
    pub fn import(&self) -> PathBuf {
        self.with_suffix("-import.img")
    }

    /// Returns the files that driver `file` has left if the pool was its: the blocks that
    /// dm-snapshot has kept. A volume may have such a name, so the content decides.
    pub fn driver_file_leftovers(&self) -> Result<Vec<PathBuf>, StorageError> {
        let mut found = Vec::new();
        for file in [
            self.with_suffix("-cow.img"),
            self.with_suffix("-cow.img.old"),
        ] {
            if is_cow(&file)? {
                found.push(file);
            }
        }
        Ok(found)
    }

    /// The directory of the files.
    pub fn directory(&self) -> &Path {
        parent_directory(&self.base)
    }

    /// Returns the name for the next revision, of a state last written at `time`.
    pub fn next_revision(&self, time: SystemTime) -> Result<PathBuf, StorageError> {
        let number = self
            .revisions()?
            .last()
            .map_or(1, |last| last.number.saturating_add(1));
        let time = Timestamp::try_from(time)
            .unwrap_or(Timestamp::UNIX_EPOCH)
            .strftime("%Y-%m-%dT%H:%M:%SZ");
        Ok(self.with_suffix(&format!(".img.{number}@{time}")))
    }

    /// Returns the revisions, oldest first. Names of another form, such as those of R4.0, are
    /// ignored.
    pub fn revisions(&self) -> Result<Vec<RevisionFile>, StorageError> {
        let mut revisions: Vec<RevisionFile> = self
            .names()?
            .into_iter()
            .filter_map(|name| {
                let tail = name.strip_prefix(&self.stem)?.strip_prefix(".img.")?;
                let (number, time) = revision_tail(tail)?;
                let (number, time) = (number.parse().ok()?, time.to_string());
                Some(RevisionFile {
                    number,
                    time,
                    path: self.directory().join(&name),
                })
            })
            .collect();
        revisions.sort_by_key(|r| r.number);
        Ok(revisions)
    }

    /// Returns the temporary files that a crash has left.
    pub fn leftovers(&self) -> Result<Vec<PathBuf>, StorageError> {
        let is_own = |name: &String| {
            name.strip_prefix(&self.stem)
                .and_then(|t| t.split_once('~'))
                .map(|(t, _)| is_tail(t))
        };
        Ok(self
            .names()?
            .iter()
            .filter(|n| is_own(n) == Some(true))
            .map(|n| self.directory().join(n))
            .collect())
    }

    /// Returns all files of the volume, including revisions and temporary files.
    pub fn all_files(&self) -> Result<Vec<PathBuf>, StorageError> {
        let is_own = |name: &String| {
            name.strip_prefix(&self.stem)
                .map(|t| t.split_once('~').map_or(t, |(t, _)| t))
                .is_some_and(is_tail)
        };
        Ok(self
            .names()?
            .iter()
            .filter(|n| is_own(n))
            .map(|n| self.directory().join(n))
            .collect())
    }

    fn with_suffix(&self, tail: &str) -> PathBuf {
        let mut name = OsString::from(&self.base);
        name.push(tail);
        name.into()
    }

    /// Returns the names in the directory.
    fn names(&self) -> Result<Vec<String>, StorageError> {
        list_names(self.directory())
    }
}

/// Returns the name of the volume that a file belongs to, according to the file's name.
pub fn volume_name(name: &str) -> Option<&str> {
    let name = name.split_once('~').map_or(name, |(name, _)| name);
    let ends = |tail: &str| name.strip_suffix(tail);
    let plain = ends("-dirty.img")
        .or_else(|| ends("-precache.img"))
        .or_else(|| ends("-import.img"));
    let stem = plain.or_else(|| ends(".img")).or_else(|| {
        let (stem, tail) = name.rsplit_once(".img")?;
        is_tail(&format!(".img{tail}")).then_some(stem)
    });
    stem.filter(|s| !s.is_empty())
}

/// Whether this is the suffix of a volume's file.
pub fn is_tail(tail: &str) -> bool {
    match tail {
        ".img" | "-precache.img" | "-dirty.img" | "-import.img" => true,
        _ => {
            let numbered = || {
                tail.strip_prefix(".img.")
                    .is_some_and(|t| revision_tail(t).is_some())
            };
            // R4.0 wrote revisions without a number.
            let old = || {
                tail.strip_prefix(".img@")
                    .and_then(|t| t.strip_suffix('Z'))
                    .is_some_and(is_time)
            };
            numbered() || old()
        }
    }
}

/// Splits `N@TIMEZ` into its two parts.
fn revision_tail(tail: &str) -> Option<(&str, &str)> {
    let (number, time) = tail.strip_suffix('Z')?.split_once('@')?;
    let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    (is_number && is_time(time)).then_some((number, time))
}

/// Whether the text has the form `YYYY-MM-DDTHH:MM:SS`.
fn is_time(text: &str) -> bool {
    text.len() == 19
        && text
            .bytes()
            .zip(b"dddd-dd-ddTdd:dd:dd")
            .all(|(byte, shape)| match shape {
                b'd' => byte.is_ascii_digit(),
                other => byte == *other,
            })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_of_a_volume_are_distinguished_from_others() {
        let dir = tempfile::tempdir().unwrap();
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
        for name in own.iter().chain(&others) {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let images = ImageFiles::new(dir.path(), "root").unwrap();
        let names = |paths: Vec<PathBuf>| -> Vec<String> {
            paths
                .iter()
                .map(|p| p.file_name().unwrap().to_string_lossy().into_owned())
                .collect()
        };
        assert_eq!(names(images.all_files().unwrap()), own);
        assert_eq!(names(images.leftovers().unwrap()), [own[1], own[5]]);
        let revisions: Vec<Revision> = images
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
        let next = images.next_revision(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(
            next.file_name().unwrap(),
            "root.img.13@1970-01-01T00:00:00Z"
        );
        for name in own {
            assert_eq!(volume_name(name), Some("root"), "{name}");
        }
        assert_eq!(volume_name("firewall.xml"), None);
        assert_eq!(volume_name("root.img.bak"), None);
    }
}
