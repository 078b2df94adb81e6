//! What lies beside a volume that is not kept from start to start: the images of its run, which go
//! with it, and those that somebody else has left under its names, whose data nobody gave up (a
//! qube of another class had this name, and an older copy of the store was restored).
//!
//! Every file that a run makes of such a volume has [`RUN_MARK`] in its mode, so a power loss or a
//! commit of its source changes nothing about whose it is. What versions before that mark have
//! left counts as a run's only where that is certain:
//!
//! | image | of a run, if |
//! |---|---|
//! | `P.img` of a snapshot | `P-dirty.img` has the mark, or it is an image of its source, or has time and size of one of the source's revisions |
//! | `P-dirty.img` of a snapshot | it has the mark, or `P.img` is its source's, or nothing else of the volume is there |
//! | `P-cow.img` of a snapshot | it has the mark, or nothing else of the volume is there |
//! | images of a volatile volume | they have the mark, or it is called `volatile`, as that of every release, and nothing else of it is there |

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::dm_file::{is_cow, is_file_of};
use super::identity::has_data;
use super::reflink::ImageFiles;
use super::volume_files::{PoolLocation, list_names, metadata_if_exists, resolve, source_vid};
use super::{Image, StorageError, Volume, VolumeKind};
use crate::fs::replace::directory_of;

/// In the mode of every file that a run makes of a volume that is not kept. For files this bit (the
/// sticky one, `T` in `ls -l`) has no other meaning under Linux, and every file system keeps it.
pub const RUN_MARK: u32 = 0o1000;

/// What the names of files end in that a run makes.
const RUN_TAILS: [&str; 3] = [".img", "-dirty.img", "-cow.img"];

/// An image with data beside a volume that is not kept, and not of a run of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignImage {
    pub image: Image,
    /// Whether a start would make an image of the same name, or one that a restored store would
    /// take for a part of this one.
    pub blocks_start: bool,
}

/// The files of a volume that is not kept.
#[derive(Debug, Default)]
pub struct RunImages {
    /// Those of a run, the one that tells of the others last.
    pub of_run: Vec<PathBuf>,
    pub foreign: Vec<ForeignImage>,
}

/// Whether a run of a volume that is not kept has made this file.
pub fn has_run_mark(found: &Metadata) -> bool {
    found.mode() & RUN_MARK != 0
}

/// Divides the files of a volume in a directory, with either driver; none of one that is kept.
///
/// # Errors
/// Nobody can look at them.
pub fn classify_files(location: &PoolLocation, volume: &Volume) -> Result<RunImages, StorageError> {
    if volume.kind == VolumeKind::Origin {
        return Ok(RunImages::default());
    }
    let files = FoundFiles::load(location, volume)?;
    let of_run = match volume.kind {
        VolumeKind::Snapshot => files.snapshot_run_files(location, volume)?,
        VolumeKind::Volatile | VolumeKind::Origin => files.volatile_run_files(volume),
    };
    let mut foreign = Vec::new();
    // What was copied in advance is what the image has.
    let is_copy = |file: &FoundFile| file.tail == "-precache.img" && files.get(".img").is_some();
    for file in files.others(&of_run) {
        if file.found.is_file() && !is_copy(file) && has_data(&file.path, &file.found)? {
            let blocks_start = RUN_TAILS.contains(&file.tail.as_str());
            foreign.push(ForeignImage {
                image: Image::File(file.path.clone()),
                blocks_start,
            });
        }
    }
    Ok(RunImages { foreign, of_run })
}

/// The files of a run alone, the one that tells of the others last.
///
/// # Errors
/// Nobody can look at them.
pub fn find_run_files(
    location: &PoolLocation,
    volume: &Volume,
) -> Result<Vec<PathBuf>, StorageError> {
    let (base, _) = resolve(location, &volume.vid)?;
    // Of a qube that is off there is none, and each command that settles it asks.
    for tail in RUN_TAILS {
        let mut path = base.clone().into_os_string();
        path.push(tail);
        if metadata_if_exists(path.as_ref())?.is_some() {
            return Ok(classify_files(location, volume)?.of_run);
        }
    }
    Ok(Vec::new())
}

/// An error where a start would make images beside those that are not of a run.
///
/// # Errors
/// It would.
pub fn refuse_foreign(volume: &Volume, foreign: &[ForeignImage]) -> Result<(), StorageError> {
    let Some(ForeignImage { image, .. }) = foreign.iter().find(|foreign| foreign.blocks_start)
    else {
        return Ok(());
    };
    let (label, name) = (volume.label(), &volume.name);
    Err(StorageError::Refused(format!(
        "{label}: {image} was not made by a run of it and may be wanted: move it away, with what \
         else of {name} lies beside it, or delete it; then start again"
    )))
}

/// Why an image that is not of a run stays, in words.
pub fn describe_foreign(volume: &Volume, foreign: &ForeignImage) -> String {
    let (image, label) = (&foreign.image, volume.label());
    format!(
        "{image} stays: it was not made by a run of {label} and may be wanted; move it away or delete it"
    )
}

