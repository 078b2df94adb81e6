//! Which hint belongs to which error of the library.

use std::error::Error;
use std::io;
use std::path::Path;

use super::{Hint, NameKind, unknown_property};
use crate::format::FormatError;
use crate::hypervisor::HypervisorError;
use crate::lifecycle::qube::StartError;
use crate::lifecycle::{LifecycleError, volume};
use crate::model::{
    Class, CreationError, DriverSpec, FeatureError, PoolError, PropertyError, RemovalError,
    TagError, VolumeChangeError, VolumeError, VolumeOption,
};
use crate::storage::{Remedy, StorageError};
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

/// Returns the text of an error, followed by what to do about it where that is to run a command or
/// to give an option: the library knows of neither.
pub fn describe(error: &(dyn Error + 'static)) -> String {
    if let Some(LifecycleError::Start(StartError::NetvmNotStarted { netvm, source })) =
        error.downcast_ref()
    {
        return format!("its netvm {netvm} does not start: {}", describe(&**source));
    }
    let storage = match error.downcast_ref() {
        Some(LifecycleError::Storage(error)) => Some(error),
        _ => error.downcast_ref(),
    };
    match storage {
        Some(StorageError::Both { first, second }) => {
            format!("{}; then {}", describe(&**first), describe(&**second))
        }
        _ => format!("{error}{}", advice(error).unwrap_or_default()),
    }
}

/// Returns what follows the text of an error.
fn advice(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<LifecycleError>() {
        return lifecycle_advice(error);
    }
    if let Some(error) = error.downcast_ref::<StorageError>() {
        return storage_advice(error);
    }
    if let Some(error) = error.downcast_ref::<HypervisorError>() {
        return hypervisor_advice(error).map(str::to_owned);
    }
    let error = error.downcast_ref::<StoreError>()?;
    store_advice(error).map(str::to_owned)
}

fn lifecycle_advice(error: &LifecycleError) -> Option<String> {
    let advice = match error {
        LifecycleError::Store(error) => store_advice(error)?,
        LifecycleError::Hypervisor(error) => hypervisor_advice(error)?,
        LifecycleError::Storage(error) => return storage_advice(error),
        LifecycleError::NotImported { reason, .. } if reason.ends_with(volume::NO_DATA) => {
            "; to empty a volume, use 'qvm-volume clear'"
        }
        LifecycleError::NotImported { source, .. } => return storage_advice(source.as_deref()?),
        LifecycleError::Removal(
            RemovalError::DuplicateName(_) | RemovalError::SharedVolume { .. },
        ) => "; run qubes-db repair first",
        LifecycleError::NotConverted { .. } => "; convert it with qubes-db convert",
        LifecycleError::NotMovable { .. } => "; qvm-create --root-copy-from copies it",
        LifecycleError::OrphansUnknown { .. } => "; qubes-db check shows how to repair the store",
        LifecycleError::ImageOwned { .. } => "; qubes-db check shows what is wrong with the store",
        LifecycleError::ImageHoldsData { .. } => {
            ": qvm-create --adopt-existing takes the images over, --discard-existing deletes them"
        }
        LifecycleError::DirectoryOwned { .. } => {
            "; give one of the two another name, a directory of its own or, with --root, a system \
             of its own"
        }
        LifecycleError::Damaged { .. } => " (qubes-db check, qubes-db repair)",
        LifecycleError::HasClients { .. } => "; shut them down first, or use --force",
        LifecycleError::Paused(_) => "; --force ends a paused one",
        LifecycleError::StillRuns { qube, .. } => {
            return Some(format!("; run qvm-kill {qube} again"));
        }
        LifecycleError::SourceInPlace { qube, .. } => {
            return Some(format!(
                "; move that file elsewhere first, or create {qube} with --adopt-existing \
                 instead, which uses it as it is"
            ));
        }
        LifecycleError::ImagesDeleted {
            qube, is_recorded, ..
        } => {
            let next = match is_recorded {
                true => format!("the next command about {qube}, or qubes-recover, removes it"),
                false => format!("run qvm-remove {qube} again"),
            };
            return Some(format!("; make room on the disk, then {next}"));
        }
        _ => return None,
    };
    Some(advice.to_owned())
}

fn storage_advice(error: &StorageError) -> Option<String> {
    let StorageError::NotReady { remedy, .. } = error else {
        return None;
    };
    let advice = match remedy {
        Remedy::Recover => "; qubes-recover commits it",
        Remedy::StopSource => "; shut that qube down, or run qubes-recover, first",
        Remedy::RecoverByReflink { pool } => {
            return Some(format!(
                "; set the driver of pool {pool} to it and run qubes-recover"
            ));
        }
        Remedy::ConvertStore => ", which qubes-db convert does",
    };
    Some(advice.to_owned())
}

fn hypervisor_advice(error: &HypervisorError) -> Option<&'static str> {
    match error {
        HypervisorError::NoAnswer { .. } => Some("; if its QEMU hangs, run qvm-kill"),
        _ => None,
    }
}

