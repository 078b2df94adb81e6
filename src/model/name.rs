//! Names of qubes: the rules for new ones, and what is accepted in a store.

use std::borrow::Borrow;
use std::fmt;

use smol_str::SmolStr;

/// The name of a qube.
///
/// [`VmName::from_store`] accepts names that are in a store already: no release of Qubes checks
/// them again, so only what is unsafe is refused. [`VmName::new`] checks the name of a qube to be
/// created (`docs/spec/r4-properties.md` §6).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VmName(SmolStr);

/// Why a text is not a valid name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("VM name must not be empty")]
    Empty,
    /// The name of a new qube has more than 31 bytes.
    #[error("VM name must be shorter than 32 characters")]
    TooLong,
    /// The name of a new qube begins with a digit, `-`, `_` or `.`.
    #[error("VM name cannot start with hyphen, underscore, dot or numbers")]
    InvalidStart,
    /// The name of a new qube has a character other than ASCII letters, digits, `-`, `_` and `.`.
    #[error("VM name contains illegal characters")]
    InvalidCharacter,
    /// The name of a new qube is one of the words `none` and `default`.
    #[error("VM name cannot be 'none' nor 'default'")]
    Reserved,
    /// The name of a new qube is `Domain-0`, the hypervisor's name of dom0.
    #[error("VM name cannot be 'Domain-0'")]
    Domain0,
    /// The name of a new qube ends with `-dm`, as the names of stub domains do.
    #[error("VM name cannot end with '-dm'")]
    StubdomainSuffix,
    /// A stored name has a slash or a control character, is `.` or `..`, or exceeds 255 bytes.
    #[error("a name with a slash, a control character, or made of dots cannot name files")]
    Unsafe,
}

impl VmName {
    /// The name of the administrative domain.
    pub const DOM0: &'static str = "dom0";

    /// Creates a name that a store contains.
    ///
    /// # Errors
    /// The text is empty, longer than 255 bytes, could escape from a directory as a path, or has
    /// control characters.
    pub fn from_store(text: &str) -> Result<VmName, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        // A fast path for ASCII: listings read a thousand names at once.
        let is_plain = text.bytes().all(|b| matches!(b, b' '..=b'~' if b != b'/'));
        let is_unsafe = !is_plain && text.chars().any(|c| c == '/' || c.is_control());
        if text.len() > 255 || text == "." || text == ".." || is_unsafe {
            return Err(NameError::Unsafe);
        }
        Ok(VmName(text.into()))
    }

    /// Creates a name for a new qube: at most 31 of `[a-zA-Z0-9_.-]`, a letter first, none of the
    /// reserved words.
    ///
    /// # Errors
    /// The text breaks one of these rules.
    pub fn new(text: &str) -> Result<VmName, NameError> {
        let first = *text.as_bytes().first().ok_or(NameError::Empty)?;
        if text.len() > 31 {
            return Err(NameError::TooLong);
        }
        if matches!(first, b'0'..=b'9' | b'_' | b'.' | b'-') {
            return Err(NameError::InvalidStart);
        }
        if !text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        {
            return Err(NameError::InvalidCharacter);
        }
        match text {
            "none" | "default" => return Err(NameError::Reserved),
            "Domain-0" => return Err(NameError::Domain0),
            _ if text.ends_with("-dm") => return Err(NameError::StubdomainSuffix),
            _ => {}
        }
        Ok(VmName(text.into()))
    }

    /// Returns the name `dom0`.
    pub fn dom0() -> VmName {
        VmName(SmolStr::new_static(Self::DOM0))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether this is dom0.
    pub fn is_dom0(&self) -> bool {
        &*self.0 == Self::DOM0
    }
}

impl fmt::Display for VmName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for VmName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl Borrow<str> for VmName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for VmName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for VmName {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for VmName {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_name_follows_every_rule() {
        assert!(VmName::new("work").is_ok());
        assert!(VmName::new("a.b_c-D9").is_ok());
        for (text, error) in [
            ("", NameError::Empty),
            ("this-name-is-much-too-long-for-a-qube", NameError::TooLong),
            ("1new", NameError::InvalidStart),
            ("-x", NameError::InvalidStart),
            ("bad name", NameError::InvalidCharacter),
            ("none", NameError::Reserved),
            ("Domain-0", NameError::Domain0),
            ("work-dm", NameError::StubdomainSuffix),
        ] {
            assert_eq!(VmName::new(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_stored_name_may_be_odd_but_not_a_path() {
        assert!(VmName::from_store("Ärger mit Namen").is_ok());
        assert!(VmName::from_store("../etc").is_err());
        assert!(VmName::from_store("..").is_err());
        assert!(VmName::from_store("a\nb").is_err());
    }
}
