//! Templates: installing them from packages, and changing their root volume.

mod change;
pub mod image_archive;
mod install;
mod package;
mod package_files;
mod package_settings;
mod root_data;

pub use change::{commit, revert, trim};
pub use install::{InstalledTemplate, Registration, TemplateInstallation, install, register};
pub use package::{MenuItems, TemplatePackage, read_menu_items};
pub(in crate::lifecycle) use package_files::PackageFiles;
pub use root_data::{OpenRootData, PieceReader, RootData};
