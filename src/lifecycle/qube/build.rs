//! The one way in which a new qube comes into being: its volumes first, under the lock of its name,
//! the store last. A crash leaves orphan volumes at worst. The next creation of the name recognises
//! them by a note ([`crate::lifecycle::volume::images::creation_note`]) and clears them.

use crate::lifecycle::qube::directory::QubeDirectory;
use crate::lifecycle::qube::{self, InitialSettings};
use crate::lifecycle::reconcile::{self, SavedChange};
use crate::lifecycle::volume::images::existing::{PlannedImages, PreparedImages};
use crate::lifecycle::volume::images::{self, DataSource, ExistingImages};
use crate::lifecycle::volume::{ROOT_VOLUME, RootImage, create_volumes, save_volume_sizes};
use crate::lifecycle::{Context, LifecycleError, conversion};
use crate::model::rules::{creation, new_system};
use crate::model::{Change, Class, Draft, Qubes, Vm, VmName, tags};
use crate::storage::VmStorage;

/// Plans a new qube. Called again whenever the store may have changed.
pub(in crate::lifecycle) type PlanQube<'a> = &'a dyn Fn(&Qubes) -> Result<Vm, LifecycleError>;

/// Returns the volumes of a new qube whose existing images become its own.
pub(in crate::lifecycle) type ChooseAdopted<'a> =
    &'a dyn Fn(&VmStorage) -> Result<Vec<String>, LifecycleError>;

/// Applies the settings of a new qube that was just added to the draft. Called twice.
pub(in crate::lifecycle) type ApplySettings<'a> =
    &'a dyn Fn(&mut Draft, &VmName) -> Result<Change, LifecycleError>;

/// Creates the volumes of a new qube, or adopts those that are named, and creates the files of its
/// directory, if it has one.
pub(in crate::lifecycle) type CreateVolumes<'a> =
    &'a dyn Fn(&VmStorage, &[String], Option<&QubeDirectory>) -> Result<(), LifecycleError>;

/// What a new qube is made of.
pub(in crate::lifecycle) struct QubeParts<'a> {
    /// Plans the qube.
    pub plan: PlanQube<'a>,
    /// Chooses the volumes that are adopted.
    pub adopted: ChooseAdopted<'a>,
    /// What to do with other existing images in the place of the new ones.
    pub existing: ExistingImages,
    /// Whether the note of the creation goes after a failure even if images stay: those that were
    /// to be discarded must not count as made by this creation.
    pub drops_note: bool,
    /// The file that the caller reads the root volume's data from.
    pub source: Option<DataSource<'a>>,
    /// The data to fill the root volume with.
    pub root: Option<RootImage<'a>>,
    /// Whether files in the place of the qube's own are removed first.
    pub replaces_files: bool,
    /// Creates the volumes.
    pub make: CreateVolumes<'a>,
    /// Applies the settings.
    pub settings: ApplySettings<'a>,
    /// The volumes whose sizes are known only once they exist.
    pub measured: &'a [&'a str],
}

impl<'a> QubeParts<'a> {
    /// Returns the parts of a qube that gets a user's `settings`, applied by `apply`.
    pub fn with_settings(
        settings: InitialSettings<'a>,
        plan: PlanQube<'a>,
        adopted: ChooseAdopted<'a>,
        make: CreateVolumes<'a>,
        apply: ApplySettings<'a>,
    ) -> QubeParts<'a> {
        QubeParts {
            plan,
            adopted,
            existing: settings.existing,
            drops_note: settings.existing == ExistingImages::Discard,
            source: settings.source,
            root: settings.root,
            // Adopted images keep the firewall rules and notes that lie beside them.
            replaces_files: settings.existing != ExistingImages::Adopt,
            make,
            settings: apply,
            measured: settings.root.map_or(&[], |_| &[ROOT_VOLUME]),
        }
    }
}

/// A qube as it was planned before its lock was taken, so that a request that breaks a rule changes
/// nothing.
pub(in crate::lifecycle) struct PlannedQube {
    /// The store as it will be when the qube is added.
    pub draft: Draft,
    /// The qube.
    pub vm: Vm,
    /// A warning for each tag that the creator's feature `tag-created-vm-with` asks for and the
    /// qube cannot have.
    pub notes: Vec<String>,
}

