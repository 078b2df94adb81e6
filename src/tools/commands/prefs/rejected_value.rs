//! Hints for values that a property does not accept: upstream's messages often name neither the
//! property nor the value nor the rule.

use crate::lifecycle::{Context, LifecycleError};
use crate::model::boolean::BooleanDialect;
use crate::model::property::ValueType;
use crate::model::{Property, PropertyError, Qubes};
use crate::tools::completion::value_words;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::hint::{self, Hint};
use crate::tools::ui::quoted::quoted;
use crate::tools::ui::size;
use crate::tools::ui::suggestion::did_you_mean;

/// The most names that a hint lists.
const MAX_LISTED: usize = 12;

/// A value that a property did not accept.
pub struct RejectedValue<'a> {
    pub context: &'a Context,
    /// The qube, or `None` for the system.
    pub qube: Option<&'a str>,
    pub property: &'static Property,
    /// The value; `None` for the default.
    pub text: Option<&'a str>,
}

impl RejectedValue<'_> {
    /// Returns the failure for an error, with a hint if the value was the reason.
    pub fn failure(&self, error: LifecycleError) -> Failure {
        let hint = self.hint(&error);
        Failure::from(error).with_hint(hint)
    }

    /// Returns the hint for an error, if the value was the reason.
    pub fn hint(&self, error: &LifecycleError) -> Option<Hint> {
        match error {
            LifecycleError::BatchRefused { source, .. } => self.hint(source),
            LifecycleError::Property(PropertyError::Inaccessible(_)) => {
                Some(Hint::Text(self.inaccessible_hint()))
            }
            LifecycleError::Property(PropertyError::Computed { property, .. }) => Some(Hint::Text(
                format!("{property} follows from other settings and can only be read"),
            )),
            LifecycleError::Property(PropertyError::Refused(_)) => {
                // A default is well-formed; it was refused because of other settings.
                let text = self.text?;
                let qubes = self.context.read().ok()?;
                self.rule_hint(&qubes, text).map(Hint::Text)
            }
            error => Hint::for_error(error),
        }
    }

    fn inaccessible_hint(&self) -> String {
        let name = self.property.name;
        match (name, self.qube) {
            ("mac", _) => format!(
                "{}takes six pairs of hexadecimal digits, such as 00:16:3e:5e:6c:00{}",
                self.subject(),
                self.rejected_text()
            ),
            ("name", Some(qube)) => format!(
                "a qube keeps its name: make a copy with 'qvm-clone {qube} {}', then remove the \
                 old one with 'qvm-remove {qube}'",
                self.text.unwrap_or("NEW")
            ),
            _ => format!(
                "{}was given when the qube was made, and stays",
                self.subject()
            ),
        }
    }

    /// Returns `memory of 'work' `.
    fn subject(&self) -> String {
        let name = self.property.name;
        match self.qube {
            Some(qube) => format!("{name} of {} ", quoted(qube)),
            None => format!("{name} "),
        }
    }

    /// Returns `, not 'VALUE'`.
    fn rejected_text(&self) -> String {
        self.text
            .map(|text| format!(", not {}", quoted(text)))
            .unwrap_or_default()
    }

    /// Returns what the property accepts, if the value is of another type.
    fn rule_hint(&self, qubes: &Qubes, text: &str) -> Option<String> {
        if let Some(value) = text.strip_prefix('=') {
            return Some(format!(
                "leave the '=' out: {} {}",
                self.property.name,
                value.trim_start()
            ));
        }
        let takes = |what: &str| {
            Some(format!(
                "{}takes {what}{}",
                self.subject(),
                self.rejected_text()
            ))
        };
        match self.property.value_type {
            ValueType::Bool if BooleanDialect::Literal.parse(text).is_some() => None,
            ValueType::Bool => takes("True or False"),
            ValueType::Int { .. } if text.trim().parse::<i64>().is_ok() => None,
            ValueType::Int { .. } => {
                let unit = unit(self.property);
                let number = in_mib(text)
                    .filter(|_| unit == " of MiB")
                    .map(|mib| format!("; {text} is {mib}"));
                takes(&format!("a whole number{unit}"))
                    .map(|words| words + &number.unwrap_or_default())
            }
            ValueType::Qube { .. } | ValueType::Label | ValueType::Pool => {
                self.choices_hint(qubes, text)
            }
            ValueType::Uuid => takes("a UUID such as 6a1c0e1d-9a4e-4b6e-8d5f-0f1d2c3b4a59"),
            ValueType::Ip4 => takes("an IPv4 address such as 10.137.0.20"),
            ValueType::Ip6 => takes("an IPv6 address such as fd09:24ef:4179::a89:14"),
            ValueType::Text { .. } => match self.property.name {
                "kernel" | "default_kernel" => Some(hint::kernels(self.context, qubes)),
                // The message itself lists the values.
                "virt_mode" => None,
                name => Some(format!("{name}: {}", self.property.doc)),
            },
        }
    }

    /// Returns a close name, or all names that the property accepts; `None` if the value is one of
    /// them, so that something else was wrong.
    fn choices_hint(&self, qubes: &Qubes, text: &str) -> Option<String> {
        let words = value_words(self.property, qubes, self.context);
        let words: Vec<&str> = words
            .iter()
            .map(String::as_str)
            .filter(|word| Some(*word) != self.qube)
            .collect();
        if words.contains(&text) {
            return None;
        }
        let close = did_you_mean(text, words.iter().copied());
        Some(close.unwrap_or_else(|| match words.len() {
            0 => format!("there is nothing that {} could be", self.property.name),
            1..=MAX_LISTED => format!("{}can be {}", self.subject(), words.join(", ")),
            _ => format!(
                "{}can be one of {}: qvm-ls lists them",
                self.subject(),
                words.len()
            ),
        }))
    }
}

/// Returns ` of MiB` or ` of seconds`, as the description of the property says.
fn unit(property: &Property) -> &'static str {
    match property.doc {
        doc if doc.contains("MiB") => " of MiB",
        doc if doc.contains("econds") => " of seconds",
        _ => "",
    }
}

/// Returns `400M`, `2 GiB` or `1G` as a number of MiB; units are powers of 1024.
fn in_mib(text: &str) -> Option<u64> {
    let text = text.trim();
    text.ends_with(|c: char| c.is_ascii_alphabetic())
        .then(|| size::parse_as_r3(&text.replace(['i', 'I'], "")))?
        .map(|b| b >> 20)
}
