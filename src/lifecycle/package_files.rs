//! The files that a template's package brought, and how they go once their data are in the store.
//! A directory that is called a package's may be a template's own, another template's, or one that
//! holds more: so each file goes only if it is still the one that was read and no volume means it,
//! and a directory only if nothing is left in it.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::qube_directory::listed;
use super::template::TemplateInstalled;
use super::{LifecycleError, Session};
use crate::fs::beneath::{Directory, Links};
use crate::model::VmName;
use crate::storage::{DirectoryRemoval, Image, ImageOwner, ImageOwners, remove_real_directory};

/// What packages bring besides what is read: of R3's time, never looked at by R4.
const UNREAD: [&str; 1] = ["clean-volatile.img.tar"];
/// Directories of a package, which are empty in packages of R4.
const DIRECTORIES: [&str; 4] = ["apps", "apps.icons", "apps.templates", "apps.tempicons"];

/// The files of a package that was unpacked.
#[derive(Debug)]
pub(super) struct PackageFiles {
    directory: Directory,
    /// Without links.
    path: PathBuf,
    files: Vec<PackageFile>,
}

/// A file as it was when the package was read.
#[derive(Debug)]
struct PackageFile {
    name: OsString,
    device: u64,
    inode: u64,
}

impl PackageFile {
    fn is(&self, found: &Metadata) -> bool {
        found.is_file() && (found.dev(), found.ino()) == (self.device, self.inode)
    }
}

