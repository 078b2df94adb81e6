//! Why a property cannot be read or changed.

/// Every message is one line. Where upstream's words are recorded (`data/r4/cli/qvm-prefs.txt`),
/// they are the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PropertyError {
    #[error("no such domain: '{0}'")]
    NoSuchQube(String),
    #[error("no such property: '{0}'")]
    NoSuchProperty(String),
    /// Unset, and nothing stands in for it. `owner` is `qube 'work'` or `the system`; `command`
    /// sets it.
    #[error("{owner} has no {property}, and nothing stands in for it; set it with {command}")]
    Unset {
        owner: String,
        property: &'static str,
        command: String,
    },
    /// The store holds a text that is no value of this property.
    #[error("{owner} has {property} '{text}' in the store: {reason}; set or reset it")]
    InvalidStoredValue {
        owner: String,
        property: &'static str,
        text: String,
        reason: String,
    },
    #[error("property '{property}' on {class} instance cannot be set")]
    Computed {
        property: &'static str,
        class: String,
    },
    /// Written once, or refused without a word of the reason.
    #[error("Failed to access '{0}' property")]
    Inaccessible(&'static str),
    #[error(
        "{property} cannot be set for {owner}: Qubes OS {release} does not know it (since {since})"
    )]
    TooNew {
        owner: String,
        property: &'static str,
        release: super::Release,
        since: super::Release,
    },
    /// The value is none of this type, or a rule forbids it.
    #[error("{0}")]
    Refused(String),
}

impl PropertyError {
    pub(in crate::model) fn refused(text: impl Into<String>) -> PropertyError {
        PropertyError::Refused(text.into())
    }
}
