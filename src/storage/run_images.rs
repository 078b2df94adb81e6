//! Tells the images that a run of a non-persistent volume has made, which its stop removes, from
//! foreign ones under the same names, which are kept: for example, those of another qube that had
//! this name before an older copy of the store was restored.
//!
//! Every file that a run makes has a mark in its mode (`durable::RUN_MARK`), which neither a power
//! loss nor a commit of its source changes. Files of versions without that mark count as made by a
//! run only where that is certain:
//!
//! | image | made by a run if |
//! |---|---|
//! | `P.img` of a snapshot | `P-dirty.img` has the mark, or (1) |
//! | `P-dirty.img` of a snapshot | it has the mark, `P.img` fulfils (1), or no other file exists |
//! | `P-cow.img` of a snapshot | it has the mark, or no other file of the volume exists |
//! | images of a volatile volume | they have the mark, or (2) |
//!
//! (1) It is an image of its source, or has the time and size of one of the source's revisions.
//! (2) The volume is named `volatile`, as in every release, and has no other file.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::cow::is_cow;
use super::durable::has_run_mark;
use super::image::has_data;
use super::pool_directory::PoolDirectory;
use super::pool_files::{exists, list_names, metadata_if_exists};
use super::volume_files::is_volume_file;
use super::{Image, ImageOwner, ImageOwners, StorageError, Volume, VolumeKind};

/// The suffixes of the files that a run makes.
const RUN_TAILS: [&str; 3] = [".img", "-dirty.img", "-cow.img"];

/// An image with data that has a non-persistent volume's name but was not made by a run of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignImage {
    /// The image.
    pub image: Image,
    /// Whether the image prevents a start: the start would make an image of the same name, or one
    /// that a restored store would take for a part of this one.
    pub blocks_start: bool,
}

/// The files of a non-persistent volume.
#[derive(Debug, Default)]
pub struct RunImages {
    /// The files that a run has made. The last one identifies the others.
    pub from_run: Vec<PathBuf>,
    /// The files that no run has made.
    pub foreign: Vec<ForeignImage>,
}

/// Classifies the files of a non-persistent volume, of either driver with files. A persistent
/// volume has none.
///
/// # Errors
/// The files cannot be examined.
pub fn classify_files(pool: &PoolDirectory, volume: &Volume) -> Result<RunImages, StorageError> {
    if volume.kind() == VolumeKind::Origin {
        return Ok(RunImages::default());
    }
    let files = FoundFiles::load(pool, volume)?;
    let from_run = match volume.kind() {
        VolumeKind::Snapshot => files.snapshot_run_files(pool, volume)?,
        VolumeKind::Volatile | VolumeKind::Origin => files.volatile_run_files(volume),
    };
    let mut foreign = Vec::new();
    // A precache has the same data as the image.
    let is_copy = |file: &FoundFile| file.tail == "-precache.img" && files.get(".img").is_some();
    for file in files.other_files(&from_run) {
        if file.metadata.is_file() && !is_copy(file) && has_data(&file.path, &file.metadata)? {
            let blocks_start = RUN_TAILS.contains(&file.tail.as_str());
            foreign.push(ForeignImage {
                image: Image::File(file.path.clone()),
                blocks_start,
            });
        }
    }
    Ok(RunImages { foreign, from_run })
}

/// Returns the files that a run has made. The last one identifies the others.
///
/// # Errors
/// The files cannot be examined.
pub fn find_run_files(pool: &PoolDirectory, volume: &Volume) -> Result<Vec<PathBuf>, StorageError> {
    let files = pool.files(&volume.vid)?;
    // A halted qube has none, and each command that reconciles it asks.
    for tail in RUN_TAILS {
        if exists(&files.with_suffix(tail))? {
            return Ok(classify_files(pool, volume)?.from_run);
        }
    }
    Ok(Vec::new())
}

/// Refuses a start that would put images beside foreign ones.
///
/// # Errors
/// There are such images.
pub fn refuse_foreign(volume: &Volume, foreign: &[ForeignImage]) -> Result<(), StorageError> {
    let Some(ForeignImage { image, .. }) = foreign.iter().find(|foreign| foreign.blocks_start)
    else {
        return Ok(());
    };
    let name = &volume.name;
    Err(volume.refusal(format_args!(
        "{image} was not made by a run of it and may be wanted: move it away, with what else of \
         {name} lies beside it, or delete it; then start again"
    )))
}

/// Returns the message about an image that stays because of its owner.
pub fn describe_owned(image: &Image, owner: &ImageOwner) -> String {
    format!("{image} stays: it belongs to volume {}", owner.volume)
}

/// Returns the message about a foreign image that is not removed.
pub fn describe_foreign(volume: &Volume, foreign: &ForeignImage) -> String {
    let (image, label) = (&foreign.image, volume.label());
    format!(
        "{image} stays: it was not made by a run of {label} and may be wanted; move it away or \
         delete it"
    )
}

