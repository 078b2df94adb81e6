//! Conversion of texts to values: how the store's text is read and how a user's text is checked.

use smol_str::SmolStr;
use uuid::Uuid;

use super::error::{Owner, PropertyError};
use super::row::Property;
use super::value::{Value, parse_int, read_int, read_ip6};
use super::value_type::{EmptyText, Normalize, ValueType};
use crate::model::boolean::BooleanDialect;
use crate::model::class::Class;
use crate::model::name::VmName;
use crate::model::qubes::Qubes;

impl Property {
    /// Reads the store's `text`, as leniently as upstream's reader.
    ///
    /// # Errors
    /// Upstream would refuse the text.
    pub(super) fn read(
        &self,
        qubes: &Qubes,
        owner: Owner<'_>,
        text: &str,
    ) -> Result<Value, PropertyError> {
        self.value_type
            .read(qubes, text)
            .map_err(|reason| PropertyError::InvalidStoredValue {
                owner: owner.to_string(),
                property: self.name,
                text: text.to_owned(),
                reason,
            })
    }

    /// Returns whether the value can be a qube of this class.
    pub(crate) fn can_refer_to(&self, class: &Class) -> bool {
        match self.value_type {
            ValueType::Qube { class: only, .. } => {
                *class != Class::RemoteVM && only.is_none_or(|only| only == class)
            }
            _ => false,
        }
    }