/// Plans the qube that `creator` creates.
///
/// # Errors
/// Those of `plan`; the store cannot be read or converted.
pub(in crate::lifecycle) fn plan_new_qube(
    context: &Context,
    class: &Class,
    creator: &str,
    plan: impl FnOnce(&Qubes) -> Result<Vm, LifecycleError>,
) -> Result<PlannedQube, LifecycleError> {
    let draft = read_for_creation(context, class)?;
    let vm = plan(&draft)?;
    let notes = tags::find_creation_problems(&draft, creator)
        .into_iter()
        .map(|problem| format!("feature tag-created-vm-with of {creator}: {problem}; left out"))
        .collect();
    conversion::convert_if_needed(context, &draft)?;
    Ok(PlannedQube { draft, vm, notes })
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

/// A new qube that was planned under the lock of its name, and whose place on disk is free.
struct PreparedQube {
    vm: Vm,
    storage: VmStorage,
    images: PreparedImages,
    /// Volumes whose images existed before.
    adopted: Vec<String>,
}

/// Creates a qube: its volumes, then its place in the store. Returns the change and the names of
/// the adopted volumes. After a failure nothing of the qube is left except these.
///
/// # Errors
/// Those of the `parts`; an image is in the way; the pools were changed meanwhile; the store cannot
/// be saved.
pub(in crate::lifecycle) fn build(
    context: &Context,
    name: &VmName,
    class: &Class,
    parts: &QubeParts<'_>,
) -> Result<(SavedChange, Vec<String>), LifecycleError> {
    let _lock = qube::lock(context, name)?;
    let prepared = prepare(context, name, class, parts)?;
    context
        .system
        .report_step(|| format!("{name}: creating its volumes"));
    let directory = prepared.images.directory.as_ref();
    let remove_files = || {
        directory
            .filter(|_| parts.replaces_files)
            .map_or(Ok(()), QubeDirectory::remove_files)
    };
    remove_files()?;
    let added = create_volumes(parts.root, name.as_str(), &prepared.storage, |volumes| {
        (parts.make)(volumes, &prepared.adopted, directory)
    })
    .and_then(|()| prepared.save(context, parts));
    match &added {
        Ok(_) => prepared.images.remove_note(),
        // Once the store is saved the qube exists, so its volumes stay.
        Err(LifecycleError::Store(error)) if error.was_saved() => {}
        Err(_) => {
            // The first error is the one to report.
            let _leftovers = remove_files();
            let drops_note = parts.drops_note;
            prepared
                .images
                .roll_back(prepared.storage, &prepared.adopted, drops_note);
        }
    }
    added.map(|saved| (saved, prepared.adopted))
}

/// Plans the qube under the lock of its name and prepares its place on disk.
fn prepare(
    context: &Context,
    name: &VmName,
    class: &Class,
    parts: &QubeParts<'_>,
) -> Result<PreparedQube, LifecycleError> {
    let mut draft = read_for_creation(context, class)?;
    let vm = (parts.plan)(&draft)?;
    // A refused setting is reported before any volume is created.
    let _not_saved = creation::add(&mut draft, vm.clone())?;
    let _not_saved = (parts.settings)(&mut draft, name)?;
    let storage = VmStorage::for_qube(&context.system, &draft, &vm, context.facts())?;
    let adopted = (parts.adopted)(&storage)?;
    let images = PlannedImages {
        qubes: &draft,
        vm: &vm,
        storage: &storage,
        existing: parts.existing,
        adopted: &adopted,
        source: parts.source,
    };
    if let Some(root) = parts.root {
        // Check whether the file may be used before its content is checked.
        images::check(context, images)?;
        root.check(name.as_str(), &storage)?;
    }
    Ok(PreparedQube {
        images: images::prepare(context, images)?,
        vm,
        storage,
        adopted,
    })
}

impl PreparedQube {
    /// Plans the qube again, whose volumes exist by now, and saves the store with it.
    fn save(
        &self,
        context: &Context,
        parts: &QubeParts<'_>,
    ) -> Result<SavedChange, LifecycleError> {
        reconcile::save_change(context, |draft| {
            let mut change = match self.vm.class.is_local_guest() {
                true => new_system::choose_default_kernel(draft, context.facts()),
                false => Change::STORE_ONLY,
            };
            // Another qube may have taken the qid while the volumes were created.
            let vm = (parts.plan)(draft)?;
            if vm.volumes != self.vm.volumes {
                return Err(LifecycleError::ChangedMeanwhile { qube: vm.name });
            }
            let name = vm.name.clone();
            change.merge(creation::add(draft, vm)?);
            change.merge((parts.settings)(draft, &name)?);
            let (storage, measured) = (&self.storage, parts.measured);
            change.merge(save_volume_sizes(context, draft, &name, storage, measured)?);
            Ok(change)
        })
    }
}
