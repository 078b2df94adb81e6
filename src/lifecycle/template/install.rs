//! Templates that are installed by a package. Their data become volumes first and the store is
//! saved last, in one step: a failed import leaves no template behind, and it can be repeated.

use std::cell::RefCell;
use std::fs;

use uuid::Uuid;

use crate::lifecycle::qube::{self, QubeParts};
use crate::lifecycle::template::RootData;
use crate::lifecycle::template::package_settings::PackageSettings;
use crate::lifecycle::volume::images::{self, ExistingImages};
use crate::lifecycle::volume::{self, VolumeContent};
use crate::lifecycle::{Context, LifecycleError, conversion, reconcile};
use crate::model::rules::creation;
use crate::model::{Class, CreationError, NewQube, PoolChoice, Qubes, Vm, VmName};
use crate::storage::{Driver, Progress, VmStorage, Volume};
use crate::store::Read;

/// The volumes that the installation of a package fills or empties.
const PACKAGE_VOLUMES: [&str; 2] = ["root", "private"];

/// A template to install, or to install again, from the contents of a package.
pub struct TemplateInstallation<'a> {
    /// The template's name.
    pub name: &'a str,
    /// The pool of its volumes; `None` for the system's default pool.
    pub pool: Option<&'a str>,
    /// The data of its root volume.
    pub root: &'a RootData,
    /// Whether only the package may remove the template.
    pub installed_by_rpm: bool,
    /// Features that the package sets.
    pub features: &'a [(&'static str, String)],
    /// Properties that the package sets.
    pub properties: &'a [(&'static str, String)],
    /// Receives the progress of the root volume's copy.
    pub progress: &'a dyn Progress,
}

/// A template that was installed.
pub struct InstalledTemplate {
    /// The template's name.
    pub name: VmName,
    /// Whether the package's image has become the root volume itself, because it was in its place.
    pub is_root_adopted: bool,
    /// Settings of the package that could not be applied, one line each.
    pub notes: Vec<String>,
}

/// A new qube whose images exist already.
pub struct Registration<'a> {
    /// The qube's class.
    pub class: Class,
    /// The qube's name.
    pub name: &'a str,
    /// The qube's label.
    pub label: &'a str,
    /// The qube's template, if its class has one.
    pub template: Option<&'a str>,
    /// Whether only a package may remove the qube.
    pub installed_by_rpm: bool,
    /// Features to set.
    pub features: &'a [(&'static str, String)],
    /// What to do with images that are not to be adopted.
    pub existing: ExistingImages,
}

/// Installs a template from a package's data. If it exists, its root volume is replaced and its
/// private volume is emptied.
///
/// # Errors
/// A qube of another class has the name, an image is in the way, or something cannot be copied
/// or saved.
pub fn install(
    context: &Context,
    data: &TemplateInstallation<'_>,
) -> Result<InstalledTemplate, LifecycleError> {
    let class = context.read()?.class(data.name).cloned();
    match class {
        None => install_new(context, data),
        Some(Class::TemplateVM) => reinstall(context, data),
        Some(is) => {
            let name = data.name;
            Err(LifecycleError::Package(format!(
                "{name} is a qube of class {is}; a package cannot replace it"
            )))
        }
    }
}

/// Adds a qube to the store whose images were made by others. Creates the private volume if it
/// is missing.
///
/// # Errors
/// The root image does not exist, an image is in the way, or the store cannot be saved.
pub fn register(context: &Context, request: &Registration<'_>) -> Result<VmName, LifecycleError> {
    let new = NewQube {
        class: request.class.clone(),
        name: request.name,
        label: request.label,
        template: request.template,
        pools: PoolChoice::default(),
        uuid: Uuid::new_v4(),
        created_by: VmName::DOM0,
        auto_cleanup: false,
    };
    let settings = PackageSettings {
        installed_by_rpm: request.installed_by_rpm,
        features: request.features,
        properties: &[],
    };
    let has_image = |volume: &Volume, driver: &dyn Driver| {
        Ok::<_, LifecycleError>(
            driver
                .image_file(volume)?
                .is_some_and(|file| fs::symlink_metadata(file).is_ok()),
        )
    };
    let policy = AdoptionPolicy {
        existing: request.existing,
        adopts: &|volume, driver| {
            Ok(matches!(&*volume.name, "root" | "private") && has_image(volume, driver)?)
        },
    };
    let made = create_adopting(
        context,
        &new,
        &settings,
        &policy,
        &|volume, driver| match volume.name.as_str() {
            "root" if volume.source.is_none() => {
                let place = driver
                    .image_file(volume)?
                    .map(|p| p.display().to_string())
                    .unwrap_or_default();
                Err(LifecycleError::Package(format!(
                    "{}: image {place} does not exist",
                    volume.label()
                )))
            }
            _ => Ok(driver.create(volume)?),
        },
    )?;
    Ok(made.name)
}

fn install_new(
    context: &Context,
    data: &TemplateInstallation<'_>,
) -> Result<InstalledTemplate, LifecycleError> {
    let new = NewQube {
        class: Class::TemplateVM,
        name: data.name,
        label: "black",
        template: None,
        pools: PoolChoice {
            all: data.pool,
            by_volume: &[],
        },
        uuid: Uuid::new_v4(),
        created_by: VmName::DOM0,
        auto_cleanup: false,
    };
    let policy = AdoptionPolicy {
        existing: ExistingImages::Refuse,
        adopts: &|volume, driver| {
            Ok(volume.name == "root" && data.root.is_in_place(volume, driver)?)
        },
    };
    create_adopting(
        context,
        &new,
        &data.settings(),
        &policy,
        &|volume, driver| match volume.name.as_str() {
            "root" => {
                // Removes what a crash left under the name, so that it does not become a
                // revision.
                driver.remove(volume)?;
                data.root.import(volume, driver, data.progress)
            }
            _ => Ok(driver.create(volume)?),
        },
    )
}

