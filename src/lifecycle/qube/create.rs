//! Creating a qube with settings of the user's, and showing what would be created.

use crate::lifecycle::volume::RootImage;
use crate::lifecycle::volume::images::existing::PlannedImages;
use crate::lifecycle::volume::images::{self, DataSource, ExistingImages};
use crate::lifecycle::{Context, LifecycleError, qube};
use crate::model::rules::cloning::NewQubeFacts;
use crate::model::rules::{cloning, creation};
use crate::model::{Change, Draft, NewClone, NewQube, Qubes, Vm, VmName, features, property};
use crate::storage::VmStorage;

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
    pub(super) fn apply(
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
    let draft = qube::read_for_creation(context, &new.class)?;
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
    let draft = qube::read_for_creation(context, &class)?;
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
    let _not_saved = creation::add(&mut draft, vm)?;
    let _not_saved = settings.apply(&mut draft, &name, context)?;
    Ok((draft.into_qubes(), name))
}
