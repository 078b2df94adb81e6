//! Creates a qube: its volumes first, under the lock of its name, the store last. A crash leaves
//! orphan volumes at worst. The next creation of the name recognises them by a note
//! ([`crate::lifecycle::volume::images::creation_note`]) and clears them.

use crate::lifecycle::qube::directory::QubeDirectory;
use crate::lifecycle::reconcile::{self, SavedChange};
use crate::lifecycle::template::save_volume_sizes;
use crate::lifecycle::volume::images::existing::{PlannedImages, PreparedImages};
use crate::lifecycle::volume::images::{self, DataSource, ExistingImages};
use crate::lifecycle::volume::{ROOT_VOLUME, RootImage, create_volumes};
use crate::lifecycle::{Context, LifecycleError, qube};
use crate::model::rules::cloning::NewQubeFacts;
use crate::model::rules::{cloning, creation, new_system};
use crate::model::{
    Change, Class, Draft, NewClone, NewQube, Qubes, Vm, VmName, features, property, tags,
};
use crate::storage::VmStorage;

/// Plans a new qube. Called again whenever the store may have changed.
pub(in crate::lifecycle) type PlanQube<'a> = &'a dyn Fn(&Qubes) -> Result<Vm, LifecycleError>;

/// Creates the volumes of a new qube and the files of its directory, if it has one.
pub(in crate::lifecycle) type CreateVolumes<'a> =
    &'a dyn Fn(&VmStorage, Option<&QubeDirectory>) -> Result<(), LifecycleError>;

/// Settings of a new qube that its creation does not set itself, in the order in which they are
/// set.
#[derive(Debug, Clone, Copy, Default)]
pub struct InitialSettings<'a> {
    /// Properties and their values.
    pub properties: &'a [(&'a str, &'a str)],
    /// Features and their values.
    pub features: &'a [(&'a str, &'a str)],
    /// What to do with existing images in the place of the new ones.
    pub existing: ExistingImages,
    /// The file that the caller reads the root volume's data from.
    pub source: Option<DataSource<'a>>,
    /// The data to fill the root volume with.
    pub root: Option<RootImage<'a>>,
}

/// A setting that a new qube cannot have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedSetting {
    /// `property NAME` or `feature NAME`.
    pub setting: String,
    /// The rule that refuses it.
    pub reason: String,
}

/// A qube that was created.
#[derive(Debug)]
pub struct CreatedQube {
    /// The name of the new qube.
    pub name: VmName,
    /// Warnings for the user.
    pub notes: Vec<String>,
}

impl InitialSettings<'_> {
    /// Applies these settings to a qube that was just added to `draft`.
    ///
    /// # Errors
    /// [`LifecycleError::SettingsRefused`] with every setting that was refused.
    fn apply(
        &self,
        draft: &mut Draft,
        name: &VmName,
        context: &Context,
    ) -> Result<Change, LifecycleError> {
        let (mut all, mut refused) = (Change::default(), Vec::new());
        let mut collect = |setting: String, result: Result<Change, String>| match result {
            Ok(change) => all.merge(change),
            Err(reason) => refused.push(RefusedSetting { setting, reason }),
        };
        // The store may be locked, so no hypervisor is asked whether the new qube runs.
        let facts = NewQubeFacts::new(name.as_str(), context.facts());
        for (property, text) in self.properties {
            let result = property::set(draft, name.as_str(), property, text, &facts);
            collect(
                format!("property {property}"),
                result.map_err(|reason| reason.to_string()),
            );
        }
        for (feature, text) in self.features {
            let result = features::set(draft, name.as_str(), feature, text, &facts);
            collect(
                format!("feature {feature}"),
                result.map_err(|reason| reason.to_string()),
            );
        }
        if refused.is_empty() {
            Ok(all)
        } else {
            Err(LifecycleError::SettingsRefused(refused))
        }
    }
}

/// Creates a qube with its volumes, its directory and its settings.
///
/// # Errors
/// The request breaks a rule, an image is in the way, or something cannot be created or saved.
/// Nothing of the qube is left then.
pub fn create(
    context: &Context,
    new: &NewQube<'_>,
    settings: InitialSettings<'_>,
) -> Result<CreatedQube, LifecycleError> {
    qube::create_with_dispid(context, new, None, settings)
}

