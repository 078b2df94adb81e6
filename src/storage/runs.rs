//! What lies beside a volume that is not kept from start to start: the images of its run, which go
//! with it, and those that somebody else has left under its names, whose data nobody gave up (a
//! qube of another class had this name, and an older copy of the store was restored).
//!
//! Every file that a run makes of such a volume has [`MARK`] in its mode, so a power loss or a
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
use super::reflink::Images;
use super::volume_files::{PoolPlace, look, names_in, resolve, source_vid};
use super::{Image, Kind, StorageError, Volume};
use crate::fs::replace::parent_directory;

/// In the mode of every file that a run makes of a volume that is not kept. For files this bit (the
/// sticky one, `T` in `ls -l`) has no other meaning under Linux, and every file system keeps it.
pub const MARK: u32 = 0o1000;

/// What the names of files end in that a run makes.
const RUN_TAILS: [&str; 3] = [".img", "-dirty.img", "-cow.img"];

/// An image with data beside a volume that is not kept, and not of a run of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignImage {
    pub image: Image,
    /// Whether a start would make an image of the same name, or one that a restored store would
    /// take for a part of this one.
    pub bars_start: bool,
}

/// The files of a volume that is not kept.
#[derive(Debug, Default)]
pub struct RunFiles {
    /// Those of a run, the one that tells of the others last.
    pub of_run: Vec<PathBuf>,
    pub foreign: Vec<ForeignImage>,
}

/// Whether a run of a volume that is not kept has made this file.
pub fn is_marked(found: &Metadata) -> bool {
    found.mode() & MARK != 0
}

/// Divides the files of a volume in a directory, with either driver; none of one that is kept.
///
/// # Errors
/// Nobody can look at them.
pub fn files_of(place: &PoolPlace, volume: &Volume) -> Result<RunFiles, StorageError> {
    if volume.kind == Kind::Origin {
        return Ok(RunFiles::default());
    }
    let files = Files::of(place, volume)?;
    let of_run = match volume.kind {
        Kind::Snapshot => files.of_snapshot(place, volume)?,
        Kind::Volatile | Kind::Origin => files.of_volatile(volume),
    };
    let mut foreign = Vec::new();
    // What was copied in advance is what the image has.
    let is_copy = |file: &File| file.tail == "-precache.img" && files.get(".img").is_some();
    for file in files.others(&of_run) {
        if file.found.is_file() && !is_copy(file) && has_data(&file.path, &file.found)? {
            let bars_start = RUN_TAILS.contains(&file.tail.as_str());
            foreign.push(ForeignImage {
                image: Image::File(file.path.clone()),
                bars_start,
            });
        }
    }
    Ok(RunFiles { foreign, of_run })
}

/// The files of a run alone, the one that tells of the others last.
///
/// # Errors
/// Nobody can look at them.
pub fn of_run(place: &PoolPlace, volume: &Volume) -> Result<Vec<PathBuf>, StorageError> {
    let (base, _) = resolve(place, &volume.vid)?;
    // Of a qube that is off there is none, and each command that settles it asks.
    for tail in RUN_TAILS {
        let mut path = base.clone().into_os_string();
        path.push(tail);
        if look(path.as_ref())?.is_some() {
            return Ok(files_of(place, volume)?.of_run);
        }
    }
    Ok(Vec::new())
}

/// An error where a start would make images beside those that are not of a run.
///
/// # Errors
/// It would.
pub fn refuse_beside(volume: &Volume, foreign: &[ForeignImage]) -> Result<(), StorageError> {
    let Some(ForeignImage { image, .. }) = foreign.iter().find(|foreign| foreign.bars_start) else {
        return Ok(());
    };
    let (label, name) = (volume.label(), &volume.name);
    Err(StorageError::Refused(format!(
        "{label}: {image} was not made by a run of it and may be wanted: move it away, with what \
         else of {name} lies beside it, or delete it; then start again"
    )))
}

