//! Driver `linux-kernel`: a read-only directory with one directory per kernel
//! (`docs/spec/r4-storage.md` §8).

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use super::pool_directory::size_and_usage;
use super::pool_files::{self, open_image};
use super::pools::{PoolOpening, directory};
use super::{
    Attachment, CommittedData, Image, ImageOwners, ImageWriter, PoolSpace, StorageError, Volume,
    VolumeData, VolumeLife, VolumeRevisions,
};
use crate::fs::chroot;
use crate::model::rules::qubesd::is_kernel_name;

/// A pool of kernels. The vid of a volume is the kernel's version; it is empty for a qube with its
/// own kernel.
#[derive(Debug)]
pub struct LinuxKernel {
    name: String,
    directory: PathBuf,
    /// The root of the system that the kernels belong to, if that is not the machine's.
    root: Option<PathBuf>,
}

impl LinuxKernel {
    /// Creates the pool `name` in `directory`.
    pub fn new(name: &str, directory: PathBuf) -> LinuxKernel {
        LinuxKernel {
            name: name.to_string(),
            directory,
            root: None,
        }
    }

    /// Sets the root of the system. Links do not lead out of it.
    pub fn with_root(self, root: Option<&Path>) -> LinuxKernel {
        LinuxKernel {
            root: root.map(Path::to_path_buf),
            ..self
        }
    }

    /// Opens a pool of the store.
    pub(super) fn open(opening: &PoolOpening<'_>) -> Result<LinuxKernel, StorageError> {
        let directory = directory(opening.pool, opening.system)?;
        Ok(LinuxKernel::new(opening.pool.name(), directory).with_root(opening.system.root()))
    }

    /// Returns the path of a file of the volume's kernel; `None` for a qube with its own kernel. A
    /// version that leads elsewhere is refused.
    fn file(&self, volume: &Volume, name: &str) -> Result<Option<PathBuf>, StorageError> {
        let version = volume.vid.as_str();
        if version.is_empty() {
            return Ok(None);
        }
        if !is_kernel_name(version) {
            return Err(volume.refusal(format_args!(
                "'{}' is not a kernel version",
                version.escape_debug()
            )));
        }
        let file = self.directory.join(version).join(name);
        let Some(root) = &self.root else {
            return Ok(Some(file));
        };
        let below = file.strip_prefix(root).unwrap_or(&file);
        chroot::resolve(root, below)
            .map(Some)
            .map_err(StorageError::on("open", &file))
    }

    /// Returns the kernel's modules image, if it exists.
    fn modules(&self, volume: &Volume) -> Result<Option<(PathBuf, fs::Metadata)>, StorageError> {
        let image = self.file(volume, "modules.img")?;
        let found = |image: PathBuf| Some((pool_files::metadata(&image).ok()??, image));
        Ok(image
            .and_then(found)
            .filter(|(found, _)| found.is_file())
            .map(|(found, image)| (image, found)))
    }

    fn read_only(&self, volume: &Volume, verb: &str) -> Result<(), StorageError> {
        Err(volume.refusal(format_args!(
            "kernels in pool {} are read-only and cannot be {verb}",
            self.name
        )))
    }
}

impl PoolSpace for LinuxKernel {
    /// Does nothing: packages install the kernels.
    fn setup(&self) -> Result<(), StorageError> {
        Ok(())
    }

    fn capacity(&self) -> Result<Option<(u64, u64)>, StorageError> {
        let place = statvfs(&self.directory).ok();
        Ok(place.as_ref().map(size_and_usage))
    }

    /// Returns the installed versions.
    fn volume_ids(&self) -> Result<Vec<String>, StorageError> {
        let failed = || StorageError::on("read directory", &self.directory);
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

impl VolumeLife for LinuxKernel {
    fn create(&self, _volume: &Volume) -> Result<(), StorageError> {
        Ok(())
    }

    fn remove_unowned(&self, _: &Volume, _: &ImageOwners) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }

    /// A kernel belongs to no qube.
    fn images(&self, _volume: &Volume) -> Result<Vec<Image>, StorageError> {
        Ok(Vec::new())
    }

    fn verify(&self, volume: &Volume) -> Result<(), StorageError> {
        match self.file(volume, "vmlinuz")? {
            Some(vmlinuz) if !vmlinuz.exists() => {
                let (version, missing) = (&volume.vid, vmlinuz.display());
                Err(volume.refusal(format_args!(
                    "kernel {version} is not installed ({missing} is missing)"
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
}

impl VolumeData for LinuxKernel {
    fn size(&self, volume: &Volume) -> Result<u64, StorageError> {
        Ok(self.modules(volume)?.map_or(0, |(_, image)| image.len()))
    }

    fn usage(&self, volume: &Volume) -> Result<u64, StorageError> {
        Ok(self
            .modules(volume)?
            .map_or(0, |(_, image)| image.blocks() * 512))
    }

    fn resize(&self, volume: &Volume, _bytes: u64) -> Result<(), StorageError> {
        self.read_only(volume, "resized")
    }

    fn export(&self, volume: &Volume) -> Result<PathBuf, StorageError> {
        self.modules(volume)?
            .map(|(image, _)| image)
            .ok_or_else(|| volume.refusal("its kernel has no modules.img"))
    }

    fn open_committed_data(&self, volume: &Volume) -> Result<CommittedData, StorageError> {
        let path = self.export(volume)?;
        Ok(CommittedData {
            name: volume.name.clone(),
            file: open_image(&path)?,
            size: self.size(volume)?,
            start_lock: None,
        })
    }

    fn import_with(&self, volume: &Volume, _fill: ImageWriter<'_>) -> Result<(), StorageError> {
        self.read_only(volume, "imported to")
    }

    fn image_file(&self, volume: &Volume) -> Result<Option<PathBuf>, StorageError> {
        LinuxKernel::file(self, volume, "modules.img")
    }

    fn adopt(&self, _volume: &Volume) -> Result<(), StorageError> {
        Ok(())
    }
}

impl VolumeRevisions for LinuxKernel {
    fn revert(&self, volume: &Volume, _revision: Option<&str>) -> Result<(), StorageError> {
        self.read_only(volume, "reverted")
    }

    fn revision_size(&self, volume: &Volume, _revision: Option<&str>) -> Result<u64, StorageError> {
        self.read_only(volume, "reverted").map(|()| 0)
    }
}
