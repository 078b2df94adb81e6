//! A qube's firewall: the file of rules beside its images (`docs/spec/r4-firewall.md`), and R3's,
//! which becomes one.

mod file;
mod r3;
mod rule;

pub use file::{FirewallVersion, detect_version};
pub use r3::{R3Conversion, convert_r3, deny_all};
pub use rule::{Action, Host, Ports, Protocol, Rule, RuleError, Rules};

/// The name of the file in a qube's directory.
pub const FILE: &str = "firewall.xml";

/// The largest file that is read: ten times what the most rules need.
pub const MAX_BYTES: u64 = 4 << 20;

/// The most rules a file can have: QubesDB numbers them with four digits
/// (`docs/spec/r4-firewall.md` §3).
pub const MAX_RULES: usize = 9_999;
