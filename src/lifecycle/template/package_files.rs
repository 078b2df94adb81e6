//! The files that a template's package installed, and their removal once their data are in the
//! store. The package's directory may be the template's own, another template's, or hold other
//! files. So a file is removed only if it is still the one that was read and no volume uses it, and
//! the directory only if it is empty then.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::fs::directory::{Directory, LinkPolicy};
use crate::lifecycle::qube::directory::{self, join_names};
use crate::lifecycle::template::InstalledTemplate;
use crate::lifecycle::volume::images;
use crate::lifecycle::{Context, LifecycleError};
use crate::model::VmName;
use crate::storage::{DirectoryRemoval, Image, ImageOwner, ImageOwners, remove_real_directory};

/// Files of R3's packages that R4 never reads.
const IGNORED_FILES: [&str; 1] = ["clean-volatile.img.tar"];
/// Directories of a package, empty in packages of R4.
const PACKAGE_DIRECTORIES: [&str; 4] = ["apps", "apps.icons", "apps.templates", "apps.tempicons"];

/// The files of an unpacked package.
#[derive(Debug)]
pub(in crate::lifecycle) struct PackageFiles {
    directory: Directory,
    /// With every symbolic link resolved.
    path: PathBuf,
    files: Vec<PackageFile>,
}

/// The identity that a file had when the package was read.
#[derive(Debug)]
struct PackageFile {
    name: OsString,
    device: u64,
    inode: u64,
}

impl PackageFile {
    fn is_same_file(&self, found: &Metadata) -> bool {
        found.is_file() && (found.dev(), found.ino()) == (self.device, self.inode)
    }
}

impl PackageFiles {
    /// Finds those of the files `names` that exist in the package's directory.
    ///
    /// # Errors
    /// The directory or a file in it cannot be examined.
    pub fn find(path: &Path, names: Vec<OsString>) -> Result<PackageFiles, LifecycleError> {
        let look = || -> io::Result<PackageFiles> {
            let directory = Directory::open(path, LinkPolicy::Never)?;
            let mut files = Vec::new();
            for name in names.into_iter().chain(IGNORED_FILES.map(OsString::from)) {
                if let Some(found) = directory
                    .symlink_metadata(Path::new(&name))?
                    .filter(Metadata::is_file)
                {
                    files.push(PackageFile {
                        name,
                        device: found.dev(),
                        inode: found.ino(),
                    });
                }
            }
            Ok(PackageFiles {
                directory,
                path: fs::canonicalize(path)?,
                files,
            })
        };
        look().map_err(LifecycleError::cannot("look at", &path.display()))
    }

    /// Removes the files and the directory of a package whose template is in the store. Warns about
    /// what stays, except for the template's own images.
    ///
    /// # Errors
    /// The store cannot be read, or a file that has to go cannot be removed.
    pub fn remove(
        &self,
        context: &Context,
        installed: &InstalledTemplate,
    ) -> Result<(), LifecycleError> {
        let owners = images::find_owners(context)?;
        let path = self.path.display();
        let images = match self.images(&owners) {
            Ok(images) => images,
            Err(error) => {
                context
                    .system
                    .notify(&format!("{path} stays as it is: {error}"));
                return Ok(());
            }
        };
        let template = &installed.name;
        if let Some((image, owner)) = images
            .iter()
            .find(|(_, owner)| owner.qube.as_ref() != Some(template))
        {
            let image = join_names(std::slice::from_ref(image));
            let kept = format!(
                "{path} stays as it is: {image} in it is an image of volume {}",
                owner.volume,
            );
            context.system.notify(&kept);
            return Ok(());
        }
        let is_image = |name: &OsString| images.iter().any(|(image, _)| image == name);
        // If the directory stays anyway, the package's lists stay in it, as they do with upstream.
        let stays = self.contains_kept_directory(context, template)?;
        let goes =
            |file: &&PackageFile| !is_image(&file.name) && (!stays || is_root_data(&file.name));
        for file in self.files.iter().filter(goes) {
            if let Some(kept) = self.remove_file(file, &owners)? {
                context.system.notify(&kept);
            }
        }
        self.directory
            .sync()
            .map_err(LifecycleError::cannot("sync", &self.path.display()))?;
        if stays || self.remove_directories()? == DirectoryRemoval::Gone {
            return Ok(());
        }
        let mut left = self.names()?;
        left.retain(|name| !is_image(name));
        if !left.is_empty() {
            let names = join_names(&left);
            context.system.notify(&format!(
                "{path} stays: it contains {names}, which the package did not install"
            ));
        }
        Ok(())
    }