/// Takes images that are not of a run out of those to remove, and adds why to what stays.
pub fn exclude_foreign(
    volume: &Volume,
    foreign: &[ForeignImage],
    removed: &mut Vec<PathBuf>,
    kept: &mut Vec<String>,
) {
    for foreign in foreign {
        let before = removed.len();
        removed.retain(|file| Image::File(file.clone()) != foreign.image);
        if removed.len() < before {
            kept.push(describe_foreign(volume, foreign));
        }
    }
}

/// A file of a volume.
struct FoundFile {
    path: PathBuf,
    /// What its name has after the volume's.
    tail: String,
    found: Metadata,
}

/// All files of a volume but temporary ones and an import that is not complete.
struct FoundFiles(Vec<FoundFile>);

impl FoundFiles {
    fn load(location: &PoolLocation, volume: &Volume) -> Result<FoundFiles, StorageError> {
        let (base, stem) = resolve(location, &volume.vid)?;
        let directory = directory_of(&base);
        let mut files = Vec::new();
        for name in list_names(directory)? {
            let tail = name.strip_prefix(&stem).unwrap_or_default().to_string();
            if !is_file_of(&name, &stem) || tail.contains('~') || tail == "-import.img" {
                continue;
            }
            let path = directory.join(&name);
            // A link to nowhere has no data.
            if let Some(found) = metadata_if_exists(&path)? {
                files.push(FoundFile { path, tail, found });
            }
        }
        Ok(FoundFiles(files))
    }

    fn get(&self, tail: &str) -> Option<&FoundFile> {
        self.0.iter().find(|file| file.tail == tail)
    }

    /// Those that are neither of these nor marked.
    fn others<'a>(&'a self, of_run: &'a [PathBuf]) -> impl Iterator<Item = &'a FoundFile> {
        self.0
            .iter()
            .filter(|file| !has_run_mark(&file.found) && !of_run.contains(&file.path))
    }

    fn snapshot_run_files(
        &self,
        location: &PoolLocation,
        volume: &Volume,
    ) -> Result<Vec<PathBuf>, StorageError> {
        let (clean, dirty) = (self.get(".img"), self.get("-dirty.img"));
        let path = |file: Option<&FoundFile>| file.map(|file| file.path.clone());
        let mut of_run: Vec<PathBuf> = if dirty.is_some_and(|dirty| has_run_mark(&dirty.found)) {
            [path(clean), path(dirty)].into_iter().flatten().collect()
        } else if clean.is_some_and(|clean| is_source_image(location, volume, &clean.found)) {
            [path(dirty), path(clean)].into_iter().flatten().collect()
        } else if dirty.is_some() && self.0.len() == 1 {
            path(dirty).into_iter().collect()
        } else {
            Vec::new()
        };
        if let Some(cow) = self.get("-cow.img") {
            let is_alone = self.others(&of_run).all(|file| file.path == cow.path);
            if has_run_mark(&cow.found) || (is_alone && is_cow(&cow.path)?) {
                of_run.push(cow.path.clone());
            }
        }
        Ok(of_run)
    }

    fn volatile_run_files(&self, volume: &Volume) -> Vec<PathBuf> {
        let is_called_so = is_called_volatile(volume, '/') && self.others(&[]).count() == 1;
        let made_by_run = |file: &&FoundFile| {
            matches!(file.tail.as_str(), ".img" | "-dirty.img")
                && (is_called_so || has_run_mark(&file.found))
        };
        self.0
            .iter()
            .filter(made_by_run)
            .map(|file| file.path.clone())
            .collect()
    }
}

/// Whether both the volume and its images, in the part of its id behind the last `separator`, are
/// called `volatile`.
pub fn is_called_volatile(volume: &Volume, separator: char) -> bool {
    volume.name == "volatile" && volume.vid.rsplit(separator).next() == Some("volatile")
}

/// Whether a file is an image of what a snapshot is made of. Nothing is if that cannot be told.
fn is_source_image(location: &PoolLocation, volume: &Volume, file: &Metadata) -> bool {
    let source = source_vid(volume).and_then(|vid| ImageFiles::for_volume(location, vid));
    let Ok(source) = source else { return false };
    let metadata = |path: &PathBuf| metadata_if_exists(path).ok().flatten();
    let is_same = |other: &Metadata| (other.dev(), other.ino()) == (file.dev(), file.ino());
    // A revision is a copy of what was the image, with its time, as a precache is.
    let is_copy = |other: &Metadata| {
        (other.mtime(), other.mtime_nsec(), other.len())
            == (file.mtime(), file.mtime_nsec(), file.len())
    };
    let revisions = source.revisions().unwrap_or_default();
    [source.clean(), source.dirty()]
        .iter()
        .filter_map(metadata)
        .any(|image| is_same(&image))
        || revisions
            .iter()
            .filter_map(|revision| metadata(&revision.path))
            .any(|r| is_same(&r) || is_copy(&r))
}