impl PackageFiles {
    /// Looks at those files of a package that are there.
    ///
    /// # Errors
    /// Nobody can look.
    pub fn find_in(path: &Path, names: Vec<OsString>) -> Result<PackageFiles, LifecycleError> {
        let look = || -> io::Result<PackageFiles> {
            let directory = Directory::open(path, Links::Never)?;
            let mut files = Vec::new();
            for name in names.into_iter().chain(UNREAD.map(OsString::from)) {
                if let Some(found) = directory.look(Path::new(&name))?.filter(Metadata::is_file) {
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
        look().map_err(failed("looking at", path))
    }

    /// Removes the files and the directory of a package whose template is in the store. What stays
    /// is told, but for the template's own images.
    ///
    /// # Errors
    /// The store cannot be read, or something that is to go cannot be removed.
    pub fn remove(
        &self,
        session: &Session,
        installed: &TemplateInstalled,
    ) -> Result<(), LifecycleError> {
        let owners = session.image_owners()?;
        let path = self.path.display();
        let images = match self.images(&owners) {
            Ok(images) => images,
            Err(error) => {
                session
                    .system
                    .tell(&format!("{path} stays as it is: {error}"));
                return Ok(());
            }
        };
        let template = &installed.name;
        if let Some((image, owner)) = images
            .iter()
            .find(|(_, owner)| owner.qube.as_ref() != Some(template))
        {
            let image = listed(std::slice::from_ref(image));
            let kept = format!(
                "{path} stays as it is: volume {} means {image} in it",
                owner.volume
            );
            session.system.tell(&kept);
            return Ok(());
        }
        let is_image = |name: &OsString| images.iter().any(|(image, _)| image == name);
        // Where a directory stays anyway, the package's lists stay in it, as they do with upstream.
        let stays = self.holds_what_stays(session, template)?;
        let goes =
            |file: &&PackageFile| !is_image(&file.name) && (!stays || has_root_data(&file.name));
        for file in self.files.iter().filter(goes) {
            if let Some(kept) = self.remove_file(file, &owners)? {
                session.system.tell(&kept);
            }
        }
        self.directory
            .sync()
            .map_err(failed("syncing", &self.path))?;
        if stays || self.remove_directories()? == DirectoryRemoval::Gone {
            return Ok(());
        }
        let mut left = self.names()?;
        left.retain(|name| !is_image(name));
        if !left.is_empty() {
            let names = listed(&left);
            session.system.tell(&format!(
                "{path} stays, with {names}, which the package did not bring"
            ));
        }
        Ok(())
    }

    /// The files in the directory that are images of volumes of the store, whoever put them there.
    fn images<'o>(
        &self,
        owners: &'o ImageOwners,
    ) -> Result<Vec<(OsString, &'o ImageOwner)>, LifecycleError> {
        let mut images = Vec::new();
        for name in self.names()? {
            let path = self.path.join(&name);
            let is_packages =
                self.files.iter().any(|file| file.name == name) && is_like_an_image(&path);
            let owner = match is_packages {
                // Somewhere else a link may stand for an image and lead here.
                true => owners.find_file_owner(&path)?,
                false => owners.find_owner(&Image::File(path))?,
            };
            images.extend(owner.map(|owner| (name, owner)));
        }
        Ok(images)
    }

    /// Removes a file that is no image of a volume, or says what keeps it there.
    fn remove_file(
        &self,
        file: &PackageFile,
        owners: &ImageOwners,
    ) -> Result<Option<String>, LifecycleError> {
        let name = Path::new(&file.name);
        let path = self.path.join(name);
        let Some(found) = self
            .directory
            .look(name)
            .map_err(failed("looking at", &path))?
        else {
            return Ok(None);
        };
        if !file.is(&found) {
            let reason = "it is not the file that was imported";
            return Ok(Some(format!("{} stays: {reason}", path.display())));
        }
        if let Some(reason) = owners.unresolved.first().filter(|_| is_like_an_image(name)) {
            return Ok(Some(format!(
                "{} stays: {reason}, so it may be its image",
                path.display()
            )));
        }
        self.directory
            .remove_file(name)
            .map_err(failed("removing", &path))?;
        Ok(None)
    }

    /// Whether the directory is, or contains, the template's own or a pool's.
    fn holds_what_stays(
        &self,
        session: &Session,
        template: &VmName,
    ) -> Result<bool, LifecycleError> {
        let qubes = session.read()?;
        let pools = qubes
            .pools
            .iter()
            .filter_map(|pool| pool.option("dir_path"));
        let mut pools = pools.map(|path| session.system.below_root(path));
        let this = self
            .directory
            .handle()
            .metadata()
            .map_err(failed("looking at", &self.path))?;
        let is_this = |path: &Path| {
            fs::metadata(path)
                .is_ok_and(|found| (found.dev(), found.ino()) == (this.dev(), this.ino()))
        };
        // Above a pool's directory as it really is; below a mount the identities tell.
        let lies_here = |path: PathBuf| {
            let real = fs::canonicalize(&path).unwrap_or(path);
            real.ancestors().any(is_this)
        };
        let is_own = qubes
            .get(template.as_str())
            .is_some_and(|vm| session.qube_directory(vm).is(&this));
        Ok(is_own || pools.any(lies_here))
    }

    /// Removes the directory of the package with those that a package has in it, if they are empty.
    fn remove_directories(&self) -> Result<DirectoryRemoval, LifecycleError> {
        for name in DIRECTORIES {
            match self.directory.remove_directory(Path::new(name)) {
                Ok(_) => {}
                Err(error) if is_not_empty(&error) => {}
                Err(error) => return Err(failed("removing", &self.path.join(name))(error)),
            }
        }
        Ok(remove_real_directory(&self.path)?)
    }

    fn names(&self) -> Result<Vec<OsString>, LifecycleError> {
        self.directory
            .names()
            .map_err(failed("reading directory", &self.path))
    }
}

/// Whether a file can be an image of a volume by its name, as no other file of a package can.
fn is_like_an_image(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "img")
}

/// Whether a file has the data of the root volume: an image, or a piece of one.
fn has_root_data(name: &OsString) -> bool {
    name.to_string_lossy().starts_with("root.img")
}

fn is_not_empty(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory
    )
}

fn failed(verb: &str, path: &Path) -> impl FnOnce(io::Error) -> LifecycleError {
    let what = format!("{verb} {}", path.display());
    move |source| LifecycleError::Io { what, source }
}