    /// Returns the files in the directory that are images of volumes of the store, also those that
    /// the package did not install.
    fn images<'o>(
        &self,
        owners: &'o ImageOwners,
    ) -> Result<Vec<(OsString, &'o ImageOwner)>, LifecycleError> {
        let mut images = Vec::new();
        for name in self.names()? {
            let path = self.path.join(&name);
            let is_package_image =
                self.files.iter().any(|file| file.name == name) && has_image_extension(&path);
            let owner = match is_package_image {
                // A symbolic link elsewhere may be an image by its own name and lead here.
                true => owners.find_file_owner(&path)?,
                false => owners.find_owner(&Image::File(path))?,
            };
            images.extend(owner.map(|owner| (name, owner)));
        }
        Ok(images)
    }

    /// Removes a file that is no volume's image. Returns the reason if it stays.
    fn remove_file(
        &self,
        file: &PackageFile,
        owners: &ImageOwners,
    ) -> Result<Option<String>, LifecycleError> {
        let name = Path::new(&file.name);
        let path = self.path.join(name);
        let Some(found) = self
            .directory
            .symlink_metadata(name)
            .map_err(LifecycleError::cannot("look at", &path.display()))?
        else {
            return Ok(None);
        };
        if !file.is_same_file(&found) {
            let reason = "it is not the file that was imported";
            return Ok(Some(format!("{} stays: {reason}", path.display())));
        }
        if let Some(reason) = owners
            .unresolved
            .first()
            .filter(|_| has_image_extension(name))
        {
            return Ok(Some(format!(
                "{} stays: {reason}, and it may be its image",
                path.display()
            )));
        }
        self.directory
            .remove_file(name)
            .map_err(LifecycleError::cannot("remove", &path.display()))?;
        Ok(None)
    }

    /// Whether the directory is, or contains, the template's own directory or a pool's.
    fn contains_kept_directory(
        &self,
        context: &Context,
        template: &VmName,
    ) -> Result<bool, LifecycleError> {
        let qubes = context.read()?;
        let pools = qubes
            .pools
            .iter()
            .filter_map(|pool| pool.option("dir_path"));
        let mut pools = pools.map(|path| context.system.path_below_root(path));
        let this = self
            .directory
            .handle()
            .metadata()
            .map_err(LifecycleError::cannot("look at", &self.path.display()))?;
        let is_this = |path: &Path| {
            fs::metadata(path)
                .is_ok_and(|found| (found.dev(), found.ino()) == (this.dev(), this.ino()))
        };
        // The ancestors are those of the resolved path; identities also match below a bind mount.
        let is_inside = |path: PathBuf| {
            let real = fs::canonicalize(&path).unwrap_or(path);
            real.ancestors().any(is_this)
        };
        let is_own = qubes
            .get(template.as_str())
            .is_some_and(|vm| directory::open(context, vm).is_same_directory(&this));
        Ok(is_own || pools.any(is_inside))
    }

    /// Removes the package's subdirectories and its directory where they are empty.
    fn remove_directories(&self) -> Result<DirectoryRemoval, LifecycleError> {
        for name in PACKAGE_DIRECTORIES {
            match self.directory.remove_directory(Path::new(name)) {
                Ok(_) => {}
                Err(error) if is_not_empty(&error) => {}
                Err(error) => {
                    return Err(LifecycleError::cannot(
                        "remove",
                        &self.path.join(name).display(),
                    )(error));
                }
            }
        }
        Ok(remove_real_directory(&self.path)?)
    }

    fn names(&self) -> Result<Vec<OsString>, LifecycleError> {
        self.directory.names().map_err(LifecycleError::cannot(
            "read directory",
            &self.path.display(),
        ))
    }
}

/// Whether a file's name is that of a volume's image. No other file of a package has one.
fn has_image_extension(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "img")
}

/// Whether a file holds data of the root volume: an image, or a piece of an archive.
fn is_root_data(name: &OsString) -> bool {
    name.to_string_lossy().starts_with("root.img")
}

fn is_not_empty(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory
    )
}
