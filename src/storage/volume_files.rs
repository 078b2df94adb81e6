//! The files of volumes in a directory, for the drivers whose pools are directories.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use nix::unistd::Gid;

use super::durable::{self, create_directory};
use super::pool_files::{self, DANGLING_SUFFIX};
use super::{Image, ImageOwner, ImageOwners, StorageError, Volume};
use crate::fs::replace::parent_directory;
use crate::model::rules::qubesd::is_file_vid;

/// The directories of a pool, by kind of qube: upstream's `dir_path_prefix`.
const PREFIXES: [&str; 2] = ["appvms", "vm-templates"];

/// Returns `DIR/VID`, the common beginning of the paths of a volume's files, and its last
/// component. A vid comes from qubes.xml; one that leads out of the pool is refused.
pub fn base_path(directory: &Path, vid: &str) -> Result<(PathBuf, String), StorageError> {
    let stem = vid.rsplit('/').next().unwrap_or_default();
    if !is_file_vid(vid) {
        let text = format!(
            "volume id '{}' does not name a file inside {}",
            vid.escape_debug(),
            directory.display()
        );
        return Err(StorageError::Refused(text));
    }
    Ok((directory.join(vid), stem.to_string()))
}

/// Returns the common beginning of the paths of a volume's files, with the links in it resolved,
/// and the last component of the vid.
pub fn resolve(location: &PoolLocation, vid: &str) -> Result<(PathBuf, String), StorageError> {
    let (base, stem) = base_path(&location.directory, vid)?;
    if location.read_only {
        return Ok((base, stem));
    }
    let nominal = parent_directory(&base);
    let inside = nominal
        .strip_prefix(&location.directory)
        .unwrap_or(Path::new(""));
    let real = pool_files::resolve(&location.directory, location.root.as_deref(), inside);
    let real = real.map_err(StorageError::io(format!(
        "cannot use {}",
        nominal.display()
    )))?;
    Ok((real.join(&stem), stem))
}

/// The location of a pool.
#[derive(Debug, Clone)]
pub struct PoolLocation {
    /// The directory of the pool.
    pub directory: PathBuf,
    /// The root of the system that the pool belongs to, if that is not the machine's. Absolute
    /// links begin there.
    pub root: Option<PathBuf>,
    /// Whether only metadata are read and nothing is opened. Then links may lead anywhere.
    pub read_only: bool,
}

