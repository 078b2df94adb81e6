//! Creating a qube: volumes first, under the name's lock, saved last. A crash leaves orphan volumes
//! at worst, and the next creation of the name clears them: it knows them by a note
//! ([`super::images::leftovers`]).

use crate::model::cloning::NewQubeFacts;
use crate::model::{Class, Effect, NewClone, NewQube, Qubes, Vm, VmName};

use super::images::existing::PlannedImages;
use super::images::{DataSource, ExistingImages};
use super::qube_directory::QubeDirectory;
use super::root_image::{ROOT, RootImage, make_volumes};
use super::template::set_sizes;
use super::{LifecycleError, Session};
use crate::storage::VmStorage;

/// A decision about a new qube, taken again whenever the store may have changed.
pub(super) type Plan<'a> = &'a dyn Fn(&Qubes) -> Result<Vm, LifecycleError>;

/// Makes the volumes of a new qube, and what else belongs into its directory, where it has one.
pub(super) type Make<'a> =
    &'a dyn Fn(&VmStorage, Option<&QubeDirectory>) -> Result<(), LifecycleError>;

/// What a new qube is to have besides what its creation gives it, in the order in which it is set.
#[derive(Debug, Clone, Copy, Default)]
pub struct InitialSettings<'a> {
    /// Properties and their texts.
    pub properties: &'a [(&'a str, &'a str)],
    /// Features and their texts.
    pub features: &'a [(&'a str, &'a str)],
    /// What becomes of images that lie where the new ones are to be.
    pub existing: ExistingImages,
    /// Where the caller takes the data of the root volume from.
    pub source: Option<DataSource<'a>>,
    /// What its root volume is filled with.
    pub root: Option<RootImage<'a>>,
}

/// A setting that a new qube cannot have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedSetting {
    /// `property NAME` or `feature NAME`.
    pub setting: String,
    pub reason: String,
}

/// A qube that was created.
#[derive(Debug)]
pub struct Created {
    pub name: VmName,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl InitialSettings<'_> {
    /// Sets everything of a qube that was just added to `qubes`.
    ///
    /// # Errors
    /// [`LifecycleError::SettingsRefused`] with everything that was refused.
    fn apply(
        &self,
        qubes: &mut Qubes,
        name: &VmName,
        session: &Session,
    ) -> Result<Vec<Effect>, LifecycleError> {
        let (mut effects, mut refused) = (Vec::new(), Vec::new());
        // The store may be locked: nobody asks a hypervisor whether the new qube runs.
        let facts = NewQubeFacts::new(name.as_str(), session);
        for (property, text) in self.properties {
            match qubes.set_property(name.as_str(), property, text, &facts) {
                Ok(more) => effects.extend(more),
                Err(reason) => {
                    let (setting, reason) = (format!("property {property}"), reason.to_string());
                    refused.push(RefusedSetting { setting, reason });
                }
            }
        }
        for (feature, text) in self.features {
            match qubes.set_feature(name.as_str(), feature, text, &facts) {
                Ok(more) => effects.extend(more),
                Err(reason) => {
                    let (setting, reason) = (format!("feature {feature}"), reason.to_string());
                    refused.push(RefusedSetting { setting, reason });
                }
            }
        }
        if refused.is_empty() {
            Ok(effects)
        } else {
            Err(LifecycleError::SettingsRefused(refused))
        }
    }
}

impl Session {
    /// Creates a qube with its volumes, its directory and its settings: all of it or nothing.
    pub fn create(
        &self,
        new: &NewQube<'_>,
        settings: InitialSettings<'_>,
    ) -> Result<Created, LifecycleError> {
        self.create_numbered(new, None, settings)
    }

    /// The store as it would be after this creation, and the new qube's name; nothing is made and
    /// nothing saved.
    ///
    /// # Errors
    /// As [`Session::create`], as far as the store tells.
    pub fn try_to_create(
        &self,
        new: &NewQube<'_>,
        settings: InitialSettings<'_>,
    ) -> Result<(Qubes, VmName), LifecycleError> {
        let mut qubes = self.read_for_creation(&new.class)?;
        let vm = qubes.plan_creation(new, self, &mut |below| fastrand::u16(..below))?;
        self.with_new(&mut qubes, vm, settings)
            .map(|name| (qubes, name))
    }

    /// The same for a clone.
    pub fn try_to_clone(
        &self,
        wish: &NewClone<'_>,
        settings: InitialSettings<'_>,
    ) -> Result<(Qubes, VmName), LifecycleError> {
        let class = match wish.class {
            Some(class) => class.clone(),
            None => {
                let missing = || LifecycleError::NoSuchQube(wish.source.to_string());
                self.read()?.class(wish.source).ok_or_else(missing)?.clone()
            }
        };
        let mut qubes = self.read_for_creation(&class)?;
        let vm = qubes
            .plan_clone(wish, self, &mut |below| fastrand::u16(..below))?
            .vm;
        self.with_new(&mut qubes, vm, settings)
            .map(|name| (qubes, name))
    }

