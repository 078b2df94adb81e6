//! Hints: what to do about a failure, as a line `hint: TEXT` on standard error after upstream's
//! message. Standard output and exit codes never depend on them.

use std::error::Error;
use std::io;
use std::path::Path;

use nix::unistd::{Group, Uid, User, geteuid};

use super::failure::quoted;
use super::suggestion::did_you_mean;
use crate::format::FormatError;
use crate::lifecycle::{Context, LifecycleError};
use crate::model::property::PROPERTIES;
use crate::model::{
    Class, CreationError, DriverSpec, FeatureError, PoolError, Property, PropertyError, Qubes,
    Scope, TagError, Value, Vm, VmName, VolumeChangeError, VolumeError, VolumeOption, property,
};
use crate::store::StoreError;
use crate::system::{System, SystemError, SystemOptions, has_root};

/// What to do about a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// A fixed text.
    Text(String),
    /// A name does not exist: suggest a close one, or say where names are listed.
    Unknown(NameKind, String),
    /// The user may not read or write a file.
    Permission,
    /// A kernel is needed: list those that are installed.
    Kernels,
    /// The store cannot be read.
    Damaged,
    /// The store's file exceeds the maximum size.
    TooLarge,
    /// The qube cannot be the template of disposables.
    NotForDisposables(String),
}

/// What a name refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    Qube,
    Template,
    Label,
    Pool,
}

impl Hint {
    /// Returns a hint with a fixed text.
    pub fn text(text: impl Into<String>) -> Hint {
        Hint::Text(text.into())
    }

    /// Returns the hint for an unknown name of a fixed set: a close name, else all of them.
    pub fn one_of(given: &str, what: &str, names: &[&str]) -> Hint {
        Hint::Text(
            did_you_mean(given, names.iter().copied())
                .unwrap_or_else(|| format!("{what}: {}", names.join(", "))),
        )
    }

    /// Returns the hint for an unknown class.
    pub fn class(given: &str) -> Hint {
        Hint::one_of(
            given,
            "the classes are",
            &Class::ALL.each_ref().map(Class::as_str),
        )
    }

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

    /// Whether the hint is appended to the error's line. It is for messages of our own; those of
    /// upstream stay as they are.
    pub fn is_inline(&self) -> bool {
        matches!(
            self,
            Hint::Permission | Hint::Kernels | Hint::Damaged | Hint::TooLarge
        )
    }

