//! Driver `linux-kernel`: a directory with one directory per kernel, read-only
//! (`docs/spec/r4-storage.md` §8).

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use super::pool_files;
use crate::fs::beneath::Use;
use crate::fs::rooted;

use super::{
    Attachment, CommittedData, Driver, Image, ImageOwners, ImageWriter, Revision, StorageError,
    Volume,
};
use crate::model::loadable::is_kernel_name;

/// One pool of kernels. The vid of a volume is the kernel's version, empty for a qube that brings
/// its own.
#[derive(Debug)]
pub struct LinuxKernel {
    name: String,
    directory: PathBuf,
    /// The `/` of the system whose kernels these are, where that is not the machine's.
    root: Option<PathBuf>,
}

impl LinuxKernel {
    pub fn new(name: &str, directory: PathBuf) -> LinuxKernel {
        LinuxKernel {
            name: name.to_string(),
            directory,
            root: None,
        }
    }

    /// Takes the directory for one of the system at `root`: links in it do not lead out of it.
    pub fn with_root(self, root: Option<&Path>) -> LinuxKernel {
        LinuxKernel {
            root: root.map(Path::to_path_buf),
            ..self
        }
    }

    /// A file of the volume's kernel; none for a qube that brings its own. A version that leads
    /// elsewhere is refused.
    fn file(&self, volume: &Volume, name: &str) -> Result<Option<PathBuf>, StorageError> {
        let version = volume.vid.as_str();
        if version.is_empty() {
            return Ok(None);
        }
        if !is_kernel_name(version) {
            let text = format!(
                "{}: '{}' is no kernel version",
                volume.label(),
                version.escape_debug()
            );
            return Err(StorageError::Refused(text));
        }
        let file = self.directory.join(version).join(name);
        let Some(root) = &self.root else {
            return Ok(Some(file));
        };
        let below = file.strip_prefix(root).unwrap_or(&file);
        let failed = StorageError::io(format!("opening {}", file.display()));
        rooted::resolve(root, below).map(Some).map_err(failed)
    }

    /// The kernel's modules image, where it has one.
    fn modules(&self, volume: &Volume) -> Result<Option<(PathBuf, fs::Metadata)>, StorageError> {
        let image = self.file(volume, "modules.img")?;
        let found = |image: PathBuf| Some((pool_files::metadata(&image).ok()??, image));
        Ok(image
            .and_then(found)
            .filter(|(found, _)| found.is_file())
            .map(|(found, image)| (image, found)))
    }

    fn read_only(&self, volume: &Volume, verb: &str) -> Result<(), StorageError> {
        let (label, pool) = (volume.label(), &self.name);
        Err(StorageError::Refused(format!(
            "{label}: kernels in pool {pool} are read-only and cannot be {verb}"
        )))
    }
}

impl Driver for LinuxKernel {
    /// Nothing to prepare: kernels are put there by packages.
    fn setup(&self) -> Result<(), StorageError> {
        Ok(())
    }

    fn capacity(&self) -> Result<Option<(u64, u64)>, StorageError> {
        let Ok(place) = statvfs(&self.directory) else {
            return Ok(None);
        };
        let unit = place.fragment_size();
        Ok(Some((
            place.blocks() * unit,
            (place.blocks() - place.blocks_free()) * unit,
        )))
    }

    fn create(&self, _volume: &Volume) -> Result<(), StorageError> {
        Ok(())
    }

    fn remove_unowned(&self, _: &Volume, _: &ImageOwners) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }

    /// A kernel is no qube's.
    fn images(&self, _volume: &Volume) -> Result<Vec<Image>, StorageError> {
        Ok(Vec::new())
    }

    fn verify(&self, volume: &Volume) -> Result<(), StorageError> {
        match self.file(volume, "vmlinuz")? {
            Some(vmlinuz) if !vmlinuz.exists() => {
                let (label, version, missing) = (volume.label(), &volume.vid, vmlinuz.display());
                Err(StorageError::Refused(format!(
                    "{label}: kernel {version} is not installed ({missing} is missing)"
                )))
            }
            _ => Ok(()),
        }
    }

    fn start(&self, _volume: &Volume) -> Result<(), StorageError> {
        Ok(())
    }

    fn stop(&self, _volume: &Volume) -> Result<(), StorageError> {
        Ok(())
    }

    fn discard(&self, _volume: &Volume) -> Result<(), StorageError> {
        Ok(())
    }

    fn attachment(&self, volume: &Volume) -> Result<Attachment, StorageError> {
        Ok(self
            .modules(volume)?
            .map_or(Attachment::None, |(image, _)| Attachment::File(image)))
    }

    fn has_run_images(&self, _volume: &Volume) -> Result<bool, StorageError> {
        Ok(false)
    }

    fn is_dirty(&self, _volume: &Volume) -> Result<bool, StorageError> {
        Ok(false)
    }

    fn is_outdated(&self, _volume: &Volume) -> Result<bool, StorageError> {
        Ok(false)
    }

    fn revisions(&self, _volume: &Volume) -> Result<Vec<Revision>, StorageError> {
        Ok(Vec::new())
    }

    fn revert(&self, volume: &Volume, _revision: Option<&str>) -> Result<(), StorageError> {
        self.read_only(volume, "reverted")
    }

    fn revision_size(&self, volume: &Volume, _revision: Option<&str>) -> Result<u64, StorageError> {
        self.read_only(volume, "reverted").map(|()| 0)
    }

    fn resize(&self, volume: &Volume, _bytes: u64) -> Result<(), StorageError> {
        self.read_only(volume, "resized")
    }

    fn export(&self, volume: &Volume) -> Result<PathBuf, StorageError> {
        let missing =
            || StorageError::Refused(format!("{}: its kernel has no modules.img", volume.label()));
        self.modules(volume)?
            .map(|(image, _)| image)
            .ok_or_else(missing)
    }

    fn open_committed_data(&self, volume: &Volume) -> Result<CommittedData, StorageError> {
        let path = self.export(volume)?;
        let file = pool_files::open(&path, Use::Read)
            .map_err(StorageError::io(format!("opening {}", path.display())))?;
        Ok(CommittedData {
            name: volume.name.clone(),
            file,
            size: self.size(volume)?,
            start_lock: None,
        })
    }

    fn import_with(&self, volume: &Volume, _fill: ImageWriter<'_>) -> Result<(), StorageError> {
        self.read_only(volume, "imported to")
    }

    fn file(&self, volume: &Volume) -> Result<Option<PathBuf>, StorageError> {
        LinuxKernel::file(self, volume, "modules.img")
    }

    fn adopt(&self, _volume: &Volume) -> Result<(), StorageError> {
        Ok(())
    }

    fn import(&self, volume: &Volume, _from: &Path) -> Result<(), StorageError> {
        self.read_only(volume, "imported to")
    }

    fn size(&self, volume: &Volume) -> Result<u64, StorageError> {
        Ok(self.modules(volume)?.map_or(0, |(_, image)| image.len()))
    }

    fn usage(&self, volume: &Volume) -> Result<u64, StorageError> {
        Ok(self
            .modules(volume)?
            .map_or(0, |(_, image)| image.blocks() * 512))
    }

    /// The installed versions.
    fn volumes(&self) -> Result<Vec<String>, StorageError> {
        let failed = || StorageError::io(format!("reading directory {}", self.directory.display()));
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(failed()(e)),
        };
        let mut versions = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed())?;
            if entry.path().is_dir() {
                versions.extend(entry.file_name().into_string());
            }
        }
        versions.sort();
        Ok(versions)
    }
}
