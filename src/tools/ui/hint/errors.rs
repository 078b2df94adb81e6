//! Which hint belongs to which error of the library.

use std::error::Error;
use std::io;
use std::path::Path;

use super::{Hint, NameKind, unknown_property};
use crate::format::FormatError;
use crate::lifecycle::LifecycleError;
use crate::model::{
    Class, CreationError, DriverSpec, FeatureError, PoolError, PropertyError, TagError,
    VolumeChangeError, VolumeError, VolumeOption,
};
use crate::store::StoreError;
use crate::system::SystemError;
use crate::tools::ui::suggestion::did_you_mean;

impl Hint {
    /// Returns the hint for an error of the library, if there is one.
    pub fn for_error(error: &(dyn Error + 'static)) -> Option<Hint> {
        if let Some(error) = error.downcast_ref::<LifecycleError>() {
            return lifecycle_hint(error);
        }
        if let Some(error) = error.downcast_ref::<StoreError>() {
            return store_hint(error);
        }
        if let Some(error) = error.downcast_ref::<PropertyError>() {
            return property_hint(error);
        }
        if let Some(error) = error.downcast_ref::<SystemError>() {
            return system_hint(error);
        }
        error.downcast_ref::<io::Error>().and_then(io_hint)
    }

    /// Returns the hint for an error about a pool, if there is one.
    pub fn for_pool_error(error: &PoolError) -> Option<Hint> {
        match error {
            PoolError::NoSuchPool(name) => Some(Hint::Unknown(NameKind::Pool, name.clone())),
            // The message itself lists the drivers.
            PoolError::NoSuchDriver(name) => {
                did_you_mean(name, DriverSpec::names()).map(Hint::Text)
            }
            PoolError::NoSuchOption { option, known, .. } => {
                did_you_mean(option, known.iter().copied()).map(Hint::Text)
            }
            _ => None,
        }
    }
}

/// Returns the text of an error, followed by what to do about it where that is to run a command:
/// the library knows of no commands.
pub fn describe(error: &(dyn Error + 'static)) -> String {
    match advice(error) {
        Some(advice) => format!("{error}; {advice}"),
        None => error.to_string(),
    }
}

fn advice(error: &(dyn Error + 'static)) -> Option<String> {
    let lifecycle = error.downcast_ref::<LifecycleError>();
    let store = match lifecycle {
        Some(LifecycleError::Store(error)) => Some(error),
        _ => error.downcast_ref::<StoreError>(),
    };
    let advice = match (lifecycle, store) {
        (_, Some(StoreError::Missing { .. })) => "qubes-create makes one",
        (
            _,
            Some(StoreError::Format {
                source: FormatError::OldFormat,
                ..
            }),
        ) => "convert it first with qubes-db convert",
        (Some(LifecycleError::NotConverted { .. }), _) => "convert it with qubes-db convert",
        (Some(LifecycleError::NotMovable { .. }), _) => "qvm-create --root-copy-from copies it",
        (Some(LifecycleError::OrphansUnknown { .. }), _) => {
            "qubes-db check shows how to repair the store"
        }
        (Some(LifecycleError::StillRuns { qube, .. }), _) => {
            return Some(format!("run qvm-kill {qube} again"));
        }
        _ => return None,
    };
    Some(advice.to_owned())
}

fn lifecycle_hint(error: &LifecycleError) -> Option<Hint> {
    match error {
        LifecycleError::NoSuchQube(name)
        | LifecycleError::Feature(FeatureError::NoSuchQube(name))
        | LifecycleError::Tag(TagError::NoSuchQube(name)) => {
            Some(Hint::Unknown(NameKind::Qube, name.clone()))
        }
        LifecycleError::BatchRefused { source, .. } => lifecycle_hint(source),
        LifecycleError::Property(error) => property_hint(error),
        LifecycleError::Creation(error) => creation_hint(error),
        LifecycleError::Pool(error) => Hint::for_pool_error(error),
        LifecycleError::VolumeOption(VolumeChangeError::NoSuchOption(name)) => Some(Hint::one_of(
            name,
            "it is one of",
            &VolumeOption::ALL.map(VolumeOption::as_str),
        )),
        LifecycleError::Store(error) => store_hint(error),
        LifecycleError::System(error) => system_hint(error),
        LifecycleError::Io { source, .. } => io_hint(source),
        _ => None,
    }
}

fn property_hint(error: &PropertyError) -> Option<Hint> {
    match error {
        PropertyError::NoSuchQube(name) => Some(Hint::Unknown(NameKind::Qube, name.clone())),
        PropertyError::NoSuchProperty(name) => Some(unknown_property(name, None)),
        PropertyError::Unset {
            property: "default_kernel" | "kernel",
            ..
        } => Some(Hint::Kernels),
        _ => None,
    }
}

fn creation_hint(error: &CreationError) -> Option<Hint> {
    match error {
        CreationError::NoSuchTemplate(name) => {
            Some(Hint::Unknown(NameKind::Template, name.clone()))
        }
        CreationError::WrongTemplate { template, .. } => {
            Some(Hint::Unknown(NameKind::Template, template.clone()))
        }
        CreationError::NotDispvmTemplate(name) => Some(Hint::NotForDisposables(name.to_string())),
        CreationError::NoSuchLabel(name) => Some(Hint::Unknown(NameKind::Label, name.clone())),
        CreationError::NoSuchPool(name) => Some(Hint::Unknown(NameKind::Pool, name.clone())),
        CreationError::UnsupportedClass(Class::Unknown(name)) => Some(Hint::class(name)),
        CreationError::Property(error) | CreationError::Volume(VolumeError::Property(error)) => {
            property_hint(error)
        }
        _ => None,
    }
}

fn store_hint(error: &StoreError) -> Option<Hint> {
    let is_copy = |path: &Path| {
        path.parent()
            .is_some_and(|directory| directory.ends_with("backup"))
    };
    match error {
        // The content to write is too long, not the file.
        StoreError::Format {
            source: FormatError::TooLarge { .. },
            ..
        } => None,
        StoreError::Format { path, .. } => (!is_copy(path)).then_some(Hint::Damaged),
        StoreError::TooLarge { path, .. } => (!is_copy(path)).then_some(Hint::TooLarge),
        StoreError::Io { source, .. } => io_hint(source),
        _ => None,
    }
}

fn system_hint(error: &SystemError) -> Option<Hint> {
    match error {
        SystemError::Root { source, .. } => io_hint(source),
        SystemError::Configuration { .. } => None,
    }
}

fn io_hint(error: &io::Error) -> Option<Hint> {
    (error.kind() == io::ErrorKind::PermissionDenied).then_some(Hint::Permission)
}
