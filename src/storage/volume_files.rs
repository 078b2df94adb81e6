//! Files of volumes in a pool's directory: what the drivers whose pools are directories have in
//! common.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use nix::unistd::Gid;

use super::durable::{self, create_directory};
use super::pool_files::{self, DANGLING_SUFFIX};
use super::{Image, ImageOwner, ImageOwners, StorageError, Volume};
use crate::fs::replace::directory_of;
use crate::model::loadable::is_file_vid;

/// The directories in a pool, by the kind of qube: upstream's `dir_path_prefix`.
const PREFIXES: [&str; 2] = ["appvms", "vm-templates"];

/// `DIR/VID`, to which the names of a volume's files append something, and its last part. A vid
/// stands in qubes.xml: one that leads out of the pool is refused.
pub fn base_path(directory: &Path, vid: &str) -> Result<(PathBuf, String), StorageError> {
    let stem = vid.rsplit('/').next().unwrap_or_default();
    if !is_file_vid(vid) {
        let text = format!(
            "volume id '{}' names no file inside {}",
            vid.escape_debug(),
            directory.display()
        );
        return Err(StorageError::Refused(text));
    }
    Ok((directory.join(vid), stem.to_string()))
}

/// Where the files of the volume `vid` are, with the links that lead there resolved, and the last
/// part of the vid.
pub fn resolve(location: &PoolLocation, vid: &str) -> Result<(PathBuf, String), StorageError> {
    let (base, stem) = base_path(&location.directory, vid)?;
    if location.read_only {
        return Ok((base, stem));
    }
    let nominal = directory_of(&base);
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

/// Where a pool lies.
#[derive(Debug, Clone)]
pub struct PoolLocation {
    pub directory: PathBuf,
    /// The root of the system that the pool belongs to, where that is not the machine's: absolute
    /// links begin there.
    pub root: Option<PathBuf>,
    /// Whether files are only looked at, never opened: then links may lead anywhere.
    pub read_only: bool,
}

/// The names of everything in a directory, sorted; none when there is no such directory. What is no
/// text was not made by us.
pub fn list_names(directory: &Path) -> Result<Vec<String>, StorageError> {
    let failed = || StorageError::io(format!("reading directory {}", directory.display()));
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

/// What is known of a file, none when it does not exist.
pub fn metadata_if_exists(path: &Path) -> Result<Option<fs::Metadata>, StorageError> {
    pool_files::metadata(path).map_err(StorageError::io(format!("looking at {}", path.display())))
}

pub fn exists(path: &Path) -> Result<bool, StorageError> {
    Ok(metadata_if_exists(path)?.is_some())
}

/// The vid of what a snapshot is made of.
pub fn source_vid(volume: &Volume) -> Result<&str, StorageError> {
    let missing = || {
        StorageError::Refused(format!(
            "{}: a snapshot needs a source, and it has none",
            volume.label()
        ))
    };
    volume.source.as_deref().ok_or_else(missing)
}

/// Makes the directories of a pool in which its qubes have theirs.
pub fn make_prefix_directories(directory: &Path, group: Option<Gid>) -> Result<(), StorageError> {
    PREFIXES
        .iter()
        .try_for_each(|prefix| create_directory(&directory.join(prefix), group).map(drop))
}

/// Makes `wanted`, a directory below the pool's, and what is missing between the two.
pub fn make_directories(
    directory: &Path,
    wanted: &Path,
    group: Option<Gid>,
) -> Result<(), StorageError> {
    if let Some(link) = wanted
        .to_str()
        .and_then(|path| path.strip_suffix(DANGLING_SUFFIX))
    {
        return Err(StorageError::Refused(format!(
            "{link} is a symbolic link that leads nowhere"
        )));
    }
    let Ok(inside) = wanted.strip_prefix(directory) else {
        // Behind a link, where nothing but the qube's own directory is made.
        return create_directory(wanted, group).map(drop);
    };
    let mut directory = directory.to_path_buf();
    for part in inside {
        directory.push(part);
        create_directory(&directory, group)?;
    }
    Ok(())
}

/// Removes the directory of a volume's files if it is empty, but neither the pool's nor those in
/// which its qubes have theirs.
pub fn remove_qube_directory(pool: &Path, directory: &Path) -> Result<(), StorageError> {
    if is_qube_directory(pool, directory) {
        durable::remove_real_directory(directory).map(drop)
    } else {
        Ok(())
    }
}

/// Whether a directory in a pool is one qube's: `appvms/NAME`.
pub fn is_qube_directory(pool: &Path, directory: &Path) -> bool {
    directory
        .strip_prefix(pool)
        .is_ok_and(|inside| inside.components().count() >= 2)
}

/// Size and use in bytes of the file system that holds a pool.
pub fn filesystem_usage(directory: &Path) -> Result<(u64, u64), StorageError> {
    let asked = statvfs(directory).map_err(io::Error::from);
    let place = asked.map_err(StorageError::io(format!(
        "asking for the room in {}",
        directory.display()
    )))?;
    let unit = place.fragment_size();
    Ok((
        place.blocks() * unit,
        (place.blocks() - place.blocks_free()) * unit,
    ))
}

/// The vids of all volumes in a pool; `volume_of` tells a file's volume by the file's name alone.
pub fn list_volumes(
    directory: &Path,
    volume_of: impl Fn(&str) -> Option<&str>,
) -> Result<Vec<String>, StorageError> {
    let mut vids = Vec::new();
    for prefix in PREFIXES {
        for qube in list_names(&directory.join(prefix))? {
            let files = list_names(&directory.join(prefix).join(&qube))?;
            vids.extend(
                files
                    .iter()
                    .filter_map(|f| volume_of(f))
                    .map(|name| format!("{prefix}/{qube}/{name}")),
            );
        }
    }
    vids.sort();
    vids.dedup();
    Ok(vids)
}

/// Divides the files of a volume into those that are nobody else's, and in words the others that
/// are there.
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

/// Why an image stays, in words.
pub fn describe_owned(image: &Image, owner: &ImageOwner) -> String {
    format!("{image} stays: volume {} means it", owner.volume)
}

/// Removes what killed imports have left of the image `import`: `P-import.img~…`. No import into
/// the volume is under way but the caller's, which has not begun to write.
pub fn remove_import_leftovers(import: &Path) -> Result<(), StorageError> {
    let Some(name) = import.file_name().and_then(|name| name.to_str()) else {
        return Ok(());
    };
    let directory = directory_of(import);
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