    fn with_new(
        &self,
        qubes: &mut Qubes,
        vm: Vm,
        settings: InitialSettings<'_>,
    ) -> Result<VmName, LifecycleError> {
        // Its pools have to be there, too, and its images be nobody else's.
        let storage = VmStorage::for_qube(&self.system, qubes, &vm, self)?;
        let adopted = self.names_to_adopt(&storage, settings.existing)?;
        let InitialSettings {
            existing, source, ..
        } = settings;
        let images = PlannedImages {
            qubes,
            vm: &vm,
            storage: &storage,
            existing,
            adopted: &adopted,
            source,
        };
        self.check_images(images)?;
        settings
            .root
            .map_or(Ok(()), |root| root.check(vm.name.as_str(), &storage))?;
        let name = vm.name.clone();
        self.add_with_settings(qubes, vm, settings)?;
        Ok(name)
    }

    /// Adds a planned qube and sets what it is to have.
    fn add_with_settings(
        &self,
        qubes: &mut Qubes,
        vm: Vm,
        settings: InitialSettings<'_>,
    ) -> Result<Vec<Effect>, LifecycleError> {
        let name = vm.name.clone();
        qubes
            .add(vm)
            .map_err(|vm| crate::model::CreationError::Exists(vm.name.to_string()))?;
        settings.apply(qubes, &name, self)
    }

    /// Makes a qube of this name as `plan` says: what `make` makes first, saved last. After a
    /// failure nothing of it is there but the volumes `adopted`, whose images were there before.
    pub(super) fn bring_into_being(
        &self,
        name: &VmName,
        class: &Class,
        adopted: &[String],
        plan: Plan<'_>,
        settings: InitialSettings<'_>,
        make: Make<'_>,
    ) -> Result<Vec<Effect>, LifecycleError> {
        let _lock = self.lock_qube(name)?;
        let mut qubes = self.read_for_creation(class)?;
        let planned = plan(&qubes)?;
        // What is refused is refused before any volume is made.
        self.add_with_settings(&mut qubes, planned.clone(), settings)?;
        let storage = VmStorage::for_qube(&self.system, &qubes, &planned, self)?;
        let InitialSettings {
            existing, source, ..
        } = settings;
        let images = PlannedImages {
            qubes: &qubes,
            vm: &planned,
            storage: &storage,
            existing,
            adopted,
            source,
        };
        if let Some(root) = settings.root {
            // A file that must not be taken is refused before what it has.
            self.check_images(images)?;
            root.check(name.as_str(), &storage)?;
        }
        let prepared = self.prepare_images(images)?;
        drop(qubes);
        let directory = prepared.directory.as_ref();
        // Rules and notes of a qube whose images are taken over are taken over, too.
        let is_anew = existing != ExistingImages::Adopt;
        let remove_files = || {
            directory
                .filter(|_| is_anew)
                .map_or(Ok(()), QubeDirectory::remove_files)
        };
        remove_files()?;
        self.system.step(|| format!("{name}: creating its volumes"));
        let made = make_volumes(settings.root, name.as_str(), &storage, |volumes| {
            make(volumes, directory)
        });
        let added = made.and_then(|()| {
            let mut write = self.write()?;
            if class.is_local_guest() {
                write.choose_default_kernel(self);
            }
            // Its number may have been taken while the volumes were made.
            let vm = plan(&write)?;
            if vm.volumes != planned.volumes {
                return Err(LifecycleError::ChangedMeanwhile { qube: name.clone() });
            }
            let effects = self.add_with_settings(&mut write, vm, settings)?;
            if settings.root.is_some() {
                set_sizes(&mut write, name, &storage, &[ROOT])?;
            }
            write.save()?;
            drop(write);
            prepared.forget();
            Ok(effects)
        });
        // Once it was saved the qube is there: its volumes are not taken from it.
        let was_saved = |error: &LifecycleError| matches!(error, LifecycleError::Store(store) if store.was_saved());
        if added.as_ref().is_err_and(|error| !was_saved(error)) {
            // The error that counts is the first; what cannot be removed the next creation clears,
            // or tells of.
            let _leftovers = remove_files();
            // Of images that were to be discarded nobody may take what stays for a creation's own.
            if storage
                .without_volumes(adopted)
                .remove(&prepared.owners)
                .is_ok()
                || existing == ExistingImages::Discard
            {
                prepared.forget();
            }
            let _not_empty = directory.map(QubeDirectory::remove_if_empty);
        }
        added
    }

    /// Tells which tags that the creator wants on a new qube it cannot have.
    pub(super) fn notes_of_creation(qubes: &Qubes, creator: &str) -> Vec<String> {
        let misfits = qubes.find_creation_tag_problems(creator).into_iter();
        misfits
            .map(|misfit| format!("feature tag-created-vm-with of {creator}: {misfit}; left out"))
            .collect()
    }

    /// The store as it will be when the next qube is added.
    pub(super) fn read_for_creation(&self, class: &Class) -> Result<Qubes, LifecycleError> {
        let mut qubes = self.read()?.into_qubes();
        if class.is_local_guest() {
            qubes.choose_default_kernel(self);
        }
        Ok(qubes)
    }
}