/// Creates a qube: adopts the volumes that `policy` selects and calls `make` for each other
/// one. After a failure only the adopted volumes are left.
fn create_adopting(
    context: &Context,
    new: &NewQube<'_>,
    settings: &PackageSettings<'_>,
    policy: &AdoptionPolicy<'_>,
    make: &dyn Fn(&Volume, &dyn Driver) -> Result<(), LifecycleError>,
) -> Result<InstalledTemplate, LifecycleError> {
    let plan = |qubes: &Qubes| {
        let mut random = |below: u16| fastrand::u16(..below);
        Ok(creation::plan(qubes, new, context.facts(), &mut random)?)
    };
    let planned = qube::plan_new_qube(context, &new.class, new.created_by, plan)?;
    let name = planned.vm.name;
    drop(planned.draft);
    let refused = RefCell::default();
    let parts = QubeParts {
        plan: &plan,
        adopted: &|storage| {
            let chosen = storage.volumes().map(|(volume, driver)| {
                Ok((policy.adopts)(volume, driver)?.then(|| volume.name.clone()))
            });
            chosen.filter_map(Result::transpose).collect()
        },
        existing: policy.existing,
        source: None,
        root: None,
        drops_note: false,
        replaces_files: false,
        make: &|storage, adopted, _| {
            let mut volumes = storage.volumes();
            volumes.try_for_each(|(volume, driver)| match adopted.contains(&volume.name) {
                true => Ok(driver.adopt(volume)?),
                false => make(volume, driver),
            })
        },
        settings: &|draft, name| {
            let mut notes = Vec::new();
            let change = settings.apply(draft, name, context, &mut notes)?;
            refused.replace(notes);
            Ok(change)
        },
        measured: &PACKAGE_VOLUMES,
    };
    let (saved, adopted) = qube::build(context, &name, &new.class, &parts)?;
    let mut notes = refused.into_inner();
    notes.extend(reconcile::apply_effects(context, saved)?);
    notes.extend(planned.notes);
    Ok(InstalledTemplate {
        is_root_adopted: adopted.iter().any(|volume| volume == "root"),
        name,
        notes,
    })
}

fn reinstall(
    context: &Context,
    data: &TemplateInstallation<'_>,
) -> Result<InstalledTemplate, LifecycleError> {
    let name = VmName::new(data.name).map_err(CreationError::from)?;
    conversion::convert_if_needed(context, &*context.read()?)?;
    let qubes = context.read()?;
    let vm = qube::find(&qubes, &name)?;
    refuse_foreign_images(context, &qubes, vm)?;
    let is_in_place = volume::with_volume(context, &qubes, vm, "root", |root, driver| {
        data.root.is_in_place(root, driver)
    })?;
    drop(qubes);
    // Copying takes long, so it is done without the qube's lock, which is taken at its end.
    let lock = match is_in_place {
        true => qube::lock(context, &name)?,
        false => {
            let content = VolumeContent::Package(&mut data.root.open()?);
            volume::replace_data(context, &name, "root", content, data.progress)?
        }
    };
    let qubes = context.read()?;
    reconcile::require_halted(context, &qubes, &lock)?;
    let vm = qube::find(&qubes, &name)?;
    if is_in_place {
        refuse_foreign_images(context, &qubes, vm)?;
    }
    let storage = VmStorage::for_qube(&context.system, &qubes, vm, context.facts())?;
    drop(qubes);
    if is_in_place {
        let (root, driver) = storage.volume("root")?;
        driver.adopt(root)?;
    }
    let (private, driver) = storage.volume("private")?;
    volume::clear_locked(private, driver)?;
    let mut notes = Vec::new();
    let saved = reconcile::save_change(context, |draft| {
        let mut change =
            volume::save_volume_sizes(context, draft, &name, &storage, &PACKAGE_VOLUMES)?;
        change.merge(data.settings().apply(draft, &name, context, &mut notes)?);
        Ok(change)
    })?;
    notes.extend(reconcile::apply_effects(context, saved)?);
    Ok(InstalledTemplate {
        name,
        is_root_adopted: is_in_place,
        notes,
    })
}

/// Refuses to install a template again if a volume of another qube has one of the images that
/// would be replaced.
fn refuse_foreign_images(context: &Context, qubes: &Read, vm: &Vm) -> Result<(), LifecycleError> {
    let storage = VmStorage::for_qube(&context.system, qubes, vm, context.facts())?;
    let others = images::find_owners_in(context, qubes)?.without_qube(&vm.name);
    for volume in PACKAGE_VOLUMES {
        let (volume, _) = storage.volume(volume)?;
        images::refuse_shared_image(
            context,
            qubes,
            &others,
            volume,
            &format!("install {} again", vm.name),
        )?;
    }
    Ok(())
}

/// How a creation treats existing images.
struct AdoptionPolicy<'a> {
    existing: ExistingImages,
    /// Whether a volume's existing image is adopted.
    adopts: &'a dyn Fn(&Volume, &dyn Driver) -> Result<bool, LifecycleError>,
}

impl TemplateInstallation<'_> {
    fn settings(&self) -> PackageSettings<'_> {
        PackageSettings {
            installed_by_rpm: self.installed_by_rpm,
            features: self.features,
            properties: self.properties,
        }
    }
}