fn store_advice(error: &StoreError) -> Option<&'static str> {
    match error {
        StoreError::Missing { .. } => Some("; qubes-create makes one"),
        StoreError::Format {
            source: FormatError::OldFormat,
            ..
        } => Some("; convert it first with qubes-db convert"),
        _ => None,
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::VmName;

    fn not_ready(remedy: Remedy) -> StorageError {
        StorageError::NotReady {
            reason: "volume work:private: REASON".to_string(),
            remedy,
        }
    }

    #[test]
    fn the_command_that_makes_an_operation_possible_follows_the_error() {
        let reflink = || Remedy::RecoverByReflink {
            pool: "files".to_string(),
        };
        for (remedy, end) in [
            (Remedy::Recover, "; qubes-recover commits it"),
            (
                Remedy::StopSource,
                "; shut that qube down, or run qubes-recover, first",
            ),
            (
                reflink(),
                "; set the driver of pool files to it and run qubes-recover",
            ),
            (Remedy::ConvertStore, ", which qubes-db convert does"),
        ] {
            let expected = format!("volume work:private: REASON{end}");
            let error = LifecycleError::Storage(not_ready(remedy.clone()));
            assert_eq!(describe(&not_ready(remedy)), expected);
            assert_eq!(describe(&error), expected);
        }
    }

    #[test]
    fn the_command_follows_an_error_within_another() {
        let both = StorageError::Both {
            first: Box::new(not_ready(Remedy::Recover)),
            second: Box::new(StorageError::Refused("NEXT".to_string())),
        };
        assert_eq!(
            describe(&both),
            "volume work:private: REASON; qubes-recover commits it; then NEXT"
        );

        let source = not_ready(Remedy::Recover);
        let not_imported = LifecycleError::NotImported {
            volume: "work:private".to_string(),
            reason: source.to_string(),
            source: Some(Box::new(source)),
        };
        assert_eq!(
            describe(&not_imported),
            "work:private: nothing was imported: volume work:private: REASON; qubes-recover \
             commits it"
        );

        let cause = LifecycleError::Hypervisor(HypervisorError::NoAnswer {
            action: "unpause domain UUID".to_string(),
            seconds: 15,
        });
        let not_started = LifecycleError::Start(StartError::NetvmNotStarted {
            netvm: VmName::from_store("sys-vpn").unwrap(),
            source: Box::new(cause),
        });
        assert_eq!(
            describe(&not_started),
            "its netvm sys-vpn does not start: cannot unpause domain UUID: no answer within 15 s; \
             if its QEMU hangs, run qvm-kill"
        );

        let of_storage = LifecycleError::Start(StartError::NetvmNotStarted {
            netvm: VmName::from_store("sys-vpn").unwrap(),
            source: Box::new(LifecycleError::Storage(both)),
        });
        assert_eq!(
            describe(&of_storage),
            "its netvm sys-vpn does not start: volume work:private: REASON; qubes-recover commits \
             it; then NEXT"
        );
    }
}