/// Returns the store as it would be after this creation, and the name of the new qube. Creates
/// and saves nothing.
///
/// # Errors
/// As [`super::create()`], as far as the store and the pools show it.
pub fn preview_creation(
    context: &Context,
    new: &NewQube<'_>,
    settings: InitialSettings<'_>,
) -> Result<(Qubes, VmName), LifecycleError> {
    let draft = read_for_creation(context, &new.class)?;
    let vm = creation::plan(&draft, new, context.facts(), &mut |below| {
        fastrand::u16(..below)
    })?;
    add_for_preview(context, draft, vm, settings)
}

/// Returns the store as it would be after this clone, and the name of the new qube. Creates and
/// saves nothing.
///
/// # Errors
/// As [`super::clone()`], as far as the store and the pools show it.
pub fn preview_clone(
    context: &Context,
    request: &NewClone<'_>,
    settings: InitialSettings<'_>,
) -> Result<(Qubes, VmName), LifecycleError> {
    let class = match request.class {
        Some(class) => class.clone(),
        None => {
            let missing = || LifecycleError::NoSuchQube(request.source.to_string());
            context
                .read()?
                .class(request.source)
                .ok_or_else(missing)?
                .clone()
        }
    };
    let draft = read_for_creation(context, &class)?;
    let vm = cloning::plan(&draft, request, context.facts(), &mut |below| {
        fastrand::u16(..below)
    })?
    .vm;
    add_for_preview(context, draft, vm, settings)
}

/// Adds a planned qube to `draft` after checking its pools and images.
fn add_for_preview(
    context: &Context,
    mut draft: Draft,
    vm: Vm,
    settings: InitialSettings<'_>,
) -> Result<(Qubes, VmName), LifecycleError> {
    // The preview also finds missing pools and images that belong to other qubes.
    let storage = VmStorage::for_qube(&context.system, &draft, &vm, context.facts())?;
    let adopted = images::adoptable_names(&storage, settings.existing)?;
    let InitialSettings {
        existing, source, ..
    } = settings;
    let images = PlannedImages {
        qubes: &draft,
        vm: &vm,
        storage: &storage,
        existing,
        adopted: &adopted,
        source,
    };
    images::check(context, images)?;
    settings
        .root
        .map_or(Ok(()), |root| root.check(vm.name.as_str(), &storage))?;
    let name = vm.name.clone();
    let _not_saved = add_with_settings(context, &mut draft, vm, settings)?;
    Ok((draft.into_qubes(), name))
}

/// Adds a planned qube to `draft` and applies its settings.
fn add_with_settings(
    context: &Context,
    draft: &mut Draft,
    vm: Vm,
    settings: InitialSettings<'_>,
) -> Result<Change, LifecycleError> {
    let name = vm.name.clone();
    let mut change = creation::add(draft, vm)?;
    change.merge(settings.apply(draft, &name, context)?);
    Ok(change)
}

/// Creates the qube that `plan` returns: calls `make` for its volumes, then saves the store.
/// After a failure nothing of the qube is left except the `adopted` volumes, whose images
/// existed before.
pub(in crate::lifecycle) fn build(
    context: &Context,
    name: &VmName,
    class: &Class,
    adopted: &[String],
    plan: PlanQube<'_>,
    settings: InitialSettings<'_>,
    make: CreateVolumes<'_>,
) -> Result<SavedChange, LifecycleError> {
    let _lock = qube::lock(context, name)?;
    let mut draft = read_for_creation(context, class)?;
    let planned = plan(&draft)?;
    // A refused setting is reported before any volume is created.
    let _not_saved = add_with_settings(context, &mut draft, planned.clone(), settings)?;
    let storage = VmStorage::for_qube(&context.system, &draft, &planned, context.facts())?;
    let InitialSettings {
        existing, source, ..
    } = settings;
    let images = PlannedImages {
        qubes: &draft,
        vm: &planned,
        storage: &storage,
        existing,
        adopted,
        source,
    };
    if let Some(root) = settings.root {
        // Check whether the file may be used before its content is checked.
        images::check(context, images)?;
        root.check(name.as_str(), &storage)?;
    }
    let prepared = PreparedQube {
        images: images::prepare(context, images)?,
        vm: planned,
        storage,
        adopted,
        // Adopted images keep the firewall rules and notes that lie beside them.
        replaces_files: existing != ExistingImages::Adopt,
        // Images that were to be discarded must not count as made by this creation, so the note
        // is removed even if some of them stay.
        drops_note: existing == ExistingImages::Discard,
    };
    drop(draft);
    context
        .system
        .report_step(|| format!("{name}: creating its volumes"));
    let create = |storage: &VmStorage, directory: Option<&QubeDirectory>| {
        create_volumes(settings.root, name.as_str(), storage, |volumes| {
            make(volumes, directory)
        })
    };
    prepared.build(context, plan, create, |draft, vm, storage| {
        let mut change = add_with_settings(context, draft, vm, settings)?;
        if settings.root.is_some() {
            let volumes = [ROOT_VOLUME];
            change.merge(save_volume_sizes(context, draft, name, storage, &volumes)?);
        }
        Ok(change)
    })
}

