//! Templates that come as packages: their data become volumes first, the store is saved last, in
//! one step. So an import that fails leaves no template behind, and one that is repeated goes
//! through.

use std::fs;

use uuid::Uuid;

use super::images::ExistingImages;
use super::images::existing::PlannedImages;
use super::qube_directory::QubeDirectory;
use super::root_data::RootData;
use super::volume_data::NewData;
use super::{LifecycleError, Session};
use crate::model::{Class, CreationError, Effect, NewQube, PoolChoice, VmName};
use crate::storage::{CopyWatcher, Driver, VmStorage, Volume};

/// The volumes whose images a template's package decides on.
const IMAGES: [&str; 2] = ["root", "private"];

/// A template about to be made, or made anew, of what a package brought.
pub struct TemplateData<'a> {
    pub name: &'a str,
    /// The pool of its volumes; the system's default where unsaid.
    pub pool: Option<&'a str>,
    pub root: &'a RootData,
    /// Whether only the package may remove it.
    pub installed_by_rpm: bool,
    pub features: &'a [(&'static str, String)],
    pub properties: &'a [(&'static str, String)],
    /// Who hears how far the root volume is.
    pub watcher: &'a dyn CopyWatcher,
}

/// What became of it.
pub struct TemplateInstalled {
    pub name: VmName,
    /// Whether the package's own image is the root volume now, because it lay in its place.
    pub root_is_the_packages: bool,
    /// What could not be set as the package wants it, one line each.
    pub notes: Vec<String>,
}

/// A new qube of images that lie in its place already.
pub struct Registration<'a> {
    pub class: Class,
    pub name: &'a str,
    pub label: &'a str,
    pub template: Option<&'a str>,
    pub installed_by_rpm: bool,
    pub features: &'a [(&'static str, String)],
    /// What becomes of images that are not those to be taken over.
    pub existing: ExistingImages,
}

/// What is written about a qube besides what its creation says.
struct Settings<'a> {
    installed_by_rpm: bool,
    features: &'a [(&'static str, String)],
    properties: &'a [(&'static str, String)],
}

impl Session {
    /// Makes a template of a package's data. One that is there gets the package's root volume and
    /// an empty private one.
    pub fn install_template(
        &self,
        data: &TemplateData<'_>,
    ) -> Result<TemplateInstalled, LifecycleError> {
        let class = self.read()?.class(data.name).cloned();
        match class {
            None => self.install_new(data),
            Some(Class::TemplateVM) => self.install_again(data),
            Some(is) => {
                let name = data.name;
                Err(LifecycleError::Package(format!(
                    "{name} is a qube of class {is}; a package cannot replace it"
                )))
            }
        }
    }

    /// Puts a qube into the store whose images were made by somebody else. A private volume that is
    /// missing is made.
    pub fn register(&self, wanted: &Registration<'_>) -> Result<VmName, LifecycleError> {
        let new = NewQube {
            class: wanted.class.clone(),
            name: wanted.name,
            label: wanted.label,
            template: wanted.template,
            pools: PoolChoice::default(),
            uuid: Uuid::new_v4(),
            created_by: VmName::DOM0,
            auto_cleanup: false,
        };
        let settings = Settings {
            installed_by_rpm: wanted.installed_by_rpm,
            features: wanted.features,
            properties: &[],
        };
        let is_there = |volume: &Volume, driver: &dyn Driver| {
            Ok::<_, LifecycleError>(
                driver
                    .image_file(volume)?
                    .is_some_and(|file| fs::symlink_metadata(file).is_ok()),
            )
        };
        let how = Making {
            existing: wanted.existing,
            adopts: &|volume, driver| {
                Ok(matches!(&*volume.name, "root" | "private") && is_there(volume, driver)?)
            },
        };
        let made = self.make(
            &new,
            &settings,
            &how,
            &|volume, driver| match volume.name.as_str() {
                "root" if volume.source.is_none() => {
                    let place = driver
                        .image_file(volume)?
                        .map(|p| p.display().to_string())
                        .unwrap_or_default();
                    Err(LifecycleError::Package(format!(
                        "{}: there is no image {place}",
                        volume.label()
                    )))
                }
                _ => Ok(driver.create(volume)?),
            },
        )?;
        Ok(made.name)
    }

