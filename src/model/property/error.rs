//! Why a property cannot be read or changed.

use std::fmt;

use crate::model::name::VmName;
use crate::model::release::Release;

/// An error of reading or changing a property. Every message is one line; where upstream's text is
/// recorded (`tests/data/r4/cli/qvm-prefs.txt`), it is the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PropertyError {
    /// The store has no qube of this name.
    #[error("no such domain: '{0}'")]
    NoSuchQube(String),
    /// The class, or the system, has no property of this name.
    #[error("no such property: '{0}'")]
    NoSuchProperty(String),
    /// The property is unset and has no default.
    #[error("{owner} has no {property}, and there is no default; set it with {command}")]
    Unset {
        /// The owner of the property: `qube 'work'` or `the system`.
        owner: String,
        /// The name of the property.
        property: &'static str,
        /// The command that sets the property, with a placeholder for the value.
        command: String,
    },
    /// The store holds an invalid text for this property.
    #[error("{owner} has {property} '{text}' in the store: {reason}; set or reset it")]
    InvalidStoredValue {
        /// The owner of the property: `qube 'work'` or `the system`.
        owner: String,
        /// The name of the property.
        property: &'static str,
        /// The text in the store.
        text: String,
        /// Why the text is invalid: `it is not a number`.
        reason: String,
    },
    /// The property is always computed.
    #[error("property '{property}' on {class} instance cannot be set")]
    Computed {
        /// The name of the property.
        property: &'static str,
        /// The class of the qube; `Qubes` for a global property.
        class: String,
    },
    /// The property is write-once, or upstream refuses the value without a reason.
    #[error("Failed to access '{0}' property")]
    Inaccessible(&'static str),
    /// The release of the store does not know the property.
    #[error(
        "{property} cannot be set for {owner}: Qubes OS {release} does not know it (since {since})"
    )]
    TooNew {
        /// The owner of the property: `qube 'work'` or `the system`.
        owner: String,
        /// The name of the property.
        property: &'static str,
        /// The release that the store is written for.
        release: Release,
        /// The first release that knows the property.
        since: Release,
    },
    /// The value is invalid, or a rule forbids it.
    #[error("{0}")]
    Refused(String),
}

impl PropertyError {
    /// Returns a refusal with this message.
    pub(in crate::model) fn refused(text: impl Into<String>) -> PropertyError {
        PropertyError::Refused(text.into())
    }
}

/// The owner of a property, for messages.
#[derive(Clone, Copy)]
pub(super) enum Owner<'a> {
    System,
    Qube(&'a VmName),
}

impl fmt::Display for Owner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::System => f.write_str("the system"),
            Owner::Qube(name) => write!(f, "qube '{name}'"),
        }
    }
}

impl Owner<'_> {
    /// Returns the error that a required property is not set.
    pub fn unset_error(self, property: &'static str) -> PropertyError {
        let command = match self {
            Owner::System => format!("qubes-prefs {property} VALUE"),
            Owner::Qube(name) => format!("qvm-prefs {name} {property} VALUE"),
        };
        PropertyError::Unset {
            owner: self.to_string(),
            property,
            command,
        }
    }
}
