//! Hints: what to do about a failure, as a line `hint: TEXT` on standard error after upstream's
//! message. Standard output and exit codes never depend on them.

mod errors;
mod names;
mod permission;

pub use errors::describe;
pub use names::kernels;

use super::suggestion::did_you_mean;
use crate::model::property::PROPERTIES;
use crate::model::{Class, Property, Scope};
use crate::system::SystemOptions;
use crate::tools::ui::program_name::program;
use crate::tools::ui::quoted::quoted;
use names::offline_context;

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
        Hint::one_of(given, "the classes are", &Class::names())
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
            Hint::Unknown(kind, name) => Some(names::unknown(*kind, name, options)),
            Hint::Permission => permission::hint(command, options),
            Hint::Damaged => Some(
                "qubes-db check tells more, qubes-db repair mends it, qubes-db history lists the \
                 copies to go back to"
                    .to_string(),
            ),
            Hint::TooLarge => Some(super::store_copies::move_away_advice(&offline_context(
                options,
            )?)),
            Hint::NotForDisposables(name) => {
                let context = offline_context(options)?;
                Some(names::disposables(&context, &*context.read().ok()?, name))
            }
            Hint::Kernels => {
                let context = offline_context(options)?;
                Some(names::kernels(&context, &*context.read().ok()?))
            }
        }
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

/// Returns the hint for an unknown option.
pub fn unknown_option(line: &clap::Command, given: &str) -> Hint {
    let Some(given) = given.strip_prefix("--") else {
        return Hint::Text(format!("{} --help lists the options", program(line)));
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
        None => format!("{} --help lists the options", program(line)),
    })
}