/// Returns the names in a directory, sorted; none if it does not exist. Names that are not valid
/// text are skipped, as Qubes makes none.
pub fn list_names(directory: &Path) -> Result<Vec<String>, StorageError> {
    let failed = || StorageError::io(format!("cannot read directory {}", directory.display()));
    let names = pool_files::open_directory(directory).and_then(|opened| opened.names());
    let names = match names {
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        names => names.map_err(failed())?,
    };
    let mut names: Vec<String> = names
        .into_iter()
        .filter_map(|name| name.into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}

/// Returns the metadata of a file; `None` if it does not exist.
pub fn metadata_if_exists(path: &Path) -> Result<Option<fs::Metadata>, StorageError> {
    pool_files::metadata(path).map_err(StorageError::io(format!(
        "cannot examine {}",
        path.display()
    )))
}

/// Whether a file exists.
pub fn exists(path: &Path) -> Result<bool, StorageError> {
    Ok(metadata_if_exists(path)?.is_some())
}

/// Returns the vid of a snapshot's source.
pub fn source_vid(volume: &Volume) -> Result<&str, StorageError> {
    let missing = || {
        StorageError::Refused(format!(
            "{}: it is a snapshot without a source",
            volume.label()
        ))
    };
    volume.source.as_deref().ok_or_else(missing)
}

/// Creates the directories of a pool that contain those of its qubes.
pub fn make_prefix_directories(directory: &Path, group: Option<Gid>) -> Result<(), StorageError> {
    PREFIXES
        .iter()
        .try_for_each(|prefix| create_directory(&directory.join(prefix), group).map(drop))
}

/// Creates `target`, a directory below the pool's, and its missing parents below the pool's
/// directory.
pub fn make_directories(
    directory: &Path,
    target: &Path,
    group: Option<Gid>,
) -> Result<(), StorageError> {
    if let Some(link) = target
        .to_str()
        .and_then(|path| path.strip_suffix(DANGLING_SUFFIX))
    {
        return Err(StorageError::Refused(format!(
            "{link} is a dangling symbolic link"
        )));
    }
    let Ok(inside) = target.strip_prefix(directory) else {
        // It lies behind a link. There, only the qube's own directory is created.
        return create_directory(target, group).map(drop);
    };
    let mut directory = directory.to_path_buf();
    for part in inside {
        directory.push(part);
        create_directory(&directory, group)?;
    }
    Ok(())
}

/// Removes the directory of a volume's files if it is empty, except the pool's own directories.
pub fn remove_qube_directory(pool: &Path, directory: &Path) -> Result<(), StorageError> {
    if is_qube_directory(pool, directory) {
        durable::remove_real_directory(directory).map(drop)
    } else {
        Ok(())
    }
}

/// Whether a directory in a pool belongs to one qube: `appvms/NAME`.
pub fn is_qube_directory(pool: &Path, directory: &Path) -> bool {
    directory
        .strip_prefix(pool)
        .is_ok_and(|inside| inside.components().count() >= 2)
}

/// Returns the size and the usage in bytes of the file system that holds a pool.
pub fn filesystem_usage(directory: &Path) -> Result<(u64, u64), StorageError> {
    let asked = statvfs(directory).map_err(io::Error::from);
    let place = asked.map_err(StorageError::io(format!(
        "cannot get the free space in {}",
        directory.display()
    )))?;
    let unit = place.fragment_size();
    Ok((
        place.blocks() * unit,
        (place.blocks() - place.blocks_free()) * unit,
    ))
}

/// Returns the vids of all volumes in a pool. `volume_name` returns the volume's name for a file
/// name.
pub fn list_volumes(
    directory: &Path,
    volume_name: impl Fn(&str) -> Option<&str>,
) -> Result<Vec<String>, StorageError> {
    let mut vids = Vec::new();
    for prefix in PREFIXES {
        for qube in list_names(&directory.join(prefix))? {
            let files = list_names(&directory.join(prefix).join(&qube))?;
            vids.extend(
                files
                    .iter()
                    .filter_map(|f| volume_name(f))
                    .map(|name| format!("{prefix}/{qube}/{name}")),
            );
        }
    }
    vids.sort();
    vids.dedup();
    Ok(vids)
}

/// Returns the files of a volume that belong to no owner, and messages about the others.
pub fn split_unowned(
    files: Vec<PathBuf>,
    owners: &ImageOwners,
) -> Result<(Vec<PathBuf>, Vec<String>), StorageError> {
    let (mut unowned, mut kept) = (Vec::new(), Vec::new());
    for file in files {
        let image = Image::File(file.clone());
        match owners.find_owner(&image)? {
            Some(owner) => kept.push(describe_owned(&image, owner)),
            None => unowned.push(file),
        }
    }
    Ok((unowned, kept))
}

/// Returns the message about an image that stays because of its owner.
pub fn describe_owned(image: &Image, owner: &ImageOwner) -> String {
    format!("{image} stays: it belongs to volume {}", owner.volume)
}

/// Removes the temporary files of killed imports, `P-import.img~…`. The caller's is the only import
/// into the volume, and it has not begun to write.
pub fn remove_import_leftovers(import: &Path) -> Result<(), StorageError> {
    let Some(name) = import.file_name().and_then(|name| name.to_str()) else {
        return Ok(());
    };
    let directory = parent_directory(import);
    let is_left = |found: &&String| {
        found
            .strip_prefix(name)
            .is_some_and(|tail| tail.starts_with('~'))
    };
    for left in list_names(directory)?.iter().filter(is_left) {
        durable::remove_scratch(&directory.join(left))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vid_that_leads_out_of_the_pool_is_refused() {
        let pool = Path::new("/pool");
        for vid in [
            "",
            "/etc/passwd",
            "../x",
            "appvms/../../x",
            "appvms//x",
            "appvms/work/",
            "appvms/a\nb/x",
            "a/~x",
        ] {
            let error = base_path(pool, vid).unwrap_err().to_string();
            assert!(
                error.starts_with("volume id '") && !error.contains('\n'),
                "{error}"
            );
        }
        let (base, stem) = base_path(pool, "appvms/work/private").unwrap();
        assert_eq!(
            (base.as_path(), stem.as_str()),
            (Path::new("/pool/appvms/work/private"), "private")
        );
    }
}