    fn install_new(&self, data: &TemplateData<'_>) -> Result<TemplateInstalled, LifecycleError> {
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
        let how = Making {
            existing: ExistingImages::Refuse,
            adopts: &|volume, driver| {
                Ok(volume.name == "root" && data.root.is_in_place(volume, driver)?)
            },
        };
        self.make(
            &new,
            &data.settings(),
            &how,
            &|volume, driver| match volume.name.as_str() {
                "root" => {
                    // What a crash left under the name; there shall be no revision of it.
                    driver.remove(volume)?;
                    data.root.import(volume, driver, data.watcher)
                }
                _ => Ok(driver.create(volume)?),
            },
        )
    }

    /// Makes a qube: `make` brings each volume into being that is not adopted. After a failure
    /// nothing is left but what was adopted.
    fn make(
        &self,
        new: &NewQube<'_>,
        settings: &Settings<'_>,
        how: &Making<'_>,
        make: &dyn Fn(&Volume, &dyn Driver) -> Result<(), LifecycleError>,
    ) -> Result<TemplateInstalled, LifecycleError> {
        let mut random = |below: u16| fastrand::u16(..below);
        let qubes = self.read_for_creation(&new.class)?;
        let name = qubes.plan_creation(new, self, &mut random)?.name;
        let of_creation = Session::notes_of_creation(&qubes, new.created_by);
        self.convert_if_old(&qubes)?;
        drop(qubes);
        let _lock = self.lock_qube(&name)?;
        let qubes = self.read_for_creation(&new.class)?;
        let planned = qubes.plan_creation(new, self, &mut random)?;
        let storage = VmStorage::for_qube(&self.system, &qubes, &planned, self)?;
        let mut adopted = Vec::new();
        for (volume, driver) in storage.volumes() {
            if (how.adopts)(volume, driver)? {
                adopted.push(volume.name.clone());
            }
        }
        let existing = how.existing;
        let images = PlannedImages {
            qubes: &qubes,
            vm: &planned,
            storage: &storage,
            existing,
            adopted: &adopted,
            source: None,
        };
        let prepared = self.prepare_images(images)?;
        drop(qubes);
        let mut save = || {
            for (volume, driver) in storage.volumes() {
                match adopted.contains(&volume.name) {
                    true => driver.adopt(volume)?,
                    false => make(volume, driver)?,
                }
            }
            let mut write = self.write()?;
            write.choose_default_kernel(self);
            let vm = write.plan_creation(new, self, &mut random)?;
            if vm.volumes != planned.volumes {
                return Err(LifecycleError::ChangedMeanwhile { qube: name.clone() });
            }
            write
                .add(vm)
                .map_err(|vm| CreationError::Exists(vm.name.to_string()))?;
            set_sizes(&mut write, &name, &storage, &IMAGES)?;
            let (effects, notes) = settings.apply(&mut write, &name, self)?;
            write.save()?;
            drop(write);
            prepared.forget();
            Ok((effects, notes))
        };
        match save() {
            Ok((effects, mut notes)) => {
                notes.extend(self.apply_effects(&effects)?);
                notes.extend(of_creation);
                Ok(TemplateInstalled {
                    name,
                    root_is_the_packages: adopted.iter().any(|volume| volume == "root"),
                    notes,
                })
            }
            // Once it was saved the qube is there: its volumes are not taken from it.
            Err(LifecycleError::Store(error)) if error.was_saved() => Err(error.into()),
            Err(error) => {
                // The first error is the one to tell; the next attempt clears what cannot be
                // removed.
                if storage
                    .without_volumes(&adopted)
                    .remove(&prepared.owners)
                    .is_ok()
                {
                    prepared.forget();
                }
                let _not_empty = prepared
                    .directory
                    .as_ref()
                    .map(QubeDirectory::remove_if_empty);
                Err(error)
            }
        }
    }