/// Why an image that is not of a run stays, in words.
pub fn kept_beside(volume: &Volume, foreign: &ForeignImage) -> String {
    let (image, label) = (&foreign.image, volume.label());
    format!(
        "{image} stays: it was not made by a run of {label} and may be wanted; move it away or delete it"
    )
}

/// Takes images that are not of a run out of those to remove, and adds why to what stays.
pub fn keep_foreign(
    volume: &Volume,
    foreign: &[ForeignImage],
    removed: &mut Vec<PathBuf>,
    kept: &mut Vec<String>,
) {
    for foreign in foreign {
        let before = removed.len();
        removed.retain(|file| Image::File(file.clone()) != foreign.image);
        if removed.len() < before {
            kept.push(kept_beside(volume, foreign));
        }
    }
}

/// A file of a volume.
struct File {
    path: PathBuf,
    /// What its name has after the volume's.
    tail: String,
    found: Metadata,
}

/// All files of a volume but temporary ones and an import that is not complete.
struct Files(Vec<File>);

impl Files {
    fn of(place: &PoolPlace, volume: &Volume) -> Result<Files, StorageError> {
        let (base, stem) = resolve(place, &volume.vid)?;
        let directory = parent_directory(&base);
        let mut files = Vec::new();
        for name in names_in(directory)? {
            let tail = name.strip_prefix(&stem).unwrap_or_default().to_string();
            if !is_file_of(&name, &stem) || tail.contains('~') || tail == "-import.img" {
                continue;
            }
            let path = directory.join(&name);
            // A link to nowhere has no data.
            if let Some(found) = look(&path)? {
                files.push(File { path, tail, found });
            }
        }
        Ok(Files(files))
    }

    fn get(&self, tail: &str) -> Option<&File> {
        self.0.iter().find(|file| file.tail == tail)
    }

    /// Those that are neither of these nor marked.
    fn others<'a>(&'a self, of_run: &'a [PathBuf]) -> impl Iterator<Item = &'a File> {
        self.0
            .iter()
            .filter(|file| !is_marked(&file.found) && !of_run.contains(&file.path))
    }

    fn of_snapshot(
        &self,
        place: &PoolPlace,
        volume: &Volume,
    ) -> Result<Vec<PathBuf>, StorageError> {
        let (clean, dirty) = (self.get(".img"), self.get("-dirty.img"));
        let path = |file: Option<&File>| file.map(|file| file.path.clone());
        let mut of_run: Vec<PathBuf> = if dirty.is_some_and(|dirty| is_marked(&dirty.found)) {
            [path(clean), path(dirty)].into_iter().flatten().collect()
        } else if clean.is_some_and(|clean| is_of_source(place, volume, &clean.found)) {
            [path(dirty), path(clean)].into_iter().flatten().collect()
        } else if dirty.is_some() && self.0.len() == 1 {
            path(dirty).into_iter().collect()
        } else {
            Vec::new()
        };
        if let Some(cow) = self.get("-cow.img") {
            let is_alone = self.others(&of_run).all(|file| file.path == cow.path);
            if is_marked(&cow.found) || (is_alone && is_cow(&cow.path)?) {
                of_run.push(cow.path.clone());
            }
        }
        Ok(of_run)
    }

    fn of_volatile(&self, volume: &Volume) -> Vec<PathBuf> {
        let is_called_so = is_called_volatile(volume, '/') && self.others(&[]).count() == 1;
        let made_by_run = |file: &&File| {
            matches!(file.tail.as_str(), ".img" | "-dirty.img")
                && (is_called_so || is_marked(&file.found))
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
fn is_of_source(place: &PoolPlace, volume: &Volume, file: &Metadata) -> bool {
    let source = source_vid(volume).and_then(|vid| Images::of(place, vid));
    let Ok(source) = source else { return false };
    let metadata = |path: &PathBuf| look(path).ok().flatten();
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
