//! Values of properties.

use core::net::{Ipv4Addr, Ipv6Addr};
use std::fmt;

use smol_str::{SmolStr, format_smolstr};
use uuid::Uuid;

use crate::model::boolean::boolean_text;
use crate::model::name::VmName;

/// The value of a property.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No number, no text, no address.
    None,
    /// A boolean.
    Bool(bool),
    /// An integer of 64 bits.
    Int(i64),
    /// An integer beyond 64 bits, in decimal digits. qubesd accepts one; no tool sets one.
    LargeInt(SmolStr),
    /// A time in seconds, with fractions.
    Float(f64),
    /// A text. Most are short enough for `SmolStr` to store them inline, without an allocation.
    Text(SmolStr),
    /// A reference to a qube, or to none.
    Qube(Option<VmName>),
    /// The name of a label.
    Label(SmolStr),
    /// The name of a pool.
    Pool(SmolStr),
    /// A UUID.
    Uuid(Uuid),
    /// An IPv4 address.
    Ip4(Ipv4Addr),
    /// An IPv6 address.
    Ip6(Ipv6Addr),
    /// Words, printed with a space between them.
    Words(Vec<SmolStr>),
}

impl Value {
    /// Returns a text value.
    pub fn text(text: impl Into<SmolStr>) -> Value {
        Value::Text(text.into())
    }

    /// Returns a reference to this qube.
    pub fn qube(name: &VmName) -> Value {
        Value::Qube(Some(name.clone()))
    }

    /// Returns the boolean, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(b) => Some(*b),
            _ => None,
        }
    }

    /// Returns the integer, if it is one; a large one is clamped to 64 bits.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(n) => Some(*n),
            Value::LargeInt(digits) => Some(if digits.starts_with('-') {
                i64::MIN
            } else {
                i64::MAX
            }),
            _ => None,
        }
    }

    /// Returns the name of the qube that it refers to, if any.
    pub fn as_qube(&self) -> Option<&VmName> {
        match self {
            Value::Qube(name) => name.as_ref(),
            _ => None,
        }
    }

    /// Returns the text of a text, label or pool.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Text(t) | Value::Label(t) | Value::Pool(t) => Some(t),
            _ => None,
        }
    }
}

/// Prints the value as upstream does and as the store holds it: `True`, a number, a name; nothing
/// for no value and for no qube.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::None | Value::Qube(None) => Ok(()),
            Value::Bool(value) => f.pad(boolean_text(*value)),
            Value::Int(n) => n.fmt(f),
            Value::Float(n) => write!(f, "{n:?}"),
            Value::Text(t) | Value::Label(t) | Value::Pool(t) | Value::LargeInt(t) => f.pad(t),
            Value::Qube(Some(name)) => name.fmt(f),
            Value::Uuid(uuid) => uuid.fmt(f),
            Value::Ip4(ip) => ip.fmt(f),
            Value::Ip6(ip) => ip.fmt(f),
            Value::Words(words) => f.pad(&words.join(" ")),
        }
    }
}

/// Parses an integer of 64 bits as Python's `int()` does: spaces around it, a sign, single
/// underscores between digits.
pub(super) fn parse_int(text: &str) -> Option<i64> {
    if (1..=18).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok();
    }
    plain_int(text)?.parse().ok()
}

/// Parses an integer of any size as Python's `int()` does, into [`Value::Int`] or
/// [`Value::LargeInt`].
pub(in crate::model) fn read_int(text: &str) -> Option<Value> {
    if let Some(number) = parse_int(text) {
        return Some(Value::Int(number));
    }
    // Python refuses to convert more digits, and upstream then refuses the store.
    const MAX_DIGITS: usize = 4300;
    let digits = plain_int(text)?;
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits.trim_start_matches('+')),
    };
    (digits.len() <= MAX_DIGITS)
        .then(|| Value::LargeInt(format_smolstr!("{sign}{}", digits.trim_start_matches('0'))))
}

/// Returns the sign and the digits of an integer, without spaces and underscores.
fn plain_int(text: &str) -> Option<String> {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let groups_are_digits = digits
        .split('_')
        .all(|g| !g.is_empty() && g.bytes().all(|b| b.is_ascii_digit()));
    groups_are_digits.then(|| text.replace('_', ""))
}

/// Parses an IPv6 address as Python does, which also accepts a zone (`fe80::1%eth0`); an address
/// with a zone becomes a text.
pub(super) fn read_ip6(text: &str) -> Option<Value> {
    match text.split_once('%') {
        None => text.parse().ok().map(Value::Ip6),
        Some((address, zone)) if !zone.is_empty() && !zone.contains('%') => {
            let address: Ipv6Addr = address.parse().ok()?;
            Some(Value::text(format_smolstr!("{address}%{zone}")))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_print_as_upstream_does() {
        assert_eq!(Value::Bool(true).to_string(), "True");
        assert_eq!(Value::Qube(None).to_string(), "");
        assert_eq!(Value::Float(12.0).to_string(), "12.0");
        assert_eq!(
            Value::Words(vec!["a".into(), "b".into()]).to_string(),
            "a b"
        );
    }

    #[test]
    fn large_integers_and_zoned_addresses_are_read() {
        let large = |text: &str| Value::LargeInt(text.into());
        assert_eq!(
            read_int("99999999999999999999"),
            Some(large("99999999999999999999"))
        );
        assert_eq!(
            read_int("-0_9223372036854775809"),
            Some(large("-9223372036854775809"))
        );
        assert_eq!(read_int("9223372036854775807"), Some(Value::Int(i64::MAX)));
        assert_eq!(read_int(&"9".repeat(4301)), None);
        assert_eq!(large("99999999999999999999").as_int(), Some(i64::MAX));
        assert_eq!(read_ip6("FE80::1%eth0"), Some(Value::text("fe80::1%eth0")));
        for bad in ["fe80::1%", "fe80::1%a%b", "%eth0"] {
            assert_eq!(read_ip6(bad), None, "{bad}");
        }
    }

    #[test]
    fn integers_read_as_python_reads_them() {
        assert_eq!(parse_int(" +1_000 "), Some(1000));
        assert_eq!(parse_int("-5"), Some(-5));
        for bad in ["", "_1", "1__0", "0x10", "- 5", "1.0"] {
            assert_eq!(parse_int(bad), None, "{bad}");
        }
    }
}