/// Returns those of a volume's files that are removed with it: they have no owner and are not
/// foreign. Also returns messages about the others.
pub fn split_removable(
    pool: &PoolDirectory,
    volume: &Volume,
    files: Vec<PathBuf>,
    owners: &ImageOwners,
) -> Result<(Vec<PathBuf>, Vec<String>), StorageError> {
    let (mut removable, mut kept) = (Vec::new(), Vec::new());
    for file in files {
        let image = Image::File(file.clone());
        match owners.find_owner(&image)? {
            Some(owner) => kept.push(describe_owned(&image, owner)),
            None => removable.push(file),
        }
    }
    for foreign in classify_files(pool, volume)?.foreign {
        let before = removable.len();
        removable.retain(|file| Image::File(file.clone()) != foreign.image);
        if removable.len() < before {
            kept.push(describe_foreign(volume, &foreign));
        }
    }
    Ok((removable, kept))
}

/// A file of a volume.
struct FoundFile {
    path: PathBuf,
    /// The part of the file name behind the name of the volume.
    tail: String,
    metadata: Metadata,
}

/// All files of a volume except temporary ones and incomplete imports.
struct FoundFiles(Vec<FoundFile>);

impl FoundFiles {
    fn load(pool: &PoolDirectory, volume: &Volume) -> Result<FoundFiles, StorageError> {
        let own = pool.files(&volume.vid)?;
        let mut files = Vec::new();
        for name in list_names(own.directory())? {
            let tail = name
                .strip_prefix(own.stem())
                .unwrap_or_default()
                .to_string();
            if !is_volume_file(&name, own.stem()) || tail.contains('~') || tail == "-import.img" {
                continue;
            }
            let path = own.directory().join(&name);
            // A dangling link has no data.
            if let Some(found) = metadata_if_exists(&path)? {
                files.push(FoundFile {
                    path,
                    tail,
                    metadata: found,
                });
            }
        }
        Ok(FoundFiles(files))
    }

    fn get(&self, tail: &str) -> Option<&FoundFile> {
        self.0.iter().find(|file| file.tail == tail)
    }

    /// Returns the files that are neither marked nor in `from_run`.
    fn other_files<'a>(&'a self, from_run: &'a [PathBuf]) -> impl Iterator<Item = &'a FoundFile> {
        self.0
            .iter()
            .filter(|file| !has_run_mark(&file.metadata) && !from_run.contains(&file.path))
    }

    fn snapshot_run_files(
        &self,
        pool: &PoolDirectory,
        volume: &Volume,
    ) -> Result<Vec<PathBuf>, StorageError> {
        let (clean, dirty) = (self.get(".img"), self.get("-dirty.img"));
        let path = |file: Option<&FoundFile>| file.map(|file| file.path.clone());
        let mut from_run: Vec<PathBuf> = if dirty.is_some_and(|dirty| has_run_mark(&dirty.metadata))
        {
            [path(clean), path(dirty)].into_iter().flatten().collect()
        } else if clean.is_some_and(|clean| is_source_image(pool, volume, &clean.metadata)) {
            [path(dirty), path(clean)].into_iter().flatten().collect()
        } else if dirty.is_some() && self.0.len() == 1 {
            path(dirty).into_iter().collect()
        } else {
            Vec::new()
        };
        if let Some(cow) = self.get("-cow.img") {
            let is_alone = self
                .other_files(&from_run)
                .all(|file| file.path == cow.path);
            if has_run_mark(&cow.metadata) || (is_alone && is_cow(&cow.path)?) {
                from_run.push(cow.path.clone());
            }
        }
        Ok(from_run)
    }

    fn volatile_run_files(&self, volume: &Volume) -> Vec<PathBuf> {
        let has_volatile_name =
            is_called_volatile(volume, '/') && self.other_files(&[]).count() == 1;
        let made_by_run = |file: &&FoundFile| {
            matches!(file.tail.as_str(), ".img" | "-dirty.img")
                && (has_volatile_name || has_run_mark(&file.metadata))
        };
        self.0
            .iter()
            .filter(made_by_run)
            .map(|file| file.path.clone())
            .collect()
    }
}

/// Whether the volume is named `volatile`, and so are its images in the part of the vid behind the
/// last `separator`.
pub fn is_called_volatile(volume: &Volume, separator: char) -> bool {
    volume.name == "volatile" && volume.vid.rsplit(separator).next() == Some("volatile")
}

/// Whether a file is an image of the snapshot's source; false if that cannot be determined.
fn is_source_image(pool: &PoolDirectory, volume: &Volume, file: &Metadata) -> bool {
    let Ok(source) = pool.source(volume) else {
        return false;
    };
    let metadata = |path: &PathBuf| metadata_if_exists(path).ok().flatten();
    let is_same = |other: &Metadata| (other.dev(), other.ino()) == (file.dev(), file.ino());
    // A revision is a copy of a former image with its modification time, as a precache is.
    let is_copy = |other: &Metadata| {
        (other.mtime(), other.mtime_nsec(), other.len())
            == (file.mtime(), file.mtime_nsec(), file.len())
    };
    let revisions = source.revisions().unwrap_or_default();
    [source.image(), source.dirty()]
        .iter()
        .filter_map(metadata)
        .any(|image| is_same(&image))
        || revisions
            .iter()
            .filter_map(|revision| metadata(&revision.path))
            .any(|r| is_same(&r) || is_copy(&r))
}