/// A new qube that was planned under the lock of its name, and whose place on disk is free.
pub(in crate::lifecycle) struct PreparedQube<'a> {
    /// The qube as it was planned.
    pub vm: Vm,
    /// Its volumes.
    pub storage: VmStorage,
    /// The preparation of its images.
    pub images: PreparedImages,
    /// Volumes whose images existed before.
    pub adopted: &'a [String],
    /// Whether files in the place of the qube's own are removed first.
    pub replaces_files: bool,
    /// Whether no note of the creation stays after a failure, even beside images that do.
    pub drops_note: bool,
}

impl PreparedQube<'_> {
    /// Creates the volumes with `make`, plans the qube again, adds it to the store with `add` and
    /// saves. After a failure nothing of the qube is left except the adopted volumes.
    ///
    /// # Errors
    /// Those of `plan`, `make` and `add`; the pools were changed; the store cannot be saved.
    pub fn build(
        self,
        context: &Context,
        plan: PlanQube<'_>,
        make: impl FnOnce(&VmStorage, Option<&QubeDirectory>) -> Result<(), LifecycleError>,
        add: impl FnOnce(&mut Draft, Vm, &VmStorage) -> Result<Change, LifecycleError>,
    ) -> Result<SavedChange, LifecycleError> {
        let directory = self.images.directory.as_ref();
        let remove_files = || {
            directory
                .filter(|_| self.replaces_files)
                .map_or(Ok(()), QubeDirectory::remove_files)
        };
        remove_files()?;
        let added = make(&self.storage, directory).and_then(|()| self.save(context, plan, add));
        match &added {
            Ok(_) => self.images.remove_note(),
            // Once the store is saved the qube exists, so its volumes stay.
            Err(LifecycleError::Store(error)) if error.was_saved() => {}
            Err(_) => {
                // The first error is the one to report.
                let _leftovers = remove_files();
                self.images
                    .roll_back(self.storage, self.adopted, self.drops_note);
            }
        }
        added
    }

    /// Plans the qube again, whose volumes exist by now, and saves the store with it.
    fn save(
        &self,
        context: &Context,
        plan: PlanQube<'_>,
        add: impl FnOnce(&mut Draft, Vm, &VmStorage) -> Result<Change, LifecycleError>,
    ) -> Result<SavedChange, LifecycleError> {
        reconcile::save_change(context, |draft| {
            let mut change = match self.vm.class.is_local_guest() {
                true => new_system::choose_default_kernel(draft, context.facts()),
                false => Change::STORE_ONLY,
            };
            // Another qube may have taken the qid while the volumes were created.
            let vm = plan(draft)?;
            if vm.volumes != self.vm.volumes {
                return Err(LifecycleError::ChangedMeanwhile {
                    qube: vm.name.clone(),
                });
            }
            change.merge(add(draft, vm, &self.storage)?);
            Ok(change)
        })
    }
}

/// Returns a warning for each tag that the creator's feature `tag-created-vm-with` asks for and
/// the new qube cannot have.
pub(in crate::lifecycle) fn creation_notes(qubes: &Qubes, creator: &str) -> Vec<String> {
    let refused_tags = tags::find_creation_problems(qubes, creator).into_iter();
    refused_tags
        .map(|problem| format!("feature tag-created-vm-with of {creator}: {problem}; left out"))
        .collect()
}

/// Reads the store as it will be when the next qube is added.
pub(in crate::lifecycle) fn read_for_creation(
    context: &Context,
    class: &Class,
) -> Result<Draft, LifecycleError> {
    let mut draft = Draft::new(context.read()?.into_qubes());
    if class.is_local_guest() {
        let _not_saved = new_system::choose_default_kernel(&mut draft, context.facts());
    }
    Ok(draft)
}