    fn install_again(&self, data: &TemplateData<'_>) -> Result<TemplateInstalled, LifecycleError> {
        let qubes = self.read()?;
        let name = super::start::find_qube(
            &qubes,
            &VmName::new(data.name).map_err(CreationError::from)?,
        )?
        .name
        .clone();
        self.convert_if_old(&qubes)?;
        drop(qubes);
        self.refuse_foreign_images(&name)?;
        let is_in_place = {
            let qubes = self.read()?;
            self.with_volume(
                &qubes,
                super::start::find_qube(&qubes, &name)?,
                "root",
                |root, driver| data.root.is_in_place(root, driver),
            )?
        };
        // Copying takes long, and nobody is to wait for it: the lock comes with the end of it.
        let lock = match is_in_place {
            true => self.lock_qube(&name)?,
            false => self.replace_data(
                &name,
                "root",
                NewData::Package(&mut data.root.open()?),
                data.watcher,
            )?,
        };
        self.require_halted(&lock)?;
        if is_in_place {
            self.refuse_foreign_images(&name)?;
        }
        let qubes = self.read()?;
        let storage = VmStorage::for_qube(
            &self.system,
            &qubes,
            super::start::find_qube(&qubes, &name)?,
            self,
        )?;
        drop(qubes);
        if is_in_place {
            let (root, driver) = storage.volume("root")?;
            driver.adopt(root)?;
        }
        let (private, driver) = storage.volume("private")?;
        self.clear_locked(private, driver)?;
        let mut write = self.write()?;
        set_sizes(&mut write, &name, &storage, &IMAGES)?;
        let (effects, mut notes) = data.settings().apply(&mut write, &name, self)?;
        write.save()?;
        drop(write);
        notes.extend(self.apply_effects(&effects)?);
        Ok(TemplateInstalled {
            name,
            root_is_the_packages: is_in_place,
            notes,
        })
    }
}

impl Session {
    /// Refuses a template that is to be installed again where a volume of another qube has one of
    /// the images that are to be replaced.
    fn refuse_foreign_images(&self, name: &VmName) -> Result<(), LifecycleError> {
        let qubes = self.read()?;
        let storage = VmStorage::for_qube(
            &self.system,
            &qubes,
            super::start::find_qube(&qubes, name)?,
            self,
        )?;
        let others = self.images_of_others(name)?;
        for volume in IMAGES {
            let (volume, _) = storage.volume(volume)?;
            self.refuse_shared_image(&qubes, &others, volume, &format!("install {name} again"))?;
        }
        Ok(())
    }
}

/// What a creation does with images that are there.
struct Making<'a> {
    existing: ExistingImages,
    /// Whether a volume's image is taken over.
    adopts: &'a dyn Fn(&Volume, &dyn Driver) -> Result<bool, LifecycleError>,
}

impl TemplateData<'_> {
    fn settings(&self) -> Settings<'_> {
        Settings {
            installed_by_rpm: self.installed_by_rpm,
            features: self.features,
            properties: self.properties,
        }
    }
}

impl Settings<'_> {
    /// What a package wants and a rule forbids is no reason to be without the template: it becomes
    /// a note.
    fn apply(
        &self,
        write: &mut crate::store::Write,
        name: &VmName,
        session: &Session,
    ) -> Result<(Vec<Effect>, Vec<String>), LifecycleError> {
        let mut effects = Vec::new();
        let mut notes = Vec::new();
        if self.installed_by_rpm {
            effects.extend(write.set_property(
                name.as_str(),
                "installed_by_rpm",
                "True",
                session,
            )?);
        }
        for (property, text) in self.properties {
            match write.set_property(name.as_str(), property, text, session) {
                Ok(more) => effects.extend(more),
                Err(error) => notes.push(format!("{property} is not set: {error}")),
            }
        }
        for (feature, text) in self.features {
            match write.set_feature(name.as_str(), feature, text, session) {
                Ok(more) => effects.extend(more),
                Err(error) => notes.push(error.to_string()),
            }
        }
        Ok((effects, notes))
    }
}

/// Writes down how large those of these volumes are that have an image of their own.
pub(super) fn set_sizes(
    write: &mut crate::store::Write,
    name: &VmName,
    storage: &VmStorage,
    volumes: &[&str],
) -> Result<(), LifecycleError> {
    for wanted in volumes {
        let (volume, driver) = storage.volume(wanted)?;
        if volume.source.is_some() {
            continue;
        }
        let size = driver.size(volume)?.to_string();
        let Some(vm) = write.edit(name.as_str()) else {
            continue;
        };
        for config in vm.volumes.iter_mut().filter(|v| v.name() == *wanted) {
            config.attributes.set("size", &size);
        }
    }
    Ok(())
}