    /// Returns whether the store's `text` is valid and its value prints as exactly this text.
    /// Cheaper than reading and printing it; false also where only that could tell.
    pub fn is_printed_verbatim(&self, qubes: &Qubes, text: &str) -> bool {
        match self.value_type {
            ValueType::Bool => matches!(text, "True" | "False"),
            ValueType::Int { .. } => {
                (1..=18).contains(&text.len())
                    && text.bytes().all(|b| b.is_ascii_digit())
                    && (text.len() == 1 || !text.starts_with('0'))
            }
            ValueType::Text { normalize, .. } => {
                !text.is_empty() && normalize(text).is_ok_and(|shown| shown == text)
            }
            ValueType::Qube { .. } => qubes
                .class(text)
                .is_some_and(|class| self.can_refer_to(class)),
            ValueType::Label => {
                !text.starts_with("label-") && qubes.labels.iter().any(|label| &*label.name == text)
            }
            ValueType::Uuid => {
                let hyphens = [8, 13, 18, 23];
                // No early exit, so that the compiler can vectorise the loop.
                let digits = |n, b: u8| n + usize::from(matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                text.len() == 36
                    && text.bytes().fold(0, digits) == 36 - hyphens.len()
                    && hyphens
                        .iter()
                        .all(|at| text.as_bytes().get(*at) == Some(&b'-'))
            }
            ValueType::Pool | ValueType::Ip4 | ValueType::Ip6 => false,
        }
    }

    /// Parses a user's `text`, with the checks of the Admin API and of upstream's setters.
    ///
    /// # Errors
    /// The text is not a value of this type.
    pub(super) fn parse(
        &self,
        qubes: &Qubes,
        owner: Owner<'_>,
        text: &str,
    ) -> Result<Value, PropertyError> {
        let no = |what: &str| {
            PropertyError::refused(format!("Failed to parse property value as {what}"))
        };
        match self.value_type {
            ValueType::Bool => BooleanDialect::Literal
                .parse(text)
                .map(Value::Bool)
                .ok_or_else(|| {
                    PropertyError::refused(format!(
                        "Invalid literal for boolean property: '{text}'"
                    ))
                }),
            ValueType::Int { min, max } => {
                let number = parse_int(text).ok_or_else(|| no("int"))?;
                self.check_range(number, min, max).map(Value::Int)
            }
            ValueType::Text { normalize, empty } => self.parse_text(owner, text, normalize, empty),
            ValueType::Qube { class, required } => {
                self.parse_qube(qubes, owner, text, class, required)
            }
            ValueType::Label => qubes
                .labels
                .find(text)
                .map(|l| Value::Label(SmolStr::new(&l.name)))
                .ok_or_else(|| PropertyError::refused(format!("Label does not exist: {text}"))),
            ValueType::Pool => qubes
                .pools
                .get(text)
                .map(|p| Value::Pool(p.name().into()))
                .ok_or_else(|| PropertyError::refused("No such storage pool")),
            ValueType::Uuid => Uuid::try_parse(text.trim())
                .map(Value::Uuid)
                .map_err(|_| no("UUID")),
            ValueType::Ip4 => text.parse().map(Value::Ip4).map_err(|_| no("IPv4Address")),
            ValueType::Ip6 => text.parse().map(Value::Ip6).map_err(|_| no("IPv6Address")),
        }
    }

    fn parse_text(
        &self,
        owner: Owner<'_>,
        text: &str,
        normalize: Normalize,
        empty: EmptyText,
    ) -> Result<Value, PropertyError> {
        let name = self.name;
        let is_printable = |b: u8| matches!(b, b' '..=b'~' | b'\t'..=b'\r');
        if !text.bytes().all(is_printable) {
            let rule = format!("{name} of {owner} takes printable ASCII only");
            return Err(PropertyError::Refused(rule));
        }
        let stored = normalize(text)?;
        if stored.is_empty() && empty != EmptyText::Empty {
            let rule = format!("{name} of {owner} cannot be empty; -D gives it its default");
            return Err(PropertyError::Refused(rule));
        }
        Ok(Value::text(stored))
    }

    /// Returns why upstream's setter refuses a stored text that can be read. Upstream calls the
    /// setter for each property while it loads the store, and then refuses the store. For
    /// references, labels and the like, reading finds the error and this returns `None`.
    pub(crate) fn setter_error(&self, text: &str) -> Option<String> {
        let error = match self.value_type {
            ValueType::Int { min, max } => self
                .check_range(read_int(text)?.as_int()?, min, max)
                .err()?,
            ValueType::Text { normalize, .. } if !text.is_empty() => normalize(text).err()?,
            _ => return None,
        };
        Some(error.to_string())
    }

    fn check_range(&self, number: i64, min: i64, max: i64) -> Result<i64, PropertyError> {
        let name = self.name;
        match (min, max) {
            _ if (min..=max).contains(&number) => Ok(number),
            (1, i64::MAX) => Err(PropertyError::refused(format!("{name} must be positive"))),
            (0, i64::MAX) => Err(PropertyError::refused(format!(
                "{name} must be positive or zero"
            ))),
            _ => Err(PropertyError::refused(format!(
                "{name} {number} is not between {min} and {max}"
            ))),
        }
    }

    fn parse_qube(
        &self,
        qubes: &Qubes,
        owner: Owner<'_>,
        text: &str,
        class: Option<&Class>,
        required: bool,
    ) -> Result<Value, PropertyError> {
        let name = self.name;
        if text.is_empty() {
            return match (required, owner) {
                (false, _) => Ok(Value::Qube(None)),
                (true, Owner::Qube(vm)) => Err(PropertyError::refused(format!(
                    "Invalid value None for property '{name}' of {vm}"
                ))),
                (true, Owner::System) => {
                    Err(PropertyError::refused(format!("{name} cannot be empty")))
                }
            };
        }
        let Some((found, is)) = qubes.name_with_class(text) else {
            VmName::new(text).map_err(|e| PropertyError::refused(e.to_string()))?;
            return Err(PropertyError::refused(format!(
                "Can't set {name} to non-existing qube {text}"
            )));
        };
        if *is == Class::RemoteVM {
            return Err(PropertyError::refused(format!(
                "{name} of {owner} cannot be '{text}': that is a remote qube"
            )));
        }
        if let Some(class) = class.filter(|c| *c != is) {
            return Err(wrong_class(found, is, class));
        }
        Ok(Value::qube(found))
    }
}

impl ValueType {
    /// Reads the store's `text`. The error is the reason: `it is not a number`.
    fn read(self, qubes: &Qubes, text: &str) -> Result<Value, String> {
        let needed =
            |value: Option<Value>, what: &str| value.ok_or_else(|| format!("it is {what}"));
        match self {
            ValueType::Bool if text.is_empty() => Ok(Value::Bool(false)),
            ValueType::Bool => {
                let value = BooleanDialect::Literal.parse(text);
                needed(value.map(Value::Bool), "not a boolean")
            }
            ValueType::Int { .. } => needed(read_int(text), "not a number"),
            ValueType::Text { empty, .. } if text.is_empty() => match empty {
                EmptyText::Empty => Ok(Value::text("")),
                EmptyText::WordNone => Ok(Value::text("None")),
                EmptyText::Refused => Err("it must not be empty".to_owned()),
            },
            // Upstream calls its setter for loaded values, too, and so converts them as it converts
            // a user's. A text that the setter would refuse is returned unchanged.
            ValueType::Text { normalize, .. } => Ok(Value::text(
                normalize(text).unwrap_or_else(|_| text.to_owned()),
            )),
            ValueType::Qube { class, required } => read_qube(qubes, text, class, required),
            ValueType::Label => {
                let label = qubes.labels.find(text);
                let value = label.map(|label| Value::Label(SmolStr::new(&label.name)));
                needed(value, "not a label of this system")
            }
            ValueType::Pool => {
                let pool = qubes.pools.get(text);
                let value = pool.map(|pool| Value::Pool(pool.name().into()));
                needed(value, "not a pool of this system")
            }
            ValueType::Uuid => {
                let value = Uuid::try_parse(text.trim()).ok();
                needed(value.map(Value::Uuid), "not a UUID")
            }
            ValueType::Ip4 => needed(text.parse().ok().map(Value::Ip4), "not an IPv4 address"),
            ValueType::Ip6 => needed(read_ip6(text), "not an IPv6 address"),
        }
    }
}

fn read_qube(
    qubes: &Qubes,
    text: &str,
    class: Option<&Class>,
    required: bool,
) -> Result<Value, String> {
    if text.is_empty() && !required {
        return Ok(Value::Qube(None));
    }
    match (qubes.name_with_class(text), class) {
        (None, _) => Err("there is no such qube".to_owned()),
        (Some((_, Class::RemoteVM)), _) => Err("a remote qube cannot be referred to".to_owned()),
        (Some((_, is)), Some(class)) if class != is => {
            Err(format!("it is of class {is}, not {class}"))
        }
        (Some((name, _)), _) => Ok(Value::qube(name)),
    }
}

/// Returns the error that a reference names a qube of the wrong class.
fn wrong_class(name: &VmName, actual: &Class, expected: &Class) -> PropertyError {
    PropertyError::refused(format!(
        "wrong VM class: domains['{name}'] is of type {actual} and not {expected}"
    ))
}