    /// Returns the text of the hint for a command with these options, if there is anything to say.
    pub fn render(&self, command: &str, options: &SystemOptions) -> Option<String> {
        match self {
            Hint::Text(text) => Some(text.clone()),
            Hint::Unknown(kind, name) => Some(unknown_name_hint(*kind, name, options)),
            Hint::Permission => permission_hint(command, options),
            Hint::Damaged => Some(
                "qubes-db check tells more, qubes-db repair mends it, qubes-db history lists the \
                 copies to go back to"
                    .to_string(),
            ),
            Hint::TooLarge => Some(crate::tools::commands::db::move_away_advice(
                &offline_context(options)?,
            )),
            Hint::NotForDisposables(name) => {
                let context = offline_context(options)?;
                Some(disposables_hint(&context, &*context.read().ok()?, name))
            }
            Hint::Kernels => {
                let context = offline_context(options)?;
                Some(kernels_hint(&context, &*context.read().ok()?))
            }
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

/// Returns the hint for a property that `scope` does not have, or no class without a scope: who has
/// it, or a close name.
pub fn unknown_property(given: &str, scope: Option<Scope>) -> Hint {
    if let Some((name, value)) = given.split_once('=') {
        let value = if value.is_empty() { "VALUE" } else { value };
        return Hint::Text(format!(
            "property and value are two words: {} {value}",
            name.trim_end()
        ));
    }
    let name = given.replace('-', "_");
    let of_system = |name: &str| {
        PROPERTIES
            .iter()
            .any(|p| p.name == name && p.is_in_scope(Scope::Global))
    };
    let of_qubes = |name: &str| {
        PROPERTIES
            .iter()
            .any(|p| p.name == name && !p.is_in_scope(Scope::Global))
    };
    let text = match scope {
        Some(Scope::Global) if of_qubes(&name) => {
            format!("{name} is a property of qubes: qvm-prefs VMNAME {name}")
        }
        Some(Scope::Class(class)) if of_qubes(&name) => {
            format!("a qube of class {class} has no {name}")
        }
        Some(Scope::Class(_)) | None if of_system(&name) => {
            format!("{name} is a property of the system: qubes-prefs {name}")
        }
        _ => {
            let has = |p: &&Property| {
                scope.map_or(!p.is_in_scope(Scope::Global), |scope| p.is_in_scope(scope))
            };
            let close = did_you_mean(&name, PROPERTIES.iter().filter(has).map(|p| p.name));
            close.unwrap_or_else(|| "--help-properties lists the properties".to_string())
        }
    };
    Hint::Text(text)
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

/// Opens a context that contacts no hypervisor and prints nothing.
fn offline_context(options: &SystemOptions) -> Option<Context> {
    System::new(SystemOptions {
        offline: true,
        notify: None,
        ..options.clone()
    })
    .ok()
    .map(Context::new)
}

/// Returns from which qubes disposables can be created instead of this one.
fn disposables_hint(context: &Context, qubes: &Qubes, name: &str) -> String {
    const PROPERTY: &str = "template_for_dispvms";
    let has_it = qubes
        .class(name)
        .is_some_and(|class| Property::find(Scope::Class(class), PROPERTY).is_some());
    if has_it {
        return format!("qvm-prefs {name} {PROPERTY} True allows it");
    }
    let serves = |vm: &&Vm| property::is_template_for_dispvms(qubes, vm, context.facts());
    let names: Vec<&str> = qubes
        .iter()
        .filter(serves)
        .map(|vm| vm.name.as_str())
        .collect();
    match names.as_slice() {
        [] => format!(
            "disposables are made from an AppVM: qvm-create --template {name} --label red \
             --property {PROPERTY}=True NAME \
             makes one"
        ),
        names => format!(
            "disposables are made from an AppVM; those for it are {}",
            names.join(", ")
        ),
    }
}

/// Returns the installed kernels and their directory.
pub fn kernels_hint(context: &Context, qubes: &Qubes) -> String {
    let pool = property::global_value_by_name(qubes, "default_pool_kernel", context.facts()).ok();
    let pool = pool
        .as_ref()
        .and_then(Value::as_str)
        .and_then(|name| qubes.pools.get(name));
    let directory = pool
        .and_then(|pool| pool.option("dir_path"))
        .unwrap_or("/var/lib/qubes/vm-kernels");
    let directory = context.system.path_below_root(directory);
    let entries = std::fs::read_dir(&directory)
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    let installed = entries.filter(|entry| entry.path().join("vmlinuz").exists());
    let mut names: Vec<String> = installed
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    match names.as_slice() {
        [] => format!(
            "no kernel is installed: each has a directory with vmlinuz and initramfs in {}",
            directory.display()
        ),
        names => format!(
            "the kernels in {} are {}",
            directory.display(),
            names.join(", ")
        ),
    }
}

/// Returns a close name, or the names that exist, for a name that does not.
fn unknown_name_hint(kind: NameKind, given: &str, options: &SystemOptions) -> String {
    let qubes = offline_context(options).and_then(|context| context.read().ok());
    let Some(qubes) = qubes else {
        return listing_command(kind).to_string();
    };
    let names = names(kind, &qubes);
    match did_you_mean(given, names.iter().copied()) {
        Some(text) => text,
        None if kind == NameKind::Qube || names.is_empty() => listing_command(kind).to_string(),
        None => format!("{}: {}", list_prefix(kind), names.join(", ")),
    }
}

fn names(kind: NameKind, qubes: &Qubes) -> Vec<&str> {
    match kind {
        NameKind::Qube => qubes.names().map(VmName::as_str).collect(),
        NameKind::Template => qubes
            .names_with_classes()
            .filter(|(_, class)| **class == Class::TemplateVM)
            .map(|(name, _)| name.as_str())
            .collect(),
        NameKind::Label => qubes.labels.iter().map(|label| &*label.name).collect(),
        NameKind::Pool => qubes.pools.iter().map(|pool| pool.name()).collect(),
    }
}

fn list_prefix(kind: NameKind) -> &'static str {
    match kind {
        NameKind::Qube => "the qubes are",
        NameKind::Template => "the templates are",
        NameKind::Label => "the labels are",
        NameKind::Pool => "the pools are",
    }
}

fn listing_command(kind: NameKind) -> &'static str {
    match kind {
        NameKind::Qube => "qvm-ls lists the qubes",
        NameKind::Template => "qvm-ls --class TemplateVM lists the templates",
        NameKind::Label => "qubes-db dump lists the labels",
        NameKind::Pool => "qvm-pool lists the pools",
    }
}

/// Returns who has permission and how to get it; nothing for root.
fn permission_hint(command: &str, options: &SystemOptions) -> Option<String> {
    if geteuid().is_root() {
        return None;
    }
    if command == "qubes-create" {
        return Some(
            "run it as root, or make a store of your own: qubes-create --root DIR".to_string(),
        );
    }
    let group = match offline_context(options) {
        Some(context) => context.system.qubes_group(),
        // The root directory is not accessible, so its group is unknown.
        None if has_root(options) => None,
        None => Group::from_name("qubes")
            .ok()
            .flatten()
            .map(|group| group.gid),
    };
    let Some(group) = group else {
        return Some("run it as root, or work on a store of your own with --root DIR".to_string());
    };
    let is_member = nix::unistd::getgroups().is_ok_and(|groups| groups.contains(&group));
    let user = User::from_uid(Uid::effective())
        .ok()
        .flatten()
        .map_or_else(|| "USER".to_string(), |user| user.name);
    Some(match is_member {
        true => "run it as root".to_string(),
        false => format!(
            "root and members of group qubes may: as root, run usermod -aG qubes {user}, then log \
             in again; or work on a store of your own with --root DIR"
        ),
    })
}

/// Returns the hint for an unknown option.
pub fn unknown_option(line: &clap::Command, given: &str) -> Hint {
    let Some(given) = given.strip_prefix("--") else {
        return Hint::Text(format!("{} --help lists the options", line.get_name()));
    };
    let name = given.split('=').next().unwrap_or(given);
    let shown = line.get_arguments().filter(|arg| !arg.is_hide_set());
    let names: Vec<&str> = shown
        .flat_map(|arg| {
            arg.get_long()
                .into_iter()
                .chain(arg.get_visible_aliases().unwrap_or_default())
        })
        .collect();
    // `--no-wait` is not a correction of `--wait`.
    let is_opposite = |close: &str| {
        close.strip_prefix("no-") == Some(name) || name.strip_prefix("no-") == Some(close)
    };
    let close = super::suggestion::closest(name, names).filter(|close| !is_opposite(close));
    Hint::Text(match close {
        Some(close) => format!("did you mean {}?", quoted(&format!("--{close}"))),
        None => format!("{} --help lists the options", line.get_name()),
    })
}
