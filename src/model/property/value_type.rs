//! The types of properties.

use super::error::PropertyError;
use crate::model::class::Class;

/// How upstream reads an empty text in the store for a text property (`docs/spec/r4-xml.md` §1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmptyText {
    /// As the empty text.
    Empty,
    /// As the word `None`; an empty text is therefore never written.
    WordNone,
    /// It refuses the whole file; an empty text is therefore never written.
    Refused,
}

/// Converts a user's text into the form that is stored, or returns why it is invalid.
pub type Normalize = fn(&str) -> Result<String, PropertyError>;

/// The type of a property.
#[derive(Clone, Copy)]
pub enum ValueType {
    /// A boolean.
    Bool,
    /// An integer, at least `min`, at most `max`.
    Int {
        /// The smallest value that can be set.
        min: i64,
        /// The largest value that can be set.
        max: i64,
    },
    /// A text.
    Text {
        /// Checks and converts new values.
        normalize: Normalize,
        /// The meaning of an empty text in the store.
        empty: EmptyText,
    },
    /// A reference to a local qube, of any class or of `class`; "no qube" is a value unless
    /// `required`.
    Qube {
        /// The class that the qube must have; `None` for any.
        class: Option<&'static Class>,
        /// Whether "no qube" is refused.
        required: bool,
    },
    /// The name of a label.
    Label,
    /// The name of a storage pool.
    Pool,
    /// A UUID.
    Uuid,
    /// An IPv4 address.
    Ip4,
    /// An IPv6 address.
    Ip6,
}

/// A reference to any local qube, or to none.
pub(super) const QUBE: ValueType = ValueType::Qube {
    class: None,
    required: false,
};
/// Any integer.
pub(super) const INT: ValueType = ValueType::Int {
    min: i64::MIN,
    max: i64::MAX,
};
/// An integer of at least 1.
pub(super) const POSITIVE: ValueType = ValueType::Int {
    min: 1,
    max: i64::MAX,
};
/// Any printable text.
pub(super) const TEXT: ValueType = ValueType::Text {
    normalize: keep_text,
    empty: EmptyText::Empty,
};

/// Accepts a text as it is.
pub(super) fn keep_text(text: &str) -> Result<String, PropertyError> {
    Ok(text.to_owned())
}

impl ValueType {
    /// Returns the name of the type in the Admin API and in JSON: `vm`, `int`, `bool`, `label`,
    /// else `str` (`docs/spec/r4-properties.md` §1).
    pub fn api_name(self) -> &'static str {
        match self {
            ValueType::Qube { .. } => "vm",
            ValueType::Int { .. } => "int",
            ValueType::Bool => "bool",
            ValueType::Label => "label",
            _ => "str",
        }
    }
}
