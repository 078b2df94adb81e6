//! The firewall of a qube: the file with its rules beside its images (`docs/spec/r4-firewall.md`),
//! and the conversion of R3's file.

mod file;
mod r3;
mod rule;

pub use file::{FirewallVersion, detect_version};
pub use r3::{R3Conversion, convert_r3, deny_all};
pub use rule::{Action, Host, Ports, Protocol, Rule, RuleError, Rules};

/// The name of the file in a qube's directory.
pub const FILE: &str = "firewall.xml";

/// The maximum size of a file, bytes: ten times the size of [`MAX_RULES`] rules.
pub const MAX_BYTES: u64 = 4 << 20;

/// The maximum number of rules: QubesDB numbers them with four digits
/// (`docs/spec/r4-firewall.md` §3).
pub const MAX_RULES: usize = 9_999;
